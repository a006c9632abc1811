"""Work that crashes, hangs, fails or is done elsewhere."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from catseye.capture.workers import CRASHES, Alive, run_here, run_in_processes, run_on_ray
from catseye.errors import InputError, MissingExtraError

FILES = {name: Path(f"/footage/{name}.mp4") for name in ("a", "bad", "c")}


def name_it(key: str, path: Path, alive: Alive) -> str:
    alive()
    return "" if key == "a" else f"{path.name} is told apart"


def crash(key: str, path: Path, alive: Alive) -> str:
    if key == "bad":
        os.kill(os.getpid(), signal.SIGKILL)
    return name_it(key, path, alive)


def hang(key: str, path: Path, alive: Alive) -> str:
    while key == "bad":
        time.sleep(0.1)
    return name_it(key, path, alive)


def go_slowly(key: str, path: Path, alive: Alive) -> str:
    for _ in range(8):
        time.sleep(0.25)
        alive()
    return key


def fail(key: str, path: Path, alive: Alive) -> str:
    raise InputError(path, "is at fault", "mend it")


def fail_oddly(key: str, path: Path, alive: Alive) -> str:
    class OddError(Exception):
        pass

    raise OddError("of its own")


EXPECTED = {"a": "", "bad": "bad.mp4 is told apart", "c": "c.mp4 is told apart"}


def test_here_and_in_processes_the_same_is_done() -> None:
    assert dict(run_here(FILES, name_it)) == EXPECTED
    assert dict(run_in_processes(FILES, name_it, jobs=2, stall_s=60)) == EXPECTED


def test_a_crash_is_of_the_file_that_did_it() -> None:
    assert dict(run_in_processes(FILES, crash, jobs=2, stall_s=60)) == {**EXPECTED, "bad": CRASHES}


def test_a_file_that_hangs_is_ended_and_one_that_is_slow_is_not() -> None:
    found = dict(run_in_processes(FILES, hang, jobs=2, stall_s=1))
    assert found == {**EXPECTED, "bad": "stands still: no frame of it came for 1 s"}
    assert dict(run_in_processes({"slow": Path("/slow")}, go_slowly, jobs=1, stall_s=1.5)) == {"slow": "slow"}


def test_an_error_ends_all_and_leaves_no_process() -> None:
    with pytest.raises(InputError, match=r"mp4: is at fault; mend it"):
        list(run_in_processes(FILES, fail, jobs=2, stall_s=60))
    with pytest.raises(Exception, match=r"OddError.*of its own"):
        list(run_in_processes(FILES, fail_oddly, jobs=1, stall_s=60))


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'catseye\[cluster\]'"):
        list(run_on_ray(FILES, name_it, address="auto", stall_s=60))
