"""The run as a whole: resumed, refused, guarded, logged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from catseye.errors import CatseyeError, InputError, UsageError
from catseye.pretrain import balance, training
from catseye.pretrain.checkpoint import MODEL_FILE, load_checkpoint, load_tensors, save_tensors
from catseye.pretrain.pretraining import PretrainConfig, pretrain
from catseye.pretrain.training_state import STATE_FILE
from catseye.progress import Progress

MakeDataset = Callable[..., Any]

CONFIG = PretrainConfig(
    encoder="test_byobnet", steps=4, batch=2, precision="32-true", workers=0, log_every=1, save_every=2
)
QUICK = replace(CONFIG, tasks=("order",), steps=3)


class KilledError(Exception):
    pass


def dying_after(steps: int) -> Progress:
    def progress(label: str, done: int, total: int) -> None:
        if done == steps:
            raise KilledError

    return progress


def logged(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def test_a_killed_run_continues_as_if_it_had_not_been(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = memory_dataset()
    whole = pretrain(dataset, tmp_path / "whole", CONFIG)
    for steps in (1, 4):  # before the first saved state, and between two
        with pytest.raises(KilledError):
            pretrain(dataset, tmp_path / "killed", CONFIG, progress=dying_after(steps))
    assert json.loads((tmp_path / "killed/metrics.jsonl").read_text().splitlines()[-1])["step"] == 3
    resumed = pretrain(dataset, tmp_path / "killed", CONFIG)
    expected, found = (load_checkpoint(tmp_path / name)[1] for name in ("whole", "killed"))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert logged(tmp_path / "whole") == logged(tmp_path / "killed")
    ours, theirs = ({k: v for k, v in i.metrics.items() if k != "seconds"} for i in (whole, resumed))
    assert ours == theirs


def test_what_a_run_leaves(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    info = pretrain(memory_dataset(), tmp_path, CONFIG)
    assert (info.kind, info.encoder, info.width, info.height) == ("pretrain", "test_byobnet", 96, 64)
    assert info.depth is not None and info.depth.metric
    assert info.config["steps"] == 4 and info.dataset_fingerprint == "f" * 64
    _, state = load_checkpoint(tmp_path)
    assert {name.split(".")[0] for name in state} == {"encoder", "order", "future", "depth"}
    assert all(bool(value.isfinite().all()) for value in state.values() if value.is_floating_point())
    figures = logged(tmp_path)[-1]
    assert figures["step"] == 4
    for name in ("loss/order", "loss/future", "loss/depth", "loss/total", "lr", "gradient_norm"):
        assert np.isfinite(figures[name])
    for name in ("gradient/norm/depth", "gradient/cosine/order-future", "collapse/spread", "collapse/rank"):
        assert np.isfinite(figures[name])
    assert figures["gradient/norm/order"] > 0
    assert list((tmp_path / "tensorboard").iterdir())
    assert len(list((tmp_path / "pictures").glob("depth-*.png"))) == 4


def test_a_finished_run_returns_at_once(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = memory_dataset()
    first = pretrain(dataset, tmp_path, QUICK)
    untouched = (tmp_path / "model.safetensors").stat().st_mtime_ns
    again = pretrain(dataset, tmp_path, replace(QUICK, workers=3), progress=dying_after(1))
    assert again.metrics == first.metrics
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == untouched


def test_a_run_goes_on_from_another(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    """With steps too small to change anything, it has the other's weights; its target is of them too."""
    dataset, still = memory_dataset(), replace(QUICK, lr=1e-12, weight_decay=0)
    pretrain(dataset, tmp_path / "first", replace(QUICK, tasks=("order", "depth")))
    begun = replace(still, tasks=("order", "future"))
    info = pretrain(dataset, tmp_path / "second", begun, start=tmp_path / "first")
    _, before = load_checkpoint(tmp_path / "first")
    _, after = load_checkpoint(tmp_path / "second")
    weights = [n for n in before if n.startswith(("encoder.", "order.")) and n.endswith("weight")]
    assert weights and {name.split(".")[0] for name in after} == {"encoder", "order", "future"}
    for name in weights:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)
    targets = [name for name in after if name.startswith("future.target.") and name.endswith("weight")]
    assert targets
    for name in targets:
        torch.testing.assert_close(after[name], before[name.replace("future.target", "encoder")])
    again = pretrain(dataset, tmp_path / "second", begun, start=tmp_path / "first")
    assert again.metrics == info.metrics
    with pytest.raises(InputError, match="holds a run"):
        pretrain(dataset, tmp_path / "second", begun)
    with pytest.raises(InputError, match=r"first: has the encoder test_byobnet, not resnet18"):
        pretrain(dataset, tmp_path / "third", replace(still, encoder="resnet18"), start=tmp_path / "first")


@pytest.mark.parametrize("finished", [True, False])
def test_another_run_in_the_same_folder_is_refused(
    memory_dataset: MakeDataset, tmp_path: Path, finished: bool
) -> None:
    dataset = memory_dataset()
    if finished:
        pretrain(dataset, tmp_path, QUICK)
    else:
        with pytest.raises(KilledError):
            pretrain(dataset, tmp_path, QUICK, progress=dying_after(3))
    with pytest.raises(InputError, match=r"holds a run with batch 2, not 3"):
        pretrain(dataset, tmp_path, replace(QUICK, batch=3))
    with pytest.raises(InputError, match="another dataset"):
        pretrain(replace(dataset, fingerprint="0" * 64), tmp_path, QUICK)


def test_a_damaged_state_is_one_clear_line(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_bytes(b"half a file")
    with pytest.raises(InputError, match=r"trainer\.ckpt: is damaged"):
        pretrain(memory_dataset(), tmp_path, QUICK)


def give_another_shape(path: Path) -> None:
    """To one of the encoder's weights in a file, as an earlier version's may have had."""
    tensors, document = load_tensors(path)
    name = next(name for name in tensors if "encoder." in name and name.endswith("weight"))
    save_tensors(path, tensors | {name: tensors[name].repeat(2, 1, 1, 1)}, document=document)


UNFIT = r"weights that do not fit this network \(size mismatch .*\); \w+"


def test_a_start_of_another_network_is_one_clear_line(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset, former = memory_dataset(), tmp_path / "former"
    pretrain(dataset, former, QUICK)
    give_another_shape(former / MODEL_FILE)
    with pytest.raises(InputError, match=UNFIT):
        pretrain(dataset, tmp_path / "run", QUICK, start=former)


def test_a_state_of_another_network_is_one_clear_line(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = memory_dataset()
    with pytest.raises(KilledError):
        pretrain(dataset, tmp_path, QUICK, progress=dying_after(2))
    give_another_shape(tmp_path / STATE_FILE)
    with pytest.raises(InputError, match=UNFIT):
        pretrain(dataset, tmp_path, QUICK)


def test_a_step_without_a_finite_gradient_leaves_no_trace(
    memory_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same steps before and after a bad one give weights that are all finite, and the skip is counted."""
    calls = 0
    original = balance.weighted

    def poisoned(*arguments: Any) -> dict[str, torch.Tensor]:
        nonlocal calls
        calls += 1
        shares = original(*arguments)
        if calls == 3:
            return {name: share * float("nan") for name, share in shares.items()}
        return shares

    monkeypatch.setattr(training, "weighted", poisoned)
    info = pretrain(memory_dataset(), tmp_path, replace(QUICK, steps=4))
    assert info.metrics["passed_over/skipped"] == 1
    _, state = load_checkpoint(tmp_path)
    assert all(bool(value.isfinite().all()) for value in state.values() if value.is_floating_point())


def test_statistics_forget_a_skipped_batch(
    memory_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = balance.weighted
    monkeypatch.setattr(
        training, "weighted", lambda *a: {n: s * float("nan") for n, s in original(*a).items()}
    )
    pretrain(memory_dataset(), tmp_path, QUICK)
    _, state = load_checkpoint(tmp_path)
    means = [value for name, value in state.items() if name.endswith("running_mean")]
    assert means and not any(value.any() for value in means)


def test_a_run_that_cannot_recover_stops(
    memory_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_MOST_SKIPPED", 3)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(float("inf")))
    with pytest.raises(CatseyeError, match="no finite gradient in 3 steps up to step 3"):
        pretrain(memory_dataset(), tmp_path, QUICK)


def test_damaged_clips_are_counted_and_too_many_end_the_run(
    memory_dataset: MakeDataset, tmp_path: Path
) -> None:
    info = pretrain(memory_dataset(broken=frozenset({"clip-0", "clip-1"})), tmp_path / "some", QUICK)
    assert info.metrics["passed_over/corrupt"] > 0
    with pytest.raises(InputError, match="so damaged"):
        pretrain(memory_dataset(broken=frozenset({"clip-0", "clip-1", "clip-2"})), tmp_path / "all", QUICK)


def collapsing_at(*steps: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Vectors that are healthy but for those measured at some of the calls, counted from 1."""
    calls = 0

    def vectors(maps: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return torch.ones(64, 8) if calls in steps else torch.eye(64)

    return vectors


def test_a_collapse_takes_the_run_back_to_its_last_state(
    memory_dataset: MakeDataset,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """States are saved at 0, 2 and 4: the fall at step 3 leads to step 2, with half the rate from there."""
    monkeypatch.setattr(training, "position_vectors", collapsing_at(3))
    steps: list[int] = []
    info = pretrain(
        memory_dataset(), tmp_path, replace(QUICK, steps=5), progress=lambda _, step, __: steps.append(step)
    )
    assert steps == [1, 2, 3, 3, 4, 5] and info.metrics["rollbacks"] == 1
    assert "collapse at step 3" in caplog.text and "back to step 2" in caplog.text
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 2, 3, 4, 5]
    assert "back to step 2" in lines[2]["note"]
    schedule = training.Schedule(QUICK.lr, 5, QUICK.warmup)
    rates = [line["lr"] for line in lines if "lr" in line]
    scales = [1, 1, 0.5, 0.5, 0.5]
    assert rates == pytest.approx([scale * schedule.at(k) for k, scale in enumerate(scales)])


def test_what_follows_a_collapse_is_drawn_anew_and_survives_a_kill(
    memory_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, config = memory_dataset(), replace(QUICK, steps=4)
    pretrain(dataset, tmp_path / "sound", config)
    monkeypatch.setattr(training, "position_vectors", collapsing_at(3))
    pretrain(dataset, tmp_path / "whole", config)
    monkeypatch.setattr(training, "position_vectors", collapsing_at(3))
    with pytest.raises(KilledError):
        pretrain(dataset, tmp_path / "killed", config, progress=dying_after(4))
    monkeypatch.setattr(training, "position_vectors", collapsing_at())
    pretrain(dataset, tmp_path / "killed", config)
    sound, whole, killed = (logged(tmp_path / name) for name in ("sound", "whole", "killed"))
    assert whole == killed
    assert sound[1]["loss/order"] == whole[1]["loss/order"]
    assert sound[2]["loss/order"] != whole[3]["loss/order"]


def test_a_run_that_collapses_again_and_again_ends_with_what_to_do(
    memory_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "position_vectors", collapsing_at(*range(1, 10)))
    with pytest.raises(CatseyeError, match="after 3 returns to an earlier state: lower the learning rate"):
        pretrain(memory_dataset(), tmp_path, QUICK)


@pytest.mark.parametrize("balance_by", ["gradnorm", "pcgrad"])
def test_other_balances_train_too_and_resume(
    memory_dataset: MakeDataset, tmp_path: Path, balance_by: Any
) -> None:
    dataset, config = memory_dataset(), replace(CONFIG, balance=balance_by)
    pretrain(dataset, tmp_path / "plain", CONFIG)
    pretrain(dataset, tmp_path / "whole", config)
    with pytest.raises(KilledError):
        pretrain(dataset, tmp_path / "killed", config, progress=dying_after(4))
    pretrain(dataset, tmp_path / "killed", config)
    plain, whole, killed = (logged(tmp_path / name) for name in ("plain", "whole", "killed"))
    assert whole == killed
    assert whole[0]["loss/total"] == pytest.approx(plain[0]["loss/total"])
    assert whole[-1]["loss/total"] != plain[-1]["loss/total"]
    assert ("weight/depth" in whole[-1]) is (balance_by == "gradnorm")


def test_every_task_starts_at_its_weight(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    pretrain(memory_dataset(), tmp_path, replace(CONFIG, steps=1, weights={"order": 0.5, "depth": 2.0}))
    (figures,) = logged(tmp_path)
    assert figures["loss/total"] == pytest.approx(0.5 + 1.0 + 2.0, rel=1e-4)


def test_one_task_alone_is_a_run_too(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    info = pretrain(memory_dataset(), tmp_path, QUICK)
    assert info.depth is None
    assert not (tmp_path / "pictures").exists()


def test_frames_that_do_not_fit_the_encoder_are_refused(memory_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = memory_dataset()
    odd = replace(dataset, info=replace(dataset.info, width=100))
    with pytest.raises(InputError, match="frames of 100x64; ingest at multiples of 32"):
        pretrain(odd, tmp_path, QUICK)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"lr": -1.0},
        {"warmup": 1.0},
        {"save_every": 3, "log_every": 2},
        {"precision": "fp8"},
        {"workers": -1},
        {"compile": True, "recompute": True},
        {"crop_width": 100, "crop_height": 64},
        {"crop_width": 64, "crop_height": 32, "crop_shrink": 9.0},
    ],
)
def test_options_that_cannot_be_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong)).partition("_width")[0]):
        PretrainConfig(**wrong)


def test_a_run_learns_from_crops_no_larger_than_its_frames(
    memory_dataset: MakeDataset, tmp_path: Path
) -> None:
    cropped = replace(QUICK, tasks=("order", "future", "depth", "objects"), crop_width=64, crop_height=32)
    info = pretrain(memory_dataset(), tmp_path / "run", cropped)
    assert info.config["crop_width"] == 64 and {"loss/objects", "loss/depth"} <= set(info.metrics)
    with pytest.raises(UsageError, match="crop 64x96: is more than the dataset's frames of 96x64"):
        pretrain(memory_dataset(), tmp_path / "larger", replace(cropped, crop_height=96))


def test_the_rate_rises_and_falls() -> None:
    schedule = training.Schedule(peak=1.0, steps=100, warmup=0.1)
    rates = [schedule.at(step) for step in range(100)]
    assert rates[9] == 1.0 and rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.02


def test_decay_is_for_weights_only() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).requires_grad_()
    network[0].bias.requires_grad_(False)
    decayed, plain = training.parameter_groups(network, weight_decay=0.1)
    assert [tuple(p.shape) for p in decayed["params"]] == [(4, 3, 3, 3)]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert len(plain["params"]) == 2
