"""How the distance of each track changes: smoothed distance, closing speed, and time to contact.

One Kalman filter for all tracks at once, stepped by real seconds. The state of a track is

    x  the natural logarithm of its distance in metres
    r  the rate of x a second; −1/r is the time to contact
    s  the logarithm of its height in pixels, were it a metre away

after the modified polar coordinates of Aidala and Hammel ("Utilization of modified polar coordinates for
bearings-only tracking", IEEE Trans. Automatic Control 28, 1983), in which what scale alone tells, r, stays
apart from what it cannot tell, x. At constant closing speed, over t seconds, x grows by log(1 + r·t) and r
becomes r/(1 + r·t), exactly; acceleration is white noise.

Two things are measured: x by the cues to distance, and s − x by the height of the box, whose growth is the
classic cue to time to contact (Lee, "A theory of visual control of braking based on information about
time-to-collision", Perception 5, 1976). The second needs no calibration.

Much of what is wrong with a distance stays wrong along a track: a car taller than most is taken for a near
one in each frame. So a share of each variance does not average out, and is carried beside the filter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catseye.runtime.ranging.cue import Cue, Float

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Course:
    """What is known of how tracks come and go.

    Args:
        acceleration: of a track towards the camera, in metres a second squared over a second.
        speed_mps: standard deviation of the closing speed of a track seen once.
        turning: relative change of a track's apparent size over a second, as it turns.
        lasting: share of a distance's variance that stays the same along a track.
        drift_s: seconds over which what else is wrong with a box stays alike: frames closer than that tell
            less than as many apart.
        forgotten_s: seconds after which a track that is not seen is dropped.
    """

    acceleration: float
    speed_mps: float
    turning: float
    lasting: float
    drift_s: float
    forgotten_s: float = 5.0


COURSE = Course(acceleration=3.0, speed_mps=20.0, turning=0.03, lasting=0.7, drift_s=0.3)
"""With these the shares within sigma are what they should be on rendered drives; how far that holds on others
is for ``scripts/bench/approach.py`` to say. Real vehicles brake harder than those do."""


@dataclass(frozen=True)
class Motion:
    """A row a track.

    Args:
        distance: smoothed.
        closing_mps, closing_sigma_mps: (N,) closing speed, positive where the distance shrinks, and its
            standard deviation; NaN where no distance is known, or nothing of the speed yet.
        contact_s, contact_sigma_s: (N,) seconds until the nearest part of the object is level with the
            camera if both keep their speed, and their standard deviation; NaN where it is not clear that it
            comes nearer.
    """

    distance: Cue
    closing_mps: Float
    closing_sigma_mps: Float
    contact_s: Float
    contact_sigma_s: Float


_TYPICAL_M, _TYPICAL_SPREAD = 20.0, 0.8
"""What a track of unknown distance is taken for, to know how fast its scale may change: the median, and the
standard deviation of the logarithm."""
_WIDE = 30.0
"""Standard deviation of a logarithm of which nothing is known."""
_SURPRISE = 3.0
"""Standard deviations from which on a measurement counts less: it may be of something else."""
_CLEAR = 2.0
"""Standard deviations by which a track must come nearer to have a time to contact."""
_VAGUE = 0.25
"""Of the spread that closing speeds have, from which on one counts as unknown."""
_LEAST_LEFT, _FASTEST, _NEAREST_M = 0.2, 5.0, 1.0
"""What bounds the filter near contact, where x has no bottom: the least share of its distance that a track
keeps in one step, the highest rate, and the distance below which its noise does not grow."""


@dataclass
class _States:
    """A row a track, in rising order of id, of ``numbers`` (N, 14) that the properties name.

    Few columns make few calls: of tens of objects, each call takes longer than what it counts.
    """

    ids: Ids
    numbers: Float

    @property
    def seen_s(self) -> Float:
        return self.numbers[:, 0]

    @property
    def lasting(self) -> Float:
        """Variance (N,) of x that does not average out."""
        return self.numbers[:, 1]

    @property
    def mean(self) -> Float:
        """(N, 3) of x, r and s."""
        return self.numbers[:, 2:5]

    @property
    def covariance(self) -> Float:
        """(N, 3, 3)."""
        return self.numbers[:, 5:].reshape(-1, 3, 3)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> _States:
        return _States(self.ids[rows], self.numbers[rows])

    def joined(self, other: _States) -> _States:
        ids = np.concatenate([self.ids, other.ids])
        return _States(ids, np.concatenate([self.numbers, other.numbers])).take(ids.argsort())


class Approach:
    """The tracks of one stream, as their distance changes."""

    def __init__(self, course: Course = COURSE) -> None:
        self._course = course
        self._states = _begun(np.empty(0, np.int64), Cue.silent(0), course)
        self._oldest_s = -np.inf  # no track was seen last before

    def see(self, ids: Ids, distance: Cue | None, height: Cue, *, time_s: float) -> Motion:
        """Take what one frame says of the tracks seen in it.

        Args:
            ids: (N,), rising.
            distance: of this frame alone, silent where it says nothing; None if it says nothing of any.
            height: the logarithm of the height of each box in pixels, likewise.
        """
        if not len(ids):
            return _NOTHING
        course, states = self._course, self._states
        if time_s - self._oldest_s > course.forgotten_s:
            states = states.take(time_s - states.seen_s <= course.forgotten_s)
            self._oldest_s = float(states.seen_s.min(initial=time_s))
        rows = states.ids.searchsorted(ids)
        fresh = _missing(ids, states.ids, rows)
        begins = fresh.any()
        if begins:
            told = Cue.silent(len(ids)) if distance is None else distance
            first = Cue(told.log_m[fresh], told.variance[fresh])
            states = states.joined(_begun(ids[fresh], first, course))
            rows = states.ids.searchsorted(ids)
        seen = states.take(rows)
        dt = time_s - seen.seen_s
        _advance(seen, np.where(fresh, 0.0, dt) if begins else dt, course)
        # Of the same moment, a second frame tells nothing.
        later = dt > 0
        alike = np.where(later, 1 + 2 * course.drift_s / np.where(later, dt, 1.0), np.inf)
        if distance is not None:
            passing = Cue(distance.log_m, (1 - course.lasting) * distance.variance * alike)
            weight = _correct(seen, passing, _log_distance)[:, 0]
            stays = np.where(weight > 0, course.lasting * distance.variance, 0.0)
            seen.lasting[:] += weight * (stays - seen.lasting)
        _correct(seen, Cue(height.log_m, height.variance * alike), _log_height)
        seen.seen_s[:] = time_s
        states.numbers[rows] = seen.numbers
        self._states = states
        return _motion(seen, course)


def _missing(ids: Ids, known: Ids, places: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of ``ids`` are not among ``known``, that rise, at the places where they belong."""
    if not len(known):
        return np.ones(len(ids), dtype=np.bool_)
    return np.asarray(known.take(places, mode="clip") != ids)


def _begun(ids: Ids, distance: Cue, course: Course) -> _States:
    states = _States(ids, np.zeros((len(ids), 14)))
    mean, covariance = states.mean, states.covariance
    told = np.isfinite(distance.log_m)
    states.seen_s[:] = -np.inf
    mean[:, 0] = np.where(told, distance.log_m, np.log(_TYPICAL_M))
    covariance[:, 0, 0] = np.where(told, _WIDE, _TYPICAL_SPREAD) ** 2
    covariance[:, 1, 1] = (course.speed_mps / np.exp(mean[:, 0])) ** 2
    covariance[:, 2, 2] = _WIDE**2
    return states


def _advance(states: _States, dt: Float, course: Course) -> None:
    """Tracks (N,) seconds later, each its own, in place."""
    mean, covariance = states.mean, states.covariance
    left = np.maximum(1 + dt * mean[:, 1], _LEAST_LEFT)
    mean[:, 0] += np.log(left)
    mean[:, 1] = np.minimum(np.maximum(mean[:, 1] / left, -_FASTEST), _FASTEST)
    step = np.zeros(covariance.shape)
    step[:, 0, 0] = step[:, 2, 2] = 1
    step[:, 0, 1] = dt / left
    step[:, 1, 1] = 1 / left**2
    covariance[:] = step @ covariance @ step.transpose(0, 2, 1)
    density = (course.acceleration / np.maximum(np.exp(mean[:, 0]), _NEAREST_M)) ** 2
    covariance[:, 0, 0] += density * dt**3 / 3
    both = density * dt**2 / 2
    covariance[:, 0, 1] += both
    covariance[:, 1, 0] += both
    covariance[:, 1, 1] += density * dt
    covariance[:, 2, 2] += course.turning**2 * dt
    _bound(covariance)


def _bound(covariance: Float) -> None:
    """Let nothing be known less than not at all, in place.

    What comes nearer in the mean and is not measured doubts itself more with each step, until rounding would
    leave the matrix neither symmetric nor positive.
    """
    spread = np.sqrt(covariance[:, _AXES, _AXES])
    if (spread > _WIDEST).any():
        scale = _WIDEST / np.maximum(spread, _WIDEST)
        covariance *= scale[:, :, None] * scale[:, None]


def _log_distance(numbers: Float) -> Float:
    """Of x, r and s along the last axis."""
    return numbers[..., 0]


def _log_height(numbers: Float) -> Float:
    return np.asarray(numbers[..., 2] - numbers[..., 0])


def _correct(states: _States, told: Cue, measured: Callable[[Float], Float]) -> Float:
    """Take what is told of ``measured``, in place. The gain (N, 3) is 0 where nothing is told."""
    mean, covariance = states.mean, states.covariance
    along = measured(covariance)
    surprise = np.where(np.isfinite(told.log_m), told.log_m - measured(mean), 0.0)
    expected = measured(along) + told.variance
    # What surprises counts less, as in ``fusion``: its variance grows until it is just not surprising.
    expected = np.maximum(expected, (surprise / _SURPRISE) ** 2)
    gain = along / expected[:, None]
    mean += gain * surprise[:, None]
    covariance -= gain[:, :, None] * along[:, None, :]
    return gain


def _motion(states: _States, course: Course) -> Motion:
    x, r, var_r = states.mean[:, 0], states.mean[:, 1], states.covariance[:, 1, 1]
    sigma_r = np.sqrt(var_r)
    nearer = -r > _CLEAR * sigma_r
    contact = np.where(nearer, -1 / np.where(nearer, r, 1.0), np.nan)
    contact_sigma = contact**2 * sigma_r
    known = states.lasting > 0
    if not known.any():
        silent = Cue.silent(len(r))
        return Motion(silent, silent.log_m, silent.log_m, contact, contact_sigma)
    var_x, cov = states.covariance[:, 0, 0], states.covariance[:, 0, 1]
    distance = Cue(np.where(known, x, np.nan), np.where(known, var_x + states.lasting, np.inf))
    metres = np.exp(distance.log_m)
    # Of a product e^x · r, to first order.
    closing_sigma = metres * np.sqrt(var_r + r**2 * (var_x + states.lasting) + 2 * r * cov)
    vague = ~(closing_sigma < _VAGUE * course.speed_mps)
    return Motion(
        distance=distance,
        closing_mps=np.where(vague, np.nan, -metres * r),
        closing_sigma_mps=np.where(vague, np.nan, closing_sigma),
        contact_s=contact,
        contact_sigma_s=contact_sigma,
    )


_AXES = np.arange(3)
_WIDEST = np.array([2 * _WIDE, 4 * _FASTEST, 2 * _WIDE])
"""Most that the standard deviations of x, r and s can be."""
_NOTHING = Motion(Cue.silent(0), *np.empty((4, 0)))
