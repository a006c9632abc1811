"""What several stages' tests share."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Command

# Tests run beside each other and on small machines; results do not depend on it.
os.environ.setdefault("OMP_NUM_THREADS", "2")

ROOT = Path(__file__).resolve().parents[1]
THREAD_ENDS_S = 20.0


@pytest.fixture(scope="session", autouse=True)
def key_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keys of the tests' own, so that none touches those of the user who runs them."""
    folder = tmp_path_factory.mktemp("catseye-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CATSEYE_HOME", str(folder))
        yield folder


@pytest.fixture
def catseye(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Call it with the arguments of the command line."""
    return Command(monkeypatch, capsys)


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """Each thread of ours has a name and is joined when a test returns. Those without one may take a moment
    longer: a test's own, or that of rich's progress bar, which is told to end and not waited for."""
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if not thread.name.startswith("Thread-")]
    for thread in left:
        thread.join(THREAD_ENDS_S)
    assert not [thread for thread in left if thread.is_alive()]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real footage beside the project; a clone without it skips what needs it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real footage is not at {folder}")
    return folder


@pytest.fixture(scope="session")
def road_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small rendered world: three clips of 4 s at 160x96 with truth, telemetry, calibration and labels."""
    from catseye.capture.rendering import synth

    return synth(
        tmp_path_factory.mktemp("world"), seed=1, clips=3, duration_s=4.0, width=160, height=96, jobs=1
    )


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed bundle of some 100 kB, made without torch: 96x64, two classes, K = 8.

    Its graph sees the same vehicles in every frame, two of them above the threshold; a bright frame raises
    all scores a little.
    """
    import numpy as np

    from catseye.runtime.bundle import write_bundle
    from catseye.runtime.bundle_entries import FRAGMENT, PARITY
    from catseye.runtime.engines.base import OUTPUT_NAMES
    from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
    from catseye.runtime.manifest import DepthOutput, Manifest, Network, Provenance
    from catseye.runtime.npy import dump_array
    from catseye.runtime.proof import replay

    graph = _tiny_graph()
    inputs = {"frames": np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)}
    outputs = replay(OnnxRuntimeEngine(graph, threads=1), inputs, batch=1)
    manifest = Manifest(
        name="tiny",
        created="2026-01-01T00:00:00+00:00",
        classes=("car", "truck"),
        network=Network(width=96, height=64, batch=1),
        top_k=8,
        embedding_dim=4,
        depth_shape=(16, 24),
        depth=DepthOutput(width=24, height=16, canonical_focal_px=96, metric=True),
        proof_frames=2,
        fragment_frames=3,
        provenance=Provenance(encoder="none"),
    )
    fragment, fragment_frames = _tiny_fragment(tmp_path_factory.mktemp("fragment") / "fragment.mp4")
    entries = {
        "fp32.onnx": graph,
        "proof/frames.npy": dump_array(inputs["frames"]),
        FRAGMENT: fragment,
        "proof/fragment.npy": dump_array(fragment_frames["frames"]),
        PARITY: b"{}",
        **{f"proof/{name}.npy": dump_array(getattr(outputs, name)) for name in OUTPUT_NAMES},
    }
    path = tmp_path_factory.mktemp("bundle") / "tiny.catseye"
    write_bundle(path, manifest, entries)
    return path


def _tiny_graph() -> bytes:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper

    centres = np.array([[16, 40], [60, 44], [30, 20], [70, 16], [10, 10], [50, 20], [80, 50], [40, 50]])
    weights = {
        "boxes_at": np.concatenate([centres - 8, centres + 8], axis=1)[None],
        "logits": np.array([[2.0, 1.0, -3.0, -3.5, -4.0, -4.5, -5.0, -5.5]]),
        "described": np.eye(4)[np.arange(8) % 4][None],
        "far": np.linspace(5, 80, 16 * 24).reshape(1, 16, 24),
        "small": np.array([[1e-3]]),
        "none": np.zeros((1, 1, 1)),
    }
    nodes = [
        ("prologue/Cast", "Cast", ["frames"], "levels", {"to": TensorProto.FLOAT}),
        ("mean/ReduceMean", "ReduceMean", ["levels", "axes"], "mean", {"keepdims": 0}),
        ("mean/Unsqueeze", "Unsqueeze", ["mean", "last"], "column", {}),
        ("mean/Mul", "Mul", ["column", "small"], "brightness", {}),
        ("head/Add", "Add", ["logits", "brightness"], "raised", {}),
        ("head/Sigmoid", "Sigmoid", ["raised"], "scores", {}),
        ("mean/Unsqueeze_2", "Unsqueeze", ["brightness", "last"], "cube", {}),
        ("mean/Mul_2", "Mul", ["cube", "none"], "zero", {}),
        ("head/boxes/Add", "Add", ["boxes_at", "zero"], "boxes", {}),
        ("head/embeddings/Add", "Add", ["described", "zero"], "embeddings", {}),
        ("depth/Add", "Add", ["far", "zero"], "depth", {}),
        ("head/ArgMax", "ArgMax", ["described"], "best", {"axis": 2, "keepdims": 0}),
        ("head/Cast", "Cast", ["best"], "fours", {"to": TensorProto.INT32}),
        ("head/Min", "Min", ["fours", "one"], "classes", {}),
    ]
    shapes = {
        "boxes": (1, 8, 4),
        "scores": (1, 8),
        "classes": (1, 8),
        "embeddings": (1, 8, 4),
        "depth": (1, 16, 24),
    }
    arrays = {name: array.astype(np.float32) for name, array in weights.items()}
    arrays |= {"axes": np.array([1, 2, 3]), "last": np.array([1]), "one": np.array(1, dtype=np.int32)}
    graph = helper.make_graph(
        [
            helper.make_node(operator, inputs, [output], name=name, **attributes)
            for name, operator, inputs, output, attributes in nodes
        ],
        "tiny",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, (1, 64, 96, 3))],
        [
            helper.make_tensor_value_info(
                name, TensorProto.INT32 if name == "classes" else TensorProto.FLOAT, shape
            )
            for name, shape in shapes.items()
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _tiny_fragment(path: Path) -> tuple[bytes, Any]:
    from fractions import Fraction

    import numpy as np

    from catseye.capture.writer import VideoWriter
    from catseye.runtime.manifest import Network
    from catseye.runtime.network_input import stacked
    from catseye.runtime.proof import decode_fragment

    with VideoWriter(path, width=128, height=96, time_base=Fraction(1, 25), gop=3) as writer:
        for index in range(3):
            picture = np.zeros((96, 128, 3), dtype=np.uint8)
            picture[:, 32 * index : 32 * index + 32, index] = 255
            writer.write_rgb(picture, pts=index)
    video = path.read_bytes()
    return video, stacked(list(decode_fragment(video, Network(width=96, height=64, batch=1))))
