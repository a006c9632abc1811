"""A replay passes when it is the same network, ties and rounding allowed, and fails when it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from catseye.errors import CatseyeError, InputError, UsageError
from catseye.runtime import engines
from catseye.runtime.bundle import open_bundle
from catseye.runtime.engines.base import EngineOutput, Inputs
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.manifest import Tolerances
from catseye.runtime.network_input import stacked
from catseye.runtime.proof import compare_frames, compare_outputs, decode_fragment, replay
from catseye.runtime.verification import golden_inputs, golden_outputs, verify

TOLERANCES = Tolerances()


def output(seed: int = 0, *, frames: int = 2, slots: int = 12) -> EngineOutput:
    """Distinct detections, best score first."""
    generator = np.random.default_rng(seed)
    embeddings = generator.standard_normal((frames, slots, 8)).astype(np.float32)
    return EngineOutput(
        boxes=generator.uniform(0, 300, (frames, slots, 4)).astype(np.float32),
        scores=np.sort(generator.uniform(0, 1, (frames, slots)).astype(np.float32), axis=1)[:, ::-1].copy(),
        classes=generator.integers(0, 3, (frames, slots), dtype=np.int32),
        embeddings=embeddings / np.linalg.norm(embeddings, axis=2, keepdims=True),
        depth=generator.uniform(1, 100, (frames, 6, 8)).astype(np.float32),
    )


def reordered(given: EngineOutput, order: list[int], frame: int = 0) -> EngineOutput:
    changed = {}
    for name in ("boxes", "scores", "classes", "embeddings"):
        array = getattr(given, name).copy()
        array[frame, : len(order)] = array[frame, order]
        changed[name] = array
    return replace(given, **changed)


def failing(golden: EngineOutput, found: EngineOutput) -> set[str]:
    return {check.name for check in compare_outputs(golden, found, TOLERANCES) if not check}


def test_the_same_passes_with_no_difference() -> None:
    checks = compare_outputs(output(), output(), TOLERANCES)
    assert [check.value for check in checks] == [0.0] * 5
    assert all(checks)


def test_rounding_passes() -> None:
    golden = output()
    noise = np.random.default_rng(1)
    found = replace(
        golden,
        boxes=golden.boxes + noise.uniform(-0.1, 0.1, golden.boxes.shape).astype(np.float32),
        depth=golden.depth * np.float32(1.0001),
    )
    assert not failing(golden, found)


def test_swapped_ties_pass() -> None:
    golden = output()
    golden.scores[0, 3] = golden.scores[0, 4]
    assert not failing(golden, reordered(golden, [0, 1, 2, 4, 3]))


def test_equal_detections_pass() -> None:
    golden = output()
    for array in (golden.scores, golden.boxes, golden.classes, golden.embeddings):
        array[0, 2] = array[0, 1]
    assert not failing(golden, golden)


def test_another_detection_at_the_cut_passes_and_above_it_does_not() -> None:
    golden = output()
    golden.scores[0, -2:] = golden.scores[0, -3] - np.float32([0.0001, 0.0002])
    at_cut, above = replace(golden, boxes=golden.boxes.copy()), replace(golden, boxes=golden.boxes.copy())
    at_cut.boxes[0, -2:] += 100
    above.boxes[0, 1] += 100
    assert not failing(golden, at_cut)
    assert failing(golden, above) == {"boxes"}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda o: replace(o, classes=(o.classes + 1) % 3), {"unmatched detections"}),
        (lambda o: replace(o, scores=o.scores * np.float32(0.99)), {"scores"}),
        (lambda o: replace(o, boxes=o.boxes[..., [1, 0, 3, 2]].copy()), {"boxes"}),
        (lambda o: replace(o, embeddings=o.embeddings[..., ::-1].copy()), {"embeddings"}),
        (lambda o: replace(o, depth=1 / o.depth), {"depth"}),
        (lambda o: replace(o, depth=o.depth * np.float32(np.nan)), {"depth"}),
    ],
)
def test_another_network_fails(spoil: Callable[[EngineOutput], EngineOutput], said: set[str]) -> None:
    assert said <= failing(output(), spoil(output()))


def test_not_a_number_fails_everywhere() -> None:
    golden = output()
    found = replace(
        golden, scores=np.full_like(golden.scores, np.nan), boxes=golden.boxes * np.float32(np.nan)
    )
    assert {"scores", "unmatched detections"} <= failing(golden, found)


def test_verify_passes_here(tiny_bundle: Path) -> None:
    told: list[tuple[str, int, int]] = []
    report = verify(tiny_bundle, threads=1, progress=lambda *step: told.append(step))
    assert report, report.checks
    assert report.name == "tiny"
    assert report.engine.startswith("onnxruntime")
    assert told[-1][1] == told[-1][2]


def test_verify_fails_where_the_engine_computes_otherwise(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = OnnxRuntimeEngine.infer

    def shifted(self: OnnxRuntimeEngine, inputs: Inputs) -> EngineOutput:
        given = infer(self, inputs)
        return replace(given, boxes=given.boxes + 1)

    monkeypatch.setattr(OnnxRuntimeEngine, "infer", shifted)
    report = verify(tiny_bundle)
    assert not report
    assert [check.name for check in report.checks if not check] == ["boxes"]


@pytest.mark.parametrize("fault", ["matrix", "range", "stretch"])
def test_verify_fails_where_frames_are_made_otherwise(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    from catseye.capture import geometry
    from catseye.runtime import network_input

    def wrong(planes: geometry.Planes, box: geometry.Letterbox) -> geometry.Image:
        if fault == "matrix":
            planes = replace(planes, matrix="bt709" if planes.matrix == "bt601" else "bt601")
        elif fault == "range":
            planes = replace(planes, full_range=not planes.full_range)
        else:
            box = replace(box, scaled_width=box.width, scaled_height=box.height, left=0, top=0)
        return geometry.planes_to_network(planes, box)

    monkeypatch.setattr(network_input, "planes_to_network", wrong)
    report = verify(tiny_bundle)
    assert not report
    assert {check.name for check in report.checks if not check} & {
        "fragment mean level",
        "fragment largest level",
    }


def test_missing_frames_of_the_fragment_fail(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    frames = list(decode_fragment(bundle.entries["proof/fragment.mp4"], bundle.manifest.network))
    assert all(compare_frames(stacked(frames), frames, TOLERANCES))
    (check,) = compare_frames(stacked(frames), frames[:-1], TOLERANCES)
    assert (bool(check), check.value) == (False, 1.0)


def test_engine_is_chosen_by_name(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    engine = engines.load_engine(bundle, engine="onnxruntime", threads=1)
    found = replay(engine, golden_inputs(bundle), batch=1)
    np.testing.assert_array_equal(found.classes, golden_outputs(bundle).classes)
    assert found.classes.dtype == np.int32
    with pytest.raises(UsageError, match="'cuda'"):
        engines.load_engine(bundle, engine="cuda")
    with pytest.raises(UsageError, match="threads is -1"):
        engines.load_engine(bundle, threads=-1)


def test_graph_that_onnxruntime_does_not_load_is_one_line() -> None:
    with pytest.raises(CatseyeError, match="ONNX Runtime does not load the graph") as refused:
        OnnxRuntimeEngine(b"nonsense")
    assert "\n" not in str(refused.value)


def test_verify_refuses_a_changed_byte(tiny_bundle: Path, tmp_path: Path) -> None:
    content = bytearray(tiny_bundle.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "x.catseye").write_bytes(content)
    with pytest.raises(InputError):
        verify(tmp_path / "x.catseye")
