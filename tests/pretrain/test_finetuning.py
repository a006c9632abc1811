from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from catseye.errors import CatseyeError, InputError, UsageError
from catseye.pretrain.checkpoint import (
    MODEL_FILE,
    SCORE_THRESHOLD,
    CheckpointInfo,
    DepthInfo,
    load_checkpoint,
    save_checkpoint,
    save_tensors,
)
from catseye.pretrain.depth_teacher import DepthTeacher
from catseye.pretrain.detection_training import build_detector
from catseye.pretrain.detector import load_detector
from catseye.pretrain.finetuning import FinetuneConfig, finetune
from catseye.pretrain.label_formats import read_labels
from catseye.pretrain.model import PretextModel
from catseye.pretrain.prediction import measure, predict_labelled
from catseye.pretrain.start import Start, load_start

TINY = FinetuneConfig(
    encoder="resnet10t", width=96, height=64, steps=4, batch=2, log_every=2, save_every=2, precision="32-true"
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures of 96×64 with two bright vehicles each, lists of them, and labels."""
    folder = tmp_path_factory.mktemp("labelled")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(4):
        rgb = rng.integers(40, 90, (64, 96, 3), dtype=np.uint8)
        for x, y, w, h in ((8 + 5 * number, 20, 18, 12), (60, 30 - 3 * number, 24, 18)):
            rgb[y : y + h, x : x + w] = (230, 60 * number, 40)
            box = {"id": len(annotations), "image_id": number, "category_id": 1, "bbox": [x, y, w, h]}
            annotations.append(box)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), rgb)
        images.append({"id": number, "file_name": f"{number}.png", "width": 96, "height": 64})
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "car"}]}
    (folder / "labels.json").write_text(json.dumps(document))
    (folder / "train.txt").write_text("0.png\n1.png\n2.png\n")
    (folder / "test.txt").write_text("3.png\n")
    return folder


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretraining run of no steps, with depth, at 64×32."""
    run = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(3)
    info = CheckpointInfo(
        kind="pretrain", encoder="resnet10t", width=64, height=32, depth=DepthInfo(metric=True)
    )
    save_checkpoint(run, info, PretextModel("resnet10t", ("depth",)))
    return run


def lines(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_one_picture_is_learned_by_heart_and_each_vehicle_found_once(labelled: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "one.txt"
    chosen.write_text("3.png\n")
    run = tmp_path / "run"
    config = replace(TINY, steps=60, lr=3e-3, ema=0.9)
    finetune(None, run, labels=labelled / "labels.json", train_list=chosen, config=config)
    detector, info = load_detector(run)
    labels = read_labels(labelled / "labels.json").only(["3.png"], source="here")
    found = predict_labelled(detector, labels, labelled / "images", width=info.width, height=info.height)
    # Nothing was suppressed: a second detection of a vehicle above either first one would cost precision.
    assert measure(found, labels)["ap50"] > 0.9


def test_a_run_leaves_what_the_contract_says(labelled: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    info = finetune(
        None,
        tmp_path / "run",
        labels=labelled / "labels.json",
        train_list=labelled / "train.txt",
        test_list=labelled / "test.txt",
        config=TINY,
        progress=lambda label, done, total: seen.append(label),
    )
    assert (info.kind, info.classes, info.width, info.height) == ("finetune", ("car",), 96, 64)
    assert info.depth is None and info.config["embedding_dim"] == 32
    assert {"ap", "ap50", "ap50_h10", "loss/one", "loss/many", "loss/box"} <= set(info.metrics)
    told = json.loads((tmp_path / "run/detection.json").read_text())["threshold"]
    assert info.score_threshold == told != SCORE_THRESHOLD
    assert CheckpointInfo.load(tmp_path / "run/checkpoint.json") == info.model_copy(
        update={"schema_version": CheckpointInfo.VERSION}
    )
    assert [line["step"] for line in lines(tmp_path / "run")] == [2, 4]
    assert len(list((tmp_path / "run/pictures").glob("detection-*.jpg"))) == 1
    assert list(dict.fromkeys(seen)) == ["read stills", "finetune", "evaluate"]


def test_a_killed_run_ends_as_if_it_had_not_been(labelled: Path, pretrained: Path, tmp_path: Path) -> None:
    def train(run: Path, stop_at: int | None = None) -> None:
        def progress(label: str, done: int, total: int) -> None:
            if (label, done) == ("finetune", stop_at):
                raise KeyboardInterrupt

        finetune(pretrained, run, labels=labelled / "labels.json", config=TINY, progress=progress)

    train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", stop_at=3)
    train(tmp_path / "killed")
    (_, whole), (_, resumed) = (load_checkpoint(tmp_path / name) for name in ("whole", "killed"))
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
    for ours, theirs in zip(lines(tmp_path / "whole"), lines(tmp_path / "killed"), strict=True):
        assert ours | {"seconds": 0} == theirs | {"seconds": 0}


def test_a_start_of_another_network_is_told_in_a_line(
    labelled: Path, pretrained: Path, tmp_path: Path
) -> None:
    info, state = load_checkpoint(pretrained)
    former = tmp_path / "former"
    save_checkpoint(former, info, PretextModel("resnet10t", ("depth",)))
    head = "depth.decoder.heads.0.weight"
    save_tensors(former / MODEL_FILE, state | {head: state[head].repeat(2, 1, 1, 1)})
    with pytest.raises(InputError) as refused:
        finetune(former, tmp_path / "run", labels=labelled / "labels.json", config=TINY)
    said = str(refused.value)
    assert said.startswith(f"{former}: has weights that do not fit this network (size mismatch for heads.0")
    assert said.endswith("; train that anew") and "\n" not in said


def test_an_ended_run_is_returned_and_another_one_is_refused(labelled: Path, tmp_path: Path) -> None:
    def train(config: FinetuneConfig, train_list: Path | None = None) -> CheckpointInfo:
        return finetune(
            None, tmp_path / "run", labels=labelled / "labels.json", train_list=train_list, config=config
        )

    short = replace(TINY, steps=1)
    first = train(short)
    written = (tmp_path / "run/model.safetensors").stat().st_mtime_ns
    assert train(short).metrics == first.metrics
    assert (tmp_path / "run/model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(InputError, match=r"holds a run with lr 0\.001, not 0\.01"):
        train(replace(short, lr=0.01))
    with pytest.raises(InputError, match="another dataset"):
        train(short, labelled / "train.txt")


def test_the_pretrained_encoder_and_depth_are_the_start_and_depth_is_kept(
    labelled: Path, pretrained: Path, tmp_path: Path
) -> None:
    still = replace(TINY, steps=1, lr=1e-9)
    info = finetune(pretrained, tmp_path / "run", labels=labelled / "labels.json", config=still)
    assert info.depth == DepthInfo(metric=True)
    assert info.metrics["loss/depth"] > 0
    start, state = load_checkpoint(pretrained)
    detector, _ = load_detector(tmp_path / "run")
    torch.testing.assert_close(
        detector.encoder.state_dict()["body.conv1.0.weight"], state["encoder.body.conv1.0.weight"]
    )
    torch.testing.assert_close(
        detector.depth.state_dict()["blocks.0.0.weight"], state["depth.decoder.blocks.0.0.weight"]
    )
    assert start.depth is not None
    teacher = DepthTeacher(start.encoder, state, width=96, height=64)
    rgb = torch.rand(1, 3, 64, 96)
    student = replace(TINY, steps=25, lr=1e-3, depth_share=1.0)
    kept = finetune(pretrained, tmp_path / "kept", labels=labelled / "labels.json", config=student)
    losses = [line["loss/depth"] for line in lines(tmp_path / "kept")]
    assert losses[-1] < losses[0] / 2 and kept.metrics["loss/depth"] == losses[-1]
    assert teacher(rgb).shape == (1, 1, 16, 24)
    # Pictures of another size are seen at the size that was trained at.
    assert teacher(torch.rand(1, 3, 128, 128)).shape == (1, 1, 16, 24)


def test_depth_that_weighs_nothing_is_given_up(labelled: Path, pretrained: Path, tmp_path: Path) -> None:
    given_up = replace(TINY, depth_weight=0)
    info = finetune(pretrained, tmp_path / "run", labels=labelled / "labels.json", config=given_up)
    assert info.depth is None and "loss/depth" not in info.metrics


def test_what_was_pretrained_learns_at_its_own_rate_and_another_start_is_another_run(
    labelled: Path, pretrained: Path, tmp_path: Path
) -> None:
    labels, config = labelled / "labels.json", replace(TINY, steps=2, log_every=1, encoder_lr_scale=0.0)
    finetune(pretrained, tmp_path / "run", labels=labels, config=config)
    (_, before), (_, after) = load_checkpoint(pretrained), load_checkpoint(tmp_path / "run")
    weights = [name for name in after if name.startswith("encoder.") and name.endswith("conv1.weight")]
    assert weights and all(torch.allclose(after[name], before[name]) for name in weights)
    with pytest.raises(InputError, match="holds a run with pretrained_sha256"):
        finetune(None, tmp_path / "run", labels=labels, config=config)


@pytest.mark.parametrize("classes", [("vehicle",), ("car", "lorry")])
def test_neck_and_head_that_learned_objects_are_the_start(classes: tuple[str, ...]) -> None:
    torch.manual_seed(1)
    model = PretextModel("resnet10t", ("depth", "objects"))
    info = CheckpointInfo(
        kind="pretrain", encoder="resnet10t", width=96, height=64, depth=DepthInfo(metric=False)
    )
    start = Start(info, model.state_dict(), "")
    options = {"embedding_dim": 8, "start": start}
    taken = build_detector("resnet10t", classes, neck_channels=48, **options)
    learned = model.task("objects")
    for name in ("tower.0.0.weight", "distances.weight", "rivalry.bias"):
        torch.testing.assert_close(taken.head.state_dict()[name], learned.state_dict()[f"head.{name}"])
    torch.testing.assert_close(taken.neck.laterals[0].weight, learned.get_submodule("neck.laterals.0").weight)
    one = learned.state_dict()["head.many.weight"]
    torch.testing.assert_close(taken.head.many.weight, one.expand(len(classes), -1, -1, -1))


def test_a_neck_of_another_width_begins_anew_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    model = PretextModel("resnet10t", ("depth", "objects"))
    info = CheckpointInfo(
        kind="pretrain", encoder="resnet10t", width=96, height=64, depth=DepthInfo(metric=False)
    )
    start = Start(info, model.state_dict(), "")
    build_detector("resnet10t", ("vehicle",), embedding_dim=8, neck_channels=24, start=start)
    assert "48 channels, not 24" in caplog.text


def test_a_frozen_encoder_keeps_its_weights(labelled: Path, tmp_path: Path) -> None:
    moved = {}
    for name, frozen in (("frozen", True), ("taught", False)):
        config = replace(TINY, freeze_encoder=frozen)
        finetune(None, tmp_path / name, labels=labelled / "labels.json", config=config)
        torch.manual_seed(config.seed)
        fresh = build_detector("resnet10t", ("vehicle",), embedding_dim=32, neck_channels=48, start=None)
        _, state = load_checkpoint(tmp_path / name)
        moved[name] = {
            part: any(
                not torch.equal(weight, state[key])
                for key, weight in fresh.named_parameters()
                if key.startswith(part)
            )
            for part in ("encoder", "neck", "head")
        }
    assert moved["taught"] == {"encoder": True, "neck": True, "head": True}
    assert moved["frozen"] == {"encoder": False, "neck": True, "head": True}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"width": 100}, "size 100x64: takes multiples of 32"),
        ({"steps": 0}, "steps 0: must be above 0"),
        ({"ema": 1.0}, "ema 1.0"),
        ({"zoom": 0.5}, "zoom 0.5: lies between 1 and 4"),
        ({"precision": "16"}, "precision '16'"),
        ({"lr": float("nan")}, "lr nan"),
        ({"save_every": 3}, "save_every 3: must be a multiple of log_every 2"),
        ({"crop_width": 64}, "crop 64x0: takes multiples of 32"),
        ({"crop_width": 64, "crop_height": 96}, "crop 64x96: is more than the network's 96x64"),
    ],
)
def test_options_that_cannot_be_are_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        replace(TINY, **change)  # type: ignore[arg-type]  # wrong on purpose


def test_what_cannot_be_trained_on_is_said(labelled: Path, pretrained: Path, tmp_path: Path) -> None:
    labels, run = labelled / "labels.json", tmp_path / "run"
    with pytest.raises(InputError, match=r"4 of 4 labelled images are not in"):
        finetune(None, run, labels=labels, images=tmp_path, config=TINY)
    with pytest.raises(InputError, match=r"1 of its images are in .*test.txt too, first '3.png'"):
        both = tmp_path / "both.txt"
        both.write_text("3.png\n0.png\n")
        finetune(None, run, labels=labels, train_list=both, test_list=labelled / "test.txt", config=TINY)
    with pytest.raises(InputError, match=r"checkpoint\.json: no such file"):
        finetune(tmp_path / "other", run, labels=labels, config=TINY)


def test_a_fine_tuned_run_goes_on_with_all_it_has_learned(
    labelled: Path, pretrained: Path, tmp_path: Path
) -> None:
    labels = labelled / "labels.json"
    info = finetune(pretrained, tmp_path / "first", labels=labels, config=TINY)
    _, learned = load_checkpoint(tmp_path / "first")
    start = load_start(tmp_path / "first")
    options = {"embedding_dim": 32, "neck_channels": info.config["neck_channels"], "start": start}
    again = build_detector("resnet10t", ("car",), **options).state_dict()
    for name, tensor in learned.items():
        if not name.startswith("embedding"):
            assert torch.equal(again[name], tensor), name
    more = build_detector("resnet10t", ("bus", "car"), **options).state_dict()
    assert torch.equal(more["head.many.weight"][1], learned["head.many.weight"][0])
    then = finetune(tmp_path / "first", tmp_path / "second", labels=labels, config=TINY)
    assert then.depth == info.depth == DepthInfo(metric=True)


def test_a_gradient_that_is_not_finite_ends_the_run(labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(CatseyeError, match="is not finite: lower the learning rate"):
        finetune(
            None,
            tmp_path / "run",
            labels=labelled / "labels.json",
            config=replace(TINY, steps=30, lr=1e30, warmup=0),
        )
