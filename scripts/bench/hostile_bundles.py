"""Hostile bundles against our reader: each must be refused with one line, before any native library.

    python scripts/bench/hostile_bundles.py [--count 1000] [--seed 0] [--json]

A process of its own opens one file after the other; it never imports a library that reads a graph or a video.
What chance made and the reader accepts must be harmless: ONNX Runtime loads and runs its graph, or refuses
it, inside bounded memory.

Bounds: nothing named is let through; every refusal is one short line; memory grows by no more than
three times the file's size and 64 MB; the processor is taken for no more than ten seconds; the process lives.
Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NATIVE = ("av", "onnx", "onnxruntime", "tensorrt", "tensorrt_rtx_bindings", "torch")
GROWTH_BYTES, GROWTH_SHARE = 64 << 20, 3
MOST_SECONDS = 10.0
LONGEST_LINE = 1000
RUN_BYTES = 8 << 30
"""Of addresses, which ONNX Runtime takes more of than of memory."""


@dataclass(frozen=True)
class Verdict:
    """What became of one variant.

    Args:
        outcome: ``refused``, ``valid`` (harmless after all) or ``FAULT``.
        told: the refusal's line, or what is wrong.
        growth: bytes by which the process's peak rose over what it held before.
        seconds: of the processor.
    """

    kind: str
    name: str
    outcome: str
    told: str
    size: int
    growth: int
    seconds: float


def measure(*, count: int, seed: int) -> list[Verdict]:
    """Open ``count`` variants, signed by a key that is made for the purpose and trusted for as long."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("CATSEYE_HOME")
        os.environ["CATSEYE_HOME"] = folder
        try:
            return list(_verdicts(Path(folder) / "x.catseye", count=count, seed=seed))
        finally:
            if before is None:
                del os.environ["CATSEYE_HOME"]
            else:
                os.environ["CATSEYE_HOME"] = before


def _verdicts(path: Path, *, count: int, seed: int) -> Iterator[Verdict]:
    from hostile.sound_bundle import archive, sound_entries
    from hostile.variants import variants

    path.write_bytes(archive(sound_entries()))
    with _Judge("open") as judge, _Judge("run") as runner:
        if (told := judge.ask(path)).get("refused") or "fault" in told:
            raise SystemExit(f"the sound bundle does not open: {told}")
        if (told := runner.ask(path)).get("refused") or "fault" in told:
            raise SystemExit(f"the sound bundle does not run: {told}")
        for variant in variants(count=count, seed=seed):
            path.write_bytes(variant.content)
            told = judge.ask(path)
            outcome, line = _judged(told, len(variant.content), chance=variant.chance)
            if outcome == "valid":
                ran = runner.ask(path)
                outcome, line = (
                    ("FAULT", f"let through: {ran['fault']}") if "fault" in ran else (outcome, line)
                )
            yield Verdict(
                variant.kind,
                variant.name,
                outcome,
                line,
                len(variant.content),
                told.get("growth", 0),
                told.get("seconds", 0.0),
            )


def _judged(told: dict[str, Any], size: int, *, chance: bool) -> tuple[str, str]:
    if "fault" in told:
        return "FAULT", told["fault"]
    line = told["refused"]
    if told["growth"] > GROWTH_SHARE * size + GROWTH_BYTES:
        return "FAULT", f"took {told['growth'] >> 20} MB for a file of {size} bytes"
    if told["seconds"] > MOST_SECONDS:
        return "FAULT", f"took {told['seconds']:.1f} s"
    if line is None:
        return ("valid", "") if chance else ("FAULT", "was let through")
    if "\n" in line or len(line) > LONGEST_LINE or not line.isprintable():
        return "FAULT", f"its line is {line[:200]!r}"
    return "refused", line


class _Judge:
    """A process that opens what it is asked to; started again where it dies."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> _Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def ask(self, path: Path) -> dict[str, Any]:
        if self._process is None:
            command = [sys.executable, __file__, "--judge", self._task]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            code = self._process.wait()
            self._stop()
            return {"fault": f"the process died (exit code {code})"}
        found: dict[str, Any] = json.loads(answer)
        return found

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def judge(task: str) -> None:
    """Open, or run, each file that standard input names; answer in a line of JSON."""
    from catseye.errors import CatseyeError
    from catseye.runtime.bundle import open_bundle

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # native libraries write to standard output
    if task == "run":
        import numpy as np

        from catseye.runtime.engines.onnxruntime import make_session, run_session

        resource.setrlimit(resource.RLIMIT_AS, (RUN_BYTES, RUN_BYTES))
    for line in sys.stdin:
        path = Path(line.rstrip("\n"))
        answer: dict[str, Any] = {"refused": None}
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 60, resource.RLIM_INFINITY))
        before, start = _reset_peak(), time.process_time()
        try:
            bundle = open_bundle(path)
            if task == "run":
                session = make_session(bundle.graph(), threads=1)
                inputs = bundle.manifest.network.inputs()
                run_session(session, {value.name: np.zeros(value.shape, np.uint8) for value in inputs})
                del session
            del bundle
        except CatseyeError as error:
            answer["refused"] = str(error)
        except Exception as error:  # whatever it is, it is no refusal
            told = f"{type(error).__name__}: {error}"[:300]
            # ONNX Runtime says so where a number, such as an index, does not suit.
            if task != "run" or "ONNXRuntimeError" not in told:
                answer = {"fault": told}
        answer["seconds"] = time.process_time() - start
        answer["growth"] = _peak() - before
        if task == "open" and (loaded := [name for name in NATIVE if name in sys.modules]):
            answer = {"fault": f"has imported {', '.join(loaded)}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _reset_peak() -> int:
    """Forget the peak of this process's memory; return what it holds, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--judge", choices=("open", "run"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.judge:
        judge(options.judge)
        return
    verdicts = measure(count=options.count, seed=options.seed)
    if options.json:
        print(json.dumps([asdict(verdict) for verdict in verdicts], indent=1))
    else:
        print_table(verdicts)
    sys.exit(any(verdict.outcome == "FAULT" for verdict in verdicts))


def print_table(verdicts: list[Verdict]) -> None:
    print(
        f"{'kind':28}{'variants':>9}{'refused':>9}{'valid':>7}{'FAULT':>7}{'MB at most':>12}{'s at most':>11}"
    )
    kinds = list(dict.fromkeys(verdict.kind for verdict in verdicts))
    for kind in [*kinds, "all"]:
        those = [verdict for verdict in verdicts if kind in {verdict.kind, "all"}]
        outcomes = Counter(verdict.outcome for verdict in those)
        print(
            f"{kind:28}{len(those):9}{outcomes['refused']:9}{outcomes['valid']:7}{outcomes['FAULT']:7}"
            f"{max(verdict.growth for verdict in those) / 2**20:12.1f}"
            f"{max(verdict.seconds for verdict in those):11.2f}"
        )
    for verdict in verdicts:
        if verdict.outcome == "FAULT":
            print(f"FAULT {verdict.kind}, {verdict.name[:100]!r}: {verdict.told}")


if __name__ == "__main__":
    main()
