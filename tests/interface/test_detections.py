from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from catseye.detections import Detection, Detections
from catseye.errors import CatseyeError

FOUND = Detections(
    boxes_xyxy=np.array([[1, 2, 30, 40], [5, 6, 7, 8], [9, 9, 20, 20]], dtype=np.float32),
    scores=np.array([0.9, 0.75, 0.25], dtype=np.float32),
    classes=np.array([1, 0, 1], dtype=np.int32),
    names=("car", "bus"),
)
TRACKED = Detections(
    FOUND.boxes_xyxy,
    FOUND.scores,
    FOUND.classes,
    FOUND.names,
    ids=np.array([3, 5, 8]),
    distances_m=np.array([12.5, np.nan, 40.0], dtype=np.float32),
    sigmas_m=np.array([0.5, np.nan, 4.0], dtype=np.float32),
    frame=7,
    time_s=0.28,
)
NOTHING = FOUND[FOUND.scores > 1]


def test_rows_one_by_one() -> None:
    assert len(FOUND) == 3 and FOUND.class_names == ["bus", "car", "bus"]
    first, *_, last = TRACKED
    assert first == Detection((1, 2, 30, 40), pytest.approx(0.9), "bus", 3, 12.5, 0.5)
    assert (last.id, last.distance_m) == (8, 40.0)
    assert [each.distance_m for each in TRACKED] == [12.5, None, 40.0]
    assert [each.id for each in FOUND] == [None] * 3


@pytest.mark.parametrize(
    ("rows", "scores"),
    [
        (np.array([True, False, True]), [0.9, 0.25]),
        (slice(1, None), [0.75, 0.25]),
        ([2, 0], [0.25, 0.9]),
        (0, [0.9]),
        (-1, [0.25]),
    ],
    ids=str,
)
def test_parts_are_detections_too(rows: Any, scores: list[float]) -> None:
    part = TRACKED[rows]
    assert part.scores.tolist() == pytest.approx(scores)
    assert part.boxes_xyxy.shape == (len(scores), 4) and part.ids is not None
    assert len(part.ids) == len(part.classes) == len(part) == len(scores)
    assert (part.names, part.frame) == (TRACKED.names, 7)


def test_a_row_that_is_not_there() -> None:
    with pytest.raises(IndexError):
        FOUND[3]


def test_as_supervision_has_them() -> None:
    supervision = pytest.importorskip("supervision")
    plain, tracked = FOUND.to_supervision(), TRACKED.to_supervision()
    assert isinstance(plain, supervision.Detections) and len(plain) == 3
    np.testing.assert_array_equal(plain.xyxy, FOUND.boxes_xyxy)
    assert plain.tracker_id is None and plain.confidence.tolist() == FOUND.scores.tolist()
    assert tracked.tracker_id.tolist() == [3, 5, 8] and tracked["distance_m"][0] == 12.5
    assert tracked[tracked.class_id == 0]["class_name"].tolist() == ["car"]
    assert len(NOTHING.to_supervision()) == 0


def test_as_pandas_has_them() -> None:
    pandas = pytest.importorskip("pandas")
    plain, tracked = FOUND.to_pandas(), TRACKED.to_pandas()
    assert list(plain.columns) == ["x1", "y1", "x2", "y2", "score", "class", "name"]
    assert list(tracked.columns) == [
        "frame", "time_s", *plain.columns, "id", "distance_m", "sigma_m",
    ]  # fmt: skip
    assert plain.loc[1].tolist()[:4] == [5, 6, 7, 8] and plain["name"].tolist() == ["bus", "car", "bus"]
    assert tracked["frame"].tolist() == [7, 7, 7] and tracked["id"].tolist() == [3, 5, 8]
    both = pandas.concat([tracked, TRACKED[:1].to_pandas()])
    assert len(both) == 4 and len(NOTHING.to_pandas()) == 0


@pytest.mark.parametrize("library", ["supervision", "pandas"])
def test_a_library_that_is_missing_is_said_in_one_line(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if name == library:
            raise ImportError(name)
        return real(name, globals, locals, fromlist or (), level)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CatseyeError, match=f"needs {library}; run: pip install {library}$"):
        getattr(FOUND, f"to_{library}")()
