from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from command_line import Command
from numpy.typing import NDArray
from yolo_layouts import move_into_split

from catseye.capture.geometry import Image
from catseye.errors import InputError, UsageError
from catseye.pretrain import appearance_training
from catseye.pretrain.appearance_training import EmbedConfig, embed
from catseye.pretrain.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from catseye.pretrain.colour_shares import COLOURS
from catseye.pretrain.describing import describe
from catseye.pretrain.detection_metrics import Detections
from catseye.pretrain.detector import Detector, load_detector
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.label_formats import read_labels, write_labels

WIDTH, HEIGHT, SIDE, FRAMES = 96, 64, 24, 30

TINY = EmbedConfig(steps=4, batch=2, log_every=2, save_every=2, precision="32-true")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A fine-tuning run of no steps."""
    torch.manual_seed(1)
    detector = Detector(Encoder("resnet10t"), classes=("car",), embedding_dim=8, neck_channels=16)
    info = CheckpointInfo(
        kind="finetune",
        encoder="resnet10t",
        width=WIDTH,
        height=HEIGHT,
        classes=("car",),
        metrics={"ap50": 0.5},
        config={"embedding_dim": 8, "neck_channels": 16, "steps": 9},
    )
    save_checkpoint(tmp_path / "run", info, detector)
    return tmp_path / "run"


def boxes_at(frame: int) -> NDArray[np.float32]:
    """Two vehicles that drift to the right and to the left."""
    corners = np.array([[8 + 0.5 * frame, 6], [60 - 0.5 * frame, 34]], np.float32)
    return np.concatenate([corners, corners + SIDE], axis=1)


def painted(seed: int) -> Image:
    """A clip (T, H, W, 3) of the two, each with a pattern that only it has in all clips."""
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    pictures = rng.integers(90, 130, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for frame, picture in enumerate(pictures):
        for pattern, (x, y, _, _) in zip(patterns, boxes_at(frame).astype(int), strict=True):
            picture[y : y + SIDE, x : x + SIDE] = pattern.repeat(8, axis=0).repeat(8, axis=1)
    return pictures


CLIPS = {f"clip-{number}": painted(number) for number in range(4)}


@pytest.fixture
def dataset(memory_dataset: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Four painted clips, the last held out, in which the detector finds the vehicles."""
    frames = {picture.tobytes(): frame for clip in CLIPS.values() for frame, picture in enumerate(clip)}

    def found(detector: Detector, rgb: Image, *, width: int, height: int) -> Detections:
        assert not detector.training and (width, height) == (WIDTH, HEIGHT)
        return Detections(boxes_at(frames[rgb.tobytes()]), np.full(2, 0.9, np.float32), np.zeros(2, np.int32))

    monkeypatch.setattr(appearance_training, "predict", found)
    return memory_dataset(pictures=CLIPS)


def told(run: Path, clip: str) -> NDArray[np.float32]:
    """Descriptors (T, 2, E) of the vehicles of a clip."""
    detector, info = load_detector(run)
    size = {"width": info.width, "height": info.height}
    return np.stack([describe(detector, rgb, boxes_at(k), **size) for k, rgb in enumerate(CLIPS[clip])])


def test_only_the_embedding_changes(run: Path, dataset: Any, tmp_path: Path) -> None:
    info = embed(run, tmp_path / "out", dataset=dataset, config=TINY)
    (before, start), (after, read) = load_detector(run), load_detector(tmp_path / "out")
    assert read == info.model_copy(update={"schema_version": CheckpointInfo.VERSION})
    assert (read.kind, read.classes, read.width, read.height) == ("finetune", ("car",), WIDTH, HEIGHT)
    assert read.metrics["ap50"] == 0.5 and read.config["steps"] == 9 and "appearance/loss" in read.metrics
    assert read.dataset_fingerprint != start.dataset_fingerprint
    rgb = torch.rand(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        old, new = before(rgb), after(rgb)
    assert torch.equal(old.boxes, new.boxes) and torch.equal(old.score_logits, new.score_logits)
    assert torch.equal(old.depth, new.depth)
    assert old.embeddings.shape[1] == 8 and new.embeddings.shape[1] == COLOURS + 8


def test_it_leaves_figures_links_and_pictures(run: Path, dataset: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    embed(run, out, dataset=dataset, config=TINY)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4] and {"loss", "nearest_is_same"} <= set(lines[0])
    with np.load(out / "pseudo_tracks.npz") as archive:
        assert np.bincount(archive["0.tracks"]).tolist() == [FRAMES, FRAMES]
    sheets = [cv2.imread(str(out / "pictures" / name)) for name in ("pseudo-tracks.jpg", "neighbours.jpg")]
    # Three clips of two tracks: six rows of six sights, and six queries with eight neighbours each.
    assert [sheet.shape[:2] for sheet in sheets] == [(6 * 72, 6 * 72), (6 * 72, 9 * 72)]


def test_vehicles_of_an_unseen_clip_are_told_apart(run: Path, dataset: Any, tmp_path: Path) -> None:
    config = replace(TINY, steps=100, batch=4, lr=5e-3, zoom=1.2)
    embed(run, tmp_path / "out", dataset=dataset, config=config)
    descriptors = told(tmp_path / "out", "clip-3")
    same = np.einsum("tve,ve->tv", descriptors[10:], descriptors[0])
    other = np.einsum("tve,ve->tv", descriptors[10:, ::-1], descriptors[0])
    # One threshold tells all pairs of the clip.
    assert same.min() > other.max()


def test_a_killed_run_ends_as_if_it_had_not_been(run: Path, dataset: Any, tmp_path: Path) -> None:
    def teach(out: Path, stop_at: int | None = None) -> list[str]:
        seen = []

        def progress(label: str, done: int, total: int) -> None:
            seen.append(label)
            if (label, done) == ("embed", stop_at):
                raise KeyboardInterrupt

        embed(run, out, dataset=dataset, config=TINY, progress=progress)
        return seen

    assert "pseudo-tracks" in teach(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        teach(tmp_path / "killed", stop_at=3)
    assert "pseudo-tracks" not in teach(tmp_path / "killed")
    (_, whole), (_, resumed) = (load_checkpoint(tmp_path / name) for name in ("whole", "killed"))
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
    assert teach(tmp_path / "killed") == []
    with pytest.raises(InputError, match="holds a run with appearance"):
        embed(run, tmp_path / "killed", dataset=dataset, config=replace(TINY, lr=1e-4))


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    """Labels of the first picture of three clips."""
    (tmp_path / "images").mkdir()
    annotations = []
    for number in range(3):
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), CLIPS[f"clip-{number}"][0])
        for x0, y0, _, _ in boxes_at(0).tolist():
            box = {"image_id": number, "category_id": 1, "bbox": [x0, y0, SIDE, SIDE], "id": len(annotations)}
            annotations.append(box)
    images = [{"id": n, "file_name": f"{n}.png", "width": WIDTH, "height": HEIGHT} for n in range(3)]
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "car"}]}
    (tmp_path / "labels.json").write_text(json.dumps(document))
    return tmp_path / "labels.json"


def test_stills_teach_by_other_views_of_the_same_picture(run: Path, stills: Path, tmp_path: Path) -> None:
    config = replace(TINY, steps=150, lr=5e-3, log_every=10, save_every=10, batch=4)
    info = embed(run, tmp_path / "out", labels=read_labels(stills), config=config)
    lines = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"] / 2 and info.kind == "finetune"
    assert (tmp_path / "out/pictures/neighbours.jpg").exists()
    assert not (tmp_path / "out/pseudo_tracks.npz").exists()


def test_pictures_are_where_the_format_of_the_labels_has_them(
    run: Path, stills: Path, tmp_path: Path
) -> None:
    labels, folder = read_labels(stills), tmp_path / "yolo"
    write_labels(labels, folder, form="yolo", images=stills.parent / "images")
    move_into_split(folder)
    info = embed(run, tmp_path / "out", labels=read_labels(folder), config=replace(TINY, steps=1))
    assert np.isfinite(info.metrics["appearance/loss"])


def test_the_verb_leaves_a_run_and_refuses_what_cannot_be(
    run: Path, stills: Path, tmp_path: Path, catseye: Command
) -> None:
    out = tmp_path / "out"
    called = catseye("embed", run, "--labels", stills, "--out", out, "--steps", 1, "--batch", 2)
    assert called.code == 0 and "appearance/loss" in called.out
    assert load_detector(out)[1].config["appearance"]["steps"] == 1
    assert catseye("embed", run, "--out", out).line.endswith("give one of them")
    wrong = catseye("embed", run, "--images", tmp_path, "--dataset", tmp_path, "--out", out)
    assert wrong.code == 2 and "--labels" in wrong.line


def test_what_cannot_be_is_refused(run: Path, dataset: Any, tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(UsageError, match="give one"):
        embed(run, tmp_path / "out", config=TINY)
    with pytest.raises(UsageError, match="crop 128x64: is more than the detector's 96x64"):
        crop = {"crop_width": 128, "crop_height": 64}
        embed(run, tmp_path / "out", dataset=dataset, config=replace(TINY, **crop))
    with pytest.raises(UsageError, match=r"zoom 0\.5"):
        replace(TINY, zoom=0.5)
    nothing = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))
    monkeypatch.setattr(appearance_training, "predict", lambda *_, **__: nothing)
    with pytest.raises(InputError, match="memory: has no training clip in which anything is detected"):
        embed(run, tmp_path / "out", dataset=dataset, config=TINY)
    assert not (tmp_path / "out").exists()
