"""``wrap``: an ONNX detector to a bundle, with the proof that it finds what the original does."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import onnxruntime

from catseye.capture.geometry import ColorMatrix
from catseye.capture.rendering import synth
from catseye.errors import CatseyeError, UsageError
from catseye.export.calibration_frames import calibration_inputs
from catseye.export.gate import Budget
from catseye.export.golden import golden_inputs, proof_fragment
from catseye.export.held_out import HeldOut, read_held_out
from catseye.export.lower_precisions import lower_precisions
from catseye.export.onnx_export import ExportedGraph
from catseye.export.parity import reference_frames
from catseye.export.precision_gate import open_gate
from catseye.export.precisions import require_precisions
from catseye.export.proven_bundle import PROOF_FRAMES, require_bundle_options, write_proven_bundle
from catseye.export.wrapping.class_map import ClassMap, class_names, map_classes
from catseye.export.wrapping.composition import DENSE_OUTPUTS, WrappedGraph, compose_graph
from catseye.export.wrapping.layouts import Layout, decoder_named, layout_of
from catseye.export.wrapping.original import Original, at_size, read_original
from catseye.export.wrapping.reference import Found, golden_of, run_original
from catseye.export.wrapping.reshaping_proof import prove_reshaped
from catseye.progress import Progress, silent
from catseye.runtime.bundle import Bundle
from catseye.runtime.distance import CUES
from catseye.runtime.engines.base import EngineOutput, InputLayout, Inputs
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine, make_session, run_session
from catseye.runtime.manifest import Colour, Manifest, Network, Provenance, Tolerances
from catseye.runtime.network_input import first_frames, frame_count, in_batches
from catseye.runtime.proof import Check, above_cut, compare_outputs, replay
from catseye.version import __version__

_WITH_DOUBLES, _WITHOUT = 300, 100
_SAME_BOX = 0.95


def wrap(
    model: str | Path,
    out: str | Path,
    *,
    decoder: str,
    classes: str | Path | None = None,
    keep: Sequence[str] = (),
    rename: Mapping[str, str] | None = None,
    precisions: Sequence[str] = ("fp32",),
    calibration: Sequence[str | Path] = (),
    float_nodes: Collection[str] = (),
    top_k: int | None = None,
    nms_iou: float | None = None,
    score_threshold: float = 0.3,
    width: int | None = None,
    height: int | None = None,
    input: InputLayout = "rgb8",
    matrix: ColorMatrix = "bt709",
    full_range: bool = False,
    videos: Sequence[str | Path] = (),
    held_out: HeldOut | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Bundle:
    """Wrap someone else's ONNX detector as one signed bundle and read it back.

    Args:
        model: the ONNX file, with one picture a call.
        out: file to write, ``NAME.catseye``; replaced only by a bundle that holds its proof.
        decoder: what it takes and gives, one of ``layouts.DECODERS``.
        classes: file with its class names, one a line; None takes those in its metadata.
        keep: classes that the bundle has; none named keeps all.
        rename: new names by old; classes of one new name become one, scored by the best of them.
        precisions, calibration, float_nodes: as of ``export``, for a model in float32. Nodes of the model
            have its own names below ``model/``.
        top_k: detections a frame; None takes 300 where doubles are among them, else 100.
        nms_iou: overlap over which two detections are one object; None takes the authors'.
        score_threshold: score from which a detection is worth showing.
        width, height: of the network's input in pixels; where the file fixes another size, its graph is
            re-shaped.
        input, matrix, full_range: how frames enter the graph, as of ``export``.
        videos: footage whose frames become the proof's inputs; those of ``calibration`` do where there is
            none, or else a rendered road with vehicles.
        held_out: labelled stills on which each precision is held to ``budget``, as in ``export``.
        budget: what a precision may lose; by default as ``Budget`` says.
        seed: of that road, and of the choice of frames.
        progress: told of each step.

    Raises:
        UsageError: an option cannot be, or the file is of another decoder.
        InputError: model, names or a video cannot be read, or the model uses what no bundle may hold, or
            depends on its size in a way that is not understood.
        CatseyeError: the wrapped graph differs from the original, or finds nothing to prove it by.
    """
    out, steps = Path(out), 5
    require_bundle_options(out, top_k=top_k, score_threshold=score_threshold, videos=videos, input=input)
    wanted = require_precisions(precisions, calibrated=bool(calibration))
    if held_out is not None and (held_out.labels is None or held_out.dataset is not None):
        raise UsageError("a wrapped detector gives boxes only: hold it to labels, not to a dataset")
    if nms_iou is not None and not 0 < nms_iou < 1:
        raise UsageError(f"nms_iou is {nms_iou}: give a share between 0 and 1")
    family = decoder_named(decoder)
    if nms_iou is not None and family.nms_iou is None:
        raise UsageError(f"nms_iou is {nms_iou}: {decoder} gives each object once, leave it out")
    progress("reading the model", 0, steps)
    source = read_original(Path(model), width=width, height=height)
    original = at_size(source, width=width, height=height)
    if len(wanted) > 1 and not original.is_single:
        raise UsageError(f"{original.path} is not in float32: export it so, or leave --precisions at fp32")
    size = {"width": original.width, "height": original.height}
    layout = layout_of(family, original.outputs, subject=str(original.path), **size)
    names = class_names(classes, original.metadata, count=layout.classes, subject=original.path)
    class_map = map_classes(names, keep=keep, rename=rename or {})
    progress("wrapping it", 1, steps)
    most = top_k or (_WITHOUT if family.nms_iou is None else _WITH_DOUBLES)
    colour = Colour(matrix=matrix, full_range=full_range) if input == "nv12" else None
    network = Network(
        width=original.width,
        height=original.height,
        batch=1,
        input=input,
        colour=colour,
        fit=family.fit,
    )
    graph = compose_graph(original, family, layout, class_map, network=network, top_k=most)
    progress("proving parity", 2, steps)
    seen = calibration_inputs(calibration, network, seed=seed) if calibration else None
    inputs = _proof_inputs(seen, videos, network, seed=seed)
    frames, tolerances = reference_frames(inputs, network.colour), Tolerances()
    found = run_original(original, family, layout, class_map, frames)
    golden = golden_of(found, top_k=graph.top_k, **size)
    checks = prove_wrapped(found, golden, graph, inputs, dense=layout.in_place, tolerances=tolerances)
    checks += prove_reshaped(
        source, original, family, class_map, frames, score_threshold=score_threshold, tolerances=tolerances
    )
    fragment = proof_fragment(network)
    manifest = Manifest(
        name=out.stem,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        classes=class_map.names,
        network=network,
        top_k=graph.top_k,
        embedding_dim=None,
        depth_shape=None,
        cues=tuple(name for name in CUES if name != "depth"),
        nms_iou=nms_iou or family.nms_iou or _doubles_of_merging(layout, class_map),
        score_threshold=score_threshold,
        proof_frames=frame_count(inputs),
        fragment_frames=frame_count(fragment[1]),
        tolerances=tolerances,
        provenance=Provenance(
            encoder=original.path.stem,
            decoder=family.name,
            wrapped_sha256=original.sha256,
            code_version=__version__,
        ),
    )
    detections = int(above_cut(golden.scores, tolerances).sum())
    if not detections:
        raise CatseyeError(
            f"{original.path}: finds nothing in the proof's frames, which would prove little; "
            "give --video with footage in which there is something to find"
        )
    parity = {
        "schema_version": "1.0",
        "reference": f"{_named(source, original)} in onnxruntime {onnxruntime.__version__}, decoded in numpy",
        "engine": f"onnxruntime {onnxruntime.__version__}",
        "frames": frame_count(inputs),
        "detections": detections,
        "checks": [asdict(check) for check in checks],
    }
    progress("converting", 3, steps)
    gate = None
    if held_out is not None:
        held_out_frames = read_held_out(held_out, manifest, progress=progress)
        gate = open_gate(graph.deployed, manifest, held_out_frames, budget or Budget(), progress=progress)
    made = lower_precisions(
        ExportedGraph(graph.deployed, graph.with_dense, DENSE_OUTPUTS),
        wanted,
        seen=inputs if seen is None else seen,
        proof=(inputs, golden),
        manifest=manifest,
        float_nodes=float_nodes,
        gate=gate,
        progress=progress,
    )
    progress("signing", 4, steps)
    bundle = write_proven_bundle(
        out,
        manifest,
        made=made,
        inputs=inputs,
        fragment=fragment,
        golden=golden,
        parity=parity,
    )
    progress("wrapped", steps, steps)
    return bundle


def _named(source: Original, original: Original) -> str:
    if original is source:
        return "the original"
    return f"the original made {original.width}x{original.height} of {source.width}x{source.height}"


def _proof_inputs(
    seen: Inputs | None, videos: Sequence[str | Path], network: Network, *, seed: int
) -> Inputs:
    """Frames from the videos, else those that calibrate, or of a rendered road each: noise shows a detector
    nothing, and a proof of scores near zero would let a fault pass."""
    if seen is not None and frame_count(seen) >= PROOF_FRAMES and not videos:
        return first_frames(seen, PROOF_FRAMES)
    with tempfile.TemporaryDirectory() as folder:
        if not videos:
            world = synth(
                Path(folder) / "road",
                seed=seed,
                clips=PROOF_FRAMES,
                duration_s=0.16,
                width=640,
                height=360,
                jobs=1,
            )
            videos = sorted(world.glob("*.mp4"))
        paths = [Path(video) for video in videos]
        return golden_inputs(paths, network, count=PROOF_FRAMES, seed=seed)


def _doubles_of_merging(layout: Layout, class_map: ClassMap) -> float | None:
    """Networks that pick the best of boxes times classes give one box as car and as truck; both of one class
    now, one of them is to go."""
    merged = any(len(group) > 1 for group in class_map.groups)
    return _SAME_BOX if merged and layout.classes is None else None


def prove_wrapped(
    found: Sequence[Found],
    golden: EngineOutput,
    graph: WrappedGraph,
    inputs: Inputs,
    *,
    dense: bool,
    tolerances: Tolerances,
) -> list[Check]:
    """Hold a wrapped graph to the original: what is deployed, and, if ``dense``, all candidates before TopK.

    Raises:
        CatseyeError: a figure is beyond its limit.
    """
    checks = list(_dense_checks(found, graph, inputs, tolerances)) if dense else []
    replayed = replay(OnnxRuntimeEngine(graph.deployed), inputs, batch=1)
    checks += compare_outputs(golden, replayed, tolerances)
    for check in checks:
        if not check:
            raise CatseyeError(
                f"the wrapped graph differs from the original: {check.name} by {check.value:.3g}, "
                f"{check.limit:.3g} at most; nothing was written"
            )
    return checks


def _dense_checks(
    found: Sequence[Found], graph: WrappedGraph, inputs: Inputs, tolerances: Tolerances
) -> Iterator[Check]:
    height, width = next(iter(inputs.values())).shape[1:3]
    limit = np.array([width, height] * 2, dtype=np.float32)
    session = make_session(graph.with_dense)
    runs = [run_session(session, frame) for frame, _ in in_batches(inputs, 1)]
    boxes, scores = (np.concatenate([run[name] for run in runs]) for name in DENSE_OUTPUTS)
    pairs = {
        "dense_boxes": (np.stack([each.boxes for each in found]).clip(0, limit), boxes.clip(0, limit)),
        "dense_scores": (np.stack([each.scores for each in found]), scores),
    }
    for name, (expected, made) in pairs.items():
        difference = np.abs(expected - made)
        worst = float(np.where(np.isnan(difference), np.inf, difference).max())
        yield Check(name, worst, tolerances.relative * float(np.abs(expected).max()))
