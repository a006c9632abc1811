from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from catseye.errors import InputError, UsageError
from catseye.pretrain.label_formats import read_labels, write_labels
from catseye.pretrain.prelabelling import pictures_of, prelabel, sightings
from catseye.pretrain.selection import Picked, Selection


@dataclass(frozen=True)
class Boxes:
    boxes_xyxy: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def boxes_at(*lefts: float, score: float = 0.8) -> Boxes:
    corners = [[left, 10, left + 20, 20] for left in lefts]
    count = len(lefts)
    return Boxes(
        np.array(corners, dtype=np.float32).reshape(-1, 4),
        np.full(count, score, dtype=np.float32),
        np.zeros(count, dtype=np.int32),
    )


class RedThings:
    """Finds what is red, as surely as it is bright, and a sliver without width."""

    names = ("lamp", "vehicle")

    def predict(self, rgb: np.ndarray, *, threshold: float) -> Boxes:
        rows, columns = np.nonzero(rgb[..., 0] > rgb[..., 2] + 50)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0, 0, 1, 1]
        scores = np.array([rgb[..., 0].max() / 255, 0.9], dtype=np.float32)
        boxes = np.array([box, [5, 5, 5, 9]], dtype=np.float32)
        kept = scores >= threshold
        return Boxes(boxes[kept], scores[kept], np.array([1, 0], dtype=np.int32)[kept])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """``a.png`` with a bright red vehicle, ``deep/b.png`` with a dim one."""
    folder = tmp_path / "pictures"
    for name, level in (("a.png", 255), ("deep/b.png", 102)):
        rgb = np.zeros((48, 80, 3), dtype=np.uint8)
        rgb[10:20, 30:50, 0] = level
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), rgb[..., ::-1])
    return folder


def test_what_a_model_finds_is_proposed_with_its_scores(pictures: Path, tmp_path: Path) -> None:
    labels = prelabel(*pictures_of(pictures), RedThings(), threshold=0.5)
    assert [image.file_name for image in labels.images] == ["a.png", "deep/b.png"]
    first, second = labels.images
    assert first.boxes.tolist() == [[30, 10, 50, 20]] and len(second.boxes) == 0
    assert labels.classes[first.classes[0]] == "vehicle"
    assert first.scores is not None and first.scores.tolist() == [1.0]
    write_labels(labels, tmp_path / "proposed.json", form="coco")
    back = read_labels(tmp_path / "proposed.json")
    assert back.classes == labels.classes
    assert [image.boxes.tolist() for image in back.images] == [
        image.boxes.tolist() for image in labels.images
    ]
    assert back.images[0].classes.tolist() == [1] and not back.images[0].crowd.any()


def test_a_lower_threshold_proposes_more(pictures: Path) -> None:
    labels = prelabel(*pictures_of(pictures), RedThings(), threshold=0.3)
    assert [len(image.boxes) for image in labels.images] == [1, 1]


def test_pictures_are_those_of_a_folder_a_selection_or_one(pictures: Path, tmp_path: Path) -> None:
    assert pictures_of(pictures / "deep/b.png") == (pictures / "deep", ("b.png",))
    picked = Picked(
        file_name="b.png", source="b", taken_from="still", width=80, height=48, kinds={}, figures={}, why=""
    )
    selection = Selection(
        pool="x", run="y", options={}, looked_at=1, unreadable=0, labelled=0, aspects=(), pictures=(picked,)
    )
    selection.save(tmp_path / "out/selection.json")
    for place in (tmp_path / "out", tmp_path / "out/selection.json"):
        assert pictures_of(place) == (tmp_path / "out/images", ("b.png",))
    with pytest.raises(InputError, match="no such folder"):
        pictures_of(tmp_path / "gone")


def test_what_cannot_be_is_named(pictures: Path) -> None:
    with pytest.raises(UsageError, match="--threshold 0"):
        prelabel(pictures, ["a.png"], RedThings(), threshold=0)
    (pictures / "c.png").write_text("no picture")
    with pytest.raises(InputError, match=r"c.png: is not a readable picture"):
        prelabel(*pictures_of(pictures), RedThings())


@dataclass
class Nearest:
    """Follows the first box of a frame under one number, once it has seen two; notes the times."""

    times: list[float] = field(default_factory=list)

    @dataclass(frozen=True)
    class Tracks:
        ids: np.ndarray
        detection_index: np.ndarray

    def update(
        self, boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, *, time_s: float
    ) -> Nearest.Tracks:
        self.times.append(time_s)
        seen = len(self.times) > 1 and len(boxes) > 0
        return self.Tracks(np.array([1] if seen else [], int), np.array([0] if seen else [], np.int32))


def test_clips_are_followed_both_ways_and_time_rises_in_both() -> None:
    followers: list[Nearest] = []

    def follow() -> Nearest:
        followers.append(Nearest())
        return followers[-1]

    seen = [boxes_at(10), boxes_at(12, 40), boxes_at(), boxes_at(16)]
    found = sightings(seen, np.array([0.0, 0.1, 0.2, 0.5]), follow)
    assert [follower.times for follower in followers] == [[0, 0.1, 0.2, 0.5], [-0.5, -0.2, -0.1, 0]]
    assert found.frame.tolist() == [0, 1, 1, 3]
    # Backwards the first frame's box is seen, which was missed forwards.
    assert found.track.tolist() == [1, 1, -1, 1]
    assert found.boxes[:, 0].tolist() == [10, 12, 40, 16]


def test_a_clip_without_detections_has_none_to_follow() -> None:
    found = sightings([boxes_at(), boxes_at()], np.array([0.0, 0.1]), Nearest)
    assert len(found) == 0 and found.boxes.shape == (0, 4)
