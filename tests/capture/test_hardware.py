"""Decoding on a device, where there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catseye.capture import hardware
from catseye.capture.geometry import planes_to_rgb
from catseye.capture.hardware import accelerator
from catseye.capture.sources import VideoFile
from catseye.errors import UsageError


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What was found out about this machine is forgotten."""
    for found in (hardware._why_not_cuda, hardware._warn_once):
        found.cache_clear()
    yield
    for found in (hardware._why_not_cuda, hardware._warn_once):
        found.cache_clear()


def without_device() -> None:
    if any(device.exists() for device in hardware._DEVICES):
        pytest.skip("this machine has an NVIDIA device")


def test_without_a_device_the_processor_decodes_and_one_line_says_so(
    drive: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    without_device()
    path = drive()
    caplog.set_level(logging.WARNING)
    pictures = {}
    for decoder in ("cpu", "auto", "cuda", "cuda"):
        with VideoFile(path, decoder=decoder) as video:  # type: ignore[arg-type]
            pictures[decoder] = [planes_to_rgb(frame.planes).tobytes() for frame in video.frames()]
    assert len(pictures["cpu"]) == 75 and pictures["cpu"] == pictures["auto"] == pictures["cuda"]
    assert caplog.text.count("--decoder cuda: ") == 1 and "decoding on the processor" in caplog.text


def test_automatically_nothing_is_tried_without_a_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tried: list[int] = []
    monkeypatch.setattr(hardware, "_why_not_cuda", lambda: tried.append(1) or "no")
    monkeypatch.setattr(hardware, "_DEVICES", (tmp_path / "none",))
    assert accelerator("auto") == {} and not tried
    (tmp_path / "none").touch()
    assert accelerator("auto") == {} and tried


def test_a_decoder_that_is_none() -> None:
    with pytest.raises(UsageError, match="--decoder 'gpu': must be one of auto, cpu, cuda"):
        accelerator("gpu")  # type: ignore[arg-type]
