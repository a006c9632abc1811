from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from catseye.capture.writer import VideoWriter

HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "onnx",
    "lightning",
    "lightning_fabric",
    "pandas",
    "matplotlib",
    "pyarrow",
    "scipy",
    "sympy",
    "PIL",
    "tensorboard",
    "fsspec",
    "s3fs",
    "aiohttp",
    "ray",
    "jsonschema",
    "supervision",
    "onnxslim",
    "onnxscript",
    "mcap",
    "zstandard",
    "lz4",
    "paho",
    "ssl",
    "torchmetrics",
    "multiprocessing",
    "asyncio",
    "pydoc",
    "unittest",
)


def modules_after(statement: str) -> set[str]:
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import catseye.runtime",
        "from catseye.runtime import Tracker, run, bench, verify, open_bundle, load_engine",
        "import catseye.runtime.engines.onnxruntime",
        "import catseye.runtime.plan_serving",
    ],
)
def test_runtime_stays_light(statement: str) -> None:
    assert modules_after(statement) & set(HEAVY) == set()


def test_a_tracker_needs_no_video_library() -> None:
    assert modules_after("from catseye.runtime import Tracker") & {"av", "cv2", "onnxruntime"} == set()


def test_a_run_stays_light_to_its_end(tiny_bundle: Path, tmp_path: Path) -> None:
    """The whole command, from the command line to the last record: how fast it starts is a promise."""
    video, records = tmp_path / "drive.mp4", tmp_path / "tracks.jsonl"
    with VideoWriter(video, width=96, height=64, time_base=Fraction(1, 25)) as writer:
        for index in range(3):
            writer.write_rgb(np.full((64, 96, 3), 60, np.uint8), pts=index)
    arguments = ["catseye", "run", str(tiny_bundle), str(video), "--jsonl", str(records), "--engine"]
    statement = (
        "import contextlib, io, sys\n"
        f"sys.argv = {[*arguments, 'onnxruntime']!r}\n"
        "from catseye.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main()"
    )
    loaded = modules_after(statement)
    assert len(records.read_text().splitlines()) == 3
    assert {"onnxruntime", "av"} <= loaded
    assert loaded & set(HEAVY) == set()
