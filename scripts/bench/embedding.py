#!/usr/bin/env python3
"""Does the taught embedding know a vehicle again, and does the tracker gain by it? On held-out worlds.

    python scripts/bench/embedding.py [--out FOLDER] [--seeds N] [--json]

A world is rendered, a detector is taught on its stills from scratch, and its embedding from its clips, with
no word on which vehicles are the same. Then, on clips whose colours and vehicle shapes were kept out of it:

- re-identification: each vehicle at least 10 px tall of which half is seen, at a box a little off its own, is
  sought in its clip, a gap of time or more away, among all boxes of other vehicles there. Rank-1 and mean
  average precision of the taught embedding, of the fixed projection of a detector that was not taught one, of
  the encoder's features at the same place and averaged over the box, and of a histogram of its colours. And
  the same with what the detector finds of the vehicles, as the deployed graph describes it;
- tracking, at the clips' rate and at a third of it, with and without embeddings: IDF1, HOTA, MOTA and
  switches by TrackEval, of the detector's boxes, and of true ones a little off, of which one in ten is missed
  and each vehicle is hidden for about a second now and then.

Bounds: rank-1 above each of the others' after each gap, and IDF1 above that of motion alone in each case.
Exits 1 when one is missed. Needs ``pip install trackeval``. A finished seed is a line in ``results/``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from case_results import config_of, run_cases
from numpy.typing import NDArray
from torch import Tensor
from tracker import Frame, Shown, scored

from catseye.capture.dataset import open_dataset
from catseye.capture.geometry import Image, planes_to_rgb
from catseye.capture.ingestion import ingest
from catseye.capture.rendering import load_truth
from catseye.capture.sources import VideoFile
from catseye.console import print_table, progress_bars
from catseye.footage import World, render_world, rendered_footage
from catseye.pretrain.appearance import cells_at, read_cells
from catseye.pretrain.appearance_training import EmbedConfig, embed
from catseye.pretrain.describing import describe_in
from catseye.pretrain.detector import DenseOutputs, Detector, decode, load_detector
from catseye.pretrain.finetuning import FinetuneConfig, finetune
from catseye.pretrain.retrieval_metrics import retrieval
from catseye.progress import Progress
from catseye.runtime import Tracker
from catseye.runtime.association import iou

RESULTS = Path(__file__).with_name("results") / "embedding.jsonl"
MEASURED = (
    "pretrain/appearance.py",
    "pretrain/appearance_head.py",
    "pretrain/appearance_scenes.py",
    "pretrain/appearance_training.py",
    "pretrain/appearance_views.py",
    "pretrain/colour_shares.py",
    "pretrain/describing.py",
    "pretrain/pseudo_tracks.py",
    "runtime/association.py",
    "runtime/kalman.py",
    "runtime/track_book.py",
    "runtime/tracker.py",
    "scripts/bench/embedding.py",
)

WIDTH, HEIGHT = 320, 192
WORLD = World(train_clips=24, held_out_clips=6)
DETECTOR = FinetuneConfig(
    encoder="resnet10t", width=WIDTH, height=HEIGHT, steps=600, batch=8, crop_width=160, crop_height=96
)
EMBEDDING = EmbedConfig(steps=300, batch=8, crop_width=160, crop_height=96, every_s=0.16)

TAUGHT, FIXED, FEATURES, MEAN, COLOURS = (
    "taught embedding",
    "fixed projection",
    "encoder's features",
    "their mean over the box",
    "histogram of colours",
)
ALONE = "motion alone"
TRUE, DETECTED = "near the truth", "detected"
GAPS_S = (0.5, 1.0, 2.0)
SOUGHT_EVERY = 3
STEPS = (1, 3)
LEAST_SEEN, LEAST_HEIGHT = 0.5, 10
OFF, MISSED, HIDDEN_A_SECOND, HIDDEN_S = 0.05, 0.1, 0.15, (0.4, 1.4)
HIGH, START, LOW = 0.3, 0.375, 0.075
"""Thresholds as ``run`` gives them to the tracker for a bundle's 0.3."""

MIN_LIKENESS = 0.7
"""Of a track that was unseen for a while."""

Float = NDArray[np.float64]
Described = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Boxes:
    """Boxes (N, 4) of a frame, their scores (N,), and descriptors (N, E) by name."""

    boxes: Float
    scores: Float
    looks: Described


@dataclass(frozen=True)
class Seen:
    """One frame of a held-out clip: true boxes (V, 4), whose, and which are seen well enough to be asked for;
    the same a little off; and what is detected."""

    time_s: float
    truth: Float
    ids: NDArray[np.int64]
    clear: NDArray[np.bool_]
    near_truth: Boxes
    detected: Boxes


def prepare(out: Path, seed: int, progress: Progress) -> tuple[Path, Path]:
    """Render the world and teach detector and embedding; what is there is kept."""
    render_world(out / "world", WORLD, seed=seed, progress=progress)
    footage = rendered_footage(out / "world")
    if not (out / "dataset" / "dataset.json").exists():
        ingest([*footage.train], out / "dataset", width=WIDTH, height=HEIGHT, progress=progress)
    finetune(
        None,
        out / "detector",
        labels=footage.labels,
        images=footage.images,
        train_list=footage.train_list,
        test_list=footage.test_list,
        config=replace(DETECTOR, seed=seed),
        progress=progress,
    )
    dataset = open_dataset(out / "dataset")
    config = replace(EMBEDDING, seed=seed)
    embed(out / "detector", out / "embedding", dataset=dataset, config=config, progress=progress)
    return out / "detector", out / "embedding"


@torch.no_grad()
def watch(video: Path, taught: Detector, fixed: Detector) -> list[Seen]:
    """All frames of a rendered clip of the network's size, seen by two detectors that differ in embedding."""
    truth = load_truth(video.with_suffix(".truth.npz"))
    rng = np.random.default_rng(0)
    seen = []
    with VideoFile(video, threads=1) as source:
        for number, frame in enumerate(source.frames()):
            rgb = planes_to_rgb(frame.planes)
            rows = truth.frame_index == number
            boxes = truth.boxes[rows].astype(np.float64)
            tall = boxes[:, 3] - boxes[:, 1] >= LEAST_HEIGHT
            off = rng.normal(0, OFF, boxes.shape) * np.tile(boxes[:, 2:] - boxes[:, :2], (1, 2))
            picture = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
            features = taught.encoder(picture)
            head = taught.head(taught.neck(features))
            detectors = {TAUGHT: taught, FIXED: fixed}
            found = {}
            for name, detector in detectors.items():
                maps = detector.embeddings_of(picture, features, head.boxes)
                found[name] = decode(DenseOutputs(head.one_logits, head.boxes, maps, torch.empty(0)))
            sure = found[TAUGHT].scores[0] >= LOW
            placed = found[TAUGHT].boxes[0][sure].double().numpy()
            looks = {name: of.embeddings[0][sure].numpy() for name, of in found.items()}
            seen.append(
                Seen(
                    time_s=frame.time_s,
                    truth=boxes,
                    ids=truth.track_ids[rows].astype(np.int64),
                    clear=(truth.visibility[rows] >= LEAST_SEEN) & tall,
                    near_truth=Boxes(
                        boxes + off,
                        np.full(len(boxes), 0.9),
                        described(rgb, boxes + off, picture, features, detectors),
                    ),
                    detected=Boxes(
                        placed,
                        found[TAUGHT].scores[0][sure].double().numpy(),
                        {**looks, COLOURS: colour_histogram(rgb, placed)},
                    ),
                )
            )
    return seen


def described(
    rgb: Image, boxes: Float, picture: Tensor, features: list[Tensor], detectors: dict[str, Detector]
) -> Described:
    """Boxes (N, 4) by each of the ways that are compared, of unit length."""
    given = torch.from_numpy(boxes).float()
    looks = {name: describe_in(of, picture, features, given).numpy() for name, of in detectors.items()}
    height, width = features[1].shape[-2:]
    cells = cells_at((given[:, :2] + given[:, 2:]) / 4, height=height, width=width)
    looks[FEATURES] = read_cells(features[1], torch.zeros_like(cells), cells).numpy()
    looks[MEAN] = _unit([_inside(features[1][0].numpy(), box, 8).mean(axis=(1, 2)) for box in boxes])
    looks[COLOURS] = colour_histogram(rgb, boxes)
    return looks


def colour_histogram(rgb: Image, boxes: Float) -> NDArray[np.float32]:
    """Descriptors (N, 512) of unit length of boxes (N, 4) in a picture (H, W, 3)."""
    return _unit([_histogram(_inside(rgb.transpose(2, 0, 1), box, 1)) for box in boxes])


def _inside(maps: NDArray[Any], box: Float, stride: int) -> NDArray[Any]:
    """What of maps (C, h, w) lies in a box, at least one place."""
    height, width = maps.shape[1:]
    x0, y0 = (int(np.clip(box[k] // stride, 0, side - 1)) for k, side in ((0, width), (1, height)))
    x1, y1 = (int(np.ceil(box[k] / stride)) for k in (2, 3))
    return maps[:, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]


def _histogram(part: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Roots of the shares of 8×8×8 colours, whose product is Bhattacharyya's coefficient."""
    rows = np.ascontiguousarray(part.transpose(1, 2, 0))
    counts = cv2.calcHist([rows], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3)
    return np.sqrt(counts.ravel())


def _unit(rows: list[NDArray[Any]]) -> NDArray[np.float32]:
    stacked = np.array(rows, dtype=np.float32).reshape(len(rows), -1)
    return stacked / np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), 1e-9)


def known_again(clips: list[list[Seen]], given: str, name: str, gap_s: float) -> dict[str, float]:
    """Rank-1 and mean average precision over all clips, each query sought in its own clip."""
    found = []
    for clip in clips:
        asked = [(frame, *sought(frame, given)) for frame in clip[::SOUGHT_EVERY]]
        looks = np.concatenate([boxes.looks[name][rows] for _, boxes, rows, _ in asked])
        ids = np.concatenate([whose for *_, whose in asked])
        times = np.repeat([frame.time_s for frame, *_ in asked], [len(whose) for *_, whose in asked])
        same = ids[:, None] == ids
        later = np.abs(times[:, None] - times) >= gap_s - 1e-6
        found.append(retrieval(looks @ looks.T, same, ~same | later))
    found = [of for of in found if of.queries]
    weights = [of.queries for of in found]
    return {
        "rank1": float(np.average([of.rank1 for of in found], weights=weights)),
        "mean_ap": float(np.average([of.mean_ap for of in found], weights=weights)),
        "queries": float(sum(weights)),
    }


def sought(frame: Seen, given: str) -> tuple[Boxes, NDArray[np.int64], NDArray[np.int64]]:
    """The boxes given of a frame, the rows of them that are asked for, and whose those are.

    Of what is detected, the best on each vehicle.
    """
    if given == TRUE:
        rows = np.flatnonzero(frame.clear)
        return frame.near_truth, rows, frame.ids[rows]
    overlap = iou(frame.truth[frame.clear], frame.detected.boxes)
    if not overlap.size:
        return frame.detected, np.empty(0, np.int64), np.empty(0, np.int64)
    best = overlap.argmax(axis=1)
    right = overlap.max(axis=1) >= 0.5
    return frame.detected, best[right], frame.ids[frame.clear][right]


def tracked(clips: list[list[Seen]], given: str, name: str | None, step: int) -> dict[str, float]:
    """How well every ``step``-th frame is tracked with these boxes and descriptors, or by motion alone."""
    truth: dict[str, list[Frame]] = {}
    shown: dict[str, list[Shown]] = {}
    for number, clip in enumerate(clips):
        tracker = Tracker(
            high_threshold=HIGH,
            start_threshold=START,
            low_threshold=LOW,
            min_likeness=MIN_LIKENESS if name else 0.0,
        )
        masks = _unseen(clip, seed=number)
        case = str(number)
        truth[case], shown[case] = [], []
        for frame, unseen in list(zip(clip, masks, strict=True))[::step]:
            boxes = frame.detected if given == DETECTED else frame.near_truth
            rows = np.ones(len(boxes.scores), bool) if given == DETECTED else frame.clear & ~unseen
            tracks = tracker.update(
                boxes.boxes[rows],
                boxes.scores[rows],
                np.zeros(int(rows.sum()), np.int32),
                time_s=frame.time_s,
                embeddings=boxes.looks[name][rows] if name else None,
            )
            clear = frame.clear
            empty = np.zeros((0, 4)), np.zeros(0)
            truth[case].append(Frame(frame.time_s, *empty, frame.truth[clear], frame.ids[clear]))
            wanted = asked_for(tracks.boxes_xyxy, frame)
            shown[case].append((tracks.boxes_xyxy[wanted].astype(np.float64), tracks.ids[wanted]))
    return scored(truth, shown)


def asked_for(boxes: NDArray[np.float32], frame: Seen) -> NDArray[np.bool_]:
    """Which boxes are not on a vehicle too small or too hidden to be asked for, and on no other."""
    overlap = iou(boxes, frame.truth) >= 0.5
    return overlap[:, frame.clear].any(axis=1) | ~overlap.any(axis=1)


def _unseen(clip: list[Seen], *, seed: int) -> list[NDArray[np.bool_]]:
    """Of each frame's true boxes, which are missed by chance or hidden for a while."""
    rng = np.random.default_rng(seed)
    hidden_until: dict[int, float] = defaultdict(lambda: -1.0)
    pace = clip[1].time_s - clip[0].time_s
    masks = []
    for frame in clip:
        for id_ in frame.ids.tolist():
            if frame.time_s >= hidden_until[id_] and rng.random() < HIDDEN_A_SECOND * pace:
                hidden_until[id_] = frame.time_s + float(rng.uniform(*HIDDEN_S))
        hidden = np.array([frame.time_s < hidden_until[id_] for id_ in frame.ids.tolist()], bool)
        masks.append(hidden | (rng.random(len(frame.ids)) < MISSED))
    return masks


def measure(out: Path, seed: int, progress: Progress) -> dict[str, Any]:
    detector_run, embedding_run = prepare(out, seed, progress)
    (fixed, info), (taught, _) = load_detector(detector_run), load_detector(embedding_run)
    videos = rendered_footage(out / "world").held_out
    clips = []
    for video in videos:
        clips.append(watch(video, taught, fixed))
        progress("watch", len(clips), len(videos))
    names = {TRUE: (TAUGHT, FIXED, FEATURES, MEAN, COLOURS), DETECTED: (TAUGHT, FIXED, COLOURS)}
    return {
        "ap50": info.metrics["ap50"],
        "known_again": {
            given: {
                name: {f"{gap:g} s": known_again(clips, given, name, gap) for gap in GAPS_S} for name in ways
            }
            for given, ways in names.items()
        },
        "tracking": {
            f"{given}, every {step}": {
                name or ALONE: tracked(clips, given, name, step) for name in (None, FIXED, TAUGHT)
            }
            for given in (DETECTED, TRUE)
            for step in STEPS
        },
    }


def bounds(figures: dict[str, Any]) -> list[str]:
    """Each bound that was missed, as a sentence."""
    missed = []
    for given, ways in figures["known_again"].items():
        for name, of in ways.items():
            for gap, others in of.items():
                value, ours = others["rank1"], ways[TAUGHT][gap]["rank1"]
                if name != TAUGHT and value >= ours:
                    missed.append(f"{given}: rank-1 after {gap} {ours:.3f}, {name} has {value:.3f}")
    for case, rows in figures["tracking"].items():
        ours, alone = rows[TAUGHT]["IDF1"], rows[ALONE]["IDF1"]
        if ours <= alone:
            missed.append(f"{case}: IDF1 {ours:.1f} with the embedding, {alone:.1f} by motion alone")
    return missed


def show(figures: dict[str, Any], seed: int) -> None:
    gaps = [f"{gap:g} s" for gap in GAPS_S]
    header = ("", *(f"{key} {gap}" for key in ("rank-1", "mAP") for gap in gaps))
    for given, ways in figures["known_again"].items():
        rows = [
            (name, *(f"{of[gap][key]:.3f}" for key in ("rank1", "mean_ap") for gap in gaps))
            for name, of in ways.items()
        ]
        queries = int(ways[TAUGHT]["1 s"]["queries"])
        title = f"Known again, boxes {given}, seed {seed}, {queries} queries after a second"
        print_table(title, header, rows)
    rows = [
        (case, name, *(f"{of[key]:.1f}" for key in ("IDF1", "HOTA", "MOTA")), str(of["switches"]))
        for case, names in figures["tracking"].items()
        for name, of in names.items()
    ]
    title = f"Tracking, detector of AP50 {figures['ap50']:.3f}"
    print_table(title, ("boxes", "embedding", "IDF1", "HOTA", "MOTA", "switches"), rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/embedding"), help="folder for everything")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    config = config_of([asdict(WORLD), asdict(DETECTOR), asdict(EMBEDDING)], MEASURED)
    with progress_bars() as progress:
        cases = run_cases(
            "embedding",
            range(options.seeds),
            config=config,
            results=RESULTS,
            run=lambda seed: measure(options.out / f"seed-{seed}", seed, progress),
        )
        figures = dict(enumerate(cases))
    missed = [f"seed {seed}: {line}" for seed, of in figures.items() for line in bounds(of)]
    if options.json:
        print(json.dumps({"figures": figures, "missed": missed}))
    else:
        for seed, of in figures.items():
            show(of, seed)
        for line in missed:
            print("MISSED", line)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
