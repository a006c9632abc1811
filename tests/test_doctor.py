"""What `doctor` says of a machine, in good order and not."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from command_line import Command

from catseye import doctor
from catseye.capture import compiled
from catseye.doctor import Finding
from catseye.errors import CatseyeError
from catseye.runtime.signing import new_key
from catseye.runtime.sources import gstreamer_library


def the_one(findings: Iterable[Finding]) -> Finding:
    (finding,) = findings
    return finding


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders for keys and plans."""
    monkeypatch.setenv("CATSEYE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def program(folder: Path, name: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program before all others."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)


def test_every_part_is_told_of_once(catseye: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(home, "timedatectl", "yes", monkeypatch)
    monkeypatch.setattr(doctor, "_cameras", lambda: iter(()))
    key = new_key()
    done = catseye("doctor", "--for", home, "--json")
    found = {entry["part"]: entry for entry in json.loads(done.out)}
    assert done.code == 0
    assert len(found) == len(json.loads(done.out))
    assert {
        "catseye",
        "machine",
        "video",
        "ONNX Runtime",
        "TensorRT",
        "keys",
        "GStreamer",
        "resizing",
    } <= set(found)
    assert key in found["keys"]["found"]
    assert "h264" in found["video"]["found"] and "CPU" in found["ONNX Runtime"]["found"]
    assert found["clock"]["state"] == "ok"
    assert all(entry["remedy"] for entry in found.values() if entry["state"] == "fault")


def test_a_machine_that_trusts_no_key_is_told_how_to(home: Path) -> None:
    finding = the_one(doctor._keys())
    assert finding.state == "absent" and "keys trust" in finding.remedy


def test_a_damaged_key_is_a_fault(home: Path) -> None:
    new_key()
    (home / "home" / "keys" / "signing.pem").write_text("none")
    assert the_one(doctor._keys()).state == "fault"


def test_plans_that_others_may_write_are_a_fault(
    catseye: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(doctor._plans()) == []
    (home / "cache" / "catseye" / "plans").mkdir(parents=True, mode=0o777)
    (home / "cache" / "catseye" / "plans").chmod(0o777)
    finding = the_one(doctor._plans())
    assert finding.state == "fault" and "chmod 700" in finding.remedy
    refused = catseye("doctor", "--for", home)
    assert refused.code == 1 and "plans" in refused.line


def test_a_clock_that_nothing_sets_is_a_fault(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(home, "timedatectl", "no", monkeypatch)
    assert the_one(doctor._clock()).state == "fault"
    monkeypatch.setenv("PATH", "")
    assert list(doctor._clock()) == []


def test_cameras_that_the_user_may_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(doctor._cameras(tmp_path)) == []
    (tmp_path / "video0").touch()
    assert the_one(doctor._cameras(tmp_path)).state == "ok"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    finding = the_one(doctor._cameras(tmp_path))
    assert finding.state == "fault" and "usermod" in finding.remedy


def test_what_is_not_installed_is_absent_and_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise CatseyeError("GStreamer's bindings cannot be imported: apt-get install python3-gi")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(gstreamer_library, "load_gstreamer", absent)
    monkeypatch.setattr(compiled, "COMPILED", None)
    findings = [*doctor._resizing(), *doctor._tensorrt(), *doctor._gstreamer(), *doctor._extras()]
    assert {finding.state for finding in findings} == {"absent"}
    assert all(finding.remedy for finding in findings)


def test_room_is_asked_of_the_nearest_folder_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = doctor._room(tmp_path / "not" / "yet")
    assert finding.found.endswith(str(tmp_path))
    monkeypatch.setattr(doctor, "_LEAST_FREE", 1 << 80)
    assert doctor._room(tmp_path).state == "fault"
