"""What scripts/compare_machines.py holds two runs to."""

from __future__ import annotations

import copy
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "compare_machines.py"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("compare_machines", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def track(number: int, left: float, *, metres: float | None = 20.0) -> dict[str, Any]:
    return {
        "id": number,
        "class": "car",
        "box_xyxy": [left, 10.0, left + 100.0, 60.0],
        "distance_m": metres,
    }


@pytest.fixture
def run() -> list[dict[str, Any]]:
    return [
        {"frame": k, "pts": 40 * k, "time_base": "1/1000", "tracks": [track(1, 5.0 * k), track(2, 300.0)]}
        for k in range(5)
    ]


def passed(script: Any, here: list[Any], there: list[Any]) -> bool:
    return all(script.run_checks(script.compare_runs(here, there)))


def test_the_same_run_passes(script: Any, run: list[dict[str, Any]]) -> None:
    found = script.compare_runs(run, copy.deepcopy(run))
    assert (found.frames, found.boxes, found.unlike_frames) == (5, 10, ())
    assert (found.least_iou, found.farthest_m) == (1.0, 0.0)
    assert passed(script, run, run)


def test_a_box_a_little_aside_passes_and_one_farther_does_not(script: Any, run: list[dict[str, Any]]) -> None:
    near, far = copy.deepcopy(run), copy.deepcopy(run)
    near[3]["tracks"][0] = track(1, 15.9, metres=20.5)
    far[3]["tracks"][0] = track(1, 16.2)
    found = script.compare_runs(run, near)
    assert found.least_iou == pytest.approx(99.1 / 100.9)
    assert found.farthest_m == 0.5
    assert passed(script, run, near)
    assert script.compare_runs(run, far).least_iou == pytest.approx(98.8 / 101.2)
    assert not passed(script, run, far)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: run.pop(),
        lambda run: run[2]["tracks"].pop(),
        lambda run: run[2]["tracks"].append(track(9, 500.0)),
        lambda run: run[2]["tracks"][0].update(id=3),
        lambda run: run[2]["tracks"][0].update({"class": "bus"}),
        lambda run: run[2].update(pts=81),
    ],
)
def test_other_frames_ids_classes_and_times_do_not_pass(
    script: Any, run: list[dict[str, Any]], spoil: Any
) -> None:
    other = copy.deepcopy(run)
    spoil(other)
    assert len(script.compare_runs(run, other).unlike_frames) == 1
    assert not passed(script, run, other)
    assert not passed(script, other, run)


def test_a_run_that_shows_nothing_proves_nothing(script: Any, run: list[dict[str, Any]]) -> None:
    for record in run:
        record["tracks"] = []
    assert not passed(script, run, run)


def test_one_level_of_the_input_does_not_pass(script: Any) -> None:
    frames = {"luma": np.zeros((2, 4, 6), np.uint8), "chroma": np.zeros((2, 2, 3, 2), np.uint8)}
    other = copy.deepcopy(frames)
    assert all(script.input_checks(frames, other))
    other["chroma"][1, 0, 2, 1] = 1
    (check,) = script.input_checks(frames, other)
    assert check.value == 1 and not check
    assert not all(script.input_checks(frames, {"luma": frames["luma"]}))
