"""The same work on a Ray cluster: a local one of two workers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catseye.capture.ingestion import ingest
from catseye.capture.workers import CRASHES, run_on_ray
from catseye.errors import CatseyeError, InputError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ray = pytest.importorskip("ray", reason="Ray is not installed: the extra [cluster] has it")

pytestmark = pytest.mark.filterwarnings("ignore")
"""Ray leaves sockets and files open when it is shut down."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two workers on this machine."""
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=80_000_000,
        log_to_driver=False,
        _temp_dir=str(tmp_path_factory.mktemp("ray", numbered=False)),
    )
    yield "local"
    ray.shutdown()


def test_a_cluster_makes_the_same_dataset(cluster: str, drive: Callable[..., Path], tmp_path: Path) -> None:
    for i in range(3):
        drive(f"{i}.mp4", seed=i)
    (tmp_path / "bad.mp4").write_text("no video")
    options = {"width": 160, "height": 96}
    here = ingest([tmp_path], tmp_path / "here", jobs=1, **options)  # type: ignore[arg-type]
    there = ingest([tmp_path], tmp_path / "there", ray=cluster, **options)  # type: ignore[arg-type]
    assert there.fingerprint == here.fingerprint and len(there.select()) == 3
    for clip in here.select():
        assert (tmp_path / "here" / clip.shard).read_bytes() == (tmp_path / "there" / clip.shard).read_bytes()
    assert [clip.reason for clip in there.clips] == [clip.reason for clip in here.clips]


def test_crashes_stalls_and_errors_are_told(cluster: str) -> None:
    files = {name: Path(f"/footage/{name}.mp4") for name in ("a", "bad")}

    def crash(key: str, path: Path, alive: Callable[[], None]) -> str:
        import os
        import time

        while key == "bad":
            time.sleep(0.1)
        if key == "worse":
            os._exit(3)
        return key

    def fail(key: str, path: Path, alive: Callable[[], None]) -> str:
        raise InputError(path, "is at fault", "mend it")

    found = dict(run_on_ray({**files, "worse": Path("/w")}, crash, address=cluster, stall_s=1))
    assert found == {"a": "a", "bad": f"{CRASHES} or stands still", "worse": f"{CRASHES} or stands still"}
    with pytest.raises(InputError, match="is at fault"):
        list(run_on_ray(files, fail, address=cluster, stall_s=60))


def test_no_cluster_is_one_line() -> None:
    if ray.is_initialized():
        ray.shutdown()
    with pytest.raises(CatseyeError, match="--ray nowhere"):
        list(run_on_ray({"a": Path("/a")}, lambda *_: "", address="nowhere", stall_s=1))
