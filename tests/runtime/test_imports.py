from __future__ import annotations

import subprocess
import sys

import pytest

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
