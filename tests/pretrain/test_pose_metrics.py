"""Errors of motion, where they are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from catseye.pretrain.pose_metrics import (
    Snippet,
    chained,
    pose_figures,
    rotation_angles,
    steps_between,
    trajectory_error,
)

TIMES = np.arange(5) * 0.1


def rigid(vector: tuple[float, float, float], place: tuple[float, float, float]) -> NDArray[np.float64]:
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(np.array(vector, dtype=np.float64))[0]
    pose[:3, 3] = place
    return pose


def drive(*, ahead: float = 1.0, turn: float = 0.02, frames: int = 5) -> NDArray[np.float64]:
    """A drive along a bend, seen in a world whose origin and axes are none of the camera's."""
    start = rigid((0.3, -0.8, 0.1), (5.0, -2.0, 40.0))
    return start @ chained(np.stack([rigid((0.0, turn, 0.0), (0.0, 0.0, ahead))] * (frames - 1)))


def scaled(poses: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    larger = poses.copy()
    larger[:, :3, 3] *= factor
    return larger


def test_the_trajectory_counts_from_the_first_frame_and_but_for_its_scale() -> None:
    true = drive()
    elsewhere = rigid((0.0, 1.0, 0.0), (1.0, 2.0, 3.0)) @ scaled(true, 7.0)
    assert trajectory_error(elsewhere, true) == pytest.approx(0, abs=1e-9)
    assert trajectory_error(drive(turn=0.2), true) > 0.05


def test_the_trajectory_error_is_that_of_the_published_figures() -> None:
    """Off by 3 to the side at the last of three places that are 0, 4 and 8 ahead: scale 80 / 89."""
    true = np.tile(np.eye(4), (3, 1, 1))
    true[:, 2, 3] = (0, 4, 8)
    estimated = true.copy()
    estimated[2, 0, 3] = 3
    scale = (4 * 4 + 8 * 8) / (4 * 4 + 8 * 8 + 3 * 3)
    left = (4 * (1 - scale)) ** 2 + (8 * (1 - scale)) ** 2 + (3 * scale) ** 2
    assert trajectory_error(estimated, true) == pytest.approx(np.sqrt(left) / 3)


def test_steps_and_poses_are_two_ways_to_say_the_same() -> None:
    true = drive()
    steps = steps_between(true)
    assert steps[0, 2, 3] == pytest.approx(1.0)
    np.testing.assert_allclose(np.linalg.inv(true[0]) @ true, chained(steps), atol=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 1e-5, 0.5, 90.0, 170.0])
def test_angles_of_known_rotations(degrees: float) -> None:
    axis = np.array([1.0, -2.0, 0.5]) / np.linalg.norm([1.0, -2.0, 0.5])
    rotation = cv2.Rodrigues(np.radians(degrees) * axis)[0]
    assert rotation_angles(rotation[None])[0] == pytest.approx(degrees, rel=1e-6, abs=1e-9)


def test_errors_a_step() -> None:
    true = drive(turn=np.radians(2.0))
    slower = drive(ahead=0.75, turn=np.radians(3.0))
    figures = pose_figures([Snippet(slower, true, TIMES)], metric=True)
    assert figures["pose_rotation"] == pytest.approx(1.0)
    assert figures["pose_rotation_still"] == pytest.approx(2.0)
    assert figures["pose_translation"] == pytest.approx(0.25)
    assert figures["pose_translation_still"] == pytest.approx(1.0)
    assert figures["pose_translation_straight"] == pytest.approx(0, abs=1e-9)
    assert "pose_translation" not in pose_figures([Snippet(true, true, TIMES)], metric=False)
    assert pose_figures([], metric=True) == {}


def test_the_guesses_know_the_mean_velocity_and_no_more() -> None:
    """One drives at 10 m/s, the other at 20 m/s for half as long: the mean is 40 m in 3 s."""
    slow = Snippet(drive(), drive(ahead=1.0, turn=0.0, frames=21), np.arange(21) * 0.1)
    fast = Snippet(drive(), drive(ahead=2.0, turn=0.0, frames=11), np.arange(11) * 0.1)
    right = [Snippet(snippet.true, snippet.true, snippet.times_s) for snippet in (slow, fast)]
    figures = pose_figures(right, metric=True)
    speed = 40 / 3
    expected = (20 * abs(speed - 10) * 0.1 + 10 * abs(speed - 20) * 0.1) / 30
    assert figures["pose_translation_straight"] == pytest.approx(expected)
    assert figures["pose_ate"] == figures["pose_translation"] == pytest.approx(0, abs=1e-12)
    # Straight drives have the right direction, so that nothing is left once their scale is known.
    assert figures["pose_ate_straight"] == pytest.approx(0, abs=1e-9) and figures["pose_ate_still"] > 1
