"""What lies in front of an ingest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from catseye.capture.calibration import Calibration
from catseye.capture.probe import find_sources
from catseye.capture.sources import VideoFile
from catseye.errors import InputError, UsageError

K = ((100.0, 0.0, 80.0), (0.0, 100.0, 48.0), (0.0, 0.0, 1.0))


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    for name in ("van1/mon/a.mp4", "van1/mon/b.mp4", "van2/tue/a.mkv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_each_file_once_in_order_and_held_out_where_named_so(footage: Path) -> None:
    one = footage / "van1/mon/b.mp4"
    found = find_sources([footage, one], holdout=[one, footage / "van2"])
    assert [(s.path.relative_to(footage).as_posix(), s.held_out) for s in found] == [
        ("van1/mon/a.mp4", False),
        ("van1/mon/b.mp4", True),
        ("van2/tue/a.mkv", True),
    ]


def test_a_drive_is_a_file_by_its_content_or_what_the_path_says(footage: Path) -> None:
    plain = find_sources([footage])
    assert [s.drive(f"{i}" * 64) for i, s in enumerate(plain)] == ["a-00000000", "b-11111111", "a-22222222"]
    named = find_sources([footage], drive_from=r"(van\d/\w+)/")
    assert [s.drive("x" * 64) for s in named] == ["van1/mon", "van1/mon", "van2/tue"]


def test_the_path_that_names_the_drive_is_the_one_given(
    footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(footage)
    (found,) = find_sources([Path("van2")], drive_from=r"^(\w+)/tue")
    assert found.named_drive == "van2" and found.path == footage / "van2/tue/a.mkv"


@pytest.mark.parametrize("mark", ["dataset.json", ".work"])
def test_a_dataset_among_the_footage_is_no_footage(footage: Path, mark: str) -> None:
    shard = footage / "dataset/shards/0.mp4"
    shard.parent.mkdir(parents=True)
    shard.touch()
    assert len(find_sources([footage])) == 4
    (footage / "dataset" / mark).touch()
    assert [s.path.name for s in find_sources([footage])] == ["a.mp4", "b.mp4", "a.mkv"]
    with pytest.raises(InputError, match="has no video but the shards of a dataset"):
        find_sources([footage / "dataset"])


def test_sidecars_are_picked_up_and_a_given_calibration_is_for_all(footage: Path) -> None:
    Calibration(camera="front", width=160, height=96, K=K).save(footage / "van1/mon/a.calibration.json")
    (footage / "van1/mon/b.telemetry.csv").write_text("time_s,speed_mps\n0,5\n")
    a, b, c = find_sources([footage])
    assert a.calibration is not None and a.calibration.camera == "front" and a.telemetry is None
    assert b.calibration is None and b.telemetry is not None and c.telemetry is None
    Calibration(camera="any", width=160, height=96, K=K).save(footage / "all.json")
    found = find_sources([footage], calibration=footage / "all.json")
    assert [s.calibration.camera for s in found if s.calibration] == ["any"] * 3


def test_a_name_too_long_for_a_sidecar_has_none(footage: Path) -> None:
    video = footage / f"{'n' * 250}.mp4"
    video.write_bytes((footage / "van1/mon/a.mp4").read_bytes())
    (found,) = find_sources([video])
    assert found.calibration is None and found.telemetry is None


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("(", "is no regular expression"),
        (r"van\d", "has no group"),
        (r"(truck\d)", "names no drive for .*a.mp4"),
    ],
)
def test_expressions_that_name_no_drive(footage: Path, pattern: str, fault: str) -> None:
    with pytest.raises(UsageError, match=f"--drive-from .*{fault}"):
        find_sources([footage], drive_from=pattern)


def test_faults_are_found_before_anything_is_decoded(footage: Path) -> None:
    with pytest.raises(UsageError, match="nothing to ingest"):
        find_sources([])
    with pytest.raises(InputError, match="no such file or folder"):
        find_sources([footage / "van3"])
    (footage / "van1/mon/a.calibration.json").write_text('{"schema_version": "1.0", "width": 1}')
    with pytest.raises(InputError, match=r"a\.calibration\.json: field 'height'"):
        find_sources([footage])


def test_a_log_with_utc_is_joined_by_the_time_the_video_states(
    tmp_path: Path, drive: Callable[..., Path], remux: Callable[..., Path]
) -> None:
    video = remux(
        drive("plain.mp4"), tmp_path / "stated.mp4", metadata={"creation_time": "2026-05-04T03:02:01Z"}
    )
    lines = [f'{{"time": "2026-05-04T03:02:{second:02}Z", "speed_mps": {second}}}' for second in (1, 3)]
    (tmp_path / "stated.jsonl").write_text("\n".join(lines))
    (source,) = find_sources([video])
    assert source.telemetry is not None
    with VideoFile(video) as opened:
        first_s = float(opened.info.start_pts * opened.info.time_base)
    assert (source.telemetry.time_s - first_s).tolist() == pytest.approx([0, 2])
    assert source.telemetry.speed_mps.tolist() == [1, 3]
    (tmp_path / "plain.jsonl").write_text("\n".join(lines))
    with pytest.raises(InputError, match="its video has no start time"):
        find_sources([tmp_path / "plain.mp4"])
