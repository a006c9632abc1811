"""From a dataset to frames worth labelling, proposals, and labels that were kept because they last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from command_line import Command

import catseye.model
from catseye.capture.dataset import Dataset, open_dataset
from catseye.capture.ingestion import ingest
from catseye.capture.rendering import Truth, load_truth
from catseye.model import Detections
from catseye.pretrain.checkpoint import CheckpointInfo, save_checkpoint
from catseye.pretrain.detector import Detector
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.label_formats import read_labels
from catseye.pretrain.prelabelling import sightings
from catseye.pretrain.pseudo_labels import TrackRules, pseudo_label
from catseye.pretrain.selection import Selection
from catseye.runtime import Tracker

SURE = 0.5
ASKED_PX, ASKED_VISIBILITY = 5, 0.4


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def dataset(road_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world's clips at 96×64, in the split ``train``."""
    out = tmp_path_factory.mktemp("labelling") / "dataset"
    ingest(sorted(road_world.glob("*.mp4")), out, width=96, height=64, validation_fraction=0, jobs=1)
    return out


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finetuned")
    torch.manual_seed(0)
    info = CheckpointInfo(kind="finetune", encoder="resnet10t", width=96, height=64, classes=("car", "truck"))
    save_checkpoint(run, info, Detector(Encoder("resnet10t"), classes=("car", "truck")))
    return run


@dataclass(frozen=True)
class Noisy:
    """What a poor detector would find in a frame: it misses, wavers, and sees what is not there."""

    truth: Truth
    seed: int

    def find(self, frame: int) -> Detections:
        rng = np.random.default_rng([self.seed, frame])
        rows = np.flatnonzero(asked(self.truth) & (self.truth.frame_index == frame))
        rows = rows[rng.random(len(rows)) < 0.8]
        boxes = self.truth.boxes[rows]
        size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        boxes = boxes + rng.normal(0, 0.04, boxes.shape) * size
        false = rng.poisson(1.5)
        corners = rng.uniform((0, 0), (140, 80), (false, 2))
        alarms = np.hstack([corners, corners + rng.uniform(6, 20, (false, 2))])
        scores = np.concatenate([rng.normal(0.6, 0.2, len(rows)), rng.uniform(0.05, 0.9, false)])
        found = np.vstack([boxes, alarms]).astype(np.float32)
        return Detections(
            found,
            np.clip(scores, 0.02, 0.99).astype(np.float32),
            np.zeros(len(found), np.int32),
            ("vehicle",),
        )


def asked(truth: Truth) -> Any:
    """Which of the boxes (M,) are to be found."""
    tall = truth.boxes[:, 3] - truth.boxes[:, 1] >= ASKED_PX
    return tall & (truth.visibility >= ASKED_VISIBILITY)


def follow() -> Tracker:
    return Tracker(high_threshold=0.8 * SURE, start_threshold=SURE, low_threshold=0.2 * SURE)


def hits(frame: Any, boxes: Any, other_frame: Any, others: Any) -> Any:
    """For each box (N,), whether one of the others in its frame overlaps it by half."""
    sides = np.minimum(boxes[:, None, 2:], others[:, 2:]) - np.maximum(boxes[:, None, :2], others[:, :2])
    shared = np.maximum(sides, 0).prod(axis=2)
    areas = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others)]
    overlap = shared / (areas[0][:, None] + areas[1] - shared)
    return ((overlap >= 0.5) & (frame[:, None] == other_frame)).any(axis=1)


def precision_and_recall(truths: Sequence[Truth], found: Sequence[tuple[Any, Any]]) -> tuple[float, float]:
    """Over clips, ``found`` being frames and boxes of each; vehicles not asked for are not wrong to find."""
    right = [hits(*boxes, t.frame_index, t.boxes) for t, boxes in zip(truths, found, strict=True)]
    met = [
        hits(t.frame_index[asked(t)], t.boxes[asked(t)], *boxes)
        for t, boxes in zip(truths, found, strict=True)
    ]
    return float(np.concatenate(right).mean()), float(np.concatenate(met).mean())


def test_tracking_keeps_more_vehicles_and_fewer_false_alarms(road_world: Path) -> None:
    truths = [load_truth(path) for path in sorted(road_world.glob("*.truth.npz"))]
    raw, kept, doubtful = [], [], 0
    for seed, truth in enumerate(truths):
        seen = [Noisy(truth, seed).find(frame) for frame in range(len(truth))]
        times_s = (truth.pts - truth.pts[0]) / 90_000
        labels = pseudo_label(sightings(seen, times_s, follow), times_s, TrackRules(sure=SURE))
        kept.append((labels.frame[~labels.crowd], labels.boxes[~labels.crowd]))
        doubtful += int(labels.crowd.sum())
        sure = [found.scores >= SURE for found in seen]
        raw.append(
            (
                np.repeat(np.arange(len(seen)), [int(rows.sum()) for rows in sure]),
                np.concatenate([found.boxes_xyxy[rows] for found, rows in zip(seen, sure, strict=True)]),
            )
        )
    raw_precision, raw_recall = precision_and_recall(truths, raw)
    precision, recall = precision_and_recall(truths, kept)
    assert precision > raw_precision + 0.1 and precision > 0.95
    assert recall > raw_recall + 0.15
    assert doubtful > 0


def picture_of(dataset: Dataset, clip_id: str, frame: int) -> Any:
    from catseye.capture.full_frames import FullFrameReader

    clip = next(clip for clip in dataset.clips if clip.clip_id == clip_id)
    return FullFrameReader(dataset).read(clip, [frame])[0]


def test_selected_frames_are_pictures_of_the_footage_and_get_proposals(
    catseye: Command, dataset: Path, finetuned: Path, tmp_path: Path
) -> None:
    called = catseye("select", dataset, "--run", finetuned, "--budget", "4", "--out", tmp_path / "chosen")
    assert called.code == 0 and "selection.html" in called.out.replace("\n", "")
    selection = Selection.load(tmp_path / "chosen/selection.json")
    assert len(selection.pictures) == 4
    for picked in selection.pictures:
        assert (picked.width, picked.height, picked.taken_from) == (160, 96, "original")
        written = cv2.imread(str(tmp_path / "chosen/images" / picked.file_name))[..., ::-1]
        assert (written == picture_of(open_dataset(dataset), picked.clip_id, picked.frame)).all()
    out = tmp_path / "proposed.json"
    called = catseye(
        "prelabel", tmp_path / "chosen", "--run", finetuned, "--out", out, "--threshold", "0.0001"
    )
    assert called.code == 0
    labels = read_labels(out)
    assert labels.classes == ("car", "truck")
    assert [image.file_name for image in labels.images] == [picked.file_name for picked in selection.pictures]
    assert all(image.boxes[:, 2].max() <= 160 for image in labels.images)
    assert '"score"' in out.read_text()


class Lasting:
    """Finds in every picture a vehicle that stands, surely, and in some another, weakly."""

    names = ("car",)

    def predict(self, rgb: Any, *, threshold: float) -> Detections:
        boxes = np.array([[20, 30, 60, 50], [100, 40, 120, 52]], dtype=np.float32)
        scores = np.array([0.9, 0.35], dtype=np.float32)
        kept = scores >= threshold
        return Detections(boxes[kept], scores[kept], np.zeros(2, np.int32)[kept], self.names)


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catseye.model, "load", lambda path: Lasting())


def test_clips_are_labelled_by_what_lasts(
    catseye: Command, dataset: Path, lasting: None, tmp_path: Path
) -> None:
    out = tmp_path / "tracked/labels.json"
    options = ("--tracked", "--every-s", "2", "--look-every-s", "0.2", "--threshold", "0.5")
    called = catseye("prelabel", dataset, "--run", "any", "--out", out, *options)
    assert called.code == 0, called.err
    labels = read_labels(out)
    clips = open_dataset(dataset).select(split="train")
    assert len(labels.images) == sum(len(np.arange(0, clip.times_s[-1], 2.0)) for clip in clips)
    for image, path in zip(labels.images, labels.pictures(out.parent / "images"), strict=True):
        assert cv2.imread(str(path)).shape == (96, 160, 3) == (image.height, image.width, 3)
        assert image.boxes[~image.crowd].tolist() == [[20, 30, 60, 50]]


def test_chosen_frames_are_labelled_by_what_lasts_around_them(
    catseye: Command, dataset: Path, finetuned: Path, lasting: None, tmp_path: Path
) -> None:
    assert catseye("select", dataset, "--run", finetuned, "--budget", "2", "--out", tmp_path / "a").code == 0
    options = ("--tracked", "--look-every-s", "0.2", "--threshold", "0.5")
    called = catseye("prelabel", tmp_path / "a", "--run", "any", "--out", tmp_path / "labels.json", *options)
    assert called.code == 0, called.err
    labels = read_labels(tmp_path / "labels.json")
    assert len(labels.pictures(tmp_path / "a/images")) == 2
    assert all(image.boxes[~image.crowd].tolist() == [[20, 30, 60, 50]] for image in labels.images)


def test_what_cannot_be_is_told_in_one_line(
    catseye: Command, dataset: Path, finetuned: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for arguments, said in (
        (("select", tmp_path / "gone", "--run", finetuned, "--budget", "1"), "is no dataset"),
        (("select", dataset, "--run", tmp_path, "--budget", "1"), "checkpoint.json: no such file"),
        (("select", dataset, "--run", finetuned, "--budget", "1", "--split", "test"), "no usable clip"),
        (("prelabel", dataset, "--run", finetuned, "--tracked", "--format", "yolo"), "--format yolo"),
        (("prelabel", tmp_path / "gone", "--run", finetuned), "no such folder"),
    ):
        called = catseye(*arguments, "--out", out)
        assert called.code != 0 and said in called.line
        assert not out.exists()
