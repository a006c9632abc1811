"""From the decoder to the engine a frame is written once, at the network's size, and copied nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.plane import VideoPlane

from catseye.capture.sources import Frame, VideoFile
from catseye.runtime import perception
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.manifest import Manifest, Network
from catseye.runtime.sources.files import from_file


@pytest.fixture
def frame(lamps: Path) -> Iterator[Frame]:
    with VideoFile(lamps) as file:
        yield next(file.frames())


def test_planes_are_the_decoders_memory(frame: Frame) -> None:
    for plane in (frame.planes.y, frame.planes.u, frame.planes.v):
        owner: Any = plane
        while isinstance(owner, np.ndarray):
            assert not owner.flags.owndata
            owner = owner.base
        assert isinstance(owner.obj if isinstance(owner, memoryview) else owner, VideoPlane)


@pytest.mark.parametrize("layout", ["rgb8", "nv12"])
def test_what_is_prepared_is_what_the_engine_reads(
    frame: Frame, manifest: Manifest, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    colour = None if layout == "rgb8" else {"matrix": "bt709"}
    network = Network.model_validate(
        {"width": 160, "height": 96, "batch": 1, "input": layout, "colour": colour}
    )
    manifest = manifest.model_copy(update={"network": network})
    prepared = perception.prepare(from_file(frame), manifest, stream=0)
    read: dict[str, Any] = {}

    class Session:
        def get_outputs(self) -> list[Any]:
            return []

        def run(self, names: list[str], feeds: dict[str, Any]) -> list[Any]:
            read.update(feeds)
            raise InterruptedError

    engine = OnnxRuntimeEngine.__new__(OnnxRuntimeEngine)
    engine._session, engine._bound = Session(), None
    with pytest.raises(InterruptedError):
        perception.infer(engine, manifest, [prepared])
    assert read.keys() == prepared.inputs.keys()
    for name, array in prepared.inputs.items():
        assert array.flags.c_contiguous and np.shares_memory(array, read[name])
