"""The same work on every file: here, in processes that may crash or hang, or on a Ray cluster.

Each way yields (key, fault) as a file is finished. The fault is what the work returns, or that it crashed or
stood still. An exception of the work ends all.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import cv2

from catseye.errors import CatseyeError, MissingExtraError

Alive = Callable[[], None]
Work = Callable[[str, Path, Alive], str]
"""Takes a key, a file and what to call at every sign of life; returns a fault or nothing. It must pickle."""

CRASHES = "crashes the decoder"

_LOOK_S = 0.5


def run_here(files: Mapping[str, Path], work: Work) -> Iterator[tuple[str, str]]:
    """In this process, one after the other. A crash takes all with it, and nothing ends a file that hangs."""
    for key, path in files.items():
        yield key, work(key, path, lambda: None)


def run_in_processes(
    files: Mapping[str, Path], work: Work, *, jobs: int, stall_s: float
) -> Iterator[tuple[str, str]]:
    """In ``jobs`` processes of their own, one OpenCV thread each.

    Args:
        stall_s: a process without a sign of life for so long is killed, and its file has the fault.
    """
    todo = list(files.items())[::-1]
    with ExitStack() as stack:
        workers: list[_Worker] = []
        while todo or any(worker.key for worker in workers):
            for worker in [worker for worker in workers if not worker.key]:
                if todo:
                    worker.give(*todo.pop())
            while todo and len(workers) < jobs:
                workers.append(stack.enter_context(_worker(work)))
                workers[-1].give(*todo.pop())
            wait([worker.pipe for worker in workers if worker.key], timeout=_LOOK_S)
            for worker in [worker for worker in workers if worker.key]:
                key = worker.key
                fault = worker.finished(stall_s)
                if fault is not None:
                    yield key, fault
            workers = [worker for worker in workers if worker.process.is_alive()]


class _Worker:
    """A process, its end of a pipe, and the file it is at."""

    def __init__(self, work: Work) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.key = ""
        self._alive_at = context.RawValue("d", 0.0)
        self.process = context.Process(target=_serve, args=(theirs, work, self._alive_at), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, key: str, path: Path) -> None:
        self.key = key
        self._alive_at.value = 0.0  # it may still be importing
        with suppress(BrokenPipeError):  # then it is dead, which shows in a moment
            self.pipe.send((key, path))

    def finished(self, stall_s: float) -> str | None:
        """The fault of its file or nothing; None while it is at it."""
        if self.pipe.poll():
            try:
                error, fault = self.pipe.recv()
            except EOFError:
                return self._ended(CRASHES)
            if error is not None:
                raise error
            self.key = ""
            return str(fault)
        began = self._alive_at.value
        if began and time.monotonic() - began > stall_s:
            return self._ended(f"stands still: no frame of it came for {stall_s:g} s")
        return None

    def _ended(self, fault: str) -> str:
        self.process.kill()
        self.process.join()
        self.key = ""
        return fault


@contextmanager
def _worker(work: Work) -> Iterator[_Worker]:
    worker = _Worker(work)
    try:
        yield worker
    finally:
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()


def _serve(pipe: Connection, work: Work, alive_at: Any) -> None:
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who gave the work gets it too, and ends this process
    parent = os.getppid()

    def alive() -> None:
        if os.getppid() != parent:
            os._exit(1)  # it was killed: whoever goes on begins this file anew
        alive_at.value = time.monotonic()  # one clock for all processes of a machine

    with suppress(EOFError, ConnectionError):  # who gave the work is gone
        while True:
            key, path = pipe.recv()
            alive()
            try:
                answer: tuple[BaseException | None, str] = (None, work(key, path, alive))
            except Exception as error:  # raised again where the work was given
                answer = (error, "")
            alive_at.value = 0.0
            try:
                pipe.send(answer)
            except (TypeError, AttributeError):  # an exception that does not pickle
                pipe.send((CatseyeError(f"{path}: {answer[0]!r}"), ""))


def run_on_ray(
    files: Mapping[str, Path], work: Work, *, address: str, stall_s: float
) -> Iterator[tuple[str, str]]:
    """On a Ray cluster, a task a file and a processor a task.

    Every node must have this package, and the footage and the dataset under the same paths.

    Args:
        address: as ``ray.init`` takes it: ``host:port``, ``ray://host:port``, ``auto`` or ``local``.
        stall_s: a task without a sign of life for so long ends its worker, and its file has the fault.

    Raises:
        MissingExtraError: Ray is not installed.
        CatseyeError: there is no cluster at the address.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtraError("ray", "cluster") from None
    was_up = ray.is_initialized()
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise CatseyeError(f"--ray {address}: {error}") from None
    task = ray.remote(num_cpus=1, max_retries=1)(_on_ray)
    keys = {task.remote(work, key, path, stall_s): key for key, path in files.items()}
    try:
        while keys:
            (done,), _ = ray.wait(list(keys), num_returns=1)
            key = keys.pop(done)
            try:
                yield key, ray.get(done)
            except ray.exceptions.WorkerCrashedError:
                yield key, f"{CRASHES} or stands still"
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
    finally:
        for left in keys:
            ray.cancel(left, force=True)
        if not was_up:
            ray.shutdown()


def _on_ray(work: Work, key: str, path: Path, stall_s: float) -> str:
    cv2.setNumThreads(1)
    alive_at = [time.monotonic()]
    finished = threading.Event()

    def alive() -> None:
        alive_at[0] = time.monotonic()

    def watch() -> None:
        while not finished.wait(_LOOK_S):
            if time.monotonic() - alive_at[0] > stall_s:
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        return work(key, path, alive)
    finally:
        finished.set()
