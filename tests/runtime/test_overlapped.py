from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnxruntime import InferenceSession

from catseye.runtime.bundle import Bundle, open_bundle
from catseye.runtime.engines.base import EngineOutput, Inputs, OverlappingEngine
from catseye.runtime.engines.load import load_engine
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.engines.overlapped import OverlappedEngine
from catseye.runtime.network_input import frame_count

from .scripted import PATIENCE_S


class Meeting:
    """An engine of which no call ends before another has begun."""

    name = "meeting"

    def __init__(self) -> None:
        self.both = threading.Barrier(2, timeout=PATIENCE_S)
        self.closed = False

    def infer(self, inputs: Inputs) -> EngineOutput:
        self.both.wait()
        count = frame_count(inputs)
        boxes = np.full((count, 1, 4), inputs["frames"].mean(), dtype=np.float32)
        return EngineOutput(boxes, np.zeros((count, 1), np.float32), np.zeros((count, 1), np.int32))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def meeting() -> Iterator[Meeting]:
    engine = Meeting()
    yield engine
    engine.both.abort()


def frame(level: int) -> Inputs:
    return {"frames": np.full((1, 2, 2, 3), level, dtype=np.uint8)}


def test_two_calls_are_under_way_and_end_in_their_order(meeting: Meeting) -> None:
    engine = OverlappedEngine(meeting)
    assert isinstance(engine, OverlappingEngine)
    numbers = [engine.start(frame(level)) for level in (10, 20, 30, 40)]
    with pytest.raises(ValueError, match=f"call {numbers[1]} is not the next"):
        engine.finish(numbers[1])
    assert [engine.finish(number).boxes[0, 0, 0] for number in numbers] == [10, 20, 30, 40]
    with pytest.raises(ValueError, match="is not the next"):
        engine.finish(numbers[-1])
    engine.close()
    assert meeting.closed


def test_a_fault_is_told_where_its_call_is_finished(meeting: Meeting) -> None:
    with closing(OverlappedEngine(meeting)) as engine:
        faulty, sound, last = (engine.start(inputs) for inputs in ({}, frame(20), frame(30)))
        with pytest.raises(StopIteration):
            engine.finish(faulty)
        meeting.both.wait()
        assert [engine.finish(number).boxes[0, 0, 0] for number in (sound, last)] == [20, 30]


@pytest.mark.parametrize(
    ("threads", "overlap", "each", "kind"),
    [
        (5, True, 2, OverlappedEngine),
        (2, True, 1, OverlappedEngine),
        (1, True, 1, OnnxRuntimeEngine),
        (2, False, 2, OnnxRuntimeEngine),
    ],
)
def test_calls_overlap_where_it_is_asked_for_and_there_are_cores(
    threads: int, overlap: bool, each: int, kind: type, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def session(graph: bytes, options: Any, **providers: Any) -> Any:
        asked.append(options)
        return InferenceSession(graph, options, **providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    bundle: Bundle = open_bundle(tiny_bundle)
    with closing(load_engine(bundle, engine="onnxruntime", threads=threads, overlap=overlap)) as engine:
        assert type(engine) is kind
        empty = {value.name: np.zeros(value.shape, value.dtype) for value in bundle.manifest.network.inputs()}
        assert engine.infer(empty).boxes.shape == (bundle.manifest.network.batch, bundle.manifest.top_k, 4)
    (options,) = asked
    assert options.intra_op_num_threads == each
    assert options.enable_mem_pattern is not (kind is OverlappedEngine)
