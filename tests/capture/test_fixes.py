"""Satellite fixes from every format tell the same drive; what does not fit is counted, never believed."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catseye.capture.fix_formats import parse_csv, parse_gpx, parse_jsonl, parse_nmea, utc_seconds
from catseye.capture.fixes import Fixes, on_video_clock, read_fixes, speed_between, telemetry_beside
from catseye.errors import InputError

START = datetime(2026, 5, 4, 3, 2, 0, tzinfo=timezone.utc)
METRE_DEG = 180 / math.pi / 6_371_008.8
"""Degrees of latitude in a metre on the mean sphere."""


def sentence(body: str) -> str:
    checksum = 0
    for letter in body.encode():
        checksum ^= letter
    return f"${body}*{checksum:02X}\r\n"


def nmea_angle(degrees: float, sides: str, width: int) -> str:
    whole = int(abs(degrees))
    return f"{whole:0{width}}{(abs(degrees) - whole) * 60:09.6f},{sides[degrees < 0]}"


def rmc(at: datetime, *, latitude: float = -33.5, longitude: float = 151.25, knots: float = 10.0) -> str:
    place = f"{nmea_angle(latitude, 'NS', 2)},{nmea_angle(longitude, 'EW', 3)}"
    time = f"{at:%H%M%S}.{at.microsecond // 10000:02}"
    return sentence(f"GNRMC,{time},A,{place},{knots:.3f},84.4,{at:%d%m%y},,,A")


def gga(at: datetime, *, latitude: float = -33.5, altitude: float = 45.5) -> str:
    place = f"{nmea_angle(latitude, 'NS', 2)},{nmea_angle(151.25, 'EW', 3)}"
    return sentence(f"GPGGA,{at:%H%M%S}.{at.microsecond // 10000:02},{place},1,08,0.9,{altitude},M,46.9,M,,")


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_sentence_of_the_standard_is_read() -> None:
    """The example that NMEA 0183's descriptions share: 48° 07.038' N, 11° 31.000' E, 22.4 knots."""
    parsed = parse_nmea(b"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A\r\n")
    (fix,) = parsed.samples
    assert datetime.fromtimestamp(fix.utc_s, timezone.utc) == datetime(
        1994, 3, 23, 12, 35, 19, tzinfo=timezone.utc
    )
    assert fix.latitude_deg == pytest.approx(48 + 7.038 / 60) and fix.longitude_deg == pytest.approx(
        11 + 31 / 60
    )
    assert fix.speed_mps == pytest.approx(22.4 * 1852 / 3600) and fix.heading_deg == 84.4


def test_nmea_sentences_of_one_moment_are_one_fix(tmp_path: Path) -> None:
    vtg = sentence("GPVTG,90.5,T,,M,20.000,N,37.040,K,A")
    text = "".join(
        rmc(START + timedelta(seconds=s)) + vtg + gga(START + timedelta(seconds=s)) for s in range(3)
    )
    fixes = read_fixes(write(tmp_path, "a.nmea", text))
    np.testing.assert_allclose(fixes.utc_s, START.timestamp() + np.arange(3))
    np.testing.assert_allclose(fixes.latitude_deg, -33.5)
    np.testing.assert_allclose(fixes.longitude_deg, 151.25)
    np.testing.assert_allclose(fixes.altitude_m, 45.5)
    np.testing.assert_allclose(fixes.speed_mps, 20 * 1852 / 3600)
    np.testing.assert_allclose(fixes.heading_deg, 90.5)


def test_an_nmea_log_without_a_date_of_its_own_crosses_midnight_both_ways() -> None:
    eve = datetime(2026, 12, 31, 23, 59, 58, tzinfo=timezone.utc)
    times = [eve + timedelta(seconds=s) for s in range(6)]
    text = "".join(gga(t) for t in times[:3]) + rmc(times[3]) + "".join(gga(t) for t in times[4:])
    assert [s.utc_s for s in parse_nmea(text.encode()).samples] == [t.timestamp() for t in times]
    text = rmc(times[0]) + "".join(gga(t) for t in times[1:])
    assert [s.utc_s for s in parse_nmea(text.encode()).samples] == [t.timestamp() for t in times]
    undated = "".join(gga(t) for t in times)
    assert parse_nmea(undated.encode()).samples == []


def test_nmea_lines_that_do_not_fit_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = rmc(START)
    text = (
        good
        + rmc(START + timedelta(seconds=1)).replace("3330", "3331")  # its checksum is of other words
        + good.split("*", maxsplit=1)[0] + "\n"  # no checksum
        + sentence("GPRMC,030203,A,9930.0,N,15115.0,E,1,1,040526")  # no such latitude
        + sentence("GPGSV,3,1,11,03,03,111,00")  # of another kind: not a fault
        + "2026-05-04T03:02:04Z " + rmc(START + timedelta(seconds=4))
        + "\x00\xff\n"
    )  # fmt: skip
    fixes = read_fixes(write(tmp_path, "a.nmea", text))
    assert list(fixes.utc_s - START.timestamp()) == [0, 4]
    assert caplog.messages == [f"{tmp_path / 'a.nmea'}: 4 lines do not fit and are passed over"]


def test_a_receiver_without_a_fix_tells_none() -> None:
    void = sentence("GPRMC,030200.00,V,,,,,,,040526,,,N") + sentence("GPGGA,030200.00,,,,,0,00,99.99,,,,,,")
    found = parse_nmea((sentence("GPRMC,,V,,,,,,,,,,N") + void).encode())
    assert (found.samples, found.bad) == ([], 0)


GPX_11 = """<?xml version="1.0"?><gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"
 xmlns:t="http://www.garmin.com/xmlschemas/TrackPointExtension/v2"><trk><trkseg>
<trkpt lat="-33.5" lon="151.25"><ele>45.5</ele><time>2026-05-04T03:02:00Z</time><extensions>
<t:TrackPointExtension><t:speed>12.5</t:speed><t:course>84</t:course></t:TrackPointExtension></extensions></trkpt>
<trkpt lat="-33.5" lon="151.25"><time>2026-05-04T05:02:01.250+02:00</time></trkpt>
<trkpt lat="95" lon="151.25"><time>2026-05-04T03:02:02Z</time></trkpt>
<trkpt lat="-33.5" lon="151.25"></trkpt>
</trkseg></trk></gpx>"""


def test_gpx_with_the_speed_of_an_extension_or_of_version_1_0() -> None:
    parsed = parse_gpx(GPX_11.encode())
    first, second = parsed.samples
    assert (first.latitude_deg, first.longitude_deg, first.altitude_m) == (-33.5, 151.25, 45.5)
    assert (first.utc_s, first.speed_mps, first.heading_deg) == (START.timestamp(), 12.5, 84)
    assert second.utc_s == START.timestamp() + 1.25 and math.isnan(second.speed_mps)
    assert parsed.bad == 1
    (old,) = parse_gpx(
        b'<gpx version="1.0" xmlns="http://www.topografix.com/GPX/1/0"><trk><trkseg><trkpt lat="1" lon="2">'
        b"<time>2026-05-04T03:02:00Z</time><course>5</course><speed>3</speed></trkpt></trkseg></trk></gpx>"
    ).samples
    assert (old.speed_mps, old.heading_deg) == (3, 5)


def test_gpx_is_read_up_to_where_it_is_cut_off_and_entities_are_refused() -> None:
    cut = parse_gpx(GPX_11.encode()[: GPX_11.index('<trkpt lat="95"') + 20])
    assert (len(cut.samples), cut.bad) == (2, 1)
    bomb = GPX_11.replace("<gpx", '<!DOCTYPE g [<!ENTITY a "b">]><gpx', 1)
    assert parse_gpx(bomb.encode()).samples == []


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("time_utc,latitude_deg,longitude_deg,speed_mps", "2026-05-04T03:02:00Z,-33.5,151.25,12.5"),
        ("Timestamp;Lat;Lon;Speed (km/h)", "2026-05-04 05:02:00+02:00;-33.5;151.25;45"),
        ("utc_s\tlatitude\tlng\tspeed_mph", "1777863720\t-33.5\t151.25\t27.9617"),
        ("timestamp_ms,gps_lat,gps_lon,speed_knots", "1777863720000,-33.5,151.25,24.29806"),
        ("timestamp,LATITUDE,LONGITUDE,kph,note", "1777863720000000000,-33.5,151.25,45,x"),
        ("\ufefftime,lat,long,speed m/s", '"2026-05-04T03:02:00.000",-33.5,151.25,12.5'),
    ],
)
def test_csv_by_the_names_that_loggers_use(header: str, row: str) -> None:
    parsed = parse_csv(f"{header}\n{row}\n".encode())
    (fix,) = parsed.samples
    assert (fix.utc_s, fix.latitude_deg, fix.longitude_deg) == (START.timestamp(), -33.5, 151.25)
    assert fix.speed_mps == pytest.approx(12.5, abs=1e-4) and parsed.bad == 0


def test_csv_lines_that_do_not_fit_are_counted() -> None:
    text = "utc,lat,lon\n2026-05-04T03:02:00Z,1,2\nnow,1,2\n2026-05-04T03:02:01Z,91,2\n,1,2\n1,inf,2\n"
    parsed = parse_csv(text.encode())
    assert (len(parsed.samples), parsed.bad) == (1, 4)


def test_json_lines_as_gpsd_writes_them_and_as_others_do() -> None:
    lines = [
        {"class": "VERSION", "release": "3.22"},
        {"class": "TPV", "mode": 1},
        {"class": "TPV", "mode": 3, "time": "2026-05-04T03:02:00.000Z", "lat": -33.5, "lon": 151.25,
         "altMSL": 45.5, "speed": 12.5, "track": 84.0},
        {"class": "SKY", "time": "2026-05-04T03:02:00.000Z"},
        {"timestamp_ms": 1777863721000, "speed_kmh": 36, "heading": None, "wheels": [1, 2]},
        {"timestamp_ms": 1777863722000, "speed_kmh": [36]},
    ]  # fmt: skip
    parsed = parse_jsonl("\n".join([*map(json.dumps, lines), "[1]", "{", ""]).encode())
    first, second = parsed.samples
    assert (first.utc_s, first.altitude_m, first.heading_deg) == (START.timestamp(), 45.5, 84.0)
    assert (second.utc_s, second.speed_mps) == (START.timestamp() + 1, 10.0) and math.isnan(
        second.latitude_deg
    )
    assert parsed.bad == 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01t00:00:01.5z", 1.5),
        ("1970-01-01 01:00:01,25+01:00", 1.25),
        ("1969-12-31T19:00:01-05", 1.0),
        ("1970-01-01 00:00:01", 1.0),
    ],
)
def test_times_in_iso_8601(text: str, seconds: float) -> None:
    assert utc_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-05-04"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        utc_seconds(text)


@pytest.mark.parametrize(
    ("name", "text"), [("a.nmea", "hello\n"), ("a.gpx", "<gpx"), ("a.csv", "a,b\n1,2\n"), ("a.log", "")]
)
def test_a_log_without_a_fix_is_named(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(InputError, match=rf"{name}: holds no fix .*; give NMEA"):
        read_fixes(write(tmp_path, name, text))


def test_the_kind_is_told_by_the_content_where_the_name_tells_none(tmp_path: Path) -> None:
    for text in (
        rmc(START),
        GPX_11,
        "utc,lat,lon\n2026-05-04T03:02:00Z,1,2\n",
        '\n{"time": 1e9, "speed": 1}',
    ):
        assert len(read_fixes(write(tmp_path, "drive.log", text)))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
def test_damaged_logs_never_raise(noise: bytes, at: int, byte: int) -> None:
    logs = {
        parse_nmea: (rmc(START) + gga(START)).encode(),
        parse_gpx: GPX_11.encode(),
        parse_csv: b"utc,lat,lon,speed\n2026-05-04T03:02:00Z,1,2,3\n1777863720,1,2,3\n",
        parse_jsonl: b'{"class":"TPV","mode":3,"time":"2026-05-04T03:02:00Z","lat":1,"lon":2}\n',
    }
    for parse, log in logs.items():
        damaged = bytearray(log)
        damaged[at % len(log)] = byte
        for content in (bytes(damaged), log[: at % len(log)] + noise, noise):
            for sample in parse(content).samples:
                assert math.isfinite(sample.utc_s)


def test_speed_from_positions_is_the_path_over_the_time() -> None:
    times_s = np.array([0.0, 1.0, 2.0, 4.0, 30.0, 31.0])
    north_m = np.array([0.0, 10.0, 30.0, 90.0, 90.0, 95.0])
    speed = speed_between(times_s, north_m * METRE_DEG, np.full(6, 151.25))
    # In the middle both sides count; a step of 26 s tells nothing.
    np.testing.assert_allclose(speed, [10, 15, 80 / 3, np.nan, np.nan, 5], rtol=1e-6)
    east = speed_between(np.array([0.0, 1.0]), np.full(2, 60.0), np.array([0.0, 20 * METRE_DEG]))
    np.testing.assert_allclose(east, 10, rtol=1e-6)  # cos 60° is a half
    assert len(speed_between(np.zeros(0), np.zeros(0), np.zeros(0))) == 0
    assert np.isnan(speed_between(np.zeros(1), np.zeros(1), np.zeros(1))).all()


def test_fixes_are_in_order_and_of_one_time_is_one() -> None:
    text = "utc,lat,lon,speed\n100,1,1,5\n90,1,1,4\n100,2,1,\n95,,,7\n"
    fixes = Fixes.of(parse_csv(text.encode()).samples)
    np.testing.assert_array_equal(fixes.utc_s, [90, 95, 100])
    np.testing.assert_array_equal(fixes.speed_mps, [4, 7, 5])
    np.testing.assert_array_equal(fixes.latitude_deg, [1, np.nan, 2])
    np.testing.assert_array_equal(fixes.between(90, 95).utc_s, [90, 95])
    assert len(fixes.between(96, 99)) == 0


def test_fixes_on_a_videos_clock() -> None:
    text = (
        "utc,lat,lon,speed\n2026-05-04T03:02:01Z,1,2,5\n2026-05-04T03:02:02Z,,,\n2026-05-04T03:02:03Z,1,,6\n"
    )
    fixes = Fixes.of(parse_csv(text.encode()).samples)
    telemetry = on_video_clock(fixes, start_utc=START + timedelta(seconds=0.5), first_pts_s=1.4)
    np.testing.assert_allclose(telemetry.time_s, [1.9, 3.9], atol=1e-6)
    np.testing.assert_array_equal(telemetry.speed_mps, [5, 6])
    np.testing.assert_array_equal(telemetry.longitude_deg, [2, np.nan])


def test_what_lies_beside_a_video_is_joined(tmp_path: Path) -> None:
    video = tmp_path / "20260504T030200.500Z.mp4"
    assert telemetry_beside(video, start_utc=START, first_pts_s=0.0) is None
    log = write(tmp_path, "20260504T030200.500Z.gpx", GPX_11)
    found = telemetry_beside(video, start_utc=START, first_pts_s=10.0)
    assert found is not None and list(found.time_s) == [10.0, 11.25]
    with pytest.raises(InputError, match=r"\.gpx: cannot be joined: its video has no start time"):
        telemetry_beside(video, start_utc=None, first_pts_s=0.0)
    write(tmp_path, "20260504T030200.500Z.telemetry.csv", "time_s,speed_mps\n3,4\n")
    own = telemetry_beside(video, start_utc=None, first_pts_s=0.0)
    assert own is not None and list(own.time_s) == [3.0] and log.exists()
