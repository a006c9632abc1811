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
    ],
)
def test_runtime_stays_light(statement: str) -> None:
    assert modules_after(statement) & set(HEAVY) == set()


def test_a_tracker_needs_no_video_library() -> None:
    assert modules_after("from catseye.runtime import Tracker") & {"av", "cv2", "onnxruntime"} == set()


def test_names_are_what_they_say_however_often_they_are_asked_for() -> None:
    script = (
        "from catseye.runtime import run, bench, verify, Tracker\n"
        "from catseye.runtime import run as again, bench as b, verify as v\n"
        "assert again is run and b is bench and v is verify and callable(run) and callable(v)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    import catseye.runtime

    for name in catseye.runtime.__all__:
        assert callable(getattr(catseye.runtime, name))
    with pytest.raises(AttributeError, match="no attribute 'walk'"):
        _ = catseye.runtime.walk
