from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from yolo_layouts import move_into_split

from catseye.capture.clips import CorruptClip
from catseye.errors import InputError, UsageError
from catseye.pretrain import clip_pictures, frame_pool
from catseye.pretrain.checkpoint import CheckpointInfo, save_checkpoint
from catseye.pretrain.detection_head import HeadOutputs, cell_centres
from catseye.pretrain.detector import Detector
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.frame_features import Eye, Looks, look_at, standardised
from catseye.pretrain.label_formats import read_labels, write_labels
from catseye.pretrain.labels import LabelledImage, Labels
from catseye.pretrain.model import PretextModel
from catseye.pretrain.selection import Selection, SelectOptions, select

SIZE = (64, 96, 3)
UTC_NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(0)
    info = CheckpointInfo(kind="pretrain", encoder="resnet10t", width=96, height=64)
    save_checkpoint(run, info, PretextModel("resnet10t", ("order",)))
    return run


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finetuned")
    torch.manual_seed(0)
    info = CheckpointInfo(kind="finetune", encoder="resnet10t", width=96, height=64, classes=("car",))
    detector = Detector(Encoder("resnet10t"), classes=("car",))
    torch.nn.init.normal_(detector.head.many.weight, std=0.3)  # scores of all sizes, as if it had learned
    torch.nn.init.zeros_(detector.head.many.bias)
    save_checkpoint(run, info, detector)
    return run


def scene(kind: int, variant: int) -> np.ndarray:
    """A picture of one of several kinds of scene, slightly different from others of its kind."""
    rng = np.random.default_rng([kind, 1])
    coarse = rng.integers(0, 255, (8, 12, 3)).astype(np.uint8)
    picture = cv2.resize(coarse, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_CUBIC).astype(np.int64)
    noise = np.random.default_rng([kind, variant]).integers(-40, 40, SIZE)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def write_stills(folder: Path, *kinds: int) -> Path:
    """A still of the kind given for each, ``0.png`` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, kind in enumerate(kinds):
        cv2.imwrite(str(folder / f"{number}.png"), scene(kind, number))
    return folder


def names_of(selection: Selection) -> list[str]:
    return [picked.file_name for picked in selection.pictures]


def test_stills_of_every_kind_are_chosen_and_the_reasons_left(pretrained: Path, tmp_path: Path) -> None:
    stills = write_stills(tmp_path / "stills", *[0] * 8, *[1] * 4, 2)
    selection = select(stills, pretrained, tmp_path / "out", SelectOptions(budget=3))
    kinds = {0 if int(Path(n).stem) < 8 else 1 if int(Path(n).stem) < 12 else 2 for n in names_of(selection)}
    assert kinds == {0, 1, 2}
    assert (tmp_path / "out/names.txt").read_text().split() == names_of(selection)
    for picked in selection.pictures:
        assert Path(picked.source).samefile(stills / picked.file_name)
        copied = (tmp_path / "out/images" / picked.file_name).read_bytes()
        assert copied == (stills / picked.file_name).read_bytes()
        assert re.search(r"stands for \d+ of 13 frames", picked.why)
    assert Selection.load(tmp_path / "out/selection.json") == selection.model_copy(
        update={"schema_version": Selection.VERSION}
    )
    rows = list(csv.DictReader((tmp_path / "out/selection.csv").read_text().splitlines()))
    assert [row["file_name"] for row in rows] == names_of(selection)
    assert float(rows[0]["gain"]) == pytest.approx(selection.pictures[0].figures["gain"])
    page = (tmp_path / "out/selection.html").read_text()
    assert page.count("<figure") == 3 and selection.pictures[0].why.split("; ")[0] in page


def test_copies_of_a_picture_are_not_chosen_twice(pretrained: Path, tmp_path: Path) -> None:
    stills = write_stills(tmp_path / "stills", 0, 1)
    for number in range(2, 5):
        rgb = scene(0, 0).astype(np.int64) + number  # a little brighter
        cv2.imwrite(str(stills / f"{number}.png"), np.clip(rgb, 0, 255).astype(np.uint8))
    selection = select(stills, pretrained, tmp_path / "out", SelectOptions(budget=5))
    assert len(selection.pictures) == 2
    assert "1.png" in names_of(selection)


def test_what_is_labelled_is_not_chosen_again(pretrained: Path, tmp_path: Path) -> None:
    stills = write_stills(tmp_path / "stills", *[0] * 6, *[1] * 3)
    nothing = np.zeros((0, 4), dtype=np.float32)
    empty = {"boxes": nothing, "classes": np.zeros(0, np.int32), "crowd": np.zeros(0, np.bool_)}
    labels = Labels(
        tmp_path / "labels.json", ("car",), tuple(LabelledImage(f"{n}.png", 96, 64, **empty) for n in (0, 1))
    )
    blind = select(stills, pretrained, tmp_path / "blind", SelectOptions(budget=1))
    assert int(Path(names_of(blind)[0]).stem) < 6
    options = SelectOptions(budget=7)
    selection = select(stills, pretrained, tmp_path / "out", options, labels=labels, images=stills)
    assert int(Path(names_of(selection)[0]).stem) >= 6
    assert not {"0.png", "1.png"} & set(names_of(selection))
    assert selection.labelled == 2 and selection.looked_at == 7


def test_labelled_pictures_are_where_the_format_of_the_labels_has_them(
    pretrained: Path, tmp_path: Path
) -> None:
    stills = write_stills(tmp_path / "stills", 0, 1, 2)
    car = {"boxes": np.array([[8, 8, 40, 30]], np.float32), "classes": np.zeros(1, np.int32)}
    image = LabelledImage("1.png", 96, 64, **car, crowd=np.zeros(1, np.bool_))
    write_labels(Labels(tmp_path, ("car",), (image,)), tmp_path / "yolo", form="yolo", images=stills)
    move_into_split(tmp_path / "yolo")
    labels = read_labels(tmp_path / "yolo")
    selection = select(stills, pretrained, tmp_path / "out", SelectOptions(budget=3), labels=labels)
    assert selection.labelled == 1 and "1.png" not in names_of(selection)


def test_a_list_says_which_stills_to_choose_from(pretrained: Path, tmp_path: Path) -> None:
    stills = write_stills(tmp_path / "stills", 0, 1, 2, 3)
    (tmp_path / "list.txt").write_text("3.png\n1.png\n")
    options = SelectOptions(budget=4)
    selection = select(stills, pretrained, tmp_path / "out", options, names_list=tmp_path / "list.txt")
    assert sorted(names_of(selection)) == ["1.png", "3.png"]


def test_the_same_seed_chooses_the_same(finetuned: Path, tmp_path: Path) -> None:
    stills = write_stills(tmp_path / "stills", 0, 1, 2, 3, 0, 1)
    options = SelectOptions(budget=3, seed=5)
    first, second = (select(stills, finetuned, tmp_path / name, options) for name in ("a", "b"))
    assert first.pictures == second.pictures


def test_a_detector_says_what_it_doubts_and_is_asked_it(
    finetuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stills = write_stills(tmp_path / "stills", 0, 1, 2, 3)
    selection = select(stills, finetuned, tmp_path / "out", SelectOptions(budget=4))
    for picked in selection.pictures:
        figures = picked.figures
        parts = [figures[f"doubt_{part}"] for part in ("unsure", "two_heads", "mirrored")]
        assert figures["doubt"] == pytest.approx(sum(parts) / 3, abs=1e-3)
        assert f"{figures['doubt']:.1f} boxes in doubt" in picked.why
    ranks = sorted(picked.figures["doubt_rank"] for picked in selection.pictures)
    assert ranks == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=1e-3)
    most = max(selection.pictures, key=lambda picked: picked.figures["doubt"])
    doubtful = select(stills, finetuned, tmp_path / "doubtful", SelectOptions(budget=1, doubt_weight=1000))
    assert names_of(doubtful) == [most.file_name]


def test_an_unreadable_still_is_passed_over_and_counted(pretrained: Path, tmp_path: Path) -> None:
    stills = write_stills(tmp_path / "stills", 0, 1)
    (stills / "broken.jpg").write_text("no picture")
    selection = select(stills, pretrained, tmp_path / "out", SelectOptions(budget=3))
    assert selection.unreadable == 1 and len(selection.pictures) == 2


def test_a_selection_is_not_written_over(pretrained: Path, tmp_path: Path) -> None:
    stills = write_stills(tmp_path / "stills", 0, 1)
    select(stills, pretrained, tmp_path / "out", SelectOptions(budget=1))
    before = (tmp_path / "out/selection.json").read_bytes()
    with pytest.raises(InputError, match="holds a selection already"):
        select(stills, pretrained, tmp_path / "out", SelectOptions(budget=2))
    assert (tmp_path / "out/selection.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [({"budget": 0}, "--budget 0"), ({"budget": 1, "doubt_weight": -1.0}, "--doubt-weight -1.0")],
)
def test_options_that_cannot_be_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        SelectOptions(**options)


def test_a_folder_without_pictures_is_named(pretrained: Path, tmp_path: Path) -> None:
    (tmp_path / "stills").mkdir()
    with pytest.raises(InputError, match="has no picture"):
        select(tmp_path / "stills", pretrained, tmp_path / "out", SelectOptions(budget=1))
    with pytest.raises(InputError, match="no such folder"):
        select(tmp_path / "gone", pretrained, tmp_path / "out", SelectOptions(budget=1))


@dataclass(frozen=True)
class Info:
    width: int = 96
    height: int = 64
    redaction: str = ""


class MemoryShards:
    """Reads the frames of a dataset in memory."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def read(self, clip: Any, frames: Sequence[int]) -> np.ndarray:
        if clip.clip_id in self._dataset.broken:
            raise CorruptClip(clip.clip_id)
        return self._dataset.pictures[clip.clip_id][list(frames)]

    def read_many(self, requests: Sequence[Any]) -> list[Any]:
        found: list[Any] = []
        for request in requests:
            try:
                found.append(self.read(request.clip, request.frames))
            except CorruptClip as error:
                found.append(error)
        return found

    def close(self) -> None:
        pass


class NoOriginals(MemoryShards):
    """The footage is not where it was."""

    def read(self, clip: Any, frames: Sequence[int]) -> np.ndarray:
        raise CorruptClip(f"clip {clip.clip_id}: gone")


@pytest.fixture
def dataset(memory_dataset: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three clips of the split ``train``, of which one is set aside, and one of ``test``."""
    for module in (frame_pool, clip_pictures):
        monkeypatch.setattr(module, "ClipReader", MemoryShards)
    monkeypatch.setattr(clip_pictures, "FullFrameReader", NoOriginals)
    found = memory_dataset(info=Info())
    clips = (
        replace(found.clips[0], usable=False, reason="dark", tags=frozenset({"dark"})),
        replace(found.clips[1], start_time=UTC_NOON),
        *found.clips[2:],
    )
    return replace(found, clips=clips)


def test_frames_of_clips_can_be_found_again(pretrained: Path, dataset: Any, tmp_path: Path) -> None:
    options = SelectOptions(budget=4, every_s=1.0)
    selection = select(dataset, pretrained, tmp_path / "out", options)
    clips = {clip.clip_id: clip for clip in dataset.clips}
    assert {picked.clip_id for picked in selection.pictures} == {"clip-1", "clip-2"}
    for picked in selection.pictures:
        clip = clips[picked.clip_id]
        assert picked.pts == clip.pts[picked.frame] and picked.source == clip.source
        assert picked.time_s == pytest.approx(picked.pts / 90_000)
        assert picked.taken_from == "shard" and picked.kinds["drive"] == clip.drive
        written = cv2.imread(str(tmp_path / "out/images" / picked.file_name))[..., ::-1]
        assert (written == dataset.pictures[clip.clip_id][picked.frame]).all()
    noon = next(picked for picked in selection.pictures if picked.clip_id == "clip-1")
    assert noon.kinds["hour"] == "12 h UTC" and noon.captured.startswith("2026-03-01T12:00")
    # An hour a drive and a minute a drive tell no more than the drives.
    assert selection.aspects == ("drive",) and "hour" not in noon.why
    assert "no. 2 of drive clip-1" in "".join(picked.why for picked in selection.pictures)
    document = json.loads((tmp_path / "out/selection.json").read_text())
    assert document["dataset_fingerprint"] == dataset.fingerprint


def test_the_originals_of_a_blurred_dataset_are_never_read(
    pretrained: Path, dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(dataset: Any) -> None:
        raise AssertionError("the originals show what the shards hide")

    monkeypatch.setattr(clip_pictures, "FullFrameReader", opened)
    blurred = replace(dataset, info=Info(redaction="faces"))
    selection = select(blurred, pretrained, tmp_path / "out", SelectOptions(budget=2))
    assert [picked.taken_from for picked in selection.pictures] == ["shard", "shard"]


def test_clips_of_other_splits_are_left_unless_asked_for(
    pretrained: Path, dataset: Any, tmp_path: Path
) -> None:
    options = SelectOptions(budget=9, every_s=1.5, split="all")
    selection = select(dataset, pretrained, tmp_path / "all", options)
    assert {picked.clip_id for picked in selection.pictures} == {"clip-1", "clip-2", "clip-3"}
    with pytest.raises(InputError, match="no usable clip in the split validation"):
        select(dataset, pretrained, tmp_path / "none", replace(options, split="validation"))


def test_a_damaged_clip_is_passed_over(pretrained: Path, dataset: Any, tmp_path: Path) -> None:
    damaged = replace(dataset, broken=frozenset({"clip-1"}))
    selection = select(damaged, pretrained, tmp_path / "out", SelectOptions(budget=9))
    assert {picked.clip_id for picked in selection.pictures} == {"clip-2"}
    assert selection.unreadable == 3


class Shrunk(torch.nn.Module):
    """An encoder that gives the picture itself at each stride."""

    def forward(self, rgb: torch.Tensor) -> list[torch.Tensor]:
        return [torch.nn.functional.avg_pool2d(rgb, stride) for stride in (4, 8, 16, 32)]


def test_a_small_vehicle_is_told_apart_where_means_are_the_same() -> None:
    eye = Eye(Shrunk(), None, 256, 128)  # type: ignore[arg-type]  # stands in for an encoder
    empty = np.full((128, 256, 3), 100, dtype=np.uint8)
    vehicle = empty.copy()
    vehicle[64:80, 96:112] = 250
    rest = 100 - 150 * 256 / (128 * 256 - 256)
    vehicle[(vehicle != 250).all(axis=2)] = round(rest)
    without, within = look_at(eye, [empty, vehicle]).pooled
    assert np.abs(without - within).max() > 0.15
    assert np.abs(without[:3] - within[:3]).max() < 0.01


def test_features_that_hardly_vary_do_not_count() -> None:
    rng = np.random.default_rng(0)
    pooled = rng.normal(size=(20, 4)).astype(np.float32)
    pooled[:, 3] = 5 + 1e-9 * rng.normal(size=20)
    views, levels = np.zeros((20, 2), np.float32), np.zeros(20, np.float32)
    looks = Looks(pooled, views, levels, ())
    unit = standardised(looks, by=looks)
    assert np.linalg.norm(unit, axis=1) == pytest.approx(1, abs=1e-5)
    assert (unit[:, 3] == 0).all()
    assert np.abs(unit.mean(axis=0)).max() < 0.2


class BrightCells:
    """Stands in for a detector: sees a thing of eight pixels wherever it is bright, mirrored or not."""

    def neck(self, maps: list[torch.Tensor]) -> torch.Tensor:
        return maps[0]

    def head(self, x: torch.Tensor) -> HeadOutputs:
        logits = 20 * (x.mean(dim=1, keepdim=True) - 0.5)
        across, down = torch.broadcast_tensors(*cell_centres(x.shape[2], x.shape[3]))
        boxes = torch.stack([across - 4, down - 4, across + 4, down + 4]).expand(len(x), -1, -1, -1)
        return HeadOutputs(logits, logits, boxes)


def test_a_detector_that_sees_the_same_in_a_mirror_is_in_no_doubt_by_it() -> None:
    eye = Eye(Shrunk(), BrightCells(), 64, 32)  # type: ignore[arg-type]  # stand in for networks
    picture = np.full((32, 64, 3), 20, dtype=np.uint8)
    picture[8:12, 4:8] = picture[20:24, 44:48] = 250
    picture[16:20, 16:20] = 135
    (doubt,) = look_at(eye, [picture]).doubts
    assert doubt.mirrored < 0.01
    assert 0.2 < doubt.unsure < 0.5
