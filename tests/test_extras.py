"""What is not installed is told by its extra, before any work is done."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from command_line import Command

from catseye import extras

tomllib = pytest.importorskip("tomllib")  # which Python 3.10 has not

_SHIPPED_AS = {"PIL": "pillow", "yaml": "pyyaml", "paho": "paho-mqtt"}


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing of any extra is installed."""
    ours = {name for names in extras.LIBRARIES.values() for name in names}
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ours else find(name))
    return monkeypatch


def brought_by(extra: str) -> set[str]:
    """Distributions that an extra asks for, those of the extras in it among them."""
    asked = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    names = set()
    for requirement in asked["optional-dependencies"][extra]:
        if (within := re.match(r"catseye\[(\w+)\]", requirement)) is not None:
            names |= brought_by(within.group(1))
        else:
            names.add(re.split(r"[<>=;\s]", requirement)[0])
    return names


@pytest.mark.parametrize("extra", extras.LIBRARIES)
def test_an_extra_brings_what_is_looked_for(extra: str) -> None:
    shipped = {_SHIPPED_AS.get(name, name.replace("_", "-")) for name in extras.LIBRARIES[extra]}
    assert shipped == brought_by(extra)


def test_export_brings_all_of_training() -> None:
    assert brought_by("train") < brought_by("export")


@pytest.mark.usefixtures("hide")
@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("demo", "--out", "made"), "export"),
        (("wrap", "yolox.onnx", "--decoder", "yolox", "--out", "made/peer.catseye"), "export"),
        (("export", "run", "--out", "made/car.catseye"), "export"),
        (("ingest", ".", "--out", "made", "--ray", "auto"), "cluster"),
    ],
)
def test_nothing_is_begun_that_lacks_a_library(
    catseye: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    extra: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = catseye(*arguments)
    assert done.code == 1
    assert done.line.endswith(f"is not installed; run: pip install 'catseye[{extra}]'")
    assert not list(tmp_path.iterdir())
