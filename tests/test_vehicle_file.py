"""``catseye.toml``: what it says comes through, and what is wrong with it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from catseye import vehicle_file
from catseye.errors import InputError
from catseye.vehicle_file import read_vehicle_file

WHOLE = """
vehicle = "van-7"

[cameras.front]
url = "rtsp://camera/stream1"
proxy_url = "rtsp://camera/stream2"
calibration = "lenses/front.json"

[cameras.rear]
url = "/dev/video0"

[record]
segment_s = 30
quota = "200.5GB"
telemetry = "gpsd://localhost"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "catseye.toml"
    path.write_text(text)
    return path


def test_everything_comes_through(tmp_path: Path) -> None:
    vehicle = read_vehicle_file(write(tmp_path, WHOLE))
    assert vehicle.vehicle == "van-7"
    front, rear = vehicle.cameras["front"], vehicle.cameras["rear"]
    assert (front.url, front.proxy_url) == ("rtsp://camera/stream1", "rtsp://camera/stream2")
    assert front.calibration == tmp_path / "lenses/front.json"
    assert (rear.url, rear.proxy_url, rear.calibration) == ("/dev/video0", None, None)
    record = vehicle.record
    assert (record.segment_s, record.quota, record.min_free) == (30, "200.5GB", None)
    assert record.telemetry == "gpsd://localhost"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("vehicle = ", "is no TOML"),
        ("[cameras.front]\n", "field 'cameras.front.url': Field required"),
        ('[cameras.front]\nurl = "a"\nproxy = "b"\n', "field 'cameras.front.proxy': Extra inputs"),
        ("[record]\nsegment_s = 0\n", "field 'record.segment_s': Input should be greater than 0"),
        ("[record]\nmax_gap_s = inf\n", "field 'record.max_gap_s': Input should be a finite number"),
        ('[record]\nquota = "lots"\n', "field 'record.quota': Value error, 'lots' is no amount of data"),
        ('[record]\ncontainer = "avi"\n', "field 'record.container': Input should be 'mp4' or 'ts'"),
        ('vehicle = "../x"\n', "field 'vehicle': String should match"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InputError, match=rf"catseye\.toml: {fault}"):
        read_vehicle_file(write(tmp_path, text))


def test_the_example_holds(tmp_path: Path) -> None:
    _, _, example = (vehicle_file.__doc__ or "").partition("An example:")
    vehicle = read_vehicle_file(write(tmp_path, example))
    assert list(vehicle.cameras) == ["front"] and vehicle.record.quota == "200GB"


def test_an_absent_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_vehicle_file(tmp_path / "catseye.toml")
