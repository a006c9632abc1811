#!/usr/bin/env python3
"""Is depth in metres? Learned from rendered drives of known speed, measured on worlds and drives unseen.

    python scripts/bench/depth.py [--out DIR] [--seeds N] [--stereo DIR] [--json]

A seed is a world of its own: drives to learn from, drives with other vehicles and surroundings to measure on,
and other weights to start from. Three hours of one core a seed; what an earlier call did is kept.

- raw: absolute relative error of depth in metres as it comes. Bound: 0.15 or less in every seed.
- scale error: |1 − s| of the median scale s, true over predicted. Bound: 0.05 or less in every seed.
- median-scaled, and what a constant and the mean map would have: to see where the rest comes from.
- stereo: the same on real pairs in grey (semi-global matching is the reference), which look like nothing the
  network has seen; and its motion against theirs. No bound.

It prints a table and exits with 1 when a bound is missed. A finished seed is a line in ``results/``.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from case_results import ROOT, config_of, run_cases
from stereo_pairs import StereoDrive, read_drive

from catseye.capture import ingest
from catseye.console import print_table, progress_bars
from catseye.footage import World, render_world, rendered_footage
from catseye.pretrain.depth_metrics import DepthPair, depth_figures
from catseye.pretrain.encoder import to_rgb
from catseye.pretrain.model import PretextModel
from catseye.pretrain.pose import rotation_vector
from catseye.pretrain.presets import PRESETS
from catseye.pretrain.pretraining import PretrainConfig, pretrain
from catseye.pretrain.probes import evaluate_pretext, load_pretext
from catseye.pretrain.tasks.depth import Depth, depth_of, halved
from catseye.progress import Progress

RESULTS = Path(__file__).with_name("results") / "depth.jsonl"
WORLD = World(train_clips=960, held_out_clips=64, clip_s=1.5)
SIZE = (224, 128)
CONFIG = PretrainConfig(
    **PRESETS["small"].pretraining, tasks=("depth",), steps=12000, batch=4, workers=0, save_every=100
)
FRAMES = 128
RAW_BOUND, SCALE_BOUND = 0.15, 0.05
MEASURED = (
    "scripts/bench/depth.py",
    "pretrain/tasks/depth.py",
    "pretrain/photometric.py",
    "pretrain/ssim.py",
    "pretrain/motion_mask.py",
    "pretrain/standing.py",
    "pretrain/plane_sweep.py",
    "pretrain/alignment.py",
    "pretrain/ego_motion.py",
    "pretrain/pose.py",
    "pretrain/depth_metrics.py",
    "pretrain/depth_probe.py",
    "pretrain/crops.py",
    "pretrain/jitter.py",
    "pretrain/clip_sampler.py",
    "capture/rendering",
)
_STEREO_S = 0.1


def run_seed(seed: int, *, out: Path, drive: StereoDrive | None, progress: Progress) -> dict[str, float]:
    """Render, ingest, train and measure, in a folder of the seed's own."""
    folder = out / f"seed-{seed}"
    render_world(folder / "world", WORLD, seed=seed, progress=progress)
    footage = rendered_footage(folder / "world")
    width, height = SIZE
    dataset = ingest(
        [*footage.train, *footage.held_out],
        folder / "dataset",
        holdout=footage.held_out,
        width=width,
        height=height,
        progress=progress,
    )
    config = PretrainConfig(**{**vars(CONFIG), "seed": seed})
    pretrain(dataset, folder / "run", config, progress=progress)
    found = evaluate_pretext(
        folder / "run",
        dataset,
        split="test",
        truths=footage.truths(),
        draws=WORLD.held_out_clips,
        depth_frames=FRAMES,
        progress=progress,
    )
    figures = {name: value for name, value in found.items() if name.startswith("depth")}
    if drive is not None:
        network, _ = load_pretext(folder / "run")
        figures |= stereo_figures(network, drive)
    return figures


@torch.no_grad()
def stereo_figures(network: PretextModel, drive: StereoDrive) -> dict[str, float]:
    """Depth and motion of a stereo drive as a network sees its left pictures.

    They are wide; the network gets them whole, at the height that it was trained at, so that a pixel spans
    the angle it is used to, and canonical depth keeps counting in widths of a trained picture.
    """
    task = network.task("depth")
    assert isinstance(task, Depth)
    tall, wide = drive.pictures.shape[1:3]
    width, height = round(SIZE[1] * wide / tall / 32) * 32, SIZE[1]
    frames = to_rgb(
        np.stack([cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in drive.pictures])
    )
    inverse = torch.cat([task.decoder(network.encode(part)).inverses[0] for part in frames.split(8)])
    fx, fy, cx, cy = drive.intrinsics
    trained = torch.tensor([[fx / wide * width / SIZE[0], 0, 0, 0]])
    depth = depth_of(inverse, (tall, wide), trained).squeeze(1).numpy()
    pairs = [DepthPair(predicted, true) for predicted, true in zip(depth, drive.depth, strict=True)]
    figures = {"stereo_" + name: value for name, value in depth_figures(pairs, metric=True).items()}
    figures["stereo_pairs"] = float(len(pairs))
    intrinsics = torch.tensor([[fx / wide, fy / tall, cx / wide, cy / tall]])
    times_s = torch.arange(len(frames))[None] * _STEREO_S
    found = torch.cat(
        task.steps(
            halved(frames[None], 1),
            # Told canonical depth in widths of this picture, the task makes the same of it.
            inverse * (SIZE[0] / width),
            intrinsics,
            times_s=times_s,
            speed_mps=torch.full_like(times_s, torch.nan),
        )
    ).double()
    true = torch.from_numpy(np.linalg.inv(drive.poses[:-1]) @ drive.poses[1:])
    turned = rotation_vector(found[:, :3, :3].transpose(1, 2) @ true[:, :3, :3]).norm(dim=1)
    still = rotation_vector(true[:, :3, :3]).norm(dim=1)
    gone, real = found[:, :3, 3], true[:, :3, 3]
    course = torch.nn.functional.cosine_similarity(gone, real).clamp(-1, 1).acos()
    return figures | {
        "stereo_rotation_error_deg": float(torch.rad2deg(turned).median()),
        "stereo_rotation_deg": float(torch.rad2deg(still).median()),
        "stereo_course_error_deg": float(torch.rad2deg(course).median()),
        "stereo_distance_ratio": float((gone.norm(dim=1) / real.norm(dim=1)).median()),
    }


def missed(figures: dict[str, float]) -> list[str]:
    """Each bound that does not hold, as words."""
    found = []
    if not figures["depth_absrel_raw"] <= RAW_BOUND:
        found.append(f"raw AbsRel {figures['depth_absrel_raw']:.3f} is above {RAW_BOUND}")
    if not figures["depth_scale_error"] <= SCALE_BOUND:
        found.append(f"scale error {figures['depth_scale_error']:.3f} is above {SCALE_BOUND}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/depth"), help="folder for worlds and runs")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--stereo",
        type=Path,
        default=ROOT.parent / "shared/data/depth_pose/kitti_odom_seq1_half",
        help="a stereo drive; left out where it is not there",
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    drive = read_drive(arguments.stereo) if arguments.stereo.is_dir() else None
    config = config_of((WORLD, SIZE, CONFIG, FRAMES, drive is not None), MEASURED)
    with progress_bars() as progress:
        run = partial(run_seed, out=arguments.out, drive=drive, progress=progress)
        cases = list(
            run_cases("depth", range(arguments.seeds), config=config, results=arguments.results, run=run)
        )
    faults = [f"seed {seed}: {fault}" for seed, case in enumerate(cases) for fault in missed(case)]
    if arguments.json:
        print(json.dumps({"seeds": cases, "missed": faults}))
        return 1 if faults else 0
    names = list(dict.fromkeys(name for case in cases for name in case))
    bounds = {"depth_absrel_raw": f"<= {RAW_BOUND}", "depth_scale_error": f"<= {SCALE_BOUND}"}
    rows = [
        (name, *(f"{case[name]:.3f}" if name in case else "" for case in cases), bounds.get(name, ""))
        for name in names
    ]
    heads = ("figure", *(f"seed {seed}" for seed in range(len(cases))), "bound")
    print_table(f"Depth on {FRAMES} frames of held-out worlds, and on stereo pairs", heads, rows)
    for fault in faults:
        print("MISSED", fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
