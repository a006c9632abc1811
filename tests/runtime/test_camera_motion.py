from __future__ import annotations

import cv2
import numpy as np
import pytest

from catseye.runtime import Tracker
from catseye.runtime.camera_motion import CameraMotion

WIDTH, HEIGHT = 320, 180


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A large grey picture full of corners, through which the camera looks."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 90), dtype=np.uint8)
    return cv2.resize(noise, (900, 600), interpolation=cv2.INTER_CUBIC)


def view(scene: np.ndarray, x: float, y: float, *, roll_deg: float = 0.0, zoom: float = 1.0) -> np.ndarray:
    """What a camera sees whose middle points at (x, y) of the scene."""
    to_scene = cv2.getRotationMatrix2D((0, 0), -roll_deg, 1 / zoom)
    to_scene[:, 2] = [x, y] - to_scene[:, :2] @ [WIDTH / 2, HEIGHT / 2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(scene, to_scene, (WIDTH, HEIGHT), flags=flags), np.uint8)


NONE = np.zeros((0, 4))


def test_shift_and_roll_are_found_and_growth_is_left_out(scene: np.ndarray) -> None:
    camera = CameraMotion()
    assert camera.see(view(scene, 400, 300), NONE) is None
    turn = camera.see(view(scene, 407, 296, roll_deg=1.0, zoom=1.03), NONE)
    assert turn is not None
    assert turn.moved(np.array([[160.0, 90.0]])) == pytest.approx(np.array([[153.0, 94.0]]), abs=0.5)
    assert abs(np.degrees(turn.roll_rad)) == pytest.approx(1.0, abs=0.1)
    out = turn.moved(np.array([[160.0, 90.0], [260.0, 90.0]]))
    assert np.linalg.norm(out[1] - out[0]) == pytest.approx(100.0)


def test_pixels_are_those_of_the_frame_given(scene: np.ndarray) -> None:
    camera, size = CameraMotion(), (4 * WIDTH, 4 * HEIGHT)
    camera.see(cv2.resize(view(scene, 400, 300), size), NONE)
    colour = cv2.cvtColor(cv2.resize(view(scene, 405, 300), size), cv2.COLOR_GRAY2RGB)
    turn = camera.see(colour, NONE)
    assert turn is not None
    assert turn.shift == pytest.approx([-20.0, 0.0], abs=1.0)


def test_a_scaled_frame_speaks_of_the_picture_that_it_was(scene: np.ndarray) -> None:
    """A truck fills all but the left of a picture three times as wide, and drives; the camera does too."""
    box, camera = np.array([[3 * 100.0, 0.0, 3 * 320.0, 3 * 180.0]]), CameraMotion()
    for k in range(2):
        picture = view(scene, 400 + 5 * k, 300)
        picture[:, 100:] = view(scene, 400 - 6 * k, 420)[:, 100:]
        turn = camera.see(picture, box, width=3 * WIDTH)
    assert turn is not None
    assert turn.shift == pytest.approx([-15.0, 0.0], abs=1.0)


def test_what_moves_within_boxes_is_not_the_camera(scene: np.ndarray) -> None:
    """A truck that fills most of the picture drives to the right; the camera stands."""
    box, camera = np.array([[40.0, 0.0, 280.0, 180.0]]), CameraMotion()
    for k in range(3):
        picture = view(scene, 400, 300)
        picture[:, 40:280] = view(scene, 400 - 6 * k, 420)[:, 40:280]
        turn = camera.see(picture, box)
    assert turn is not None
    assert turn.shift == pytest.approx([0.0, 0.0], abs=0.2)


def test_nothing_is_said_without_anything_to_see(scene: np.ndarray) -> None:
    camera, blank = CameraMotion(), np.full((HEIGHT, WIDTH), 90, np.uint8)
    assert camera.see(blank, NONE) is None and camera.see(blank, NONE) is None
    assert camera.see(view(scene, 400, 300), NONE) is None, "nothing to follow in the frame before"
    assert camera.see(view(scene, 400, 300)[::2, ::2], NONE) is None, "another size"


def test_a_tracker_that_sees_the_camera_turn_keeps_its_ids(scene: np.ndarray) -> None:
    draw, ids = np.random.default_rng(1), {}
    shakes = draw.integers(-15, 16, (20, 2))
    for camera_motion in (False, True):
        tracker, seen = Tracker(camera_motion=camera_motion), set()
        for k, (x, y) in enumerate(shakes.tolist()):
            boxes = [[100.0 - x, 80.0 - y, 124.0 - x, 96.0 - y], [200.0 - x, 60.0 - y, 224.0 - x, 76.0 - y]]
            frame = view(scene, 400 + x, 300 + y)
            tracks = tracker.update(boxes, [0.9, 0.9], [0, 0], time_s=k / 12, frame=frame)
            seen |= set(tracks.ids.tolist())
        ids[camera_motion] = seen
    assert ids[True] == {1, 2} and len(ids[False]) > 2


def test_frames_are_not_looked_at_unless_asked_for() -> None:
    first, second = Tracker(), Tracker()
    for k in range(3):
        box = [[10.0 + k, 10.0, 60.0 + k, 40.0]]
        with_frame = first.update(box, [0.9], [0], time_s=k / 10, frame=np.zeros((1, 1), np.uint8))
        without = second.update(box, [0.9], [0], time_s=k / 10)
        assert np.array_equal(with_frame.boxes_xyxy, without.boxes_xyxy)
