"""The task's own metrics of an engine, with engines whose every answer is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from catseye.capture.geometry import Letterbox, letterbox
from catseye.errors import InputError, UsageError
from catseye.export.held_out import HeldOut, HeldOutFrames, read_held_out
from catseye.export.task_figures import TaskFigures, task_figures, watch
from catseye.runtime.bundle import Bundle
from catseye.runtime.engines.base import INPUT_NAME, EngineOutput, Inputs
from catseye.runtime.engines.load import load_engine
from catseye.runtime.manifest import Manifest, Network
from catseye.runtime.network_input import frame_count

K, E = 20, 32


class Answers:
    """An engine that knows each frame by its pixels."""

    name = "answers"

    def __init__(
        self, outputs: dict[bytes, EngineOutput], change: Callable[[EngineOutput], EngineOutput]
    ) -> None:
        self._outputs, self._change = outputs, change
        self.batches: list[int] = []

    def infer(self, inputs: Inputs) -> EngineOutput:
        frames = inputs[INPUT_NAME]
        self.batches.append(len(frames))
        found = [self._change(self._outputs[frame.tobytes()]).arrays() for frame in frames]
        return EngineOutput(**{name: np.stack([each[name] for each in found]) for name in found[0]})

    def close(self) -> None:
        pass


def perfect(
    held_out: HeldOutFrames, manifest: Manifest, change: Callable[[EngineOutput], EngineOutput] = lambda o: o
) -> Answers:
    """Finds what is labelled, describes each vehicle of a clip by a direction of its own, and knows depth."""
    assert manifest.depth is not None
    outputs = {}
    for still in held_out.stills:
        boxes = still.box.boxes_to_network(still.truth.boxes)
        looks = _directions(np.zeros(len(boxes), np.int64), 0)
        depth = np.ones((manifest.depth.height, manifest.depth.width), np.float32)
        outputs[still.frame[INPUT_NAME].tobytes()] = _output(boxes, still.truth.classes, looks, depth)
    for number, clip in enumerate(held_out.clips):
        assert clip.tracks is not None
        size = {"width": manifest.depth.width, "height": manifest.depth.height}
        depth = plane(**size, box=clip.box) * manifest.depth.canonical_focal_px / clip.focal_px
        for index, frame in enumerate(clip.frames[INPUT_NAME]):
            rows = clip.tracks.frames == index
            looks = _directions(clip.tracks.tracks[rows], number)
            classes = np.zeros(int(rows.sum()), np.int32)
            outputs[frame.tobytes()] = _output(clip.tracks.boxes[rows], classes, looks, depth)
    return Answers(outputs, change)


def _output(boxes: np.ndarray, classes: np.ndarray, looks: np.ndarray, depth: np.ndarray) -> EngineOutput:
    free = K - len(boxes)
    return EngineOutput(
        boxes=np.pad(boxes, ((0, free), (0, 0))).astype(np.float32),
        scores=np.pad(np.full(len(boxes), 0.9, np.float32), (0, free)),
        classes=np.pad(classes, (0, free)).astype(np.int32),
        embeddings=np.pad(looks, ((0, free), (0, 0))).astype(np.float32),
        depth=depth.astype(np.float32),
    )


def _directions(vehicles: np.ndarray, clip: int) -> np.ndarray:
    """A unit vector a vehicle, (N, E)."""
    each = [np.random.default_rng([clip, vehicle]).normal(size=E) for vehicle in vehicles.tolist()]
    return np.array([look / np.linalg.norm(look) for look in each]).reshape(-1, E)


def plane(*, width: int, height: int, box: Letterbox) -> np.ndarray:
    """A map of a network frame in which the picture's depth rises from 10 m by 30 m to the right and 10 m
    down."""
    x = ((np.arange(width) + 0.5) / width * box.width - box.left) / box.scaled_width
    y = ((np.arange(height) + 0.5) / height * box.height - box.top) / box.scaled_height
    return 10 + 30 * x[None] + 10 * y[:, None]


@pytest.fixture(scope="module")
def world(held_out_frames: HeldOutFrames) -> HeldOutFrames:
    """The held-out frames, with a truth that maps of any size say without loss."""
    whole = letterbox(40, 24, 40, 24)
    true = plane(width=40, height=24, box=whole).astype(np.float32)
    clips = [replace(clip, depth=(true,) * frame_count(clip.frames)) for clip in held_out_frames.clips]
    return HeldOutFrames(held_out_frames.stills, tuple(clips))


def figures(
    held_out: HeldOutFrames, bundle: Bundle, change: Callable[[EngineOutput], EngineOutput] = lambda o: o
) -> TaskFigures:
    reference = watch(perfect(held_out, bundle.manifest), bundle.manifest, held_out)
    engine = perfect(held_out, bundle.manifest, change)
    return task_figures(engine, bundle.manifest, held_out, reference=reference)


def test_a_perfect_engine_is_perfect(world: HeldOutFrames, exported: Bundle) -> None:
    found = figures(world, exported)
    assert found.values["ap"] == found.values["ap50"] == found.values["ap50_h10"] == pytest.approx(1)
    assert found.values["rank1"] == 1
    assert found.values["depth_absrel"] < 0.01
    assert found.values["depth_absrel_raw"] < 0.01
    assert found.values["depth_change"] == 0
    assert found.counts["stills"] == len(world.stills) == 15
    assert found.counts["objects"] > 20
    assert found.counts["depth_frames"] == sum(frame_count(clip.frames) for clip in world.clips) > 30
    assert found.counts["queries"] > 10


def test_lost_and_displaced_boxes_cost_ap(world: HeldOutFrames, exported: Bundle) -> None:
    lost = figures(
        world,
        exported,
        lambda o: replace(o, scores=np.where(np.arange(K) == 0, 0, o.scores).astype(np.float32)),
    )
    classes = [still.truth.classes for still in world.stills]
    kept = [np.concatenate([of[1:] for of in classes]), np.concatenate(classes)]
    recall = np.mean(np.divide(*(np.bincount(of, minlength=2) for of in kept)))
    assert lost.values["ap50"] == pytest.approx(recall, abs=0.011)
    moved = figures(world, exported, lambda o: replace(o, boxes=o.boxes[:, [1, 0, 3, 2]]))
    assert moved.values["ap50"] < 0.3


def test_wrong_depth_is_told_by_truth_and_by_reference(world: HeldOutFrames, exported: Bundle) -> None:
    before = figures(world, exported)
    after = figures(world, exported, lambda o: replace(o, depth=o.depth * np.float32(1.2)))
    assert after.values["depth_absrel_raw"] == pytest.approx(0.2, abs=0.01)
    assert after.values["depth_absrel"] == pytest.approx(before.values["depth_absrel"], abs=1e-3)
    assert after.values["depth_change"] == pytest.approx(0.2, abs=1e-3)


def test_descriptors_that_are_all_alike_know_nobody(world: HeldOutFrames, exported: Bundle) -> None:
    mixed = np.random.default_rng(0)

    def change(output: EngineOutput) -> EngineOutput:
        looks = mixed.normal(size=(K, E)).astype(np.float32)
        return replace(output, embeddings=looks / np.linalg.norm(looks, axis=1, keepdims=True))

    assert figures(world, exported, change).values["rank1"] < 0.8


def test_without_a_truth_vehicles_are_those_that_the_reference_links(
    world: HeldOutFrames, exported: Bundle
) -> None:
    engine = perfect(world, exported.manifest)
    unknown = tuple(replace(clip, tracks=None, depth=()) for clip in world.clips)
    blind = HeldOutFrames((), unknown)
    reference = watch(engine, exported.manifest, blind)
    found = task_figures(engine, exported.manifest, blind, reference=reference)
    assert found.values == {"rank1": 1.0, "depth_change": 0.0}
    nobody = perfect(world, exported.manifest, lambda o: replace(o, scores=0 * o.scores))
    lost = task_figures(nobody, exported.manifest, blind, reference=reference)
    assert "rank1" not in lost.values


def test_what_is_no_number_is_no_detection(world: HeldOutFrames, exported: Bundle) -> None:
    found = figures(
        world,
        exported,
        lambda o: replace(o, boxes=np.full_like(o.boxes, np.nan), depth=np.full_like(o.depth, np.nan)),
    )
    assert found.values["ap50"] == 0
    assert np.isnan(found.values["depth_change"])


def test_a_batch_that_is_not_full_is_filled_up(world: HeldOutFrames, exported: Bundle) -> None:
    manifest = exported.manifest.model_copy(update={"network": Network(width=96, height=64, batch=4)})
    engine = perfect(world, manifest)
    by_four = task_figures(engine, manifest, world)
    assert set(engine.batches) == {4}
    assert by_four.values["ap50"] == pytest.approx(1)
    assert by_four.counts["stills"] == 15


def test_a_network_without_depth_and_embedding_has_no_such_figures(
    world: HeldOutFrames, exported: Bundle
) -> None:
    manifest = exported.manifest.model_copy(update={"depth": None, "embedding_dim": None})
    engine = perfect(world, manifest.model_copy(update={"depth": exported.manifest.depth}))
    found = task_figures(engine, manifest, world)
    assert set(found.values) == {"ap", "ap50", "ap50_h10", "ap50_h20"}


def test_the_exported_graph_keeps_what_it_was_labelled_with(world: HeldOutFrames, exported: Bundle) -> None:
    found = task_figures(load_engine(exported, threads=1), exported.manifest, world)
    assert found.values["ap50"] == pytest.approx(1, abs=0.01)
    assert {"depth_absrel", "depth_absrel_raw"} <= set(found.values)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give labels, a dataset"),
        ({"dataset": "x", "test_list": Path("x")}, "needs labels"),
        ({"dataset": "x", "images": Path("x")}, "needs labels"),
        ({"dataset": "x", "most_frames": 0}, "most_frames 0"),
        ({"dataset": "x", "most_stills": -1}, "most_stills -1"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        HeldOut(**options)  # type: ignore[arg-type]  # wrong on purpose


def test_stills_and_frames_are_limited(held_out: HeldOut, exported: Bundle) -> None:
    few = read_held_out(replace(held_out, most_stills=4, most_frames=20), exported.manifest)
    assert len(few.stills) == 4
    assert sum(frame_count(clip.frames) for clip in few.clips) == 20
    again = read_held_out(replace(held_out, most_stills=4, dataset=None), exported.manifest)
    for one, other in zip(again.stills, few.stills, strict=True):
        np.testing.assert_array_equal(one.frame[INPUT_NAME], other.frame[INPUT_NAME])
    assert again.clips == ()


def test_labels_of_another_class_are_refused(held_out: HeldOut, exported: Bundle) -> None:
    manifest = exported.manifest.model_copy(update={"classes": ("truck", "bus")})
    with pytest.raises(InputError, match="has the class 'car', the network has truck, bus"):
        read_held_out(replace(held_out, dataset=None), manifest)


def test_classes_go_by_name(held_out: HeldOut, exported: Bundle) -> None:
    manifest = exported.manifest.model_copy(update={"classes": ("truck", "car")})
    plain = read_held_out(replace(held_out, dataset=None), exported.manifest)
    swapped = read_held_out(replace(held_out, dataset=None), manifest)
    for one, other in zip(plain.stills, swapped.stills, strict=True):
        np.testing.assert_array_equal(one.truth.classes, 1 - other.truth.classes)


def test_a_split_without_clips_is_refused(held_out: HeldOut, exported: Bundle) -> None:
    with pytest.raises(InputError, match="no usable clip in the split 'validation'"):
        read_held_out(replace(held_out, labels=None, images=None, split="validation"), exported.manifest)
