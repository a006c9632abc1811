from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from catseye.runtime.record_log import RecordLog


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["frame"] for line in path.read_text().splitlines()]


def test_records_are_there_at_once_and_a_later_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tracks.jsonl"
    for run in range(2):
        with RecordLog(path) as log:
            log.write({"frame": 2 * run})
            assert numbers(path)[-1] == 2 * run
            log.write({"frame": 2 * run + 1})
    assert numbers(path) == [0, 1, 2, 3]


@pytest.mark.parametrize(("before", "kept"), [('{"frame":7}\n{"fra', [7]), ('{"fr', []), ("", [])])
def test_half_a_line_that_a_power_cut_left_is_cut(tmp_path: Path, before: str, kept: list[int]) -> None:
    path = tmp_path / "tracks.jsonl"
    path.write_text(before)
    with RecordLog(path) as log:
        log.write({"frame": 8})
    assert numbers(path) == [*kept, 8]


@pytest.mark.parametrize("deleted", [False, True])
def test_a_file_moved_away_is_begun_anew(tmp_path: Path, deleted: bool) -> None:
    path, older = tmp_path / "tracks.jsonl", tmp_path / "tracks.jsonl.1"
    with RecordLog(path) as log:
        log.write({"frame": 0})
        path.rename(older)
        if deleted:
            older.unlink()
        log.write({"frame": 1})
        log.write({"frame": 2})
    assert numbers(path) == [1, 2]
    assert deleted or numbers(older) == [0]


def test_a_disk_that_fills_up_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "tracks.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with RecordLog(path) as log:
        log.write({"frame": 1})
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, limits[1]))
        try:
            with pytest.raises(OSError, match="too large"):
                log.write({"frame": 2})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        log.write({"frame": 3})
    assert numbers(path) == [1, 3]
