"""Evaluation of the pretext tasks, on runs and on depth whose errors are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from catseye.errors import InputError
from catseye.pretrain import probes
from catseye.pretrain.checkpoint import load_checkpoint, save_checkpoint
from catseye.pretrain.depth_metrics import DepthPair, depth_figures
from catseye.pretrain.pretraining import PretrainConfig, pretrain
from catseye.pretrain.probes import evaluate_pretext, load_pretext
from catseye.pretrain.tasks.depth import Depth
from catseye.pretrain.tasks.pixels import Pixels

MakeDataset = Callable[..., Any]

CONFIG = PretrainConfig(
    encoder="test_byobnet", steps=2, batch=2, precision="32-true", workers=0, log_every=1, save_every=1
)


@dataclass(frozen=True)
class Truth:
    pts: NDArray[np.int64]
    depth: NDArray[np.float16]


def ramp() -> NDArray[np.float32]:
    """A road-like map: 4 m at the bottom, 60 m at the top, sky above."""
    depth = np.geomspace(60, 4, 16, dtype=np.float32)[:, None].repeat(24, axis=1)
    depth[:3] = np.inf
    return depth


def test_depth_right_but_for_its_scale_is_perfect_after_median_scaling() -> None:
    true = ramp()
    figures = depth_figures([DepthPair(true * 2, true), DepthPair(true * 2, true)], metric=True)
    assert figures["depth_absrel"] == pytest.approx(0, abs=1e-6)
    assert figures["depth_absrel_raw"] == pytest.approx(1)
    assert figures["depth_scale_error"] == pytest.approx(0.5)
    assert "depth_absrel_raw" not in depth_figures([DepthPair(true, true)], metric=False)


def test_the_baselines_are_the_best_of_their_kind() -> None:
    rng = np.random.default_rng(0)
    trues = [ramp() * rng.uniform(0.5, 1.5, (16, 24)).astype(np.float32) for _ in range(6)]
    pairs = [DepthPair(np.full_like(true, 7.0), true) for true in trues]
    figures = depth_figures(pairs, metric=False)
    # A constant prediction, scaled by the median, is no better than the best constant.
    assert figures["depth_absrel"] >= figures["depth_absrel_constant"] > figures["depth_absrel_mean_map"] > 0
    flat = np.full((16, 24), 9.0, dtype=np.float32)
    assert depth_figures([DepthPair(flat, flat)], metric=False)["depth_absrel_constant"] < 0.02


def test_sky_and_what_is_too_far_is_not_compared() -> None:
    true = ramp()
    wrong_there = true.copy()
    wrong_there[true > 80] = 1.0
    assert depth_figures([DepthPair(wrong_there, true)], metric=True)["depth_absrel_raw"] == 0
    assert depth_figures([DepthPair(true, np.full_like(true, 500.0))], metric=True) == {}


def test_a_run_is_measured_on_the_held_out_split(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = memory_dataset()
    pretrain(dataset, tmp_path, CONFIG)
    held_out = dataset.select(split="test")[0]
    truth = Truth(held_out.pts, np.broadcast_to(ramp().astype(np.float16), (30, 16, 24)))
    figures = evaluate_pretext(tmp_path, dataset, truths={held_out.source: truth}, draws=40, depth_frames=8)
    assert 0 <= figures["order_accuracy"] <= 1 and figures["order_chance"] == pytest.approx(1 / 12)
    assert 0 < figures["order_accuracy_se"] < 0.1
    for name in ("future_skill", "future_skill_under_150ms", "future_skill_over_300ms"):
        assert figures[name] < 1
    assert figures["depth_absrel"] > 0 and figures["depth_scale_error"] >= 0
    assert 0 < figures["feature_spread"] < 2 and figures["feature_rank"] > 1
    again = evaluate_pretext(tmp_path, dataset, truths={held_out.source: truth}, draws=40, depth_frames=8)
    assert again == figures
    assert "depth_absrel" not in evaluate_pretext(tmp_path, dataset, draws=4)


def test_pictures_are_held_to_copies_of_the_last_frame(
    memory_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = memory_dataset()
    pretrain(dataset, tmp_path, replace(CONFIG, tasks=("future", "pixels"), steps=1))

    def skill(offset: float) -> float:
        def copied(_: Pixels, last: object, coming: list[torch.Tensor], shown: torch.Tensor) -> torch.Tensor:
            return shown[:, None].expand(-1, coming[0].shape[1], -1, -1, -1) + offset

        monkeypatch.setattr(Pixels, "pictures", copied)
        return evaluate_pretext(tmp_path, dataset, draws=8)["pixel_skill"]

    assert skill(0.0) == pytest.approx(0, abs=1e-6)
    assert skill(1.0) < -1


def test_depth_is_compared_where_the_truth_is(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    """A source twice as wide as tall, in the middle of a network frame: places and focal length must fit."""
    dataset = memory_dataset()
    pretrain(dataset, tmp_path, CONFIG)
    network, _ = load_pretext(tmp_path)
    clip = replace(dataset.select(split="test")[0], width=192, height=96, intrinsics=(0.5, 0.75, 0.5, 0.5))
    picture = dataset.pictures[clip.clip_id][3]
    true = np.ones((24, 48), dtype=np.float32)
    with torch.no_grad():
        (pair,) = probes._depth_pair(
            network, picture, clip, 3, Truth(clip.pts, np.broadcast_to(true, (30, 24, 48)))
        )
        rgb = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        task = network.task("depth")
        assert isinstance(task, Depth)
        canonical = 1 / task.decoder(network.encode(rgb))[0][0, 0]
    # 192x96 fills the full 96 columns and 48 of 64 lines: lines 8 to 56, or cells 2 to 14 of 16.
    expected = 0.5 * canonical[2:14].mean().item()
    assert float(pair.predicted.mean()) == pytest.approx(expected, rel=0.05)
    assert pair.predicted.shape == true.shape
    assert probes._depth_pair(network, picture, clip, 3, Truth(clip.pts + 1, truth_of(30))) == []


def truth_of(frames: int) -> NDArray[np.float16]:
    return np.ones((frames, 24, 48), dtype=np.float16)


def test_a_split_without_clips_and_another_size_are_refused(
    memory_dataset: MakeDataset, tmp_path: Path
) -> None:
    dataset = memory_dataset()
    pretrain(dataset, tmp_path, CONFIG)
    with pytest.raises(InputError, match="no usable clip in the split 'validation'"):
        evaluate_pretext(tmp_path, dataset, split="validation")
    with pytest.raises(InputError, match="frames of 128x64; ingest at 96x64"):
        evaluate_pretext(tmp_path, replace(dataset, info=replace(dataset.info, width=128)))


def test_weights_that_do_not_fit_are_one_line(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    pretrain(memory_dataset(), tmp_path, CONFIG)
    info, _ = load_checkpoint(tmp_path)
    save_checkpoint(tmp_path, info, torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match="weights that do not fit"):
        load_pretext(tmp_path)
