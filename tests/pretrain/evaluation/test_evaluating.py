"""Whole evaluations of tiny runs on a rendered world, by the command line."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from command_line import Command

from catseye.capture.dataset import open_dataset
from catseye.capture.ingestion import ingest
from catseye.errors import InputError, UsageError
from catseye.pretrain.evaluation import Evaluation, StillsOptions, evaluate
from catseye.pretrain.evaluation.clip_groups import clip_groups, figures_by_group
from catseye.pretrain.evaluation.labelled_stills import choose_stills
from catseye.pretrain.evaluation.subjects import load_subjects
from catseye.pretrain.finetuning import FinetuneConfig, finetune
from catseye.pretrain.pretext_figures import pretext_figures
from catseye.pretrain.pretraining import PretrainConfig, pretrain
from catseye.pretrain.probes import probe_clips

TINY = {"encoder": "test_byobnet", "steps": 1, "batch": 2, "precision": "32-true"}


@dataclass(frozen=True)
class Made:
    """Two runs, their dataset with two held-out drives, and labels of its sources."""

    pretrained: Path
    finetuned: Path
    dataset: Path
    labels: Path
    train_list: Path
    test_list: Path

    def stills(self) -> StillsOptions:
        return StillsOptions(self.labels, self.test_list, self.train_list, learn_from=3, width=96, height=64)


@pytest.fixture(scope="module")
def made(road_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("evaluated")
    videos = sorted(road_world.glob("*.mp4"))
    ingest(videos, folder / "dataset", holdout=videos[1:], width=96, height=64, jobs=1)
    labels = road_world / "instances_coco.json"
    names = [image["file_name"] for image in json.loads(labels.read_text())["images"]]
    lists = {"train": [], "test": []}
    for name in names:
        lists["train" if name.startswith(videos[0].stem) else "test"].append(name)
    for part, chosen in lists.items():
        (folder / f"{part}.txt").write_text("\n".join(chosen[:5]))
    dataset = open_dataset(folder / "dataset")
    pretrain(dataset, folder / "pretrained", PretrainConfig(**TINY, workers=0))
    config = FinetuneConfig(**TINY, width=64, height=64)
    finetune(
        folder / "pretrained",
        folder / "finetuned",
        labels=labels,
        train_list=folder / "train.txt",
        config=config,
    )
    return Made(
        folder / "pretrained",
        folder / "finetuned",
        folder / "dataset",
        labels,
        folder / "train.txt",
        folder / "test.txt",
    )


def test_runs_of_both_kinds_beside_an_untrained_encoder(made: Made, catseye: Command, tmp_path: Path) -> None:
    called = catseye(
        "evaluate", made.pretrained, made.finetuned, "--dataset", made.dataset, "--labels", made.labels,
        "--train-list", made.train_list, "--test-list", made.test_list, "--learn-from", "3",
        "--width", "96", "--height", "64", "--few-labels", "--few-shares", "20,100", "--few-steps", "1",
        "--out", tmp_path, "--json",
    )  # fmt: skip
    assert called.code == 0, called.err
    found = Evaluation.load(tmp_path / "evaluation.json")
    assert json.loads(called.out)["rows"] == json.loads(found.to_json())["rows"]
    assert [(row.name, row.kind) for row in found.rows] == [
        ("pretrained", "pretrain"),
        ("finetuned", "finetune"),
        ("untrained", "untrained"),
    ]
    everywhere = {"linear_ap", "knn_ap", "feature_spread", "feature_rank", "encoder_gflops"}
    pretrained, finetuned, untrained = (row.figures for row in found.rows)
    assert all(everywhere <= row.figures.keys() for row in found.rows)
    assert {
        "order_accuracy",
        "future_skill",
        "depth_absrel",
        "pose_ate",
        "pose_rotation",
    } <= pretrained.keys()
    assert {"ap", "ap50", "ap50_h10"} & finetuned.keys() and not {"ap50", "order_accuracy"} & untrained.keys()
    assert untrained["linear_ap"] != pretrained["linear_ap"]
    assert found.blind["order_accuracy"] == pytest.approx(1 / 12) and found.blind["future_skill"] == 0
    assert found.blind["pose_ate"] == pretrained["pose_ate_straight"] < pretrained["pose_ate_still"]
    assert found.blind["linear_ap"] == pretrained["positive_share"] == untrained["positive_share"]
    assert found.stills is not None and (found.stills.train, found.stills.test) == (3, 5)
    drives = {group.name for group in found.rows[0].clips if group.aspect == "drive"}
    held_out = {clip.drive for clip in open_dataset(made.dataset).select(split="test")}
    assert drives == held_out and len(drives) == 2
    assert {g.reader for g in found.rows[1].objects} == {"probe", "detector"}
    assert all(0 <= g.recall <= 1 for row in found.rows for g in row.objects if g.recall is not None)
    assert found.few_labels is not None and found.few_labels.planned == 4
    cases = [(case.start, case.pretrained, case.stills) for case in found.few_labels.cases]
    assert cases == [
        (start, start == "pretrained", stills)
        for stills in (1, 5)
        for start in ("from scratch", "pretrained")
    ]
    assert all("ap50" in case.figures for case in found.few_labels.cases)
    page = (tmp_path / "evaluation.html").read_text()
    for section in ("few-labels", "figures", "objects", "clips", "features", "depth", "neighbours", "worst"):
        assert f"<section id='{section}'>" in page


def test_without_labels_there_are_figures_of_clips_only(made: Made, tmp_path: Path) -> None:
    found = evaluate([made.pretrained], made.dataset, out=tmp_path)
    assert found.stills is None and not any("linear_ap" in row.figures for row in found.rows)
    assert (
        found.rows[0].objects == ()
        and "<section id='worst'>" not in (tmp_path / "evaluation.html").read_text()
    )


def test_the_same_seed_gives_the_same_untrained_encoder(made: Made) -> None:
    dataset = open_dataset(made.dataset)
    one, same, other = (
        load_subjects([made.pretrained], dataset, seed=seed)[-1].encoder for seed in (0, 0, 1)
    )
    first = [next(encoder.parameters()) for encoder in (one, same, other)]
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])


def test_runs_of_one_name_are_told_apart(made: Made, tmp_path: Path) -> None:
    runs = [tmp_path / name / "untrained" for name in ("a", "b")]
    for run in runs:
        shutil.copytree(made.pretrained, run)
    names = [subject.name for subject in load_subjects(runs, open_dataset(made.dataset), seed=0)]
    assert names == ["a/untrained", "b/untrained", "untrained"]
    alone = load_subjects(runs[:1], open_dataset(made.dataset), seed=0)
    assert [subject.name for subject in alone] == ["a/untrained", "untrained"]
    with pytest.raises(UsageError, match="is named twice"):
        load_subjects([runs[0], runs[0]], open_dataset(made.dataset), seed=0)


def test_few_stills_are_drawn_by_the_seed(made: Made) -> None:
    (first, test), (again, _) = (choose_stills(made.stills(), seed=0) for _ in range(2))
    names = [{image.file_name for image in part.images} for part in (first, again, test)]
    assert names[0] == names[1] and len(names[0]) == 3 and not names[0] & names[2]
    drawn = {tuple(i.file_name for i in choose_stills(made.stills(), seed=s)[0].images) for s in range(8)}
    assert len(drawn) > 1


def test_clips_are_grouped_where_there_is_more_than_one_group(made: Made) -> None:
    (subject, _) = load_subjects([made.pretrained], open_dataset(made.dataset), seed=0)
    assert subject.pretext is not None and subject.info is not None
    probes = probe_clips(subject.pretext, subject.info, open_dataset(made.dataset), split="test", draws=8)
    drives = [(name, group) for aspect, name, group in clip_groups(probes) if aspect == "drive"]
    assert len(drives) == 2 and all({p.clip.drive for p in group} == {name} for name, group in drives)
    one = [probe for probe in probes if probe.clip.drive == probes[0].clip.drive]
    assert not [group for group in clip_groups(one) if group[0] == "drive"]
    figures = {g.name: g.figures for g in figures_by_group(probes, metric=False) if g.aspect == "drive"}
    assert figures[one[0].clip.drive] == pretext_figures(one, metric=False)


def test_bad_input_is_one_line(made: Made, catseye: Command, tmp_path: Path) -> None:
    def line(*arguments: str | Path, run: Path = made.pretrained, out: Path = tmp_path / "out") -> str:
        called = catseye("evaluate", run, "--dataset", made.dataset, "--out", out, *arguments)
        assert called.code != 0
        return called.line

    empty, file = tmp_path / "empty.txt", tmp_path / "file"
    empty.write_text("\n")
    file.write_text("")
    assert "give the folder of a finished pretrain or finetune run" in line(run=tmp_path)
    assert "--few-labels needs --labels" in line("--few-labels")
    assert "--labels needs --test-list" in line("--labels", made.labels)
    assert "give that too" in line("--test-list", made.test_list)
    assert "no usable clip in the split 'nowhere'" in line("--split", "nowhere")
    assert "is a file" in line(out=file)
    assert "cannot be made" in line(out=file / "below")
    labels = ("--labels", made.labels, "--test-list")
    assert "names no image" in line(*labels, empty)
    assert "are in" in line(*labels, made.test_list, "--train-list", made.test_list)
    asked = (*labels, made.test_list, "--few-labels", "--few-shares")
    assert "takes percentages" in line(*asked, "all")
    assert "above 0 and up to 100" in line(*asked, "10,200")
    assert "need a pretraining run" in line(*asked, "10", run=made.finetuned)
    assert "multiples of 32" in line(*labels, made.test_list, "--width", "100")
    assert not (tmp_path / "out" / "evaluation.json").exists()


def test_a_dataset_of_another_size_is_refused(made: Made, road_world: Path, tmp_path: Path) -> None:
    shutil.copytree(made.pretrained, tmp_path / "run")
    info = json.loads((tmp_path / "run" / "checkpoint.json").read_text())
    (tmp_path / "run" / "checkpoint.json").write_text(json.dumps(info | {"width": 128}))
    with pytest.raises(InputError, match="learned from 128x64; ingest at 128x64"):
        evaluate([tmp_path / "run"], made.dataset, out=tmp_path / "out")
