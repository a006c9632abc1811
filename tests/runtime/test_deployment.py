"""What is in service on a vehicle: only what was proven, switched in one step, with a way back."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
from command_line import Command

from catseye.errors import CatseyeError, InputError, UsageError
from catseye.files import sha256_of
from catseye.runtime.bundle import Bundle, open_bundle, write_bundle
from catseye.runtime.deployment import CURRENT, PREVIOUS, deploy, history, roll_back
from catseye.runtime.npy import dump_array


def signed_again(opened: Bundle, path: Path, name: str, **changed: bytes) -> Path:
    """The same bundle under another name, with other entries in place of some."""
    entries = {
        entry: changed.get(Path(entry).stem, bytes(content))
        for entry, content in opened.entries.items()
        if not entry.startswith(("manifest", "signature"))
    }
    write_bundle(path, opened.manifest.model_copy(update={"name": name}), entries)
    return path


@pytest.fixture(scope="module")
def bundles(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four bundles that differ in their names alone."""
    folder = tmp_path_factory.mktemp("releases")
    opened = open_bundle(tiny_bundle)
    return [signed_again(opened, folder / f"{n}.catseye", f"release-{n}") for n in range(4)]


@pytest.fixture(scope="module")
def unlike_its_proof(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed bundle whose golden scores its graph does not give."""
    opened = open_bundle(tiny_bundle)
    scores = dump_array(opened.array("proof/scores.npy") * 0.5)
    return signed_again(opened, tmp_path_factory.mktemp("bad") / "bad.catseye", "bad", scores=scores)


def in_service(place: Path, link: str = CURRENT) -> str:
    return open_bundle(place / link).manifest.name


def test_each_deployment_follows_the_one_before_and_can_be_taken_back(
    bundles: list[Path], tmp_path: Path
) -> None:
    first = deploy(bundles[0], tmp_path)
    assert (first.name, first.replaced, first.sha256) == ("release-0", "", sha256_of(bundles[0]))
    assert not (tmp_path / PREVIOUS).exists()
    second = deploy(bundles[1], tmp_path)
    assert (in_service(tmp_path), in_service(tmp_path, PREVIOUS)) == ("release-1", "release-0")
    assert second.replaced == first.sha256
    back = roll_back(tmp_path)
    assert (in_service(tmp_path), in_service(tmp_path, PREVIOUS)) == ("release-0", "release-1")
    roll_back(tmp_path)
    assert in_service(tmp_path) == "release-1"
    assert [change.did for change in history(tmp_path)] == ["deploy", "deploy", "roll back", "roll back"]
    assert history(tmp_path)[2] == back


def test_deployed_again_the_way_back_stays(bundles: list[Path], tmp_path: Path) -> None:
    for bundle in (bundles[0], bundles[1], bundles[1]):
        deploy(bundle, tmp_path)
    assert (in_service(tmp_path), in_service(tmp_path, PREVIOUS)) == ("release-1", "release-0")


def test_what_fails_its_proof_changes_nothing(
    bundles: list[Path], unlike_its_proof: Path, tmp_path: Path
) -> None:
    deploy(bundles[0], tmp_path)
    with pytest.raises(CatseyeError, match=r"bad: differs from its proof in .*scores"):
        deploy(unlike_its_proof, tmp_path)
    assert in_service(tmp_path) == "release-0"
    assert len(list((tmp_path / "bundles").iterdir())) == 1
    assert len(history(tmp_path)) == 1


def test_a_bundle_that_does_not_open_changes_nothing(bundles: list[Path], tmp_path: Path) -> None:
    deploy(bundles[0], tmp_path / "place")
    altered = tmp_path / "altered.catseye"
    altered.write_bytes(bundles[1].read_bytes())
    with zipfile.ZipFile(altered, "a") as archive:
        archive.writestr("more", b"")
    with pytest.raises(InputError, match="altered"):
        deploy(altered, tmp_path / "place")
    assert in_service(tmp_path / "place") == "release-0"


def test_one_installed_and_damaged_on_disk_is_installed_anew(bundles: list[Path], tmp_path: Path) -> None:
    deploy(bundles[0], tmp_path)
    (installed,) = (tmp_path / "bundles").iterdir()
    installed.write_bytes(b"torn")
    deploy(bundles[0], tmp_path)
    assert in_service(tmp_path) == "release-0"


def test_a_bundle_that_does_not_start_gives_way_to_the_one_before(
    bundles: list[Path], tmp_path: Path
) -> None:
    deploy(bundles[0], tmp_path)
    deploy(bundles[1], tmp_path)
    started: list[str] = []

    def restart() -> None:
        started.append(in_service(tmp_path))
        if started[-1] == "release-2":
            raise CatseyeError("it did not start")

    with pytest.raises(CatseyeError, match="release-2: it did not start; release-1 is in service again"):
        deploy(bundles[2], tmp_path, restart=restart)
    assert started == ["release-2", "release-1"]
    assert (in_service(tmp_path), in_service(tmp_path, PREVIOUS)) == ("release-1", "release-0")
    assert [change.did for change in history(tmp_path)][-2:] == ["deploy", "return"]


def test_of_many_bundles_the_newest_and_those_with_a_link_stay(bundles: list[Path], tmp_path: Path) -> None:
    for bundle in bundles:
        deploy(bundle, tmp_path, keep=1)
    kept = {file.stem for file in (tmp_path / "bundles").iterdir()}
    assert kept == {sha256_of(bundles[2]), sha256_of(bundles[3])}
    with pytest.raises(UsageError, match="keep is 0"):
        deploy(bundles[0], tmp_path, keep=0)


def test_there_is_a_whole_bundle_in_service_at_every_step(
    bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(bundles[0], tmp_path)
    seen = []

    def watched(rename: object) -> object:
        def call(*arguments: object, **named: object) -> object:
            seen.append(in_service(tmp_path))
            done = rename(*arguments, **named)  # type: ignore[operator]
            seen.append(in_service(tmp_path))
            return done

        return call

    for name in ("replace", "symlink_to", "unlink"):
        monkeypatch.setattr(Path, name, watched(getattr(Path, name)))
    monkeypatch.setattr(os, "replace", watched(os.replace))
    deploy(bundles[1], tmp_path)
    assert len(seen) > 4
    assert seen == sorted(seen) and set(seen) == {"release-0", "release-1"}


def test_a_torn_line_of_the_history_is_left_out(bundles: list[Path], tmp_path: Path) -> None:
    deploy(bundles[0], tmp_path)
    with (tmp_path / "deployments.jsonl").open("a") as log:
        log.write('{"time": "2026')
    assert len(history(tmp_path)) == 1


def test_nothing_to_go_back_to(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no bundle to go back to"):
        roll_back(tmp_path)


def test_the_verb(
    catseye: Command, bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    assert catseye("deploy", bundles[0], "--to", place).code == 0
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho Job failed. >&2\nexit 1\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(systemctl.parent), prepend=os.pathsep)
    refused = catseye("deploy", bundles[1], "--to", place, "--restart", "systemctl restart catseye-run")
    assert refused.code == 1
    assert "'systemctl restart catseye-run' failed (Job failed.)" in refused.line
    assert (tmp_path / "asked").read_text() == "restart catseye-run\n" * 2
    systemctl.write_text("#!/bin/sh\n")
    assert (
        catseye("deploy", bundles[1], "--to", place, "--restart", "systemctl restart catseye-run").code == 0
    )
    (back,) = json.loads(catseye("deploy", "--roll-back", "--to", place, "--json").out)
    assert (back["did"], back["name"]) == ("roll back", "release-0")
    listed = json.loads(catseye("deploy", "--to", place, "--json").out)
    assert [change["name"] for change in listed][-1] == "release-0"
    assert catseye("deploy", bundles[0], "--roll-back").code == 2
    for command in (" ", "'"):
        assert catseye("deploy", bundles[1], "--to", place, "--restart", command).code == 2
    absent = catseye("deploy", bundles[1], "--to", place, "--restart", "catseye-no-such-program")
    assert absent.code == 1
    assert "cannot be run" in absent.line and "release-0 is put back and does not start either" in absent.line
