"""Each pretext task by itself, on an encoder small enough for a test."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from catseye.errors import UsageError
from catseye.pretrain import ego_motion
from catseye.pretrain.alignment import align
from catseye.pretrain.clip_batch import ClipBatch
from catseye.pretrain.crops import CropOptions, whole_clips
from catseye.pretrain.detector import Detector, decode
from catseye.pretrain.ego_motion import AlignedMotion, aligned_motion, speed_error
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.model import PretextModel
from catseye.pretrain.motion_mask import Compared
from catseye.pretrain.pose import TYPICAL_SPEED
from catseye.pretrain.tasks import Encoded
from catseye.pretrain.tasks.depth import (
    FARTHEST,
    Depth,
    DepthDecoder,
    canonical_depth,
    depth_of,
    others,
    views_of,
)
from catseye.pretrain.tasks.future import LEVELS, Future, errors_of, move, normalised
from catseye.pretrain.tasks.objects import Objects, at_half_size, halved_frames, labels_of
from catseye.pretrain.tasks.order import PATHS, Order, path_of
from catseye.pretrain.tasks.pixels import Pixels, shrunk
from catseye.pretrain.tasks.task import TaskOutput

ENCODER = "test_byobnet"
JOINT = ("order", "future", "depth")
H, W = 64, 96


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(ENCODER)


def make_batch(count: int = 2, *, seed: int = 0) -> ClipBatch:
    """Clips of a texture that slides by four pixels a frame."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (count, H // 8, W // 8 + 4, 3), generator=generator, dtype=torch.uint8)
    wide = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
    frames = torch.stack([wide[:, :, 4 * t : 4 * t + W] for t in range(4)], dim=1)
    return ClipBatch(
        frames=frames,
        times_s=(torch.arange(4) * 0.1).expand(count, 4).contiguous(),
        speed_mps=torch.full((count, 4), 10.0),
        intrinsics=torch.tensor([[0.9, 1.35, 0.5, 0.5]]).expand(count, 4).contiguous(),
        picture=torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(count, 4).contiguous(),
        corrupt=torch.zeros(count, dtype=torch.long),
        still=torch.zeros(count, dtype=torch.long),
    )


def encode(encoder: Encoder, batch: ClipBatch) -> Encoded:
    clean = batch.frames.permute(0, 1, 4, 2, 3).float() / 255
    encoded = Encoded(batch, clean, whole_clips(clean), encoder, jitter=lambda rgb: rgb)
    assert len(encoded.features) == 4  # computed here, and kept
    return encoded


# Order ---------------------------------------------------------------------------------------------------


def test_there_are_twelve_paths_and_each_order_belongs_to_one() -> None:
    assert len(PATHS) == 12
    for shuffle in permutations(range(4)):
        path = PATHS[int(path_of(torch.tensor([shuffle])))]
        restored = [shuffle[place] for place in path]
        assert restored in ([0, 1, 2, 3], [3, 2, 1, 0])


def test_shuffling_the_frames_shuffles_the_logits(encoder: Encoder) -> None:
    torch.manual_seed(1)
    order = Order(encoder).eval()
    features = encode(encoder.eval(), make_batch()).features[LEVELS]
    straight = order.logits(features)
    for shuffle in [(1, 0, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)]:
        shuffled = order.logits([maps[:, list(shuffle)] for maps in features])
        for row, path in enumerate(PATHS):
            original = [shuffle[place] for place in path]
            original = original if original[0] < original[-1] else original[::-1]
            torch.testing.assert_close(shuffled[:, row], straight[:, PATHS.index(tuple(original))])


def test_order_is_learned_from_motion(encoder: Encoder) -> None:
    torch.manual_seed(0)
    order = Order(encoder)
    optimizer = torch.optim.Adam(order.parameters(), lr=3e-3)
    with torch.no_grad():
        encoded = encode(encoder.eval(), make_batch(8))
    for _ in range(25):
        output = order(encoded)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    with torch.no_grad():
        unseen = order(encode(encoder.eval(), make_batch(24, seed=9)))
    assert float(unseen.metrics["accuracy"]) > 0.6


def test_frames_that_are_all_alike_are_not_ordered_by_chance_of_place(encoder: Encoder) -> None:
    torch.manual_seed(0)
    batch = make_batch(48)
    batch = batch._replace(frames=batch.frames[:, :1].expand(-1, 4, -1, -1, -1).contiguous())
    with torch.no_grad():
        output = Order(encoder).eval()(encode(encoder.eval(), batch))
    assert float(output.metrics["accuracy"]) < 0.3


# Future --------------------------------------------------------------------------------------------------


def test_an_untrained_predictor_is_copy_last_frame(encoder: Encoder) -> None:
    torch.manual_seed(0)
    future = Future(encoder).eval()
    with torch.no_grad():
        encoded = encode(encoder.eval(), make_batch())
        seen = [maps[:, :2] for maps in encoded.features[LEVELS]]
        targets = future.targets(encoded.clean[:, 1:])
        predictions = future.predict(seen, [maps[:, 0] for maps in targets], encoded.batch.times_s)
        errors = errors_of(predictions, targets)
    assert errors.copied.min() > 0.01
    torch.testing.assert_close(errors.predicted, errors.copied, atol=1e-4, rtol=1e-4)


def test_the_predictor_learns_to_beat_copying(encoder: Encoder) -> None:
    torch.manual_seed(0)
    future = Future(encoder)
    learned = [parameter for parameter in future.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=3e-3)
    with torch.no_grad():
        encoded = encode(encoder.eval(), make_batch(4))
    for _ in range(20):
        output = future(encoded)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    assert float(future(encoded).metrics["skill"]) > 0.1


def test_predictions_know_the_time(encoder: Encoder) -> None:
    torch.manual_seed(0)
    future = Future(encoder).eval()
    for layer in (future.flow, *future.correct):
        torch.nn.init.normal_(layer.weight, std=0.05)
    with torch.no_grad():
        encoded = encode(encoder.eval(), make_batch())
        targets = future.targets(encoded.clean)
        arguments = ([m[:, :2] for m in encoded.features[LEVELS]], [t[:, 1] for t in targets])
        soon = future.predict(*arguments, encoded.batch.times_s)[0]
        later = future.predict(*arguments, 2 * encoded.batch.times_s)[0]
    assert (soon - later).abs().mean() > 1e-3
    assert (soon[:, 0] - soon[:, 1]).abs().mean() > 1e-3


def test_targets_follow_the_encoder_and_take_no_gradient(encoder: Encoder) -> None:
    torch.manual_seed(0)
    online = Encoder(ENCODER)
    future = Future(online).train()
    assert not future.target.training
    with torch.no_grad():
        next(online.parameters()).add_(1.0)
    before = next(future.target.parameters()).clone()
    future.after_step(online, step=1, metrics={})
    moved = next(future.target.parameters()) - before
    torch.testing.assert_close(moved, torch.full_like(moved, 0.9))
    future(encode(online, make_batch())).loss.backward()
    assert all(parameter.grad is None for parameter in future.target.parameters())
    assert next(online.parameters()).grad is not None


def test_move_takes_each_place_from_where_the_flow_points() -> None:
    maps = torch.rand(1, 2, 8, 12)
    flow = torch.zeros(1, 2, 8, 12)
    flow[:, 0] = 2 / 12  # one of twelve columns
    torch.testing.assert_close(move(maps, flow)[..., :-1], maps[..., 1:], atol=1e-5, rtol=0)
    coarse = torch.zeros(1, 2, 4, 6)
    coarse[:, 1] = 2 / 8
    torch.testing.assert_close(move(maps, coarse)[..., :-1, :], maps[..., 1:, :], atol=1e-5, rtol=0)


def test_features_that_stop_differing_are_penalised(encoder: Encoder) -> None:
    torch.manual_seed(0)
    future = Future(encoder)
    encoded = encode(encoder.eval(), make_batch())

    def alike(rgb: torch.Tensor) -> list[torch.Tensor]:
        return [maps.mean(dim=(0, 2, 3), keepdim=True).expand_as(maps) for maps in encoder(rgb)]

    healthy, collapsed = future(encoded), future(replace(encoded, encoder=alike, passes=[]))
    assert collapsed.metrics["spread_shortfall"] > healthy.metrics["spread_shortfall"] + 0.1
    assert float(normalised(torch.randn(2, 64, 3, 3)).var()) == pytest.approx(1, abs=0.05)


# Pixels --------------------------------------------------------------------------------------------------


def painted(encoder: Encoder, count: int) -> tuple[Future, Pixels, Encoded]:
    """Both tasks in training, and features that the encoder takes no gradient of."""
    torch.manual_seed(0)
    with torch.no_grad():
        encoded = encode(encoder.eval(), make_batch(count))
    return Future(encoder), Pixels(encoder), encoded


def test_pictures_of_an_untrained_predictor_are_copies_of_the_last_frame(encoder: Encoder) -> None:
    future, pixels, encoded = painted(encoder, 2)
    torch.nn.init.normal_(pixels.painter.paint.weight)  # whatever it paints, of like features it is the same
    future(encoded)
    ((last, coming),) = encoded.foreseen
    frames = shrunk(encoded.clean[:, 1:])
    pictures = pixels.pictures(last, coming, frames[:, 0])
    torch.testing.assert_close(pictures, frames[:, :1].expand(-1, 2, -1, -1, -1), atol=1e-4, rtol=0)
    assert pictures.shape == (2, 2, 3, H // 4, W // 4)
    assert float(pixels(encoded).metrics["skill"]) == pytest.approx(0, abs=1e-3)


def test_the_painter_learns_to_beat_copying(encoder: Encoder) -> None:
    future, pixels, encoded = painted(encoder, 4)
    learned = [p for task in (future, pixels) for p in task.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=3e-3)
    for _ in range(25):
        encoded.foreseen.clear()
        loss = future(encoded).loss + pixels(encoded).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    encoded.foreseen.clear()
    future(encoded)
    assert float(pixels(encoded).metrics["skill"]) > 0.1


def test_pixels_teach_what_foresees_them() -> None:
    torch.manual_seed(0)
    model = PretextModel(ENCODER, ["future", "pixels"])
    for parameter in model.task("future").get_submodule("correct").parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    torch.nn.init.normal_(model.task("pixels").get_parameter("painter.paint.weight"), std=0.05)
    model(make_batch()).tasks["pixels"].loss.backward()
    for reached in (model.encoder, model.task("future").get_submodule("flow"), model.task("pixels")):
        gradients = [parameter.grad for parameter in reached.parameters()]
        assert any(gradient is not None and gradient.any() for gradient in gradients)
    assert all(p.grad is None for p in model.task("future").get_submodule("target").parameters())


@pytest.mark.parametrize("tasks", [["pixels"], ["pixels", "future"]])
def test_pixels_come_after_the_future_that_they_show(tasks: list[str]) -> None:
    with pytest.raises(UsageError, match="pixels builds on future: name that before it"):
        PretextModel(ENCODER, tasks)


# Depth ---------------------------------------------------------------------------------------------------


def test_depth_maps_are_inverse_bounded_and_finest_first(encoder: Encoder) -> None:
    torch.manual_seed(0)
    maps = [torch.randn(2, c, H // s, W // s) for c, s in zip(encoder.channels, (4, 8, 16, 32), strict=True)]
    decoder = DepthDecoder(encoder.channels).requires_grad_(False)
    inverses = decoder(maps).inverses
    assert [tuple(i.shape) for i in inverses] == [(2, 1, H // s, W // s) for s in (4, 8, 16, 32)]
    for inverse in inverses:
        assert 1 / FARTHEST <= float(inverse.min()) <= float(inverse.max()) <= 1
        assert float(canonical_depth(inverse).log().mean()) == pytest.approx(math.log(FARTHEST) / 2, abs=1)
    extreme = decoder([level * 1e6 for level in maps]).inverses
    assert all(bool(canonical_depth(i).isfinite().all()) for i in extreme)


def test_views_lead_from_each_frame_to_two_others() -> None:
    frames = torch.rand(2, 4, 3, 8, 12)
    steps = [torch.eye(4).repeat(2, 1, 1) for _ in range(3)]
    for step, metres in zip(steps, (1.0, 2.0, 3.0), strict=True):  # forward, a little faster each time
        step[:, 2, 3] = metres
    views = views_of(frames, steps, torch.rand(2, 4) + 0.5)
    sources = [(1, 3), (0, 2), (1, 3), (2, 0)]
    ahead = [(-1.0, -6.0), (1.0, -2.0), (2.0, -3.0), (3.0, 6.0)]
    for frame in range(4):
        row = 4 + frame  # of the second clip
        assert torch.equal(views.target[row], frames[1, frame])
        for i in (0, 1):
            assert torch.equal(views.sources[i, row], frames[1, sources[frame][i]])
            # Going forward, a point comes nearer to the later camera.
            assert float(views.transforms[i, row, 2, 3]) == ahead[frame][i]


def test_a_sweep_compares_each_frame_with_all_others() -> None:
    frames = torch.rand(2, 4, 1, 8, 12)
    steps = [torch.eye(4).repeat(2, 1, 1) for _ in range(3)]
    for step, metres in zip(steps, (1.0, 2.0, 3.0), strict=True):
        step[:, 2, 3] = metres
    views = views_of(frames, steps, torch.rand(2, 4) + 0.5, sources_of=others)
    at = [0.0, 1.0, 3.0, 6.0]
    for frame in range(4):
        for i, other in enumerate(k for k in range(4) if k != frame):
            assert torch.equal(views.sources[i, 4 + frame], frames[1, other])
            assert float(views.transforms[i, 4 + frame, 2, 3]) == at[frame] - at[other]


def test_margins_are_left_out_of_depth_and_of_motion(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen columns on the left, eight of them in the halved frames that are compared."""
    torch.manual_seed(0)
    registered = []

    def noted(*given: Any) -> Tensor:
        registered.append(given[5])
        return align(*given)

    monkeypatch.setattr(ego_motion, "align", noted)
    batch = make_batch()
    batch.picture[:, 0] = 16 / W
    encoded = encode(encoder, batch)
    Depth(encoder)(encoded)
    (compared,) = encoded.compared
    assert compared.rigid[..., :9].isinf().all() and compared.rigid[..., 20:].isfinite().any()
    (pictures,) = registered
    assert torch.equal(pictures, batch.picture.repeat_interleave(3, dim=0))


def straight(batch: ClipBatch, mps: float) -> Tensor:
    motion = torch.zeros(len(batch.frames), 3, 6)
    motion[..., 5] = mps * batch.times_s.diff(dim=1)
    return motion.requires_grad_()


def aligned_to_a_wall(
    motion: Tensor, batch: ClipBatch, *, settled: bool = True, metred: bool = True
) -> AlignedMotion:
    """The motion, bettered by depth that is the same everywhere."""
    clean = batch.frames.permute(0, 1, 4, 2, 3).float() / 255
    return aligned_motion(
        motion,
        clean,
        torch.full((8, 1, H, W), 10.0) * batch.intrinsics[0, 0],
        batch.intrinsics,
        times_s=batch.times_s,
        speed_mps=batch.speed_mps,
        settled=torch.tensor(settled),
        metred=torch.tensor(metred),
    )


def test_distance_is_measured_where_speed_is_and_estimated_elsewhere() -> None:
    batch = make_batch()
    batch.speed_mps[1] = float("nan")
    motion = straight(batch, 7.0)
    aligned = aligned_to_a_wall(motion, batch)
    lengths = torch.stack([pose[:, :3, 3].norm(dim=1) for pose in aligned.transforms], dim=1)
    torch.testing.assert_close(lengths, torch.tensor([[1.0], [0.7]]).expand(2, 3))
    lengths.sum().backward()
    assert motion.grad is not None
    assert not motion.grad[0].any() and motion.grad[1, :, 5].tolist() == pytest.approx([1.0] * 3)


def test_without_speed_the_camera_goes_at_a_typical_one_until_depth_is_settled() -> None:
    batch = make_batch()
    batch.speed_mps[1] = float("nan")
    motion = straight(batch, 7.0)
    early = aligned_to_a_wall(motion, batch, settled=False)
    lengths = torch.stack([pose[:, :3, 3].norm(dim=1) for pose in early.transforms], dim=1)
    typical = TYPICAL_SPEED * batch.times_s.diff(dim=1)[1]
    torch.testing.assert_close(lengths.detach(), torch.stack((torch.ones(3), typical)))
    (gone,) = torch.autograd.grad(lengths.sum(), motion, retain_graph=True, allow_unused=True)
    assert gone is None or not gone.any()
    early.shortfall.backward()
    assert motion.grad is not None
    assert (motion.grad[1, :, 5] < 0).all(), "the network is taught to go as fast"


def test_footage_that_never_has_a_speed_goes_at_a_typical_one_on_the_mean() -> None:
    batch = make_batch()
    batch.speed_mps[:] = float("nan")
    motion = straight(batch, 0.1).detach()
    motion[1] *= 3
    motion.requires_grad_()
    aligned = aligned_to_a_wall(motion, batch, metred=False)
    lengths = torch.stack([pose[:, :3, 3].norm(dim=1) for pose in aligned.transforms], dim=1)
    speeds = lengths / batch.times_s.diff(dim=1)
    torch.testing.assert_close(speeds, torch.tensor([[10.0], [30.0]]).expand(2, 3), rtol=1e-3, atol=0)
    speeds[1].sum().backward()
    assert motion.grad is not None
    assert (motion.grad[1, :, 5] > 0).all() and (motion.grad[0, :, 5] < 0).all(), "one at the other's cost"


@pytest.mark.parametrize("part", ["hint_error", "standing_error"])
def test_hints_and_what_stands_count_in_the_loss_of_depth(
    part: str, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    task = Depth(encoder)
    losses = []
    for error in (0.0, 10.0):
        monkeypatch.setattr(
            f"catseye.pretrain.tasks.depth.{part}", lambda *_, error=error: torch.tensor(error)
        )
        torch.manual_seed(1)
        losses.append(float(task(encode(encoder, make_batch())).loss.detach()))
    assert losses[1] - losses[0] == pytest.approx(1.0, abs=1e-4)


def test_depth_settles_step_by_step_as_it_explains_more() -> None:
    torch.manual_seed(0)
    model = PretextModel(ENCODER, ["order", "depth"])
    metrics = model(make_batch()).tasks["depth"].metrics
    explained = model.get_buffer("depth.explained")
    assert explained == 0 and metrics["explained"] > 0
    model.after_step(
        step=1,
        metrics={"depth/explained": float(metrics["explained"]), "depth/metred": 0.5, "order/accuracy": 0.0},
    )
    torch.testing.assert_close(explained, 0.02 * metrics["explained"])
    assert model.get_buffer("depth.metred") and metrics["metred"] == 1


def test_the_network_is_taught_the_motion_that_pictures_tell() -> None:
    """The texture slides to the left by 4 of 96 pixels a frame: a camera that moves or turns to the right."""
    batch = make_batch()
    batch.speed_mps[:] = 0.5
    motion = straight(batch, 0.5)
    aligned = aligned_to_a_wall(motion, batch)
    aligned.shortfall.backward()
    assert motion.grad is not None
    yaw_or_right = motion.grad[..., 1] + motion.grad[..., 3]
    assert float(aligned.shortfall.detach()) > 0.1 and (yaw_or_right < 0).float().mean() > 0.8


def test_depth_grows_with_the_focal_length_and_does_not_teach_it() -> None:
    inverse = torch.full((1, 1, 4, 6), 0.1, requires_grad=True)
    intrinsics = torch.tensor([[0.5, 0.75, 0.5, 0.5]], requires_grad=True)
    depth = depth_of(inverse, (8, 12), intrinsics)
    torch.testing.assert_close(depth, torch.full((1, 1, 8, 12), 5.0))
    depth.sum().backward()
    assert intrinsics.grad is None or not intrinsics.grad.any()


def test_only_an_unknown_lens_is_learned(encoder: Encoder) -> None:
    torch.manual_seed(0)
    task = Depth(encoder)
    known, unknown = make_batch(), make_batch()
    unknown.intrinsics.fill_(float("nan"))
    for batch, learned in ((known, False), (unknown, True)):
        task.zero_grad()
        output = task(encode(encoder, batch))
        output.loss.backward()
        gradient = task.pose.lens.bias.grad
        assert output.loss.isfinite() and gradient is not None
        assert bool(gradient.any()) is learned
    assert float(output.metrics["focal"]) == pytest.approx(0.9)


def test_what_stands_still_in_a_moving_picture_is_learned_from_single_frames() -> None:
    torch.manual_seed(0)
    model = PretextModel(ENCODER, ["depth"], jitter_strength=0)
    batch = make_batch()
    batch.frames[:, :, 16:48, 32:64] = batch.frames[:, :1, 16:48, 32:64] // 2  # a vehicle ahead
    task = model.task("depth")
    assert isinstance(task, Depth)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss_of(model, batch).backward()
        optimizer.step()
    rgb = batch.frames[:, 0].permute(0, 3, 1, 2).float() / 255
    told = task.moving(task.decoder(model.encode(rgb)).finest)[:, 0].detach().sigmoid()
    vehicle = torch.zeros(H // 4, W // 4, dtype=torch.bool)
    vehicle[5:11, 9:15] = True
    road = torch.ones_like(vehicle)
    road[2:14, 6:18] = False
    assert told[:, vehicle].mean() > told[:, road].mean() + 0.3


def test_objects_are_found_in_single_frames_once_they_were_seen_to_move() -> None:
    torch.manual_seed(0)
    encoder = Encoder(ENCODER)
    task, batch = Objects(encoder), make_batch()
    batch.frames[:, :, 16:48, 32:64] = 20
    rigid, unmoved = torch.full((8, 1, H, W), 0.1), torch.full((8, 1, H, W), 0.5)
    rigid[..., 16:48, 32:64], unmoved[..., 16:48, 32:64] = 0.5, 0.1
    seen = Compared(torch.zeros(8, 1, H // 4, W // 4), rigid, unmoved)

    def step() -> TaskOutput:
        encoded = encode(encoder, batch)
        encoded.compared.append(seen)
        output: TaskOutput = task(encoded)
        return output

    optimizer = torch.optim.Adam([*task.parameters(), *encoder.parameters()], lr=3e-3)
    first = step()
    assert first.metrics["boxes"] == 1
    for _ in range(60):
        optimizer.zero_grad()
        loss = step().loss
        loss.backward()
        optimizer.step()
    assert loss < first.loss / 4
    detector = Detector(encoder, classes=("vehicle",))
    detector.neck, detector.head = task.neck, task.head
    rgb = batch.frames[:1, 0].permute(0, 3, 1, 2).float() / 255
    best = decode(detector(rgb)).boxes[0, 0]  # running statistics are too young for evaluation mode
    torch.testing.assert_close(best, torch.tensor([32.0, 16, 64, 48]), atol=4, rtol=0)
    far = decode(detector(halved_frames(rgb))).boxes[0, 0]
    torch.testing.assert_close(far, torch.tensor([16.0, 8, 32, 24]), atol=2, rtol=0)


def test_what_is_too_small_need_not_be_found() -> None:
    moving = torch.full((1, 1, 48, 64), 0.01)
    moving[..., 8:20, 8:24] = 0.99
    moving[..., 30:34, 40:46] = 0.99
    trusted = torch.tensor([True])
    (near,) = labels_of(moving, trusted, height=96, width=128)
    assert near.boxes.tolist() == [[16, 16, 48, 40], [80, 60, 92, 68]] and not len(near.ignored)
    (far,) = labels_of(moving, trusted, height=48, width=64)
    assert far.boxes.tolist() == [[8, 8, 24, 20]] and far.ignored.tolist() == [[40, 30, 46, 34]]
    half = at_half_size(near)
    for part, same in ((half.boxes, far.boxes), (half.classes, far.classes), (half.ignored, far.ignored)):
        assert torch.equal(part, same)


def test_a_frame_whose_motion_is_not_understood_teaches_nothing() -> None:
    moving = torch.full((1, 1, 48, 64), 0.01)
    moving[..., 8:20, 8:24] = 0.99
    (target,) = labels_of(moving, torch.tensor([False]), height=96, width=128)
    assert not len(target.boxes) and target.ignored.tolist() == [[0, 0, 128, 96]]


def test_a_halved_frame_is_of_a_size_that_an_encoder_takes() -> None:
    frames = torch.rand(1, 3, 160, 256)
    half = halved_frames(frames)
    assert half.shape == (1, 3, 96, 128)
    torch.testing.assert_close(half[..., :80, :], F.avg_pool2d(frames, 2))


def test_without_any_object_nothing_is_learned(encoder: Encoder) -> None:
    task = Objects(encoder)
    encoded = encode(encoder, make_batch())
    still = torch.full((8, 1, H, W), 0.1)
    encoded.compared.append(Compared(torch.zeros(8, 1, H // 4, W // 4), still, still))
    output = task(encoded)
    assert output.loss == 0 and output.metrics["boxes"] == 0
    output.loss.backward()
    assert not any(p.grad is not None and p.grad.any() for p in task.parameters())


def test_objects_come_after_the_depth_that_shows_what_moves() -> None:
    PretextModel(ENCODER, ["depth", "objects"])
    with pytest.raises(UsageError, match="objects"):
        PretextModel(ENCODER, ["objects", "depth"])


def test_crops_are_encoded_and_motion_is_read_from_whole_frames() -> None:
    torch.manual_seed(0)
    model = PretextModel(ENCODER, JOINT, crop=CropOptions(64, 32))
    seen = {}
    task = model.task("depth")
    assert isinstance(task, Depth)
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.update(encoder=inputs[0].shape))
    task.pose.register_forward_pre_hook(lambda _, inputs: seen.update(pose=inputs[0].shape))
    loss_of(model, make_batch()).backward()
    assert seen == {"encoder": (8, 3, 32, 64), "pose": (6, 3, H // 2, W // 2)}
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_a_learned_lens_is_that_of_the_whole_frame() -> None:
    batch = make_batch()
    batch.intrinsics.fill_(float("nan"))
    focals = []
    for crop in (None, CropOptions(64, 32, shrink=1.0)):
        torch.manual_seed(0)
        model = PretextModel(ENCODER, ["depth"], crop=crop)
        focals.append(float(model(batch).tasks["depth"].metrics["focal"]))
    assert focals[1] == pytest.approx(focals[0] * W / 64, rel=1e-3)


def test_speed_counts_where_it_is_known() -> None:
    motion = torch.zeros(1, 3, 6)
    motion[0, :, 5] = torch.tensor([1.0, 1.5, 9.0])
    times = torch.tensor([[0.0, 0.1, 0.3, 0.4]])
    speed = torch.tensor([[10.0, 10.0, 10.0, float("nan")]])
    assert float(speed_error(motion, times, speed)) == pytest.approx((0.0 + 0.5) / 2, abs=1e-4)
    nothing = motion.clone().zero_().requires_grad_()
    error = speed_error(nothing, times, torch.full((1, 4), float("nan")))
    error.backward()
    assert error.item() == 0.0
    assert nothing.grad is not None and nothing.grad.isfinite().all()


# All together --------------------------------------------------------------------------------------------


def loss_of(model: PretextModel, batch: ClipBatch) -> Tensor:
    torch.manual_seed(0)
    return torch.stack([output.loss for output in model(batch).tasks.values()]).sum()


@pytest.mark.parametrize("name", JOINT)
def test_every_task_teaches_the_encoder(name: str) -> None:
    torch.manual_seed(0)
    model = PretextModel(ENCODER, [name])
    for module in model.modules():  # zero-initialised layers pass nothing on at first
        if isinstance(module, torch.nn.Conv2d) and not module.weight.any():
            torch.nn.init.normal_(module.weight, std=0.01)
    loss = loss_of(model, make_batch())
    loss.backward()
    stem = next(model.encoder.parameters()).grad
    assert stem is not None and stem.any()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_state_is_kept_under_the_tasks_names() -> None:
    model = PretextModel(ENCODER, ["order", "depth"])
    assert {name.split(".")[0] for name in model.state_dict()} == {"encoder", "order", "depth"}
    parts = {name.split(".")[1] for name in model.state_dict() if name.startswith("depth.")}
    assert parts == {"decoder", "explained", "metred", "moving", "pose"}


def test_half_precision_stays_out_of_the_geometry() -> None:
    torch.manual_seed(0)
    full = PretextModel(ENCODER, JOINT).eval()
    half = PretextModel(ENCODER, JOINT, autocast=torch.bfloat16).eval()
    half.load_state_dict(full.state_dict())
    with torch.no_grad():
        one, other = loss_of(full, make_batch()), loss_of(half, make_batch())
    assert float(one) == pytest.approx(float(other), rel=0.05)
    assert half(make_batch()).shared.dtype == torch.float32


@pytest.mark.parametrize("tasks", [[], ["order", "colour"]])
def test_unknown_tasks_are_refused(tasks: list[str]) -> None:
    with pytest.raises(UsageError, match="choose from order, future, depth"):
        PretextModel(ENCODER, tasks)
