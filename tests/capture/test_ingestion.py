"""Footage into a dataset."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from catseye.capture import ingest_file as ingest_file_module
from catseye.capture.calibration import Calibration
from catseye.capture.clips import ClipReader
from catseye.capture.dataset import Dataset, open_dataset
from catseye.capture.geometry import Image
from catseye.capture.ingestion import ingest
from catseye.errors import InputError, UsageError
from catseye.files import sha256_of

SIZE = {"width": 160, "height": 96}
SECOND = 25
"""Frames in a second of the videos here."""


def run(paths: list[Path], out: Path, **options: Any) -> Dataset:
    return ingest(paths, out, **{**SIZE, "jobs": 1, **options})


def summary(dataset: Dataset) -> list[tuple[int, set[str], bool]]:
    return [(len(clip), set(clip.tags), clip.usable) for clip in dataset.clips]


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def same_but_for_the_place(a: Path, b: Path) -> None:
    """Two datasets of the same footage, in every byte of what they hold."""
    left, right = tree(a), tree(b)
    assert left.keys() == right.keys()
    assert [name for name in left if left[name] != right[name]] == []


def cut_off(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.fixture
def numbers(number_of: Callable[[Image], int]) -> Callable[[Dataset], list[list[int]]]:
    """The numbers that the frames of each clip carry, read back from the shards."""

    def read(dataset: Dataset) -> list[list[int]]:
        reader = ClipReader(dataset)
        return [[number_of(rgb) for rgb in reader.read(clip, range(len(clip)))] for clip in dataset.clips]

    return read


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("start", [0, 123_456])
def test_a_variable_rate_and_any_start_keep_exact_times(
    tmp_path: Path,
    write_video: Callable[..., Path],
    moving: Callable[..., Any],
    numbers: Callable[[Dataset], list[list[int]]],
    name: str,
    start: int,
) -> None:
    rng = np.random.default_rng(0)
    pts = (start + np.cumsum(rng.choice([17, 33, 40, 90, 250], size=60))).tolist()
    dataset = run([write_video(tmp_path / name, moving(), pts, b_frames=2)], tmp_path / "dataset")
    (clip,) = dataset.clips
    assert [Fraction(int(t)) * clip.time_base for t in clip.pts] == [Fraction(t, 1000) for t in pts]
    np.testing.assert_array_equal(clip.durations[:-1], np.diff(clip.pts))
    np.testing.assert_allclose(clip.shard_pts / 90_000, clip.times_s, atol=1e-5)
    assert numbers(dataset) == [list(range(60))]
    assert clip.key_flags.nonzero()[0].tolist() == [0, 25, 50]


def test_clips_end_at_gaps_and_at_the_longest_length(
    drive: Callable[..., Path], tmp_path: Path, numbers: Callable[[Dataset], list[list[int]]]
) -> None:
    pts = [*range(0, 2000, 40), *range(5000, 11_000, 40)]
    dataset = run([drive(pts=pts)], tmp_path / "dataset", max_clip_s=4)
    assert [(len(clip), clip.usable) for clip in dataset.clips] == [(50, True), (75, True), (75, True)]
    assert numbers(dataset) == [list(range(50)), list(range(50, 125)), list(range(125, 200))]
    assert [clip.clip_id[-7:] for clip in dataset.clips] == ["0000000", "0000050", "0000125"]
    assert [clip.durations[-1] * clip.time_base for clip in dataset.clips] == [Fraction(1, 25)] * 3


def test_what_shows_nothing_is_a_row_with_its_reason(
    tmp_path: Path, write_video: Callable[..., Path], moving: Callable[..., Any]
) -> None:
    drive_by = moving()
    still = drive_by(100)
    rng = np.random.default_rng(0)

    def picture(i: int) -> Image:
        if i < 2 * SECOND or i >= 8 * SECOND:
            return drive_by(i)
        if i < 4 * SECOND:
            return still
        if i < 6 * SECOND:
            return np.clip(still + rng.normal(0, 3, still.shape), 0, 255).astype(np.uint8)
        return np.clip(rng.normal(6, 2, still.shape) + 2 * (i % 5), 0, 255).astype(np.uint8)

    path = write_video(tmp_path / "a.mp4", picture, range(0, 10_400, 40))
    dataset = run([path], tmp_path / "dataset")
    found = [(set(clip.tags), clip.reason) for clip in dataset.clips]
    assert found == [
        (set(), ""),
        ({"frozen"}, "the picture is frozen"),
        ({"stationary"}, "the camera stands"),
        ({"dark"}, "the picture is dark"),
        (set(), ""),
    ]
    for clip, seconds in zip(dataset.clips, (2, 2, 2, 2, 2.4), strict=True):
        assert clip.duration_s == pytest.approx(seconds, abs=0.25)
    assert [clip.usable for clip in dataset.clips] == [True, False, False, False, True]
    assert len(dataset.select()) == 2 and len(dataset.select(usable=False)) == 3
    assert dataset.clips[0].brightness > 60 and dataset.clips[3].brightness < 20
    assert dataset.clips[0].motion > 1 > dataset.clips[2].motion


def test_a_short_rest_is_set_aside(drive: Callable[..., Path], tmp_path: Path) -> None:
    dataset = run([drive(pts=[*range(0, 2000, 40), *range(8000, 8400, 40)])], tmp_path / "dataset")
    assert summary(dataset) == [(50, set(), True), (10, {"short"}, False)]
    assert dataset.clips[1].reason == "is shorter than 1 s"


def test_unreadable_files_are_rows_and_the_others_go_on(
    drive: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drive("b.mp4")
    (tmp_path / "a.mp4").write_text("no video")
    (tmp_path / "c.mp4").touch()
    cut_off(drive("d.mp4", seed=1), 0.5)
    dataset = run([tmp_path], tmp_path / "dataset")
    by_name = {Path(clip.source).name: clip for clip in dataset.clips}
    assert sorted(by_name) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert by_name["b.mp4"].usable and dataset.select() == (by_name["b.mp4"],)
    for name in ("a.mp4", "c.mp4", "d.mp4"):
        assert by_name[name].reason.startswith("is not a readable video (")
        assert by_name[name].tags == {"unreadable"} and not by_name[name].usable
        assert f"{name}: is not a readable video" in caplog.text
    again = run([tmp_path], tmp_path / "dataset")
    assert again.fingerprint == dataset.fingerprint


def test_nothing_readable_at_all_is_an_error_that_names_the_first(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mp4"):
        (tmp_path / name).write_text(name)
    with pytest.raises(InputError, match=r"a\.mp4: is not a readable video .*; not one of the videos given"):
        run([tmp_path], tmp_path / "dataset")
    with pytest.raises(InputError, match=r"has no dataset\.json"):
        open_dataset(tmp_path / "dataset")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no video in it"):
        run([tmp_path / "empty"], tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_of_a_file_cut_off_what_decodes_is_kept_and_the_rest_is_a_row(
    remux: Callable[..., Path],
    drive: Callable[..., Path],
    tmp_path: Path,
    numbers: Callable[[Dataset], list[list[int]]],
) -> None:
    path = drive("whole.mp4", pts=list(range(0, 6000, 40)))
    path = cut_off(remux(path, tmp_path / "front.mp4", movflags="faststart"), 0.5)
    dataset = run([path], tmp_path / "dataset")
    clip, rest = dataset.clips
    assert clip.usable and 50 < len(clip) < 100
    assert numbers(Dataset(dataset.url, dataset.info, (clip,))) == [list(range(len(clip)))]
    assert rest.tags == {"unreadable"} and len(rest) == 0 and rest.source == clip.source
    assert "the file ends" in rest.reason and "before the 6.0 s" in rest.reason


def test_of_fragments_cut_off_what_decodes_is_kept(
    remux: Callable[..., Path], drive: Callable[..., Path], tmp_path: Path
) -> None:
    path = drive("whole.mp4", pts=list(range(0, 6000, 40)))
    flags = "frag_keyframe+empty_moov+default_base_moof"
    path = cut_off(remux(path, tmp_path / "fragments.mp4", movflags=flags), 0.5)
    clip = run([path], tmp_path / "dataset").clips[0]
    assert clip.usable and 50 <= len(clip) <= 100


def test_a_copy_is_a_row_that_names_the_first(drive: Callable[..., Path], tmp_path: Path) -> None:
    first = drive("a.mp4")
    (tmp_path / "b.mp4").write_bytes(first.read_bytes())
    dataset = run([tmp_path], tmp_path / "dataset")
    assert summary(dataset) == [(75, set(), True), (0, {"duplicate"}, False)]
    assert dataset.clips[1].reason == f"has the same content as {first}"
    assert len(list((tmp_path / "dataset/shards").iterdir())) == 1
    # Alone, under any name, it is still known.
    again = run([tmp_path / "b.mp4"], tmp_path / "dataset")
    assert again.fingerprint == dataset.fingerprint and len(again.clips) == 2
    first.rename(tmp_path / "c.mp4")
    moved = run([tmp_path / "c.mp4"], tmp_path / "dataset")
    assert [(Path(clip.source).name, set(clip.tags)) for clip in moved.clips] == [
        ("a.mp4", set()),
        ("b.mp4", {"duplicate"}),
        ("c.mp4", {"duplicate"}),
    ]


def test_a_second_ingest_decodes_nothing_and_changes_nothing(
    drive: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive("a.mp4", seed=1)
    drive("b.mp4", seed=2)
    run([tmp_path], tmp_path / "dataset")
    before = tree(tmp_path / "dataset")
    monkeypatch.setattr("catseye.capture.ingestion.ingest_file", None)
    run([tmp_path / "b.mp4", tmp_path / "a.mp4"], tmp_path / "dataset")
    assert tree(tmp_path / "dataset") == before
    assert sorted(before) == [
        ".work/hashes.jsonl",
        ".work/lock",
        "clips.parquet",
        "dataset.json",
        *sorted(name for name in before if name.startswith("shards/")),
        "telemetry.parquet",
    ]


def test_files_given_later_make_what_all_at_once_make(drive: Callable[..., Path], tmp_path: Path) -> None:
    videos = [drive(f"{name}.mp4", seed=i) for i, name in enumerate("abc")]
    (tmp_path / "b.telemetry.csv").write_text("time_s,speed_mps\n0,5\n3,8\n")
    run(videos, tmp_path / "at-once")
    run([videos[2]], tmp_path / "in-turns")
    run(videos[:2], tmp_path / "in-turns")
    same_but_for_the_place(tmp_path / "at-once", tmp_path / "in-turns")


def test_the_number_of_processes_does_not_matter(
    drive: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(3):
        drive(f"{i}.mp4", seed=i)
    (tmp_path / "bad.mp4").write_text("no video")
    told: list[tuple[str, int, int]] = []
    one = run([tmp_path], tmp_path / "one")
    two = run([tmp_path], tmp_path / "two", jobs=2, progress=lambda *told_now: told.append(told_now))
    assert len(one.select()) == 3 and one.fingerprint == two.fingerprint
    same_but_for_the_place(tmp_path / "one", tmp_path / "two")
    assert [done for label, done, _ in told if label == "ingest"] == [0, 1, 2, 3, 4]
    assert {total for _, _, total in told} == {4}


KILLED = """
import os, signal, sys
from pathlib import Path
from catseye.capture.ingestion import ingest
from catseye.capture.shards import ShardWriter

real, written = ShardWriter.write, []

def write(self, *args, **options):
    written.append(self)
    if len(written) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, *args, **options)

ShardWriter.write = write
ingest([Path(sys.argv[1])], Path(sys.argv[2]), width=160, height=96, jobs=1)
"""


def test_a_killed_ingest_goes_on_where_it_was(
    drive: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    footage = tmp_path / "footage"
    for i in range(3):
        drive(f"footage/{i}.mp4", seed=i)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(footage), str(tmp_path / "killed"), str(75 + 40)], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    shards = [path.name for path in (tmp_path / "killed/shards").iterdir()]
    assert len(shards) == 2 and sum(name.startswith(".") for name in shards) == 1
    assert not (tmp_path / "killed/dataset.json").exists()
    again: list[str] = []

    def counted(path: Path, **options: Any) -> Any:
        again.append(path.name)
        return ingest_file_module.ingest_file(path, **options)

    monkeypatch.setattr("catseye.capture.ingestion.ingest_file", counted)
    run([footage], tmp_path / "killed")
    assert again == ["1.mp4", "2.mp4"]
    run([footage], tmp_path / "whole")
    same_but_for_the_place(tmp_path / "killed", tmp_path / "whole")


def test_a_path_with_new_content_replaces_what_it_gave(
    drive: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = drive("a.mp4", seed=1)
    drive("b.mp4", seed=2)
    run([tmp_path], tmp_path / "dataset")
    old = {clip.shard for clip in open_dataset(tmp_path / "dataset").clips if clip.source == str(path)}
    drive("a.mp4", seed=3)
    dataset = run([path], tmp_path / "dataset")
    assert [Path(clip.source).name for clip in dataset.clips] == ["a.mp4", "b.mp4"]
    assert "a.mp4: has other content than before" in caplog.text
    shards = {f"shards/{path.name}" for path in (tmp_path / "dataset/shards").iterdir()}
    assert shards == {clip.shard for clip in dataset.clips} and not shards & old


def test_a_dataset_of_other_options_is_refused(drive: Callable[..., Path], tmp_path: Path) -> None:
    path = drive()
    run([path], tmp_path / "dataset")
    before = tree(tmp_path / "dataset")
    for change, text in (
        ({"width": 320}, "width 160, not 320"),
        ({"height": 64}, "height 96, not 64"),
        ({"max_clip_s": 5}, "max_clip_s 10.0, not 5.0"),
        ({"gap_s": 0.5}, "gap_s None, not 0.5"),
    ):
        with pytest.raises(InputError, match=f"was made with {text}; give the same or name another --out"):
            run([path], tmp_path / "dataset", **change)
    assert tree(tmp_path / "dataset") == before


def test_a_dataset_of_a_newer_version_is_left_alone(drive: Callable[..., Path], tmp_path: Path) -> None:
    path = drive()
    run([path], tmp_path / "dataset")
    described = tmp_path / "dataset/dataset.json"
    described.write_text(json.dumps({**json.loads(described.read_text()), "schema_version": "2.0"}))
    with pytest.raises(InputError, match=r"newer than 1\.2.*upgrade catseye"):
        run([path], tmp_path / "dataset")


def test_two_writers_at_once_and_a_file_in_the_way(drive: Callable[..., Path], tmp_path: Path) -> None:
    from catseye.capture.workspace import locked

    path = drive()
    with (
        locked(tmp_path / "dataset"),
        pytest.raises(InputError, match="is being written by another ingest"),
    ):
        run([path], tmp_path / "dataset")
    with pytest.raises(InputError, match="is not a folder; name another --out"):
        run([path], path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 161}, "--width 161"),
        ({"height": 0}, "--height 0"),
        ({"jobs": -1}, "--jobs -1"),
        ({"max_clip_s": 1}, "--max-clip-s 1"),
        ({"gap_s": 0}, "--gap-s 0"),
        ({"validation_fraction": 1.0}, "--validation-fraction 1.0"),
        ({"drive_from": "x"}, "--drive-from 'x'"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run([tmp_path], tmp_path / "dataset", **options)


def test_a_full_disk_is_one_line_and_what_is_done_is_kept(
    drive: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive("a.mp4", seed=1)
    drive("b.mp4", seed=2)

    def full(path: Path, **options: Any) -> Any:
        if path.name == "b.mp4":
            raise OSError(28, "No space left on device")
        return ingest_file_module.ingest_file(path, **options)

    monkeypatch.setattr("catseye.capture.ingestion.ingest_file", full)
    with pytest.raises(InputError, match="no space is left on its disk; free some and run it again"):
        run([tmp_path], tmp_path / "dataset")
    assert len(list((tmp_path / "dataset/.work").glob("*.parquet"))) == 1


def test_what_cannot_be_read_today_keeps_the_rows_it_had(
    drive: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive("a.mp4", seed=1)
    drive("b.mp4", seed=2)
    dataset = run([tmp_path], tmp_path / "dataset")

    def unreadable(path: Path) -> str:
        if path.name == "a.mp4":
            raise OSError(5, "Input/output error")
        return sha256_of(path)

    monkeypatch.setattr("catseye.capture.workspace.sha256_of", unreadable)
    assert run([tmp_path], tmp_path / "dataset").fingerprint == dataset.fingerprint
    fresh = run([tmp_path], tmp_path / "fresh")
    assert fresh.clips[0].reason == "cannot be read (Input/output error)"
    assert fresh.clips[0].tags == {"unreadable"} and fresh.clips[1].usable


def test_a_clip_lies_in_one_shard(
    drive: Callable[..., Path],
    tmp_path: Path,
    numbers: Callable[[Dataset], list[list[int]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("catseye.capture.shards.SHARD_S", 1.5)
    dataset = run([drive(pts=range(0, 5000, 40))], tmp_path / "dataset")
    assert [(Path(clip.shard).stem[-3:], len(clip)) for clip in dataset.clips] == [
        ("000", 50),
        ("001", 50),
        ("002", 25),
    ]
    assert numbers(dataset) == [list(range(50)), list(range(50, 100)), list(range(100, 125))]


K = ((120.0, 0.0, 80.0), (0.0, 120.0, 48.0), (0.0, 0.0, 1.0))


def test_speed_and_calibration_are_joined_on_the_videos_own_clock(
    drive: Callable[..., Path], tmp_path: Path
) -> None:
    path = drive("a.mp4", pts=list(range(10_000, 13_000, 40)))
    (tmp_path / "a.telemetry.csv").write_text("time_s,speed_mps\n10,4\n11,6\n11.5,7\n")
    Calibration(camera="front", width=320, height=192, K=K).save(tmp_path / "a.calibration.json")
    (clip,) = run([path], tmp_path / "dataset").clips
    np.testing.assert_allclose(clip.speed_mps[[0, 25, 37]], [4, 6, 6.96], rtol=1e-5)
    assert np.isfinite(clip.speed_mps).sum() == 63 and np.isnan(clip.speed_mps[63:]).all()
    assert clip.camera == "front" and len(clip.calibration_hash) == 64
    np.testing.assert_allclose(clip.intrinsics, [120 / 320, 120 / 192, 80 / 320, 48 / 192])


def test_what_lies_beside_a_video_can_come_later(
    drive: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drive("a.mp4")
    before = run([path], tmp_path / "dataset")
    monkeypatch.setattr("catseye.capture.ingestion.ingest_file", None)
    Calibration(width=160, height=96, K=K).save(tmp_path / "all.json")
    (tmp_path / "a.telemetry.csv").write_text("time_s,speed_mps\n0,5\n1,5\n2,5\n3,5\n")
    after = run([path], tmp_path / "dataset", calibration=tmp_path / "all.json")
    assert before.clips[0].intrinsics is None and after.clips[0].intrinsics is not None
    assert (after.clips[0].speed_mps == 5).all() and after.fingerprint != before.fingerprint
    assert len(pq.read_table(tmp_path / "dataset/telemetry.parquet")) == 4
    (tmp_path / "a.telemetry.csv").unlink()
    back = run([path], tmp_path / "dataset")
    assert np.isnan(back.clips[0].speed_mps).all() and back.fingerprint == before.fingerprint
    assert len(pq.read_table(tmp_path / "dataset/telemetry.parquet")) == 0


def test_a_calibration_of_another_shape_is_not_used(
    drive: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = drive("a.mp4")
    Calibration(width=160, height=120, K=K).save(tmp_path / "a.calibration.json")
    (clip,) = run([path], tmp_path / "dataset").clips
    assert clip.intrinsics is None and clip.calibration_hash == ""
    assert "calibration for 160x120, another shape" in caplog.text


def test_splits_keep_drives_whole_and_what_is_held_out_stays_out(
    drive: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for i, name in enumerate(("x/1.mp4", "x/2.mp4", "y/1.mp4", "z/1.mp4")):
        drive(name, seed=i)
    by_folder = {"drive_from": r"/(x|y|z)/"}
    dataset = run([tmp_path], tmp_path / "dataset", holdout=[tmp_path / "x/2.mp4"], **by_folder)
    splits = [(clip.drive, clip.split) for clip in dataset.clips]
    assert splits[:2] == [("x", "test"), ("x", "test")]
    assert {split for _, split in splits[2:]} == {"train", "validation"}
    again = run([tmp_path], tmp_path / "dataset", **by_folder)
    assert [(clip.drive, clip.split) for clip in again.clips] == splits
    assert len(dataset.select(split="test")) == 2


def test_a_single_drive_leaves_no_validation_and_says_so(
    drive: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    dataset = run([drive()], tmp_path / "dataset", validation_fraction=0.5)
    assert [clip.split for clip in dataset.clips] == ["train"]
    assert "nothing is left for validation" in caplog.text


def test_a_picture_that_changes_its_size_is_cut_there(
    remux: Callable[..., Path], tmp_path: Path, write_video: Callable[..., Path], moving: Callable[..., Any]
) -> None:
    small = moving()

    def wide(i: int) -> Image:
        return np.repeat(np.repeat(small(i + 50), 2, axis=0), 2, axis=1)

    a = remux(write_video(tmp_path / "a.mp4", small, range(0, 2000, 40)), tmp_path / "a.ts")
    b = remux(write_video(tmp_path / "b.mp4", wide, range(2000, 4000, 40)), tmp_path / "b.ts")
    joined = tmp_path / "joined.ts"
    joined.write_bytes(a.read_bytes() + b.read_bytes())
    dataset = run([joined], tmp_path / "dataset")
    assert [(clip.width, clip.height) for clip in dataset.clips if len(clip)] == [(160, 96), (320, 192)]


def test_real_footage(shared_data: Path, tmp_path: Path) -> None:
    dataset = run([shared_data / "video/highway_white_right.mp4"], tmp_path / "dataset")
    (clip,) = dataset.clips
    assert (len(clip), clip.usable, clip.width, clip.height) == (221, True, 960, 540)
    assert clip.duration_s == pytest.approx(8.84) and clip.start_time is not None


KILLED_AT_RANDOM = """
import sys
import time
from pathlib import Path
from catseye.capture.ingestion import ingest

if __name__ == "__main__":
    ingest([Path(sys.argv[1])], Path(sys.argv[2]), width=64, height=48, jobs=2)
"""


def test_a_folder_of_files_goes_on_after_each_of_several_kills_and_does_no_file_twice(
    write_video: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A twentieth of a thousand files; the kills come whenever so many of them are done."""
    count = 50
    for i in range(count):
        level = np.random.default_rng(i).integers(60, 200, (4, 8, 3)).astype(np.uint8)
        picture = np.repeat(np.repeat(level, 12, axis=0), 12, axis=1)[:48, :64]
        write_video(
            tmp_path / f"footage/{i:02d}.mp4",
            lambda n, p=picture: np.roll(p, 3 * n, axis=1),
            range(0, 1200, 100),
        )
    script = tmp_path / "ingest.py"
    script.write_text(KILLED_AT_RANDOM)
    finished = tmp_path / "dataset/.work"
    seen: dict[str, int] = {}
    for wanted in (8, 20, 35):
        process = subprocess.Popen([sys.executable, script, tmp_path / "footage", tmp_path / "dataset"])
        while process.poll() is None and len(list(finished.glob("[!.]*.parquet"))) < wanted:
            time.sleep(0.02)
        process.kill()
        process.wait()
        written = {path.name: path.stat().st_mtime_ns for path in finished.glob("[!.]*.parquet")}
        # What was done before has not been done again.
        assert {name: written[name] for name in seen} == seen and len(written) >= wanted
        seen = written
    hashed: list[Path] = []
    again: list[str] = []

    def counted(path: Path, **options: Any) -> Any:
        again.append(path.name)
        return ingest_file_module.ingest_file(path, **options)

    monkeypatch.setattr("catseye.capture.workspace.sha256_of", hashed.append)
    monkeypatch.setattr("catseye.capture.ingestion.ingest_file", counted)
    dataset = run([tmp_path / "footage"], tmp_path / "dataset", width=64, height=48)
    names = {sha256_of(path): path.name for path in (tmp_path / "footage").iterdir()}
    # A worker that lost its ingest may have ended the file it was at.
    assert not hashed and len(again) <= count - len(seen)
    assert not {names[name.removesuffix(".parquet")] for name in seen} & set(again)
    assert len({clip.source for clip in dataset.clips}) == count
