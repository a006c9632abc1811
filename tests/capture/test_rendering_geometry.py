"""What a rendered clip says of itself must be what its pixels show."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.capture.rendering import Truth
from catseye.capture.rendering.camera import inverse, pose
from catseye.capture.rendering.clip import Clip, ClipSpec
from catseye.capture.rendering.faces import block, make_faces
from catseye.capture.rendering.render import GROUND_ID, SKY_ID, SUPERSAMPLE, Picture, render
from catseye.capture.rendering.road import draw_road
from catseye.capture.rendering.textures import Texture

SPEC = ClipSpec(seed=3, number=2, frames=14, fps=12.5, width=192, height=112, appearance="train")


class Shown:
    """A clip with the buffers of each of its frames."""

    def __init__(self, spec: ClipSpec) -> None:
        self.clip = Clip(spec)
        self.frames: list[Image] = list(self.clip.frames())
        self.truth: Truth = self.clip.truth(np.arange(spec.frames) * 7200)

    def picture(self, frame: int) -> Picture:
        world = self.clip.world
        scene = self.clip._scene(frame, self.clip._vehicle_frames(frame))
        return render(scene, world.camera, world.poses[frame])

    def depth(self, picture: Picture) -> NDArray[np.float64]:
        """Camera z at the pixel centres of the frame, from the planes."""
        rows, columns = (np.arange(n // SUPERSAMPLE) * SUPERSAMPLE + 1 for n in picture.ids.shape)
        planes = picture.planes[picture.ids[np.ix_(rows, columns)]]
        return planes[..., 0] * columns[None] + planes[..., 1] * rows[:, None] + planes[..., 2]


@pytest.fixture(scope="module")
def shown() -> Shown:
    return Shown(SPEC)


def _warp(
    later: Image, nearness: NDArray[np.float64], K: NDArray[np.float64], to_later: NDArray[np.float64]
) -> tuple[Image, NDArray[np.bool_]]:
    """``later`` as the earlier camera would have seen it, and where that is known."""
    height, width = nearness.shape
    pixels = np.stack(
        np.broadcast_arrays(np.arange(width)[None] + 0.5, np.arange(height)[:, None] + 0.5, np.ones((1, 1)))
    ).reshape(3, -1)
    rays = np.linalg.inv(K) @ pixels
    moved = K @ (to_later[:3, :3] @ rays + to_later[:3, 3:] * nearness.reshape(1, -1))
    x, y = ((moved[i] / moved[2] - 0.5).astype(np.float32).reshape(height, width) for i in (0, 1))
    inside = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1) & (moved[2].reshape(x.shape) > 0)
    return cv2.remap(later, x, y, cv2.INTER_LINEAR), inside


def _errors(
    shown: Shown, gap: int, *, shift: float = 0.0, scale: float = 1.0, stretch: float = 1.0
) -> tuple[float, float]:
    """Mean difference of frames ``gap`` apart on what stands still, warped by the truth and not warped."""
    truth, warped_sum, plain_sum, count = shown.truth, 0.0, 0.0, 0
    for frame in range(0, len(truth) - gap, 4):
        picture = shown.picture(frame)
        to_later = inverse(truth.poses[frame + gap]) @ truth.poses[frame]
        to_later[:3, 3] *= stretch
        to_later[0, 3] += shift
        warped, inside = _warp(shown.frames[frame + gap], shown.depth(picture) * scale, truth.K, to_later)
        owners = picture.owners[picture.ids][1::SUPERSAMPLE, 1::SUPERSAMPLE]
        moving = cv2.dilate((owners > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        still = inside & ~moving
        here, there = shown.frames[frame].astype(float), shown.frames[frame + gap]
        warped_sum += np.abs(warped - here)[still].sum()
        plain_sum += np.abs(there - here)[still].sum()
        count += 3 * int(still.sum())
    return warped_sum / count, plain_sum / count


def test_truth_explains_how_pixels_move(shown: Shown) -> None:
    warped, plain = _errors(shown, 1)
    assert warped < 0.6 * plain
    for wrong in ({"shift": 0.25}, {"scale": 1.3}, {"scale": 0.75}):
        assert warped < 0.9 * _errors(shown, 1, **wrong)[0], wrong


def test_truth_holds_over_several_frames(shown: Shown) -> None:
    warped, plain = _errors(shown, 3)
    assert warped < 0.5 * plain
    for stretch in (0.9, 1.1):
        assert warped < 0.9 * _errors(shown, 3, stretch=stretch)[0], stretch


def test_depth_is_that_of_the_planes(shown: Shown) -> None:
    for frame in (0, 9):
        picture, depth = shown.picture(frame), shown.truth.depth[frame].astype(float)
        step = 4 * SUPERSAMPLE
        near = picture.nearness[step // 2 :: step, step // 2 :: step]
        ids = picture.ids[step // 2 :: step, step // 2 :: step]
        assert np.isinf(depth[ids == SKY_ID]).all()
        close = (near > 1 / 25) & (ids > SKY_ID)
        assert close.mean() > 0.3
        # The buffer is sampled a quarter of a pixel away, and depth is kept in 16 bits.
        np.testing.assert_allclose(depth[close], 1 / near[close], rtol=0.04)


def test_ground_depth_follows_from_the_calibration(shown: Shown) -> None:
    """The road below the camera is a plane: its depth needs no renderer."""
    truth, camera = shown.truth, shown.clip.world.camera
    for frame in (0, 7):
        picture = shown.picture(frame)
        step = 4 * SUPERSAMPLE
        ground = picture.ids[step // 2 :: step, step // 2 :: step] == GROUND_ID
        rows, columns = np.nonzero(ground)
        rays = np.linalg.inv(truth.K) @ np.stack([4 * columns + 2, 4 * rows + 2, np.ones(len(rows))])
        down = (truth.poses[frame, :3, :3] @ rays)[1]
        expected = -truth.poses[frame, 1, 3] / down
        near = expected < 50
        np.testing.assert_allclose(truth.depth[frame][ground][near], expected[near], rtol=2e-3)
        assert abs(-truth.poses[frame, 1, 3] - camera.mount_m) < 0.06


def test_boxes_are_the_extents_of_what_is_drawn(shown: Shown) -> None:
    truth, whole, hidden = shown.truth, 0, 0
    for frame in range(len(truth)):
        picture = shown.picture(frame)
        owners = picture.owners[picture.ids]
        for row in np.flatnonzero(truth.frame_index == frame):
            rows, columns = np.nonzero(owners == truth.track_ids[row])
            if len(rows) == 0:
                assert truth.visibility[row] == 0
                hidden += 1
                continue
            box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / SUPERSAMPLE
            assert (box[:2] >= truth.boxes[row][:2]).all() and (box[2:] <= truth.boxes[row][2:]).all()
            if truth.visibility[row] == 1:
                np.testing.assert_allclose(box, truth.boxes[row])
                whole += 1
    assert whole >= 10
    assert hidden < 0.7 * len(truth.boxes)


def test_a_hidden_vehicle_keeps_its_whole_box(shown: Shown) -> None:
    """Taking everybody else away from the scene leaves a vehicle's box as the truth has it."""
    truth, frame, checked = shown.truth, 6, 0
    everybody = shown.clip._vehicle_frames(frame)
    for row in np.flatnonzero(
        (truth.frame_index == frame) & (truth.visibility > 0.1) & (truth.visibility < 0.9)
    ):
        track = int(truth.track_ids[row])
        scene = shown.clip._scene(frame, {track: everybody[track]})
        mine = scene.owners > 0
        faces = scene.faces.chosen(np.flatnonzero(mine))
        alone = replace(scene, faces=faces, owners=scene.owners[mine], gains=scene.gains[mine])
        picture = render(alone, shown.clip.world.camera, truth.poses[frame])
        rows, columns = np.nonzero(picture.owners[picture.ids] == track)
        box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / SUPERSAMPLE
        np.testing.assert_allclose(box, truth.boxes[row])
        checked += 1
    assert checked


def test_distance_is_where_the_vehicle_meets_the_road(shown: Shown) -> None:
    """A box's lower edge and the camera's height give the distance by geometry alone."""
    truth = shown.truth
    inside = ((truth.boxes > 0) & (truth.boxes < (SPEC.width, SPEC.height) * 2)).all(axis=1)
    upright = inside & (truth.distances_m > 8) & (truth.distances_m < 35)
    assert upright.sum() > 5
    for row in np.flatnonzero(upright):
        frame = truth.frame_index[row]
        middle = (truth.boxes[row, 0] + truth.boxes[row, 2]) / 2
        ray = truth.poses[frame, :3, :3] @ np.linalg.inv(truth.K) @ (middle, truth.boxes[row, 3], 1)
        reached = -truth.poses[frame, 1, 3] / ray[1]
        assert truth.distances_m[row] == pytest.approx(reached, rel=0.1)


def test_speed_is_how_fast_the_camera_moves(shown: Shown) -> None:
    truth = shown.truth
    places = truth.poses[:, :3, 3]
    twice = np.linalg.norm(places[2:] - places[:-2], axis=1) * SPEC.fps / 2
    np.testing.assert_allclose(truth.speed_mps[1:-1], twice, rtol=1e-5)
    assert 2 < truth.speed_mps.mean() < 18


def test_poses_are_rigid(shown: Shown) -> None:
    turns = shown.truth.poses[:, :3, :3]
    np.testing.assert_allclose(
        turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(turns), 1)


def test_tracks_go_on_and_keep_their_class(shown: Shown) -> None:
    truth = shown.truth
    pairs = list(zip(truth.frame_index.tolist(), truth.track_ids.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    lengths = []
    for track in np.unique(truth.track_ids):
        mine = truth.track_ids == track
        assert len(set(truth.classes[mine].tolist())) == 1
        lengths.append(int(mine.sum()))
        centres = (truth.boxes[mine, :2] + truth.boxes[mine, 2:]) / 2
        after = np.diff(truth.frame_index[mine]) == 1
        tall = (truth.boxes[mine, 3] - truth.boxes[mine, 1])[1:]
        jumps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
        assert (jumps[after] < 0.6 * tall[after] + 8).all()
    assert max(lengths) == len(truth)


def test_an_edge_crossing_the_near_plane_is_drawn_right() -> None:
    """A wall that runs past the camera covers all that lies on its side."""
    shown = Shown(replace(SPEC, frames=2))
    scene = shown.clip._scene(0, {})
    flat = Texture(np.full((8, 8, 3), 200, np.uint8))
    x, y, z = shown.truth.poses[0, :3, 3]
    heading = shown.truth.poses[0, :3, 2]
    ahead, aside = np.array([heading[0], 0, heading[2]]), np.array([heading[2], 0, -heading[0]])
    start, end = np.array([x, 0, z]) + 2 * aside - 5 * ahead, np.array([x, 0, z]) + 2 * aside + 90 * ahead
    up = np.array([0, -60.0, 0])
    wall = make_faces(np.array([[end + up, start + up, start, end]]), [flat])
    picture = render(
        replace(scene, faces=wall, gains=np.ones(1), owners=np.array([7], np.int32)),
        shown.clip.world.camera,
        shown.truth.poses[0],
    )
    rows, columns = picture.ids.shape
    eye = inverse(shown.truth.poses[0])
    for step in (6.0, 20.0, 60.0):
        point = shown.truth.K @ (eye[:3] @ np.append(np.array([x, y, z]) + 2 * aside + step * ahead, 1))
        column, row = (point[:2] / point[2] * SUPERSAMPLE).astype(int)
        if not (0 <= column < columns and 0 <= row < rows):
            continue
        assert picture.owners[picture.ids[row, column]] == 7
        assert 1 / picture.nearness[row, column] == pytest.approx(point[2], rel=0.05)
    assert picture.owners[picture.ids[rows // 2, columns - 1]] == 7
    assert picture.owners[picture.ids[rows // 2, 0]] == 0


def test_a_trapezoid_is_mapped_onto_its_corners() -> None:
    corners = block(bottom=(-1.0, 2.0), top=(-0.5, 1.0), widths=(2.0, 1.2), heights=(0.5, 1.5))
    faces = make_faces(np.array(list(corners.values())), [])
    square = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1.0]])
    mapped = np.einsum("nij,kj->nki", faces.charts, square)
    np.testing.assert_allclose(mapped[..., :3] / mapped[..., 3:], faces.corners, atol=1e-12)
    middle = faces.corners.mean(axis=(0, 1))
    assert (np.einsum("ni,ni->n", faces.normals, faces.corners[:, 0] - middle) > 0).all()


def test_road_coordinates_go_there_and_back() -> None:
    road = draw_road(np.random.default_rng(5), start=-50, end=400, bend=1.0)
    s, d = (grid.ravel() for grid in np.meshgrid(np.linspace(-20, 300, 60), np.linspace(-15, 15, 11)))
    x, z, _ = road.place(s, d)
    found_s, found_d = road.locate(x, z, near=s + 6)
    np.testing.assert_allclose(found_s, s, atol=0.02)
    np.testing.assert_allclose(found_d, d, atol=0.02)
    assert np.ptp(road.heading) > 0.2


def test_a_pose_looks_where_it_says() -> None:
    ahead = pose(np.zeros(3), heading=0.3, pitch=0.1)[:3, 2]
    assert ahead[0] > 0 and ahead[1] > 0 and ahead[2] > 0
    assert ahead[1] == pytest.approx(np.sin(0.1))
    assert np.arctan2(ahead[0], ahead[2]) == pytest.approx(0.3)


@pytest.mark.parametrize("number", range(3))
def test_pictures_are_rich_and_bright_enough(number: int) -> None:
    spec = ClipSpec(seed=8, number=number, frames=2, fps=12.5, width=128, height=80, appearance="heldout")
    frame = next(Clip(spec).frames()).astype(np.float32)
    grey = frame.mean(axis=2)
    assert 25 < grey.mean() < 210
    road = grey[int(0.65 * len(grey)) :]
    assert np.abs(road - cv2.GaussianBlur(road, (0, 0), 4)).mean() > 1.5
