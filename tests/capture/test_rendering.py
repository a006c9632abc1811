"""Rendering a world into a folder: the files, their determinism, going on, and what is refused."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import planes_to_rgb
from catseye.capture.rendering import load_truth, synth
from catseye.capture.rendering.clip import Clip, ClipSpec, _stops
from catseye.capture.rendering.look import PALETTES, Layout, draw_layout
from catseye.capture.rendering.motion import draw_traffic, draw_wishes, drive
from catseye.capture.sources import VideoFile
from catseye.errors import InputError, UsageError

SMALL: dict[str, Any] = {"clips": 2, "duration_s": 0.8, "width": 96, "height": 64, "label_every": 4}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth(tmp_path_factory.mktemp("world"), seed=4, jobs=1, **SMALL)


def test_each_clip_has_its_files(world: Path) -> None:
    names = {path.name for path in world.iterdir()}
    for clip in ("road-s4-000", "road-s4-001"):
        assert {f"{clip}.{s}" for s in ("mp4", "calibration.json", "telemetry.csv", "truth.npz")} <= names


def test_video_truth_and_telemetry_share_a_clock(world: Path) -> None:
    for path in world.glob("*.mp4"):
        truth = load_truth(path.with_suffix(".truth.npz"))
        with VideoFile(path) as video:
            frames = [(frame.pts, frame.time_s) for frame in video.frames()]
        assert [pts for pts, _ in frames] == truth.pts.tolist()
        with path.with_suffix(".telemetry.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        np.testing.assert_allclose(
            [float(row["time_s"]) for row in rows], [time for _, time in frames], atol=1e-6
        )
        np.testing.assert_allclose([float(row["speed_mps"]) for row in rows], truth.speed_mps, atol=1e-4)


def test_calibration_is_that_of_the_truth(world: Path) -> None:
    focals = set()
    for path in world.glob("*.mp4"):
        calibration = Calibration.load(path.with_suffix(".calibration.json"))
        np.testing.assert_allclose(calibration.matrix, load_truth(path.with_suffix(".truth.npz")).K)
        assert (calibration.width, calibration.height) == (96, 64)
        assert 0.8 <= calibration.K[0][0] / 96 <= 1.2
        focals.add(calibration.K[0][0])
    assert len(focals) == 2


def test_video_shows_the_rendered_frames(world: Path) -> None:
    spec = ClipSpec(4, 1, 10, 12.5, 96, 64, "train")
    with VideoFile(world / "road-s4-001.mp4") as video:
        for rendered, frame in zip(Clip(spec).frames(), video.frames(), strict=True):
            assert np.abs(planes_to_rgb(frame.planes).astype(float) - rendered).mean() < 8


def test_labels_are_the_truth_of_the_stills(world: Path) -> None:
    labels = json.loads((world / "instances_coco.json").read_text())
    assert labels["categories"] == [{"id": 1, "name": "vehicle"}]
    assert len(labels["images"]) == 2 * 3
    by_image = {image["id"]: image for image in labels["images"]}
    for image in labels["images"]:
        assert cv2.imread(str(world / "images" / image["file_name"])).shape == (64, 96, 3)
    for annotation in labels["annotations"]:
        name = by_image[annotation["image_id"]]["file_name"]
        clip, frame = name[: len("road-s4-000")], int(name[-9:-4])
        truth = load_truth(world / f"{clip}.truth.npz")
        x, y, w, h = annotation["bbox"]
        same = (truth.frame_index == frame) & (np.abs(truth.boxes - [x, y, x + w, y + h]).max(axis=1) < 1e-3)
        assert same.any()
        asked = (truth.boxes[:, 3] - truth.boxes[:, 1] >= 10) & (truth.visibility >= 0.4)
        assert annotation["iscrowd"] in {int(not row) for row in asked[same]}
        assert annotation["category_id"] == 1
        assert annotation["distance_m"] in {float(metres) for metres in truth.distances_m[same]}
    expected = 0
    for path in world.glob("*.truth.npz"):
        truth = load_truth(path)
        expected += int(((truth.visibility > 0) & (truth.frame_index % 4 == 0)).sum())
    assert len(labels["annotations"]) == expected
    assert {annotation["iscrowd"] for annotation in labels["annotations"]} == {0, 1}


def test_the_same_seed_gives_the_same_world_in_any_number_of_processes(world: Path, tmp_path: Path) -> None:
    again = synth(tmp_path, seed=4, jobs=2, **SMALL)
    files, others = (
        sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file() and path.suffix != ".mp4")
        for out in (world, again)
    )
    assert files == others
    assert len(files) > 10
    for file in files:
        assert (world / file).read_bytes() == (again / file).read_bytes(), file


def test_nothing_renders_on_for_a_call_that_was_killed(tmp_path: Path) -> None:
    options = {**SMALL, "clips": 200, "jobs": 2, "seed": 4}
    code = "import sys; from pathlib import Path; from catseye.capture.rendering import synth\n"
    code += f"if __name__ == '__main__': synth(Path(sys.argv[1]), **{options})"
    script = tmp_path / "script.py"
    script.write_text(code)
    with subprocess.Popen([sys.executable, script, tmp_path / "out"]) as call:
        wait_until(lambda: any(tmp_path.glob("out/*.truth.npz")))
        renderers = children(call.pid)
        call.send_signal(signal.SIGKILL)
    assert len(renderers) >= 2
    wait_until(lambda: not any(is_running(pid) for pid in renderers))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """Whether a process is there that has not ended, even where nobody has asked how it did."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(1200):
        if happened():
            return
        time.sleep(0.05)
    pytest.fail("it did not happen within a minute")


def test_other_seeds_and_clips_are_other_worlds() -> None:
    frames = [
        next(Clip(ClipSpec(seed, number, 2, 12.5, 96, 64, "train")).frames()).astype(float)
        for seed, number in ((0, 0), (0, 1), (1, 0))
    ]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(frames[a] - frames[b]).mean() > 10


def test_heldout_appearance_shares_nothing_with_train() -> None:
    train, heldout = PALETTES["train"], PALETTES["heldout"]
    for field in train.__dataclass_fields__:
        assert not set(getattr(train, field)) & set(getattr(heldout, field)), field


def test_complete_clips_are_kept_and_the_rest_is_rendered(tmp_path: Path) -> None:
    synth(tmp_path, seed=4, jobs=1, **SMALL)
    kept, lost = tmp_path / "road-s4-000.mp4", tmp_path / "road-s4-001.mp4"
    before = kept.stat().st_mtime_ns
    lost.unlink()
    told: list[tuple[int, int]] = []
    synth(tmp_path, seed=4, jobs=1, progress=lambda _, done, total: told.append((done, total)), **SMALL)
    assert kept.stat().st_mtime_ns == before
    assert lost.is_file()
    assert told == [(1, 2), (2, 2)]


def test_other_arguments_render_the_folder_anew(tmp_path: Path) -> None:
    synth(tmp_path, seed=4, jobs=1, **SMALL)
    foreign = tmp_path / "notes.txt"
    foreign.write_text("mine")
    synth(tmp_path, seed=5, jobs=1, **{**SMALL, "clips": 1})
    assert foreign.read_text() == "mine"
    assert [path.name for path in tmp_path.glob("*.mp4")] == ["road-s5-000.mp4"]
    stills = {
        image["file_name"] for image in json.loads((tmp_path / "instances_coco.json").read_text())["images"]
    }
    assert {path.name for path in (tmp_path / "images").iterdir()} == stills


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("seed", -1), ("clips", 0), ("duration_s", 0.05), ("duration_s", float("nan")), ("fps", 0.0),
        ("width", 97), ("height", 20), ("appearance", "other"), ("label_every", 0), ("jobs", -2),
    ],
)  # fmt: skip
def test_impossible_options_are_refused_by_value(tmp_path: Path, option: str, value: Any) -> None:
    with pytest.raises(UsageError, match=str(value).replace(".", r"\.")):
        synth(tmp_path / "out", **{**SMALL, "jobs": 1, option: value})
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        synth(tmp_path / "file", jobs=1, **SMALL)
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_no_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_truth(tmp_path / "none.truth.npz")
    for content in (b"", b"no archive", b"PK\x03\x04 cut off"):
        broken = tmp_path / "broken.truth.npz"
        broken.write_bytes(content)
        with pytest.raises(InputError, match="is not the truth"):
            load_truth(broken)
    other = tmp_path / "other.truth.npz"
    np.savez(other, version=1, pts=np.arange(3))
    with pytest.raises(InputError, match="is not the truth"):
        load_truth(other)


def test_one_clip_in_six_stops() -> None:
    for seed in range(4):
        stops = [_stops(seed, number) for number in range(12)]
        assert sum(stops[:6]) == 1 and sum(stops[6:]) == 1
    wish = draw_wishes(np.random.default_rng(1), frames=100, dt=0.08, stops=True, pace=(4.0, 12.0))
    assert (wish == 0).sum() * 0.08 > 2


def test_nobody_drives_into_anybody() -> None:
    """Vehicles of one direction keep their order and their distance wherever they share a lane."""
    motorway = Layout("highway", (2.6, 6.1, 9.6), (-2.6, -6.1), 3.5, -10.0, 13.5, 0.0, 0.0, 1.7)
    changes = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        layout = motorway if seed % 3 else draw_layout(rng)
        wishes = draw_wishes(rng, frames=120, dt=0.08, stops=seed == 3, pace=(5.0, 16.0))
        traffic = draw_traffic(rng, layout, ego_wish=wishes, reach=120.0)
        motion = drive(traffic, wishes, dt=0.08)
        for direction in (-1, 1):
            mine = np.flatnonzero(traffic.direction == direction)
            s, d, length = motion.s[:, mine], motion.d[:, mine], traffic.length[mine]
            gaps = np.abs(s[:, :, None] - s[:, None, :]) - (length[:, None] + length[None]) / 2
            abreast = np.abs(d[:, :, None] - d[:, None, :]) < 1.5
            gaps[:, np.arange(len(mine)), np.arange(len(mine))] = np.inf
            assert gaps[abreast].min() > 0.2, seed
        changes += int((np.ptp(motion.d, axis=0) > 2).sum())
        speeds = np.diff(motion.s, axis=0) * traffic.direction / 0.08
        assert speeds.min() >= 0 and speeds.max() < 25
    assert changes > 3
