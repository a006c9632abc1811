"""Each known detector as a bundle: what it finds, and that a graph that is wrong is never written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import Command

import catseye
from catseye.capture.sources import VideoFile
from catseye.errors import CatseyeError, InputError, UsageError
from catseye.export import wrap
from catseye.export.wrapping import heads
from catseye.export.wrapping.class_map import map_classes
from catseye.export.wrapping.composition import compose_graph
from catseye.export.wrapping.layouts import DECODERS, Decoder, layout_of
from catseye.export.wrapping.original import read_original
from catseye.export.wrapping.reference import golden_of, run_original
from catseye.export.wrapping.wrapped_bundle import prove_wrapped
from catseye.runtime.bundle_entries import PARITY
from catseye.runtime.engines.base import INPUT_NAME
from catseye.runtime.manifest import Network, Tolerances
from catseye.runtime.pipeline import track_video
from catseye.runtime.verification import golden_inputs, verify

from .conftest import HEIGHT, NAMES, WIDTH, Write, outputs_of

FORMS = [
    ("yolox", "yolox", 1.0),
    ("fastestdet", "fastestdet", 255.0),
    ("yolo11", "yolo", 255.0),
    ("yolov8", "yolo", 255.0),
    ("yolo26", "end_to_end", 255.0),
    ("rtdetr", "detr", 255.0),
    ("rtdetr", "detr_joined", 255.0),
    ("rtdetr", "detr_picked", 255.0),
    ("dfine", "detr_decoded", 255.0),
]


def expected_of(form: str, frame: np.ndarray, *, bgr: bool) -> tuple[np.ndarray, float, int]:
    """Box in network pixels, score and class of the best candidate, worked out by hand from the outputs."""
    at_rest, by_colour = outputs_of(form)
    mean = frame.reshape(-1, 3).mean(axis=0) / 255
    light = (mean[::-1] if bgr else mean) @ [0.1, 0.3, 0.6]
    out = {name: (at_rest[name] + light * by_colour[name])[0] for name in at_rest}
    size = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])

    def corners(cx: float, cy: float, w: float, h: float) -> np.ndarray:
        return np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])

    if form == "yolox":
        rows = out["output"]
        at, kind = np.unravel_index((rows[:, 4:5] * rows[:, 5:]).argmax(), (len(rows), 4))
        stride, first, wide = (8, 0, 12) if at < 96 else (16, 96, 6) if at < 120 else (32, 120, 3)
        y, x = divmod(int(at) - first, wide)
        cx, cy, w, h, objectness = rows[at, :5]
        box = corners((cx + x) * stride, (cy + y) * stride, np.exp(w) * stride, np.exp(h) * stride)
        score = objectness * rows[at, 5 + kind]
    elif form == "fastestdet":
        rows = out["758"].reshape(9, 24).T
        at, kind = np.unravel_index(rows[:, 5:].argmax(), (24, 4))
        y, x = divmod(int(at), 6)
        w, h = 1 / (1 + np.exp(-rows[at, 3:5])) * [WIDTH, HEIGHT]
        box = corners((x + np.tanh(rows[at, 1])) * 16, (y + np.tanh(rows[at, 2])) * 16, w, h)
        score = rows[at, 0] * rows[at, 5 + kind]
    elif form == "yolo":
        rows = out["output0"].T
        at, kind = np.unravel_index(rows[:, 4:].argmax(), (len(rows), 4))
        box, score = corners(*rows[at, :4]), rows[at, 4 + kind]
    elif form == "end_to_end":
        row = out["output0"][out["output0"][:, 4].argmax()]
        box, score, kind = row[:4], row[4], int(row[5])
    elif form == "detr_picked":
        row = out["output0"][out["output0"][:, 4].argmax()]
        box, score, kind = corners(*(row[:4] * size)), row[4], int(row[5])
    elif form == "detr_decoded":
        at = out["scores"].argmax()
        box, score, kind = out["boxes"][at] * size, out["scores"][at], int(out["labels"][at])
    else:
        values = out["logits"] if form == "detr" else out["output0"][:, 4:]
        boxes = out["pred_boxes"] if form == "detr" else out["output0"][:, :4]
        at, kind = np.unravel_index(values.argmax(), values.shape)
        box, score = corners(*(boxes[at] * size)), values[at, kind]
        score = 1 / (1 + np.exp(-score)) if form == "detr" else score
    return np.clip(box, 0, size), float(score), int(kind)


@pytest.mark.parametrize(("decoder", "form", "divisor"), FORMS)
def test_each_detector_finds_what_its_outputs_say(
    decoder: str, form: str, divisor: float, write: Write, proof_videos: list[Path], tmp_path: Path
) -> None:
    bundle = wrap(write(form, divisor=divisor), tmp_path / "x.catseye", decoder=decoder, videos=proof_videos)
    manifest = bundle.manifest
    assert manifest.classes == NAMES
    assert (manifest.embedding_dim, manifest.depth_shape, manifest.depth) == (None, None, None)
    assert manifest.network.fit == DECODERS[decoder].fit
    assert verify(bundle.path, threads=1)
    frame = np.full((HEIGHT, WIDTH, 3), (210, 30, 90), dtype=np.uint8)
    found = catseye.load(bundle.path).predict(frame, threshold=0.0)
    box, score, kind = expected_of(form, frame, bgr=DECODERS[decoder].colours == "bgr")
    assert found.scores[0] == pytest.approx(score, rel=1e-3)
    assert found.classes[0] == kind
    np.testing.assert_allclose(found.boxes_xyxy[0], box, atol=0.05)


WRONG: dict[str, Callable[[Decoder], Decoder]] = {
    "colour order": lambda decoder: replace(decoder, colours="rgb" if decoder.colours == "bgr" else "bgr"),
    "normalisation": lambda decoder: replace(decoder, divisor=256 - decoder.divisor),
}


@pytest.mark.parametrize("decoder", ["yolox", "fastestdet", "yolo11", "yolo26", "rtdetr"])
@pytest.mark.parametrize("fault", WRONG)
def test_wrong_input_is_caught(decoder: str, fault: str, write: Write, proof_videos: list[Path]) -> None:
    with pytest.raises(CatseyeError, match=r"differs from the original: .*scores"):
        prove(decoder, write, proof_videos, graph_of=WRONG[fault])


@pytest.mark.parametrize("decoder", ["yolox", "fastestdet", "yolo11", "yolo26", "rtdetr"])
def test_wrong_decoding_is_caught(
    decoder: str, write: Write, proof_videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boxes that are off by one pixel in the width of the network."""
    right = dict(heads._DECODES)

    def off(b: heads.Builder, layout: heads.Layout, size: np.ndarray) -> heads.Candidates:
        candidates = right[layout.form](b, layout, size)
        return replace(candidates, boxes=b.add("Add", candidates.boxes, b.constant([1, 0, 0, 0])))

    prove(decoder, write, proof_videos)
    monkeypatch.setattr(heads, "_DECODES", dict.fromkeys(right, off))
    with pytest.raises(CatseyeError, match=r"differs from the original: .*(boxes|unmatched)"):
        prove(decoder, write, proof_videos)


def test_wrong_classes_are_caught(write: Write, proof_videos: list[Path]) -> None:
    with pytest.raises(CatseyeError, match="differs from the original: "):
        prove("yolo11", write, proof_videos, names=("car", "bus", "person", "truck"))


def prove(
    decoder: str,
    write: Write,
    videos: list[Path],
    *,
    graph_of: Callable[[Decoder], Decoder] = lambda decoder: decoder,
    names: tuple[str, ...] = NAMES,
) -> None:
    """Hold a graph, spoilt or not, to the original."""
    family = DECODERS[decoder]
    form = {"yolo11": "yolo", "yolo26": "end_to_end", "rtdetr": "detr"}.get(decoder, decoder)
    original = read_original(write(form, divisor=family.divisor), width=None, height=None)
    layout = layout_of(family, original.outputs, width=WIDTH, height=HEIGHT, subject="x")
    right = map_classes(NAMES, keep=("person", "car"), rename={})
    kept = map_classes(names, keep=("person", "car"), rename={})
    network = Network(width=WIDTH, height=HEIGHT, batch=1)
    graph = compose_graph(original, graph_of(family), layout, kept, network=network, top_k=15)
    frames = np.stack([next(iter(VideoFile(video).frames())).planes.y for video in videos])
    rgb = np.stack([frames, frames // 2, 255 - frames], axis=-1)
    found = run_original(original, family, layout, right, rgb)
    golden = golden_of(found, top_k=graph.top_k, width=WIDTH, height=HEIGHT)
    prove_wrapped(found, golden, graph, {INPUT_NAME: rgb}, dense=layout.in_place, tolerances=Tolerances())


def test_classes_are_kept_and_merged(write: Write, proof_videos: list[Path], tmp_path: Path) -> None:
    """Persons go, and the best of three scores is the vehicle's."""
    model = write("yolo")
    merged = wrap(
        model,
        tmp_path / "x.catseye",
        decoder="yolo11",
        keep=("car", "bus", "truck"),
        rename=dict.fromkeys(("car", "bus", "truck"), "vehicle"),
        videos=proof_videos,
        nms_iou=0.99,
    )
    assert merged.manifest.classes == ("vehicle",)
    frame = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    found = catseye.load(merged.path).predict(frame, threshold=0.0)
    scores = outputs_of("yolo")[0]["output0"][0, 5:].max(axis=0)
    np.testing.assert_allclose(found.scores, np.sort(scores)[::-1], rtol=1e-5)
    assert not found.classes.any()


def test_labels_are_kept_and_merged(write: Write, proof_videos: list[Path], tmp_path: Path) -> None:
    bundle = wrap(
        write("end_to_end"),
        tmp_path / "x.catseye",
        decoder="yolo26",
        keep=("bus", "truck"),
        rename={"truck": "bus"},
        videos=proof_videos,
    )
    found = catseye.load(bundle.path).predict(np.zeros((HEIGHT, WIDTH, 3), np.uint8), threshold=0.0)
    rows = outputs_of("end_to_end")[0]["output0"][0]
    np.testing.assert_allclose(found.scores, np.sort(rows[rows[:, 5] >= 2, 4])[::-1], rtol=1e-5)
    assert bundle.manifest.nms_iou == 0.95  # one box picked as bus and as truck is one bus


def test_names_that_clash_with_ours(write: Write, proof_videos: list[Path], tmp_path: Path) -> None:
    """The picture is called frames, and something within scores."""
    path = write("detr_decoded", picture="frames")
    model = onnx.load(path)
    for node in model.graph.node:
        for field in (node.input, node.output):
            field[:] = ["classes" if name == "mean" else name for name in field]
    onnx.save(model, path)
    assert verify(wrap(path, tmp_path / "x.catseye", decoder="rtdetr", videos=proof_videos).path)


def test_open_sizes_are_given(write: Write, proof_videos: list[Path], tmp_path: Path) -> None:
    model = write("yolo", dims=("batch", 3, "height", "width"))
    with pytest.raises(UsageError, match="leaves its height open: give --height"):
        wrap(model, tmp_path / "x.catseye", decoder="yolo11")
    size = {"width": WIDTH, "height": HEIGHT}
    bundle = wrap(model, tmp_path / "x.catseye", decoder="yolo11", videos=proof_videos, **size)  # type: ignore[arg-type]
    assert (bundle.manifest.network.width, bundle.manifest.network.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("form", "decoder", "said"),
    [
        ("yolo", "yolox", "decoder yolox expects one output 1xNx(5+C)"),
        ("yolox", "yolo11", "try yolox"),
        ("end_to_end", "yolov8", "try yolo26 or rtdetr or dfine"),
        ("detr", "yolo26", "logits 1x24x4 float32, pred_boxes 1x24x4 float32 for 96x64: try rtdetr"),
        ("yolo", "nanodet", "decoder 'nanodet': choose from yolox"),
    ],
)
def test_another_decoder_is_one_line(
    form: str, decoder: str, said: str, write: Write, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        wrap(write(form), tmp_path / "x.catseye", decoder=decoder)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_labels_that_are_no_indices_are_refused(
    write: Write, proof_videos: list[Path], tmp_path: Path
) -> None:
    """Two classes' scores where a score and an index are meant."""
    model = onnx.load(write("end_to_end"))
    for weight in model.graph.initializer:
        if weight.name == "output0_rest":
            array = onnx.numpy_helper.to_array(weight) * np.array([1, 1, 1, 1, 1, 0.3], np.float32)
            weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(InputError, match="for a class's index"):
        wrap(tmp_path / "odd.onnx", tmp_path / "x.catseye", decoder="rtdetr", videos=proof_videos)


def test_proof_of_nothing_is_refused(write: Write, proof_videos: list[Path], tmp_path: Path) -> None:
    model = onnx.load(write("yolo"))
    for weight in model.graph.initializer:
        if weight.name in {"output0_rest", "output0_gain"}:
            array = onnx.numpy_helper.to_array(weight).copy()
            array[:, 4:] *= 1e-4
            weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    onnx.save(model, tmp_path / "blind.onnx")
    with pytest.raises(CatseyeError, match="finds nothing in the proof's frames"):
        wrap(tmp_path / "blind.onnx", tmp_path / "x.catseye", decoder="yolo11", videos=proof_videos)
    assert not (tmp_path / "x.catseye").exists()


def test_tracks_have_no_distance(write: Write, proof_videos: list[Path], tmp_path: Path) -> None:
    from catseye.runtime.engines.load import load_engine
    from catseye.runtime.results import FrameResult

    model = write("yolo")
    bundle = wrap(model, tmp_path / "x.catseye", decoder="yolo11", videos=proof_videos)
    results: list[FrameResult] = []
    with VideoFile(proof_videos[0]) as file:
        track_video(
            load_engine(bundle, threads=1),
            bundle.manifest,
            file,
            threshold=0.3,
            sinks=[lambda _, result: results.append(result)],
        )
    (record,) = [result.record() for result in results]
    assert len(record["tracks"]) > 3
    assert {(t["distance_m"], t["distance_relative"]) for t in record["tracks"]} == {(None, None)}


def test_command_line(catseye: Command, write: Write, proof_videos: list[Path], tmp_path: Path) -> None:
    model, out = write("yolo"), tmp_path / "x.catseye"
    names = tmp_path / "names.txt"
    names.write_text("\n".join(NAMES))
    arguments = ["wrap", model, "--decoder", "yolo11", "--classes", names, "--out", out]
    arguments += [part for video in proof_videos for part in ("--video", video)]
    called = catseye(*arguments, "--keep", "car, bus", "--rename", "bus=car", "--json")
    assert called.code == 0, called.err
    assert json.loads(called.out)["classes"] == ["car"]
    wrong = catseye(*arguments, "--keep", "tram")
    assert wrong.code == 2
    assert "--keep tram: the model has person, car, bus, truck" in wrong.line


@pytest.mark.parametrize(
    ("file", "decoder"), [("yolox_nano_416.onnx", "yolox"), ("FastestDet.onnx", "fastestdet")]
)
def test_real_detectors(file: str, decoder: str, shared_data: Path, tmp_path: Path) -> None:
    """They see vehicles on the rendered road that proves them where no footage is given."""
    detectors = shared_data / "detectors"
    bundle = wrap(
        detectors / file,
        tmp_path / "x.catseye",
        decoder=decoder,
        classes=detectors / "coco.names",
        keep=("person", "car", "bus", "truck"),
    )
    parity = json.loads(bytes(bundle.entries[PARITY]))
    assert parity["detections"] > 20
    assert [check["name"] for check in parity["checks"]][:2] == ["dense_boxes", "dense_scores"]
    assert golden_inputs(bundle)["frames"].std() > 20
