"""Every stage in a chain, small: what it leaves, that a second call continues, and footage of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from catseye.demo import Effort, demo
from catseye.errors import InputError, UsageError
from catseye.footage import World, check_footage, own_footage

SMALL = Effort(
    world=World(train_clips=2, held_out_clips=1, clip_s=3.0),
    dataset_size=(96, 64),
    detector_size=(96, 64),
    pretrain_steps=2,
    pretrain_batch=2,
    finetune_steps=2,
    finetune_batch=2,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        demo(Path("demo"), effort=SMALL)
    return place / "demo"


def test_leaves_what_it_promises(folder: Path) -> None:
    for name in (
        "dataset/dataset.json",
        "run/pretrain/model.safetensors",
        "run/finetune/model.safetensors",
        "demo.catseye",
        "tracks.jsonl",
        "tracked.mp4",
        "report.html",
        "summary.json",
    ):
        assert (folder / name).stat().st_size > 0, name
    stages = json.loads((folder / "summary.json").read_text())["stages"]
    assert [s["name"] for s in stages] == [
        "synth",
        "ingest",
        "pretrain",
        "finetune",
        "export",
        "run",
        "bench",
    ]
    figures = {name for stage in stages for name in stage["figures"]}
    assert {
        "order_accuracy",
        "future_skill",
        "depth_absrel",
        "feature_spread",
        "finetune_ap50",
        "scratch_ap50",
    } <= figures


def test_report_shows_curves_pictures_tracks_and_latency(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    for heading in (
        "What each stage did",
        "Pretraining",
        "Depth beside",
        "Fine-tuning",
        "Tracks on",
        "Latency",
    ):
        assert f"<h2>{heading}" in page
    assert page.count("<polyline") >= 5
    assert page.count("<img") >= 8


def test_second_call_does_nothing_anew(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    demo(folder, effort=SMALL)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    changed = {path.name for path in after if before.get(path) != after[path]}
    assert changed == {"summary.json", "report.html"}


def test_lost_tracks_are_made_again_from_the_same_bundle(folder: Path) -> None:
    bundle = (folder / "demo.catseye").stat().st_mtime_ns
    (folder / "tracks.jsonl").unlink()
    demo(folder, effort=SMALL)
    assert (folder / "tracks.jsonl").exists()
    assert (folder / "demo.catseye").stat().st_mtime_ns == bundle


def test_inputs_that_cannot_make_a_demo(tmp_path: Path) -> None:
    video, other, labels = (tmp_path / name for name in ("a.mp4", "b.mp4", "labels.json"))
    for path in (video, other, labels):
        path.touch()
    with pytest.raises(UsageError, match="--video and --labels go together"):
        check_footage(videos=[video], holdout=None, labels=None)
    with pytest.raises(UsageError, match="--video and --labels go together"):
        check_footage(videos=[], holdout=None, labels=labels)
    with pytest.raises(UsageError, match="leaves nothing to learn from"):
        check_footage(videos=[video], holdout=None, labels=labels)
    with pytest.raises(UsageError, match="also a --video"):
        check_footage(videos=[video, other], holdout=other, labels=labels)
    with pytest.raises(InputError, match=r"gone\.mp4: no such file"):
        check_footage(videos=[video, tmp_path / "gone.mp4"], holdout=None, labels=labels)
    check_footage(videos=[video, other], holdout=None, labels=labels)


def test_own_footage_takes_what_lies_beside_the_labels(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "test.txt").touch()
    videos, labels = [tmp_path / "a.mp4", tmp_path / "b.mp4"], tmp_path / "labels.json"
    labels.write_text("{}")
    footage = own_footage(videos=videos, holdout=None, labels=labels, train_list=None, test_list=None)
    assert footage.train == (videos[0],) and footage.held_out == (videos[1],)
    assert footage.images == tmp_path / "images"
    assert footage.train_list is None and footage.test_list == tmp_path / "test.txt"
    held = own_footage(
        videos=videos, holdout=tmp_path / "c.mp4", labels=labels, train_list=None, test_list=None
    )
    assert held.train == tuple(videos) and held.held_out == (tmp_path / "c.mp4",)
