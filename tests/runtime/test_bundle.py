"""A bundle is exactly what was signed, or it is refused with one line."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catseye.errors import InputError
from catseye.runtime.archive import canonical
from catseye.runtime.bundle import open_bundle, write_bundle
from catseye.runtime.bundle_entries import LIMITS, MANIFEST, SIGNATURE
from catseye.runtime.manifest import Colour, Manifest
from catseye.runtime.npy import dump_array, parse_array
from catseye.runtime.ranging.known_sizes import Shape, shapes_of
from catseye.runtime.signing import sign

Entries = dict[str, bytes]


@pytest.fixture
def entries(tiny_bundle: Path) -> Entries:
    return {name: bytes(content) for name, content in open_bundle(tiny_bundle).entries.items()}


def write(path: Path, entries: Entries) -> Path:
    path.write_bytes(b"".join(canonical(entries.items())))
    return path


def signed(entries: Entries, change: Callable[[dict[str, Any]], None]) -> Entries:
    """The same with another manifest, signed by a trusted key all the same."""
    document = json.loads(entries[MANIFEST])
    change(document)
    manifest = json.dumps(document).encode()
    return entries | {MANIFEST: manifest, SIGNATURE: sign(manifest)}


def test_opens_in_full(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    assert bundle.manifest.name == "tiny"
    assert bundle.graph() == bundle.entries["fp32.onnx"]
    assert bundle.sha256 == hashlib.sha256(tiny_bundle.read_bytes()).hexdigest()
    with pytest.raises(InputError, match="has no int8 graph"):
        bundle.graph("int8")


def test_any_zip_tool_reads_it(tiny_bundle: Path, entries: Entries) -> None:
    with zipfile.ZipFile(tiny_bundle) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == entries
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_same_content_gives_same_bytes(tiny_bundle: Path, tmp_path: Path, entries: Entries) -> None:
    manifest = open_bundle(tiny_bundle).manifest.model_copy(update={"entries": {}})
    rest = {name: entries[name] for name in reversed(entries) if name not in {MANIFEST, SIGNATURE}}
    write_bundle(tmp_path / "again.catseye", manifest, rest)
    assert (tmp_path / "again.catseye").read_bytes() == tiny_bundle.read_bytes()


def test_one_changed_byte_is_refused_wherever_it_is(tiny_bundle: Path, tmp_path: Path) -> None:
    content = tiny_bundle.read_bytes()
    headers = [at for at in range(len(content)) if content[at : at + 2] == b"PK"]
    positions = {at + step for at in headers for step in range(46) if at + step < len(content)}
    positions |= set(range(len(content) - 64, len(content)))
    positions |= set(np.random.default_rng(0).integers(0, len(content), 300).tolist())
    path = tmp_path / "changed.catseye"
    for position in sorted(positions):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        with pytest.raises(InputError) as refused:
            open_bundle(path)
        assert "changed.catseye" in str(refused.value), position
        assert "\n" not in str(refused.value), position


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_cut_off_file_is_refused(tiny_bundle: Path, tmp_path: Path, share: float) -> None:
    content = tiny_bundle.read_bytes()
    path = tmp_path / "cut.catseye"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"cut off|not a bundle"):
        open_bundle(path)


def test_bytes_after_the_end_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.catseye"
    path.write_bytes(tiny_bundle.read_bytes() + b"\0")
    with pytest.raises(InputError, match="1 bytes after its end"):
        open_bundle(path)


def test_absent_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_bundle(tmp_path / "gone.catseye")
    with pytest.raises(InputError, match="is a folder"):
        open_bundle(tmp_path)


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "proof/../fp32.onnx", "fp32.onnx.data", "x" * 5000]
)
def test_other_names_are_refused(tmp_path: Path, entries: Entries, name: str) -> None:
    with pytest.raises(InputError, match="no entry of a bundle"):
        open_bundle(write(tmp_path / "x.catseye", entries | {name: b"evil"}))


def test_duplicate_entries_are_refused(tmp_path: Path, entries: Entries) -> None:
    path = tmp_path / "twice.catseye"
    path.write_bytes(b"".join(canonical([*entries.items(), (MANIFEST, entries[MANIFEST])])))
    with pytest.raises(InputError, match=r"'manifest\.json' twice"):
        open_bundle(path)


def test_compression_is_refused_before_anything_is_unpacked(tmp_path: Path, entries: Entries) -> None:
    path = tmp_path / "bomb.catseye"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in entries:
            archive.writestr(zipfile.ZipInfo(name), bytes(1 << 20), zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="is compressed"):
        open_bundle(path)


def test_claimed_sizes_are_capped(tmp_path: Path, entries: Entries) -> None:
    path = write(tmp_path / "huge.catseye", entries)
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, 18, 0xFFFFFFFF)
    struct.pack_into("<L", content, 22, 0xFFFFFFFF)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"'manifest\.json' claims 4294967295 bytes"):
        open_bundle(path)


def test_file_larger_than_any_bundle_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.catseye"
    with path.open("wb") as stream:
        stream.truncate(sum(LIMITS.values()) + (1 << 20))
    with pytest.raises(InputError, match="is larger than"):
        open_bundle(path)


def test_missing_entry_is_named(tmp_path: Path, entries: Entries) -> None:
    del entries["proof/depth.npy"]
    with pytest.raises(InputError, match=r"lacks proof/depth\.npy"):
        open_bundle(write(tmp_path / "x.catseye", entries))


def test_entry_the_manifest_does_not_name_is_refused(tmp_path: Path, entries: Entries) -> None:
    with pytest.raises(InputError, match="does not hold the entries"):
        open_bundle(write(tmp_path / "x.catseye", entries | {"int8.onnx": entries["fp32.onnx"]}))


def test_entry_the_signature_does_not_cover_is_refused(tmp_path: Path, entries: Entries) -> None:
    def forget(manifest: dict[str, Any]) -> None:
        del manifest["entries"]["proof/depth.npy"]

    with pytest.raises(InputError, match="does not hold the entries"):
        open_bundle(write(tmp_path / "x.catseye", signed(entries, forget)))


def test_exchanged_entry_is_refused(tmp_path: Path, entries: Entries) -> None:
    changed = bytearray(entries["fp32.onnx"])
    changed[-1] ^= 1
    with pytest.raises(InputError, match=r"fp32\.onnx is not what was signed"):
        open_bundle(write(tmp_path / "x.catseye", entries | {"fp32.onnx": bytes(changed)}))


def test_untrusted_signer_is_refused(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_home: Path
) -> None:
    monkeypatch.setenv("CATSEYE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(InputError, match="is not trusted on this machine"):
        open_bundle(tiny_bundle)
    shutil.copytree(key_home / "trusted", tmp_path / "elsewhere" / "trusted")
    assert open_bundle(tiny_bundle)


def test_newer_major_version_is_refused_and_newer_minor_opens(tmp_path: Path, entries: Entries) -> None:
    newer = signed(entries, lambda manifest: manifest.update(schema_version="4.0"))
    with pytest.raises(InputError, match=r"schema version 4\.0, newer than 3\.0.*upgrade"):
        open_bundle(write(tmp_path / "newer.catseye", newer))
    minor = signed(entries, lambda manifest: manifest.update(schema_version="1.7", later="field"))
    assert open_bundle(write(tmp_path / "minor.catseye", minor)).manifest.name == "tiny"


def test_manifest_of_another_graph_is_refused(tmp_path: Path, entries: Entries) -> None:
    wrong = signed(entries, lambda manifest: manifest.update(top_k=9))
    with pytest.raises(InputError, match="other inputs or outputs than the manifest says"):
        open_bundle(write(tmp_path / "x.catseye", wrong))


def test_array_that_is_not_what_the_manifest_says_is_refused(tmp_path: Path, entries: Entries) -> None:
    bundle = open_bundle(write(tmp_path / "x.catseye", entries))
    entry = "proof/scores.npy"
    assert (bundle.array(entry).dtype, bundle.array(entry).shape) == (np.float32, (2, 8))
    with pytest.raises(InputError, match=r"scores\.npy: is no float32 array of shape \(2, 9\)"):
        parse_array(bundle.entries[entry], dtype="float32", shape=(2, 9), subject=f"{bundle.path}: {entry}")


def test_sizes_of_classes_are_the_manifests_own_or_the_known_ones(tiny_bundle: Path) -> None:
    manifest = open_bundle(tiny_bundle).manifest
    assert manifest.cues == ("depth", "ground", "size")
    assert manifest.shapes() == [shapes_of("car"), shapes_of("truck")]
    own = (Shape(height_m=2.2, spread=0.02, aspect=0.6, aspect_spread=0.2),)
    theirs = manifest.model_copy(update={"classes": ("car", "forklift", "cone"), "sizes": {"forklift": own}})
    again = Manifest.parse(theirs.to_json(), subject="manifest.json")
    assert again.shapes() == [shapes_of("car"), own, ()]


def test_older_readers_refuse_what_they_would_get_wrong(manifest: Manifest) -> None:
    """Major 1 reads what has every output, is fitted into the middle and has no doubles."""

    def version(**changed: object) -> str:
        return str(json.loads(manifest.model_copy(update=changed).to_json())["schema_version"])

    assert version() == version(precisions=("fp32", "fp16")) == "1.2"
    assert version(nms_iou=0.5) == "2.1"
    assert version(embedding_dim=None) == "2.1"
    assert version(depth_shape=None) == "2.1"
    assert version(network=manifest.network.model_copy(update={"fit": "stretch"})) == "2.1"
    planes = {"input": "nv12", "colour": Colour()}
    assert version(network=manifest.network.model_copy(update=planes)) == "3.0"
    assert version(network=manifest.network.model_copy(update={"batch": 2}), proof_frames=4) == "1.2"
    assert version(network=manifest.network.model_copy(update={"batch": 2}), proof_frames=5) == "3.0"


def test_a_manifest_of_before_opens(manifest: Manifest) -> None:
    document = json.loads(manifest.to_json()) | {"schema_version": "1.0"}
    later = ("nms_iou", "agreements", "verdicts", "cpu_precision")
    for name in later:
        del document[name]
    del document["network"]["fit"]
    found = Manifest.parse(json.dumps(document), subject="x")
    assert (found.nms_iou, found.network.fit) == (None, "centre")
    assert (found.precisions, found.cpu_precision, found.verdicts) == (("fp32",), "fp32", {})
    assert found.interface() == manifest.interface()


@pytest.mark.parametrize(
    "network", [{"input": "nv12"}, {"colour": {"matrix": "bt709", "full_range": False}}, {"input": "yuyv"}]
)
def test_planes_have_a_colour_and_rgb_has_none(
    tmp_path: Path, entries: Entries, network: dict[str, Any]
) -> None:
    changed = signed(entries, lambda manifest: manifest["network"].update(network))
    with pytest.raises(InputError, match="field 'network"):
        open_bundle(write(tmp_path / "x.catseye", changed))


@pytest.mark.parametrize("name", ["proof/frames.npy", "proof/fragment.npy"])
def test_a_bundle_lacks_no_input_of_its_proof(tmp_path: Path, entries: Entries, name: str) -> None:
    rest = {key: content for key, content in entries.items() if key != name}
    with pytest.raises(InputError, match=f"lacks {name}"):
        open_bundle(write(tmp_path / "x.catseye", rest))
    planes = signed(
        entries,
        lambda manifest: manifest["network"].update(input="nv12", colour={"matrix": "bt709"}),
    )
    with pytest.raises(InputError, match=r"lacks proof/chroma\.npy"):
        open_bundle(write(tmp_path / "x.catseye", planes))


def test_a_proof_that_is_not_what_the_manifest_says_is_refused_on_opening(
    tmp_path: Path, entries: Entries
) -> None:
    content = dump_array(np.zeros((2, 9), np.float32))

    def describe(manifest: dict[str, Any]) -> None:
        manifest["entries"]["proof/scores.npy"] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
        }

    changed = signed(entries, describe) | {"proof/scores.npy": content}
    with pytest.raises(InputError, match=r"scores\.npy: is no float32 array of shape \(2, 8\)"):
        open_bundle(write(tmp_path / "x.catseye", changed))


def test_infinite_tolerances_are_refused(tmp_path: Path, entries: Entries) -> None:
    endless = signed(entries, lambda manifest: manifest["tolerances"].update(relative=float("inf")))
    with pytest.raises(InputError, match=r"tolerances\.relative"):
        open_bundle(write(tmp_path / "x.catseye", endless))
