"""Evaluation of the pretext tasks, on runs and on depth whose errors are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from catseye.capture.geometry import letterbox
from catseye.errors import InputError
from catseye.pretrain import ego_motion
from catseye.pretrain.checkpoint import load_checkpoint, save_checkpoint
from catseye.pretrain.depth_metrics import DepthPair, depth_figures
from catseye.pretrain.depth_probe import at_true_places, depth_pairs
from catseye.pretrain.pretext_figures import pretext_figures
from catseye.pretrain.pretraining import PretrainConfig, pretrain
from catseye.pretrain.probes import evaluate_pretext, load_pretext, probe_clips
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
    poses: NDArray[np.float64]


TURNING = (0.0, 0.2, 0.0)
VELOCITY = (1.0, 0.0, 5.0)


def driven(frames: int) -> NDArray[np.float64]:
    """Camera-to-world poses a tenth of a second apart at a constant velocity, turning to the right."""
    step = np.eye(4)
    step[:3, :3] = cv2.Rodrigues(np.array(TURNING) * 0.1)[0]
    step[:3, 3] = np.array(VELOCITY) * 0.1
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(np.array([0.1, 2.0, -0.3]))[0]
    pose[:3, 3] = (30.0, -1.5, 200.0)
    return np.stack([pose @ np.linalg.matrix_power(step, k) for k in range(frames)])


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
    truth = Truth(held_out.pts, np.broadcast_to(ramp().astype(np.float16), (30, 16, 24)), driven(30))
    figures = evaluate_pretext(tmp_path, dataset, truths={held_out.source: truth}, draws=40, depth_frames=8)
    assert 0 <= figures["order_accuracy"] <= 1 and figures["order_chance"] == pytest.approx(1 / 12)
    assert 0 < figures["order_accuracy_se"] < 0.1
    for name in ("future_skill", "future_skill_under_150ms", "future_skill_over_300ms"):
        assert figures[name] < 1
    assert figures["depth_absrel"] > 0 and figures["depth_scale_error"] >= 0
    assert figures["pose_ate"] > 0 and figures["pose_rotation"] > 0 and figures["pose_translation"] > 0
    assert 0 < figures["feature_spread"] < 2 and figures["feature_rank"] > 1
    again = evaluate_pretext(tmp_path, dataset, truths={held_out.source: truth}, draws=40, depth_frames=8)
    assert again == figures
    blind = evaluate_pretext(tmp_path, dataset, draws=4)
    assert not {"depth_absrel", "pose_ate"} & blind.keys()


def test_motion_is_compared_with_the_true_poses(
    memory_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that always sees the motion of ``driven`` is right where that is true, whatever the world."""
    monkeypatch.setattr(ego_motion, "align", lambda target, source, depth, start, *_: start)
    dataset = memory_dataset()
    pretrain(dataset, tmp_path, CONFIG)
    network, info = load_pretext(tmp_path)
    task = network.task("depth")
    assert isinstance(task, Depth) and task.pose.head.bias is not None
    rates = torch.tensor([0.1] * 3 + [10.0] * 3)
    with torch.no_grad():
        task.pose.head.weight.zero_()
        task.pose.head.bias.copy_(torch.tensor([*TURNING, *VELOCITY]) / rates)
    clip = dataset.select(split="test")[0]
    depth = np.broadcast_to(ramp().astype(np.float16), (30, 16, 24))

    def measured(truth: Truth) -> dict[str, float]:
        probes = probe_clips(network, info, dataset, split="test", truths={clip.source: truth}, draws=4)
        return pretext_figures(probes, metric=True)

    right = measured(Truth(clip.pts, depth, driven(30)))
    assert right["pose_ate"] < 0.002 and right["pose_translation"] < 0.002 and right["pose_rotation"] < 0.01
    assert right["pose_rotation_still"] == pytest.approx(np.degrees(0.2 * 0.1), rel=0.05)
    backwards = measured(Truth(clip.pts, depth, driven(30)[::-1]))
    assert backwards["pose_rotation"] == pytest.approx(2 * right["pose_rotation_still"], rel=0.05)
    assert "pose_ate" not in measured(Truth(clip.pts[::3], depth[::3], driven(30)[::3]))


def test_clips_give_the_figures_of_any_set_of_them(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = memory_dataset()
    pretrain(dataset, tmp_path, CONFIG)
    network, info = load_pretext(tmp_path)
    probes = probe_clips(network, info, dataset, split="train", draws=12)
    assert [probe.clip.clip_id for probe in probes] == ["clip-0", "clip-1", "clip-2"]
    whole = evaluate_pretext(tmp_path, dataset, split="train", draws=12)
    assert pretext_figures(probes, metric=True) == whole
    hits = [probe.hits.mean() for probe in probes if probe.hits is not None]
    parts = [pretext_figures([probe], metric=True)["order_accuracy"] for probe in probes]
    assert parts == pytest.approx(hits) and np.mean(parts) == pytest.approx(whole["order_accuracy"])


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
        truth = Truth(clip.pts, np.broadcast_to(true.astype(np.float16), (30, 24, 48)), driven(30))
        (pair,) = depth_pairs(network, picture, clip, 3, truth)
        rgb = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        task = network.task("depth")
        assert isinstance(task, Depth)
        canonical = 1 / task.decoder(network.encode(rgb)).inverses[0][0, 0]
    # 192x96 fills the full 96 columns and 48 of 64 lines: lines 8 to 56, or cells 2 to 14 of 16.
    expected = 0.5 * canonical[2:14].mean().item()
    assert float(pair.predicted.mean()) == pytest.approx(expected, rel=0.05)
    assert pair.predicted.shape == true.shape
    assert depth_pairs(network, picture, clip, 3, replace(truth, pts=clip.pts + 1)) == []


def test_between_two_places_depth_is_that_of_the_mean_inverse() -> None:
    """A true place halfway between one at 5 m and one at 200 m."""
    depth = np.array([[5, 200]], dtype=np.float32)
    box = letterbox(4, 2, 4, 2)
    (found,) = at_true_places(depth, np.ones((1, 3), dtype=np.float32), box).predicted
    assert found.tolist() == pytest.approx([5, 2 / (1 / 5 + 1 / 200), 200])


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
