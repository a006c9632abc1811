"""The cache of plans: private, whole or absent, bounded, and never emptied of what is in use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catseye.errors import CatseyeError, InputError, UsageError
from catseye.runtime.device import Device, l4t_release
from catseye.runtime.plan_cache import PlanCache, PlanEntry, PlanKey, default_folder

ORIN = Device(
    gpu="Orin", compute_capability="8.7", backend="tensorrt", tensorrt="10.3.0", driver="540.4.0 12060",
    cuda="12060", l4t="36.4.0",
)  # fmt: skip


def key(bundle: str = "a" * 64, precision: str = "fp16", **more: object) -> PlanKey:
    return PlanKey(**{
        "device": ORIN, "bundle_sha256": bundle, "precision": precision, "workspace_mib": 1024, **more,
    })  # fmt: skip


def entry(name: str = "a", **more: object) -> PlanEntry:
    return PlanEntry(**{"key": key(name * 64), "created": "2026-01-01T00:00:00+00:00", **more})


def keep(cache: PlanCache, name: str, *, age: float, size: int = 100) -> PlanEntry:
    """A plan last used ``age`` seconds ago."""
    stored = cache.keep(entry(name), name.encode() * size)
    path = cache.folder / f"{stored.key.digest}.json"
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    return stored


def same(found: PlanEntry | None, stored: PlanEntry) -> bool:
    return found is not None and found == stored.model_copy(update={"schema_version": found.schema_version})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "plans"


def test_a_plan_comes_back_as_it_was_stored(folder: Path) -> None:
    stored = PlanCache(folder).keep(entry(latency_ms=2.5, checks={"boxes": (0.0, 1.0)}), b"native code")
    cache = PlanCache(folder)
    assert same(cache.find(stored.key), stored) and stored.proven
    with cache.serve(stored) as served:
        assert served is not None and served.content == b"native code"
    assert cache.find(key(precision="int8")) is None


@pytest.mark.parametrize(
    "other",
    [
        {"bundle": "b" * 64},
        {"precision": "int8"},
        {"dla": 0},
        {"workspace_mib": 512},
        *(
            {"device": ORIN.model_copy(update={name: "other"})}
            for name in Device.model_fields
            if name != "backend"
        ),
        {"device": ORIN.model_copy(update={"backend": "tensorrt-rtx"})},
    ],
)
def test_all_that_a_plan_depends_on_is_in_the_key(other: dict[str, object]) -> None:
    assert key(**other).digest != key().digest  # type: ignore[arg-type]


def test_the_folder_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = PlanCache(tmp_path / "made")
    stored = cache.keep(entry(), b"x")
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "made" / f"{stored.plan_sha256}.plan").stat().st_mode & 0o077 == 0
    (tmp_path / "made").chmod(0o750)
    with pytest.raises(InputError, match="is open to other users; plans are native code: run chmod 700"):
        PlanCache(tmp_path / "made")
    (tmp_path / "made").chmod(0o700)
    (tmp_path / "link").symlink_to(tmp_path / "made")
    with pytest.raises(InputError, match="is no folder of its own"):
        PlanCache(tmp_path / "link")
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(InputError, match="belongs to another user"):
        PlanCache(tmp_path / "made")


def test_a_link_in_the_place_of_a_plan_is_not_followed(folder: Path, tmp_path: Path) -> None:
    cache = PlanCache(folder)
    stored = cache.keep(entry(), b"native code")
    path = folder / f"{stored.plan_sha256}.plan"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with cache.serve(stored) as served:
        assert served is None


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(b"native cide"),
        lambda path: path.write_bytes(b"native"),
        lambda path: path.write_bytes(b"native code and more"),
        lambda path: path.unlink(),
    ],
)
def test_a_torn_or_altered_plan_is_not_served(folder: Path, harm: object) -> None:
    cache = PlanCache(folder)
    stored = cache.keep(entry(), b"native code")
    assert cache.holds(stored)
    harm(folder / f"{stored.plan_sha256}.plan")  # type: ignore[operator]
    assert not cache.holds(stored)


def test_a_damaged_document_is_as_if_it_were_not_there(folder: Path) -> None:
    cache = PlanCache(folder)
    first, second = cache.keep(entry("a"), b"a"), cache.keep(entry("b"), b"b")
    (folder / f"{first.key.digest}.json").write_text('{"schema_version": "1.0"')
    (folder / f"{second.key.digest}.json").rename(folder / f"{'0' * 32}.json")
    assert cache.entries() == []


def test_what_is_not_proven_has_no_plan_and_is_never_served(folder: Path) -> None:
    cache = PlanCache(folder)
    stored = cache.keep(entry(fault="differs from its proof in boxes"), b"native code")
    assert not stored.proven and not list(folder.glob("*.plan"))
    with (
        pytest.raises(CatseyeError, match="is not proven: differs from its proof in boxes"),
        cache.serve(stored),
    ):
        pass


def test_the_least_recently_used_goes_first(folder: Path) -> None:
    cache = PlanCache(folder, max_plans=2)
    a, b = keep(cache, "a", age=20), keep(cache, "b", age=30)
    with cache.serve(b):
        pass
    c = cache.keep(entry("c"), b"c")
    assert {found.key for found in cache.entries()} == {b.key, c.key}
    assert not (folder / f"{a.plan_sha256}.plan").exists()


def test_bytes_are_bounded_too_and_the_new_one_stays(folder: Path) -> None:
    cache = PlanCache(folder, max_bytes=250)
    keep(cache, "a", age=30)
    b = keep(cache, "b", age=20)
    c = cache.keep(entry("c"), b"c" * 100)
    assert {found.key for found in cache.entries()} == {b.key, c.key}
    huge = cache.keep(entry("d"), b"d" * 1000)
    assert [found.key for found in cache.entries()] == [huge.key]
    assert [path.name for path in folder.glob("*.plan")] == [f"{huge.plan_sha256}.plan"]


def test_what_is_in_use_is_never_evicted(folder: Path) -> None:
    cache = PlanCache(folder, max_plans=1)
    a = keep(cache, "a", age=30)
    with cache.serve(a) as served:
        assert served is not None
        b = PlanCache(folder, max_plans=1).keep(entry("b"), b"b")
        assert cache.holds(a) and cache.holds(b)
    c = cache.keep(entry("c"), b"c")
    assert [found.key for found in cache.entries()] == [c.key]


def test_a_plan_in_the_place_of_another_leaves_none_behind(folder: Path) -> None:
    cache = PlanCache(folder)
    cache.keep(entry(), b"old")
    new = cache.keep(entry(), b"new")
    assert [path.name for path in folder.glob("*.plan")] == [f"{new.plan_sha256}.plan"]


def test_a_kill_between_plan_and_document_leaves_the_old_plan(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PlanCache(folder)
    old = cache.keep(entry(), b"old")

    def killed(self: PlanEntry, path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PlanEntry, "save", killed)
        cache.keep(entry(), b"new")
    assert same(cache.find(old.key), old) and cache.holds(old)
    cache.keep(entry("b"), b"b")
    assert len(list(folder.glob("*.plan"))) == 2


def test_timings_are_kept_a_device_and_torn_ones_are_not_used(folder: Path) -> None:
    cache = PlanCache(folder)
    assert cache.timing(ORIN) == b""
    cache.keep_timing(ORIN, b"times")
    assert cache.timing(ORIN) == b"times"
    assert cache.timing(ORIN.model_copy(update={"tensorrt": "11.4.0"})) == b""
    (path,) = folder.glob("*.timing")
    path.write_bytes(path.read_bytes()[:-1])
    assert cache.timing(ORIN) == b""
    cache.keep_timing(ORIN, bytes((64 << 20) + 1))
    assert not path.exists()


def test_one_process_builds_at_a_time(folder: Path) -> None:
    cache = PlanCache(folder)
    with cache.building(ORIN, "a"):
        with pytest.raises(CatseyeError, match="another process builds"), cache.building(ORIN, "a"):
            pass
        with cache.building(ORIN, "b"):
            pass


def test_bounds_that_cannot_be(folder: Path) -> None:
    with pytest.raises(UsageError, match="0 plans"):
        PlanCache(folder, max_plans=0)


def test_the_place_follows_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert default_folder() == Path("/elsewhere/catseye/plans")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache/catseye/plans"


def test_release_of_jetson_linux() -> None:
    text = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"
    assert l4t_release(text) == "36.4.3"
    assert l4t_release("") == ""
