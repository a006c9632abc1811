"""What an inspection counts, chooses and shows."""

from __future__ import annotations

import base64
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NoReturn

import cv2
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catseye.capture import ingest
from catseye.capture.dataset import Dataset, DatasetInfo
from catseye.capture.ingest_file import set_aside
from catseye.capture.inspection import inspect
from catseye.capture.inspection.balance import balances, duration, percent
from catseye.capture.inspection.columns import columns_of
from catseye.capture.inspection.page import render_page
from catseye.capture.inspection.positions import MOST_SAMPLES, Track, project, read_tracks, split_by_place
from catseye.capture.inspection.sheets import Thumbnail, choose_kept, choose_set_aside, spread
from catseye.capture.inspection.summary import (
    InspectionSummary,
    groups,
    histogram,
    histograms,
    summarise,
    totals,
)
from catseye.capture.inspection.track_map import MOST_POINTS, track_map
from catseye.capture.manifest import Clip
from catseye.errors import InputError, UsageError

HOSTILE = "<script>alert('1')</script>\"&<img src=x onerror=alert(2)>"
LISTS = ("pts", "durations", "key_flags", "shard_pts", "shard_key_flags")


class Unwalkable(np.ndarray[Any, np.dtype[Any]]):
    """An array of frames that may be sliced and joined, but not gone through frame by frame."""

    def __iter__(self) -> Iterator[NoReturn]:
        raise AssertionError("a list of frames was gone through one by one")


def row(name: str = "a", *, seconds: float = 60, **changes: Any) -> Clip:
    """A usable clip at 10 frames a second; the changes are fields of ``Clip``."""
    count = round(seconds * 10)
    fields: dict[str, Any] = {
        "clip_id": name,
        "source": f"/footage/{name}.mp4",
        "source_sha256": name,
        "drive": "d",
        "vehicle": "",
        "camera": "",
        "start_time": None,
        "width": 1280,
        "height": 720,
        "time_base": Fraction(1, 10),
        "pts": np.arange(count),
        "durations": np.ones(count, np.int64),
        "key_flags": np.ones(count, bool),
        "shard": "shards/a.mp4",
        "shard_pts": np.arange(count),
        "shard_key_flags": np.ones(count, bool),
        "tags": frozenset(),
        "usable": True,
        "reason": "",
        "split": "train",
        "speed_mps": np.full(count, np.nan, np.float32),
        "intrinsics": None,
        "calibration_hash": "",
        "brightness": 100.0,
        "sharpness": 50.0,
        "motion": 5.0,
    }
    fields.update(changes)
    if fields["tags"] and "usable" not in changes:
        fields.update(usable=False, reason=", ".join(sorted(fields["tags"])))
    if np.isscalar(fields["speed_mps"]):
        fields["speed_mps"] = np.full(count, fields["speed_mps"], np.float32)
    return Clip(**fields)


def dataset_of(clips: Sequence[Clip], url: str = "/data/fleet") -> Dataset:
    info = DatasetInfo(
        width=320, height=192, max_clip_s=10, clips=len(clips), usable_clips=0, sources=0, drives=0, hours=0,
        usable_hours=0, fingerprint="f" * 64, created_by="catseye test",
    )  # fmt: skip
    return Dataset(url, info, tuple(clips))


def page_of(summary: InspectionSummary, tracks: Sequence[Track] = (), **sheets: Sequence[Thumbnail]) -> str:
    return render_page(summary, tracks, **{"kept": (), "set_aside": (), **sheets})


def track(
    latitude: Sequence[float], longitude: Sequence[float], speed: float = 10.0, step_s: float = 1.0
) -> Track:
    count = len(latitude)
    return Track(
        np.arange(count) * step_s,
        np.array(latitude, float),
        np.array(longitude, float),
        np.full(count, speed),
    )


# Numbers


def test_totals_count_what_is_there_and_what_is_usable() -> None:
    rows = columns_of(
        [
            row("a", vehicle="van", camera="front", start_time=datetime(2025, 3, 1, 8, tzinfo=timezone.utc)),
            row("b", seconds=30, drive="e", camera="rear", tags=frozenset({"dark"})),
            set_aside("/footage/c.mp4", "", "unreadable", "is cut off"),
        ]
    )
    found = totals(rows)
    assert (found.hours, found.usable_hours) == pytest.approx((90 / 3600, 60 / 3600))
    assert (found.clips, found.usable_clips, found.frames, found.files) == (2, 1, 900, 3)
    assert (found.drives, found.vehicles, found.cameras) == (2, 1, 2)
    assert (found.first_day, found.last_day) == ("2025-03-01", "2025-03-01")


def test_groups_add_up_and_a_clip_counts_for_each_of_its_tags() -> None:
    found = groups(
        columns_of(
            [
                row("a", camera="front"),
                row("b", camera="front", seconds=120, tags=frozenset({"dark", "short"})),
                row("c", seconds=30),
                set_aside("/footage/d.mp4", "", "unreadable", "is cut off"),
            ]
        )
    )
    front, unnamed = found["camera"]
    assert (front.name, front.clips, front.usable_clips) == ("front", 2, 1)
    assert (front.hours * 3600, front.usable_hours * 3600) == pytest.approx((180, 60))
    assert (unnamed.name, unnamed.clips) == ("not known", 1)
    assert [(tag.name, tag.clips, tag.usable_hours) for tag in found["tag"]] == [
        ("dark", 1, 0),
        ("short", 1, 0),
    ]
    assert [(group.name, group.clips) for group in found["reason"]] == [("dark, short", 1)]


def test_days_are_in_their_order() -> None:
    days = [datetime(2025, 3, day, tzinfo=timezone.utc) for day in (9, 2, 30)]
    found = groups(
        columns_of([row(str(i), seconds=10 * i + 10, start_time=day) for i, day in enumerate(days)])
    )
    assert [day.name for day in found["day"]] == ["2025-03-02", "2025-03-09", "2025-03-30"]


def test_a_histogram_takes_every_hour_once() -> None:
    values = np.array([-5, 0.5, 1.5, 99, np.nan])
    hours, usable = np.array([1.0, 2, 4, 8, 16]), np.array([True, True, False, True, True])
    found = histogram("x", "y", values, hours, usable, edges=np.array([0.0, 1, 2]))
    assert found.usable_hours == (3, 8)
    assert found.set_aside_hours == (0, 4)
    assert found.unknown_hours == 16


def test_speed_counts_frame_by_frame() -> None:
    changing = np.repeat(np.float32([5, 20, np.nan]), 200)
    speed = histograms(
        columns_of([row("a", speed_mps=changing), row("b", speed_mps=5.0, tags=frozenset({"dark"}))])
    )[0]
    assert speed.name == "speed"
    at_18 = int(np.searchsorted(speed.edges, 18, side="right")) - 1
    assert speed.usable_hours[at_18] * 3600 == pytest.approx(20)
    assert speed.set_aside_hours[at_18] * 3600 == pytest.approx(60)
    assert sum(speed.usable_hours) * 3600 == pytest.approx(40)
    assert speed.unknown_hours * 3600 == pytest.approx(20)
    assert speed.edges[-1] >= 72


def test_what_there_is_much_and_little_of_is_said_in_words() -> None:
    start = datetime(2025, 3, 1, 8, 30, tzinfo=timezone.utc)
    rows = columns_of(
        [
            row(
                "day",
                seconds=1800,
                brightness=110,
                start_time=start,
                speed_mps=20.0,
                drive="one",
                camera="front",
            ),
            row("night", seconds=120, brightness=30, speed_mps=1.0, drive="two", camera="front"),
            row("stands", seconds=80, tags=frozenset({"stationary"}), drive="one", camera="rear"),
        ]
    )
    light, hour, movement, speed, camera, drive = balances(rows)
    assert light.sentence == "94 % of the usable hours are daylight; none is dusk."
    assert [(share.name, share.standing) for share in light.shares] == [
        ("night", "under"),
        ("dusk", "under"),
        ("daylight", "over"),
    ]
    assert "100 % of the usable hours of which the hour of the day is known are 06–12 UTC" in hour.sentence
    assert hour.unknown_hours * 60 == pytest.approx(2)
    assert movement.sentence == "96 % of all hours are moving; standing has 1 minute."
    assert [round(share.hours * 60) for share in speed.shares] == [2, 0, 0, 30, 0, 0]
    assert camera.sentence == "All of it is of one camera, front."
    assert drive.sentence == "Of 2 drives, one drive, one, has 94 % of the usable hours."


def test_standing_is_told_by_speed_too() -> None:
    movement = balances(columns_of([row("a", speed_mps=0.1), row("b", speed_mps=9.0), row("c")]))[2]
    assert [round(share.hours * 60, 3) for share in movement.shares] == [1, 2]


def test_an_empty_dataset_has_a_page() -> None:
    summary = summarise(dataset_of([]))
    assert summary.totals.hours == 0
    assert "Nothing is known of the light." in page_of(summary)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (50, "50 seconds"),
        (59.9, "1 minute"),
        (720, "12 minutes"),
        (5400, "1.5 hours"),
        (3600 * 250, "250 hours"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds / 3600) == text


def test_a_little_is_not_nothing_and_nearly_all_is_not_all() -> None:
    assert [percent(share) for share in (0.0, 0.001, 0.5, 0.999, 1.0)] == [
        "0 %",
        "under 1 %",
        "50 %",
        "over 99 %",
        "100 %",
    ]


def test_no_list_of_frames_is_gone_through() -> None:
    clips = [
        row(str(i), speed_mps=12.0, start_time=datetime(2025, 1, 1, tzinfo=timezone.utc)) for i in range(20)
    ]
    guarded = []
    for clip in clips:
        lists = {name: getattr(clip, name).view(Unwalkable) for name in (*LISTS, "speed_mps")}
        guarded.append(Clip(**{**clip.__dict__, **lists}))
    with pytest.raises(AssertionError):
        list(guarded[0].pts)
    assert summarise(dataset_of(guarded)) == summarise(dataset_of(clips))


# The page


class Outline(HTMLParser):
    """Elements with their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_text_from_files_stays_text() -> None:
    clip = row("a", source=HOSTILE, drive=HOSTILE, camera=HOSTILE, vehicle=HOSTILE, split=HOSTILE)
    aside = row("b", tags=frozenset({HOSTILE}), source=HOSTILE)
    lost = set_aside(HOSTILE, "", "unreadable", HOSTILE)
    copy = set_aside(HOSTILE, "x", "duplicate", HOSTILE)
    page = page_of(
        summarise(dataset_of([clip, aside, lost, copy], HOSTILE)),
        kept=[Thumbnail(clip, b"jpeg")],
        set_aside=[Thumbnail(aside, b"", HOSTILE)],
    )
    outline = Outline(page)
    assert HOSTILE in outline.text
    assert not {"script", "iframe", "object", "link"} & {tag for tag, _ in outline.elements}
    assert not [name for _, attributes in outline.elements for name in attributes if name.startswith("on")]
    assert [attributes["title"] for tag, attributes in outline.elements if tag == "figure"] == [HOSTILE] * 2


def test_the_page_fetches_nothing() -> None:
    clip = row("a", camera="front")
    page = page_of(
        summarise(dataset_of([clip])), [track([48, 48.1], [16, 16.1])], kept=[Thumbnail(clip, b"x")]
    )
    outline = Outline(page)
    links = [
        a[name] or "" for _, a in outline.elements for name in ("src", "href", "xlink:href") if name in a
    ]
    assert links and all(link.startswith("data:image/jpeg;base64,") for link in links)
    assert "url(" not in page and "@import" not in page and "http" not in page
    assert ("meta", {"name": "viewport", "content": "width=device-width,initial-scale=1"}) in outline.elements
    assert "prefers-color-scheme:dark" in page


def test_the_page_of_ten_thousand_clips_is_small() -> None:
    def many(count: int) -> str:
        clips: list[Clip] = []
        for i in range(count):
            start = datetime(2020 + i % 6, 1 + i % 12, 1 + i % 28, i % 24, tzinfo=timezone.utc)
            if i % 7 == 0:
                clips.append(set_aside(f"/footage/{i}.mp4", str(i), "unreadable", f"is cut off after {i} s"))
            else:
                tags = frozenset({"dark"}) if i % 5 == 0 else frozenset[str]()
                clips.append(
                    row(
                        str(i),
                        seconds=2,
                        drive=f"drive {i}",
                        camera=f"camera {i}",
                        vehicle=f"van {i}",
                        start_time=start,
                        tags=tags,
                    )
                )
        return page_of(summarise(dataset_of(clips)))

    small, large = many(500), many(10_000)
    assert len(large) < 100_000
    assert len(large) < 1.2 * len(small)
    assert "and 1,329 more" in large


def test_reasons_and_files_are_shown() -> None:
    clips = [
        row("a"),
        row("b", tags=frozenset({"frozen"}), reason="the picture is frozen", usable=False),
        set_aside("/footage/cut.mp4", "", "unreadable", "the file ends 12 s early"),
        set_aside("/footage/again.mp4", "a", "near-duplicate", "looks like /footage/a.mp4"),
    ]
    text = Outline(page_of(summarise(dataset_of(clips)))).text
    for expected in (
        "the picture is frozen",
        "/footage/cut.mp4",
        "ends 12 s early",
        "looks like /footage/a.mp4",
    ):
        assert expected in text


# Contact sheets


def test_a_sheet_is_spread_over_kinds_before_it_repeats_one() -> None:
    clips = [row(str(i), camera="front", drive="long") for i in range(100)]
    clips += [
        row("rear", camera="rear", drive="long"),
        row("dark", camera="front", drive="long", brightness=20),
    ]
    clips.append(row("aside", tags=frozenset({"dark"})))
    chosen = choose_kept(clips, most=4, seed=1)
    assert {"rear", "dark"} <= {clip.clip_id for clip in chosen}
    assert len(chosen) == 4
    assert choose_kept(clips, most=4, seed=1) == chosen
    assert {tuple(clip.clip_id for clip in choose_kept(clips, most=4, seed=seed)) for seed in range(5)} != {
        tuple(clip.clip_id for clip in chosen)
    }
    assert [clip.clip_id for clip in choose_set_aside(clips, most=9, seed=0)] == ["aside"]
    assert choose_set_aside([set_aside("x", "", "unreadable", "y")], most=9, seed=0) == []


def test_turns_are_taken_at_each_level() -> None:
    clips = [
        row(f"{camera}{drive}{i}", camera=camera, drive=drive)
        for camera in "ab"
        for drive in "pq"
        for i in range(9)
    ]
    chosen = spread(clips, lambda clip: (clip.camera, clip.drive), most=8, seed=3)
    assert sorted(clip.clip_id[:2] for clip in chosen) == ["ap", "ap", "aq", "aq", "bp", "bp", "bq", "bq"]


@pytest.fixture(scope="module")
def footage(
    tmp_path_factory: pytest.TempPathFactory,
    write_video: Callable[..., Path],
    moving: Callable[..., Any],
) -> Path:
    """A dataset of a drive, a standing camera and a file that is no video, with positions."""
    folder = tmp_path_factory.mktemp("inspected")
    write_video(folder / "in" / "drive.mp4", moving(0), range(0, 4000, 40))
    still = moving(1)(0)
    rng = np.random.default_rng(0)
    noisy = [np.clip(still + rng.normal(0, 3, still.shape), 0, 255).astype(np.uint8) for _ in range(75)]
    write_video(folder / "in" / "stands.mp4", noisy.__getitem__, range(0, 3000, 40))
    (folder / "in" / "broken.mp4").write_bytes(b"no video")
    dataset = ingest([folder / "in"], folder / "dataset", width=160, height=96, jobs=1)
    sha = next(clip.source_sha256 for clip in dataset.clips if clip.usable)
    columns = {
        "source_sha256": [sha] * 4,
        "time_s": [0.0, 1, 2, 3],
        "speed_mps": np.float32([10, 10, 10, np.nan]),
        "latitude_deg": [48.2, 48.201, np.nan, 48.203],
        "longitude_deg": [16.3, 16.301, np.nan, 16.303],
    }
    pq.write_table(pa.table(columns), folder / "dataset" / "telemetry.parquet")
    return folder / "dataset"


def test_a_real_dataset_becomes_a_page_with_pictures_and_a_map(footage: Path, tmp_path: Path) -> None:
    summary = inspect(footage, out=tmp_path / "new" / "inspection.html")
    outline = Outline((tmp_path / "new" / "inspection.html").read_text())
    assert summary.totals.usable_clips >= 1
    assert summary.totals.clips > summary.totals.usable_clips
    assert [Path(note.source).name for note in summary.unreadable] == ["broken.mp4"]
    pictures = [str(attributes["src"]) for tag, attributes in outline.elements if tag == "img"]
    assert len(pictures) == summary.totals.clips
    decoded = cv2.imdecode(
        np.frombuffer(base64.b64decode(pictures[0].partition(",")[2]), np.uint8), cv2.IMREAD_COLOR
    )
    assert decoded is not None and decoded.shape == (96, 160, 3) and decoded.std() > 10
    assert [a for tag, a in outline.elements if tag == "svg" and a.get("class") == "map"]
    document = json.loads(json.dumps(summary.to_document(), allow_nan=False))
    assert document["totals"]["clips"] == summary.totals.clips


def test_a_dataset_elsewhere_is_inspected_as_one_here(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    memory = fsspec.filesystem("memory")
    memory.put(str(footage), "/inspected", recursive=True)
    try:
        inspect("memory://inspected", out=tmp_path / "far.html")
        inspect(footage, out=tmp_path / "near.html")
    finally:
        memory.rm("/inspected", recursive=True)
    far, near = (Outline((tmp_path / name).read_text()).elements for name in ("far.html", "near.html"))
    assert [a["src"] for tag, a in far if tag == "img"] == [a["src"] for tag, a in near if tag == "img"]
    assert [a for tag, a in far if tag == "path"] == [a for tag, a in near if tag == "path"]


def test_a_damaged_shard_is_said_and_does_not_stop_the_page(footage: Path, tmp_path: Path) -> None:
    dataset = fsspec.filesystem("file")
    dataset.copy(str(footage), str(tmp_path / "copy"), recursive=True)
    for shard in (tmp_path / "copy").rglob("shards/*.mp4"):
        shard.write_bytes(shard.read_bytes()[:200])
    inspect(tmp_path / "copy", out=tmp_path / "page.html", thumbnails_each=3)
    outline = Outline((tmp_path / "page.html").read_text())
    assert not [tag for tag, _ in outline.elements if tag == "img"]
    assert "shards/" in outline.text


def test_pictures_are_as_many_as_asked_for(footage: Path, tmp_path: Path) -> None:
    inspect(footage, out=tmp_path / "page.html", thumbnails_each=0)
    page = (tmp_path / "page.html").read_text()
    assert "<img" not in page
    assert "none of them pictured here" in page


def test_options_and_places_that_cannot_be_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"page\.pdf"):
        inspect(tmp_path, out=tmp_path / "page.pdf")
    with pytest.raises(UsageError, match="--thumbnails -1"):
        inspect(tmp_path, out=tmp_path / "page.html", thumbnails_each=-1)
    with pytest.raises(InputError, match="is no dataset"):
        inspect(tmp_path, out=tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


# Where


def test_positions_are_read_where_they_are_known(footage: Path, tmp_path: Path) -> None:
    (found,) = read_tracks(dataset_of([], str(footage)))
    np.testing.assert_array_equal(found.time_s, [0, 1, 3])
    np.testing.assert_allclose(found.latitude_deg, [48.2, 48.201, 48.203])
    assert np.isnan(found.speed_mps[-1])
    assert read_tracks(dataset_of([], str(tmp_path))) == ()
    table = pa.table({"source_sha256": ["a"], "time_s": [0.0], "speed_mps": np.float32([1])})
    pq.write_table(table, tmp_path / "telemetry.parquet")
    assert read_tracks(dataset_of([], str(tmp_path))) == ()
    (tmp_path / "telemetry.parquet").write_bytes(b"no table")
    with pytest.raises(InputError, match=r"telemetry\.parquet: is no table"):
        read_tracks(dataset_of([], str(tmp_path)))


def test_a_long_table_is_thinned(tmp_path: Path) -> None:
    count = 2 * MOST_SAMPLES + 10
    columns = {
        "source_sha256": pa.array(["a", "b"]).take(pa.array(np.repeat([0, 1], count // 2))),
        "time_s": np.tile(np.arange(count // 2, dtype=float), 2),
        "speed_mps": np.full(count, 5, np.float32),
        "latitude_deg": np.full(count, 48.0),
        "longitude_deg": np.full(count, 16.0),
    }
    pq.write_table(pa.table(columns), tmp_path / "telemetry.parquet")
    found = read_tracks(dataset_of([], str(tmp_path)))
    assert len(found) == 2
    assert 0.3 * count < sum(len(track.time_s) for track in found) <= MOST_SAMPLES + 100
    assert found[0].time_s[-1] > 0.99 * count / 2


def test_the_projection_is_in_metres() -> None:
    (place,) = project([track([60, 61], [10, 10])])
    assert place[1, 1] - place[0, 1] == pytest.approx(111_195, rel=1e-3)
    (place,) = project([track([60, 60], [10, 11])])
    assert place[1, 0] - place[0, 0] == pytest.approx(111_195 / 2, rel=1e-3)
    (place,) = project([track([0, 0], [179.9, -179.9])])
    assert place[1, 0] - place[0, 0] == pytest.approx(0.2 * 111_195, rel=1e-3)


def test_far_places_have_maps_of_their_own() -> None:
    vienna, near, tokyo = track([48.2] * 3, [16.3] * 3), track([48.3], [16.4]), track([35.7] * 2, [139.7] * 2)
    assert split_by_place([near, tokyo, vienna]) == [[vienna, near], [tokyo]]


def test_the_scale_bar_has_the_length_it_states() -> None:
    # 20 km of road due north, which fills the map between its margins.
    drawn = track_map([track([48.0, 48.0 + 20 / 111.195], [16.0, 16.0])])
    bar = re.search(r'class="bar" d="M[\d.]+ [\d.]+v5h([\d.]+)v-5"/><text[^>]*>(\d+) (k?m)<', drawn)
    road = re.search(r'class="v\d" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', drawn)
    assert bar and road
    length_m = float(bar[2]) * (1000 if bar[3] == "km" else 1)
    road_px = float(road[2]) - float(road[4])
    assert road_px > 300, "north is up"
    assert float(bar[1]) / length_m == pytest.approx(road_px / 20_000, rel=0.01)


def test_lines_are_coloured_by_speed_and_torn_at_gaps() -> None:
    fast = Track(
        np.array([0.0, 1, 2, 3, 400, 401]),
        np.linspace(48, 48.01, 6),
        np.linspace(16, 16.01, 6),
        np.array([1.0, 1, 40, 40, 40, np.nan]),
    )
    drawn = track_map([fast])
    lines = dict(re.findall(r'class="v(\d)" d="([^"]+)"', drawn))
    assert sorted(lines) == ["0", "5", "6"]
    joined, alone = lines["5"].split("M")[1:]
    assert joined.count("L") == 2
    assert "L" not in alone, "nothing is drawn over a gap"
    assert lines["5"].startswith("M" + lines["0"].rpartition("L")[2]), (
        "a line goes on where the last one ended"
    )


def test_a_map_of_long_tracks_is_bounded() -> None:
    count = 10 * MOST_POINTS
    drawn = track_map(
        [track(np.linspace(48, 49, count).tolist(), np.linspace(16, 17, count).tolist(), step_s=0.1)]
    )
    assert len(drawn) < 20 * MOST_POINTS
    assert track_map([track([48.0], [16.0])]).count("NaN") == 0
