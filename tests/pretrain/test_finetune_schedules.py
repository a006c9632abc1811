"""What of a detector learns and for how long, from which labels, and that a killed run ends the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from catseye.errors import InputError, UsageError
from catseye.pretrain import finetuning
from catseye.pretrain.checkpoint import CheckpointInfo, load_checkpoint
from catseye.pretrain.detection_report.summary import DetectionReport
from catseye.pretrain.detection_training import build_detector
from catseye.pretrain.encoder_stages import stages_of
from catseye.pretrain.finetune_config import FinetuneConfig
from catseye.pretrain.finetuning import finetune

TINY = FinetuneConfig(
    encoder="test_byobnet",
    width=96,
    height=64,
    neck_channels=16,
    steps=6,
    batch=2,
    log_every=1,
    save_every=2,
    check_every=1,
    precision="32-true",
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of two drives with a car and a bus each; the last is to be measured on."""
    return write_stills(tmp_path_factory.mktemp("labelled"), [f"d{n % 3}/{n}.png" for n in range(6)])


def write_stills(folder: Path, names: list[str], *, score: float | None = None) -> Path:
    rng = np.random.default_rng(len(names))
    images, annotations = [], []
    for number, name in enumerate(names):
        rgb = rng.integers(40, 90, (64, 96, 3), dtype=np.uint8)
        for category, (x, y, w, h) in enumerate(((8 + 5 * number, 20, 18, 12), (60, 30, 24, 18)), start=1):
            rgb[y : y + h, x : x + w] = (230, 60 * category, 40)
            box: dict[str, Any] = {"id": len(annotations), "image_id": number, "category_id": category}
            annotations.append(box | {"bbox": [x, y, w, h], "distance_m": 400 / h})
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "images" / name), rgb)
        images.append({"id": number, "file_name": name, "width": 96, "height": 64})
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(document))
    (folder / "test.txt").write_text(names[-1] + "\n")
    return folder


def train(labelled: Path, run: Path, stop_at: int | None = None, **options: Any) -> CheckpointInfo:
    def progress(label: str, done: int, total: int) -> None:
        if (label, done) == ("finetune", stop_at):
            raise KeyboardInterrupt

    arguments = {"labels": labelled / "labels.json", "test_list": labelled / "test.txt", **options}
    return finetune(None, run, progress=progress, **arguments)


def moved(run: Path, config: FinetuneConfig) -> set[str]:
    """Which stages of the encoder ``run`` has changed, weights or running statistics."""
    torch.manual_seed(config.seed)
    fresh = build_detector(config.encoder, ("car", "bus"), embedding_dim=32, neck_channels=16, start=None)
    _, state = load_checkpoint(run)
    stages = stages_of(fresh.encoder)
    changed = set()
    for name, value in fresh.encoder.state_dict().items():
        stage = stages.get(name.replace("running_mean", "weight"))
        if stage is not None and not torch.equal(value, state[f"encoder.{name}"]):
            changed.add(f"{stage} statistics" if "running" in name else f"{stage} weights")
    return changed


def test_frozen_stages_stay_and_learn_once_their_time_has_come(labelled: Path, tmp_path: Path) -> None:
    everything = {f"{stage} {what}" for stage in range(4) for what in ("weights", "statistics")}
    partial = replace(TINY, steps=3, freeze_stages=2)
    train(labelled, tmp_path / "partial", config=partial)
    assert moved(tmp_path / "partial", partial) == {name for name in everything if name[0] in "23"}
    thawed = replace(TINY, steps=3, freeze_stages=2, unfreeze_after=0.5)
    train(labelled, tmp_path / "thawed", config=thawed)
    assert moved(tmp_path / "thawed", thawed) == everything
    late = replace(TINY, steps=3, freeze_encoder=True, unfreeze_after=0.9)
    train(labelled, tmp_path / "late", stop_at=None, config=late)
    assert moved(tmp_path / "late", late) == {name for name in everything if name.endswith("statistics")}


def without_seconds(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line | {"seconds": 0} for line in lines]


def test_without_gain_a_run_ends_early_and_keeps_its_best_also_if_it_was_killed(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(TINY, steps=9, patience=2, unfreeze_after=0.3, freeze_stages=1)
    figures = {1: 0.1, 2: 0.3, 3: 0.6, 4: 0.6, 5: 0.5, 6: 0.9}
    names: list[list[str]] = []

    def scripted(run: Path) -> None:
        def measure(found: Any, labels: Any) -> dict[str, float]:
            names.append([image.file_name for image in labels.images])
            return {"ap50": figures[len(lines(run)) + 1]}

        monkeypatch.setattr(finetuning, "measure", measure)

    def lines(run: Path) -> list[str]:
        return (run / "metrics.jsonl").read_text().splitlines() if (run / "metrics.jsonl").exists() else []

    averages: dict[int, Any] = {}

    def watched(average: Any, network: Any, **options: Any) -> None:
        original(average, network, **options)
        averages[len(averages) + 1] = {name: value.clone() for name, value in average.state_dict().items()}

    original = finetuning.update_average
    scripted(tmp_path / "whole")
    monkeypatch.setattr(finetuning, "update_average", watched)
    info = train(labelled, tmp_path / "whole", test_list=None, config=config)
    monkeypatch.setattr(finetuning, "update_average", original)
    assert len(lines(tmp_path / "whole")) == 5 and len(averages) == 5
    assert (info.metrics["check/ap50"], info.metrics["check/step"]) == (0.6, 3)
    _, whole = load_checkpoint(tmp_path / "whole")
    assert all(torch.equal(value, averages[3][name]) for name, value in whole.items())
    assert any(not torch.equal(value, averages[5][name]) for name, value in whole.items())
    drives = {name.partition("/")[0] for name in names[0]}
    assert len(drives) < 3 and len(names[0]) == 2 * len(drives)  # whole drives

    for stop_at in (3, 5):
        run = tmp_path / f"killed-{stop_at}"
        scripted(run)
        with pytest.raises(KeyboardInterrupt):
            train(labelled, run, stop_at=stop_at, test_list=None, config=config)
        train(labelled, run, test_list=None, config=config)
        _, resumed = load_checkpoint(run)
        assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
        assert without_seconds(run) == without_seconds(tmp_path / "whole")


def test_classes_are_those_asked_for_and_the_page_tells_of_each(labelled: Path, tmp_path: Path) -> None:
    config = replace(TINY, steps=1, class_map={"bus": "lorry"}, classes=("lorry", "car"))
    info = train(labelled, tmp_path / "run", config=config)
    assert info.classes == ("lorry", "car")
    report = DetectionReport.load(tmp_path / "run/detection.json")
    assert [(each.name, each.objects) for each in report.classes] == [("lorry", 1), ("car", 1)]
    assert [band.name for band in report.distances] == ["15 to 30 m", "30 to 60 m"]
    assert (tmp_path / "run/detection.html").exists()
    assert train(labelled, tmp_path / "run", config=config).metrics == info.metrics
    with pytest.raises(InputError, match="holds a run with class_map"):
        train(labelled, tmp_path / "run", config=replace(config, class_map={}, classes=()))
    with pytest.raises(UsageError, match="there is no class 'van', but car, bus"):
        train(labelled, tmp_path / "other", config=replace(TINY, classes=("van",)))


def test_extra_labels_are_learned_from_and_never_measured_on(labelled: Path, tmp_path: Path) -> None:
    other = write_stills(tmp_path / "other", ["a.png", "b.png"])
    config = replace(TINY, steps=2)
    options = {"extra_labels": other / "labels.json", "config": config}
    with_extra = train(labelled, tmp_path / "with", **options)
    without = train(labelled, tmp_path / "without", config=config)
    assert with_extra.metrics["loss/total"] != without.metrics["loss/total"]
    assert with_extra.dataset_fingerprint != without.dataset_fingerprint
    with pytest.raises(
        InputError, match=r"labels.json: 1 of its pictures are to be measured on, first 'd2/5"
    ):
        train(labelled, tmp_path / "x", extra_labels=labelled / "labels.json", config=config)
    with pytest.raises(UsageError, match=r"extra_share 0\.1: is 0 of a batch of 2"):
        train(labelled, tmp_path / "x", **options | {"config": replace(config, extra_share=0.1)})
    text = (other / "labels.json").read_text()
    (other / "labels.json").write_text(text.replace('"car"', '"auto"').replace('"bus"', '"coach"'))
    with pytest.raises(InputError, match=r"has no object of a class car, bus; its own are auto, coach"):
        train(labelled, tmp_path / "x", **options)
    mapped = replace(config, class_map={"auto": "car"})
    assert train(labelled, tmp_path / "x", **options | {"config": mapped}).classes == ("car", "bus")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"freeze_stages": 5}, "freeze_stages 5: an encoder has 4"),
        ({"unfreeze_after": 1.5}, r"unfreeze_after 1\.5: is a share"),
        ({"layer_decay": 1.2}, r"layer_decay 1\.2: is above 0 and at most 1"),
        ({"layer_decay": float("nan")}, "layer_decay nan"),
        ({"patience": -1}, "patience -1"),
        (
            {"patience": 1, "log_every": 2, "check_every": 3},
            "check_every 3: must be a multiple of log_every 2",
        ),
        ({"validation_share": 0.0}, r"validation_share 0\.0"),
        ({"group_from": "("}, r"group_from '\('"),
        ({"class_map": {"car": ""}}, "class_map car=: names two classes"),
        ({"classes": ("car", "car")}, "classes car,car: names each class once"),
        ({"repeat_rare": 1.0}, r"repeat_rare 1\.0"),
        ({"extra_share": -0.1}, r"extra_share -0\.1"),
        ({"tiny_px": -1.0}, r"tiny_px -1\.0"),
    ],
)
def test_options_that_cannot_be_are_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        replace(TINY, **change)
