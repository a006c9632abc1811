"""Comparing estimated motion of a camera with its true motion, and with guesses that look at nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Poses = NDArray[np.float64]
"""(T, 4, 4) rigid transforms."""


@dataclass(frozen=True)
class Snippet:
    """Estimated and true poses of one camera over T ≥ 2 frames that follow each other.

    Args:
        estimated, true: (T, 4, 4) camera-to-world, the camera's axes as OpenCV's: x right, y down, z ahead.
            Each may have a world of its own, since only motion from the first frame on is compared.
        times_s: (T,) rising.
    """

    estimated: Poses
    true: Poses
    times_s: NDArray[np.float64]


def steps_between(poses: Poses) -> Poses:
    """(T − 1, 4, 4): the pose of the camera at each later frame in that of the one before."""
    return np.asarray(np.linalg.inv(poses[:-1]) @ poses[1:])


def chained(steps: Poses) -> Poses:
    """(T, 4, 4) camera-to-world from (T − 1, 4, 4) steps; the world is the first frame's camera."""
    poses = [np.eye(4)]
    for step in steps:
        poses.append(poses[-1] @ step)
    return np.stack(poses)


def trajectory_error(estimated: Poses, true: Poses) -> float:
    """Absolute trajectory error of (T, 4, 4) poses, in the unit of the true ones.

    Both start in the same place and direction, and the estimate is scaled to fit best, as in Zhou et al.,
    "Unsupervised Learning of Depth and Ego-Motion from Video", CVPR 2017. Like their published figures, and
    those of who followed, it is √(Σ‖error‖²) / T; the root of the mean square is √T times that.
    """
    guess, truth = (_from_first(poses)[:, :3, 3] for poses in (estimated, true))
    squared = float((guess**2).sum())
    scale = float((guess * truth).sum()) / squared if squared > 0 else 0.0
    return float(np.sqrt(((scale * guess - truth) ** 2).sum()) / len(truth))


def rotation_angles(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles (N,) in degrees of rotation matrices (N, 3, 3)."""
    # The arc cosine of the trace would lose angles below a thousandth of a degree.
    skew = rotations - rotations.transpose(0, 2, 1)
    sines = np.sqrt(skew[:, 2, 1] ** 2 + skew[:, 0, 2] ** 2 + skew[:, 1, 0] ** 2)
    return np.asarray(np.degrees(np.arctan2(sines, np.trace(rotations, axis1=1, axis2=2) - 1)))


def pose_figures(snippets: Sequence[Snippet], *, metric: bool) -> dict[str, float]:
    """Errors of estimated motion, each the mean over snippets or over their steps.

    Returns:
        ``pose_ate``, ``trajectory_error`` in metres; ``pose_rotation``, degrees a step between the estimated
        and the true rotation; and where estimates are ``metric`` ``pose_translation``, metres a step between
        the translations as they come. Beside each what is to be beaten: with ``_still``, what standing still
        would get, and but for rotation, for which that is the same, with ``_straight``, what driving straight
        on would get at the mean true velocity over all snippets. Empty without snippets.
    """
    if not snippets:
        return {}
    straight = _straight_on(snippets)
    figures = {
        "pose_ate": _mean_error(snippets),
        "pose_ate_still": _mean_error([_still(snippet) for snippet in snippets]),
        "pose_ate_straight": _mean_error(straight),
        "pose_rotation": float(np.mean(np.concatenate([_rotation_errors(s) for s in snippets]))),
        "pose_rotation_still": float(np.mean(np.concatenate([_rotation_errors(s) for s in straight]))),
    }
    if metric:
        figures["pose_translation"] = _mean_translation_error(snippets)
        figures["pose_translation_still"] = _mean_translation_error([_still(s) for s in snippets])
        figures["pose_translation_straight"] = _mean_translation_error(straight)
    return figures


def _still(snippet: Snippet) -> Snippet:
    return Snippet(np.tile(np.eye(4), (len(snippet.true), 1, 1)), snippet.true, snippet.times_s)


def _straight_on(snippets: Sequence[Snippet]) -> list[Snippet]:
    """The snippets with estimates that go at the mean true velocity in the camera's axes, without a turn."""
    moved = sum(steps_between(snippet.true)[:, :3, 3].sum(axis=0) for snippet in snippets)
    velocity = moved / sum(float(snippet.times_s[-1] - snippet.times_s[0]) for snippet in snippets)
    guesses = []
    for snippet in snippets:
        poses = np.tile(np.eye(4), (len(snippet.true), 1, 1))
        poses[:, :3, 3] = (snippet.times_s - snippet.times_s[0])[:, None] * velocity
        guesses.append(Snippet(poses, snippet.true, snippet.times_s))
    return guesses


def _from_first(poses: Poses) -> Poses:
    return np.asarray(np.linalg.inv(poses[0]) @ poses)


def _mean_error(snippets: Sequence[Snippet]) -> float:
    return float(np.mean([trajectory_error(snippet.estimated, snippet.true) for snippet in snippets]))


def _rotation_errors(snippet: Snippet) -> NDArray[np.float64]:
    guess, truth = (steps_between(poses)[:, :3, :3] for poses in (snippet.estimated, snippet.true))
    return rotation_angles(guess.transpose(0, 2, 1) @ truth)


def _mean_translation_error(snippets: Sequence[Snippet]) -> float:
    errors = []
    for snippet in snippets:
        guess, truth = (steps_between(poses)[:, :3, 3] for poses in (snippet.estimated, snippet.true))
        errors.append(np.linalg.norm(guess - truth, axis=1))
    return float(np.mean(np.concatenate(errors)))
