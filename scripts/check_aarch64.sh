#!/usr/bin/env bash
# Does a bundle do on aarch64, the Jetson's architecture, what it does here? The wheel is built and installed
# into an emulated Debian, where the bundle is verified, its engine replays the golden frames, and a run on a
# clip must show the same tracks. Right for numbers, useless for speed.
#
#   sudo scripts/check_aarch64.sh BUNDLE VIDEO        # as root, for debootstrap, chroot and binfmt_misc
#
# CATSEYE_AARCH64_ROOT: the emulated root, made where it is not there and kept (default /var/tmp/catseye-aarch64).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

[ $# -eq 2 ] || fail "usage: scripts/check_aarch64.sh BUNDLE VIDEO"
bundle=$(realpath -e "$1") video=$(realpath -e "$2")
emulated=${CATSEYE_AARCH64_ROOT:-/var/tmp/catseye-aarch64}
suite=bookworm
mirror=${CATSEYE_DEBIAN_MIRROR:-http://deb.debian.org/debian}
[ "$(id -u)" -eq 0 ] || fail "this makes and enters another system; run it as root"
for program in debootstrap qemu-aarch64-static update-binfmts aarch64-linux-gnu-gcc; do
    command -v "$program" >/dev/null ||
        fail "$program is missing; run: sudo apt-get install qemu-user-static binfmt-support debootstrap gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
done

# The kernel is to hand aarch64 programs to qemu. The F flag, which Debian sets, makes that hold inside a chroot.
enable_emulation() {
    local binfmt=/proc/sys/fs/binfmt_misc
    [ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt ||
        fail "$binfmt cannot be mounted; this container may not, run it on the host or in a privileged one"
    [ -e $binfmt/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64
    grep -q '^flags:.*F' $binfmt/qemu-aarch64 ||
        fail "qemu-aarch64 is registered without the flag F; reinstall qemu-user-static"
}

make_root() {
    [ -e "$emulated/.catseye-ready" ] && return
    printf 'Making %s; the first time this takes about five minutes.\n' "$emulated" >&2
    debootstrap --arch=arm64 --variant=minbase --include=python3-venv "$suite" "$emulated" "$mirror" >&2
    chroot "$emulated" /usr/bin/python3 -m venv /opt/catseye
    touch "$emulated/.catseye-ready"
}

# The wheel, the bundle, the clip, and the public keys that are trusted here; never the key that signs.
carry() {
    local place=$emulated/check trusted
    rm -rf "${place:?}"
    mkdir -p "$place/keys/trusted" "$place/there"
    _PYTHON_HOST_PLATFORM=linux-aarch64 CC=aarch64-linux-gnu-gcc \
        "$venv/bin/python" -m build --no-isolation --wheel --outdir "$place" "$root" >/dev/null
    cp "$bundle" "$place/bundle.catseye"
    cp "$video" "$place/clip"
    cp "$root/scripts/compare_machines.py" "$place"
    cp -L "${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}" "$place/ca.crt"
    cp -L /etc/resolv.conf "$emulated/etc/resolv.conf"
    trusted=$("$venv/bin/python" -c 'from catseye.runtime.signing import key_home; print(key_home() / "trusted")')
    cp "$trusted"/*.pub "$place/keys/trusted"
}

inside() {
    chroot "$emulated" env -i PATH=/usr/bin:/bin HOME=/root LC_ALL=C.UTF-8 OMP_NUM_THREADS=1 \
        CATSEYE_HOME=/check/keys PIP_CERT=/check/ca.crt PIP_DISABLE_PIP_VERSION_CHECK=1 "$@"
}

# measure PYTHON PLACE OUT [PREFIX…]: the proof, the golden frames and the clip, alike on both machines.
measure() {
    local python=$1 place=$2 out=$3
    shift 3
    "$@" "$python" -m catseye verify "$place/bundle.catseye" --engine onnxruntime --threads 1
    "$@" "$python" "$place/compare_machines.py" replay "$place/bundle.catseye" "$place/clip" "$out"
    "$@" "$python" -m catseye run "$place/bundle.catseye" "$place/clip" --engine onnxruntime --threads 1 \
        --jsonl "$out/tracks.jsonl"
}

make_environment
install dev
enable_emulation
make_root
carry
wheel=/check/$(basename "$emulated"/check/catseye-*.whl)
inside /opt/catseye/bin/python -m pip install --quiet "$wheel"
inside /opt/catseye/bin/python -m pip install --quiet --force-reinstall --no-deps "$wheel"
printf '\naarch64 (%s), emulated\n' "$(inside uname -m)"
measure /opt/catseye/bin/python /check /check/there inside
printf '\n%s\n' "$(uname -m)"
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
measure "$venv/bin/python" "$emulated/check" "$here" env OMP_NUM_THREADS=1
printf '\nboth\n'
"$venv/bin/python" "$root/scripts/compare_machines.py" compare "$bundle" "$here" "$emulated/check/there"
