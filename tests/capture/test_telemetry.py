"""Speed beside a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from catseye.capture.telemetry import Telemetry, read_telemetry
from catseye.errors import InputError


def write(folder: Path, text: str) -> Path:
    path = folder / "a.telemetry.csv"
    path.write_text(text)
    return path


def test_speed_is_linear_between_samples_and_unknown_far_from_them(tmp_path: Path) -> None:
    found = read_telemetry(write(tmp_path, "time_s,note,speed_mps\n10,a,4\n11,b,6\n\n12,c,\n16,d,10\n"))
    times_s = np.array([8.9, 9.0, 10.25, 11.0, 12.0, 12.1, 14.9, 15.5, 17.0, 17.1])
    expected = [np.nan, 4, 4.5, 6, 6.8, np.nan, np.nan, 9.6, 10, np.nan]
    np.testing.assert_allclose(found.speed_at(times_s), expected, rtol=1e-6)
    assert found.speed_at(times_s).dtype == np.float32


def test_no_samples_is_no_speed(tmp_path: Path) -> None:
    found = read_telemetry(write(tmp_path, "time_s,speed_mps\n"))
    assert isinstance(found, Telemetry) and np.isnan(found.speed_at(np.array([0.0, 1.0]))).all()


def test_the_place_is_read_where_it_is_told(tmp_path: Path) -> None:
    text = "time_s,speed_mps,latitude_deg,longitude_deg,heading_deg\n1,2,48.5,-11.25,90\n2,3,,,\n3,,49,12,\n"
    found = read_telemetry(write(tmp_path, text))
    np.testing.assert_array_equal(found.time_s, [1, 2])
    np.testing.assert_array_equal(found.latitude_deg, [48.5, np.nan])
    np.testing.assert_array_equal(found.longitude_deg, [-11.25, np.nan])
    assert found.speed_mps.dtype == np.float32
    half = read_telemetry(write(tmp_path, "time_s,speed_mps,latitude_deg\n1,2,48.5\n"))
    assert half.latitude_deg is None and half.longitude_deg is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "has not the columns"),
        ("time,speed\n1,2\n", "has not the columns time_s and speed_mps"),
        ("time_s,speed_mps\n1,2\n2,fast\n", "line 3 is not two numbers"),
        ("time_s,speed_mps\n1,2\n,3\n", "line 3 is not two numbers"),
        ("time_s,speed_mps\n1,2\n2\n", None),
        ("time_s,speed_mps\n1,inf\n", "line 2 is not finite"),
        ("time_s,speed_mps,latitude_deg,longitude_deg\n1,2,north,3\n", "line 2 is not four numbers"),
        ("time_s,speed_mps\n2,5\n1,6\n", "does not rise after 2"),
        ("time_s,speed_mps\n2,5\n2,6\n", "does not rise after 2"),
    ],
)
def test_lines_that_do_not_fit_are_named(tmp_path: Path, text: str, fault: str | None) -> None:
    path = write(tmp_path, text)
    if fault is None:
        np.testing.assert_allclose(read_telemetry(path).time_s, [1.0])
        return
    with pytest.raises(InputError, match=rf"a\.telemetry\.csv: .*{fault}.*; give a CSV with the header"):
        read_telemetry(path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.telemetry.csv"
    path.write_bytes(b"time_s,speed_mps\n\xff\xfe,1\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_telemetry(path)
