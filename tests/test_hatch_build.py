"""Packages are built with what is compiled, and without it where there is no compiler."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from conftest import ROOT

from catseye.capture.compiled import _VERSION, Compiled


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("compiler", "fault"),
    [
        ("false", "false failed: no message"),
        ("/nowhere/cc --quick", "/nowhere/cc does not start"),
        (f"{sys.executable} -c 'import sys; sys.exit(sys.argv[-1])'", "failed: "),
    ],
)
def test_what_a_compiler_could_not_do_is_told_and_leaves_nothing(
    hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: str, fault: str
) -> None:
    monkeypatch.setenv("CC", compiler)
    assert fault in hook.compile_library(ROOT / "capture" / "resampling.c", tmp_path / "made.so")
    assert not list(tmp_path.iterdir())


def test_no_compiler_at_all(hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    fault = hook.compile_library(ROOT / "capture" / "resampling.c", tmp_path / "made.so")
    assert "there is no C compiler" in fault and "apt-get install gcc" in fault


@pytest.mark.parametrize(
    ("source", "version"),
    [("int resampling_version(void) { return 99; }", 99), ("int another(void) { return 1; }", 0)],
)
def test_a_library_of_another_version_is_refused(
    hook: ModuleType, tmp_path: Path, source: str, version: int
) -> None:
    (tmp_path / "other.c").write_text(source)
    if fault := hook.compile_library(tmp_path / "other.c", tmp_path / "other.so"):
        pytest.skip(fault)
    with pytest.raises(OSError, match=f"version {version} where {_VERSION} is asked for"):
        Compiled(tmp_path / "other.so")


def test_a_library_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Compiled(tmp_path / "nowhere.so")


def test_an_editable_installation_finds_the_library_in_the_source_tree(
    hook: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "catseye").mkdir()
    shutil.copytree(ROOT / "capture", tmp_path / "catseye" / "capture", ignore=lambda *_: ["_resampling.so"])
    told: list[str] = []
    project = SimpleNamespace(root=tmp_path, app=SimpleNamespace(display_warning=told.append))
    build_data = {"force_include": {}}
    hook.CompileResampling.initialize(project, "editable", build_data)
    if told:
        pytest.skip(told[0])
    Compiled(tmp_path / "catseye" / "capture" / "_resampling.so")
    assert build_data == {"force_include": {}}


@pytest.mark.parametrize("with_compiler", [True, False])
def test_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: ModuleType, with_compiler: bool
) -> None:
    copy = tmp_path / "project"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    for name in files.stdout.rstrip("\0").split("\0"):
        if name.split("/")[0] not in ("tests", "scripts", "docs"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).symlink_to((ROOT / name).readlink() if (ROOT / name).is_symlink() else ROOT / name)
    if not with_compiler:
        monkeypatch.setenv("CC", "false")
    elif hook.compile_library(ROOT / "capture" / "resampling.c", tmp_path / "try.so"):
        pytest.skip("no C compiler")
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--wheel",
        "--outdir",
        str(tmp_path),
        str(copy),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-py3-none-{platform if with_compiler else 'any'}.whl")
    assert ("catseye/capture/_resampling.so" in names) is with_compiler
    assert {"catseye/capture/resampling.c", "catseye/runtime/tracker.py"} <= set(names)
