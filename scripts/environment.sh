# Sourced by demo.sh and test.sh: makes a virtual environment in the project and installs into it.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${CATSEYE_VENV:-$root/.venv}

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# The first Python of 3.10 or newer; PYTHON names another.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.10 or newer is missing; run: sudo apt-get install python3 python3-venv"
}

make_environment() {
    local python
    [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pip' 2>/dev/null && return
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "the venv module of $python is missing; run: sudo apt-get install python3-venv"
    "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --upgrade pip
}

# install EXTRAS: the project, editable, with these extras. Done again only after what it is made by has changed.
install() {
    local stamp="$venv/.catseye-$1" sum
    sum=$(cat "$root"/{pyproject.toml,hatch_build.py,capture/resampling.c} | sha256sum)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$sum" ]; then
        printf 'Installing catseye[%s] into %s; the first time this takes some minutes.\n' "$1" "$venv" >&2
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$root[$1]"
        check_system_libraries
        printf '%s\n' "$sum" >"$stamp"
    fi
}

# Wheels bring nearly all they need; what a slim image may lack is named with its package.
check_system_libraries() {
    local message library package
    if message=$("$venv/bin/python" -c 'import av, cv2, onnxruntime' 2>&1); then
        return
    fi
    library=$(grep -oE 'lib[A-Za-z0-9_+.-]+\.so(\.[0-9]+)*' <<<"$message" | head -n 1)
    case "$library" in
        libstdc++*) package=libstdc++6 ;;
        libgomp*) package=libgomp1 ;;
        libz*) package=zlib1g ;;
        libGL.*) package=libgl1 ;;
        libglib* | libgthread*) package=libglib2.0-0 ;;
        *) fail "$message" ;;
    esac
    fail "$library is missing; run: sudo apt-get install $package"
}
