"""Kalman filters over all tracks at once, for boxes whose centres move on and whose sizes settle.

The state of a track is the centre and size of its box (cx, cy, w, h) in pixels and their rates in pixels a
second. Width and height, rather than area and aspect, because their measurement noise is then that of the
corners, and because no coordinate depends on another: with diagonal noise the eight-state filter falls apart,
exactly, into four filters of two states each, with no matrix to invert.

A set of N tracks is one float64 array (4, 5, N): for each of the four coordinates its value, its rate, the
variance of the value, the covariance of both and the variance of the rate. A step of time is linear in these
five, and so is one small matrix a coordinate.

Noise is stated in box sizes, √(w·h), so that it means the same near and far, for a car seen from the side and
for a pedestrian. Process noise is white acceleration integrated over the real time step (Bar-Shalom, Li and
Kirubarajan, Estimation with Applications to Tracking and Navigation, 6.2.2), so that frames may come at any
pace. It grows with the track's speed: what passes close by changes its course across the picture and its size
quickly, as a pedestrian or a car far ahead does not, and one filter should follow the one without swaying
with every jolt of the other's box. A centre is expected to keep its rate and a size is not: a pedestrian's
width swings with the gait, a box that is half hidden shrinks, and neither goes on. So the rate of a size is
expected to decay, while the doubt about it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

VALUE, RATE, VAR_VALUE, COVARIANCE, VAR_RATE = range(5)
_STIR = 0.7  # sizes a second: what a track that stands still is taken to move
_SETTLE_S = 0.4  # in which the rate of a width or height is expected to fall to 1/e
_SMALLEST = 1.0  # pixels; a shrinking box that is not seen must not turn inside out

_FROM_CORNERS = np.array([[0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5], [-1, 0, 1, 0], [0, -1, 0, 1]])
_TO_CORNERS = np.linalg.inv(_FROM_CORNERS)


@dataclass(frozen=True)
class Noise:
    """Standard deviations, in parts of the box size.

    Args:
        measurement: of a measured centre, width or height.
        acceleration: of the change of a rate over one second, as a share of how fast the centre moves.
        initial_rate: of the rate of a track seen once, in sizes a second.
    """

    measurement: float
    acceleration: float
    initial_rate: float


def start(boxes_xyxy: Float, noise: Noise) -> Float:
    """States (4, 5, N) of tracks seen once, at boxes (N, 4)."""
    state = np.zeros((4, 5, len(boxes_xyxy)))
    state[:, VALUE] = centre_and_size(boxes_xyxy)
    scale = size(state)
    state[:, VAR_VALUE] = (noise.measurement * scale) ** 2
    state[:, VAR_RATE] = (noise.initial_rate * scale) ** 2
    return state


def predict(state: Float, dt: float, noise: Noise) -> Float:
    """States (4, 5, N) ``dt`` seconds later."""
    later = _step(round(dt, 6)) @ state
    density = noise.acceleration**2
    growth = np.array([[density * (dt**3 / 3)], [density * (dt**2 / 2)], [density * dt]])
    across, down = state[:2, RATE] ** 2
    later[:, VAR_VALUE:] += growth * ((_STIR * size(state)) ** 2 + across + down)
    np.maximum(later[2:, VALUE], _SMALLEST, out=later[2:, VALUE])
    return later


@lru_cache(maxsize=64)
def _step(dt: float) -> Float:
    """What a step of time does to the five numbers of each coordinate, (4, 5, 5): worked out once for each
    length, since a stream has few."""
    left = exp(-dt / _SETTLE_S)
    doubt = [0, 0, 1, 2 * dt, dt * dt], [0, 0, 0, 1, dt], [0, 0, 0, 0, 1]
    centre = [[1, dt, 0, 0, 0], [0, 1, 0, 0, 0], *doubt]
    side = [[1, _SETTLE_S * (1 - left), 0, 0, 0], [0, left, 0, 0, 0], *doubt]
    return np.array([centre, centre, side, side])


def correct(state: Float, boxes_xyxy: Float, noise: Noise) -> Float:
    """States (4, 5, N) after measuring boxes (N, 4), one for each; it is the same array, changed in place."""
    variance = state[:, VAR_VALUE]
    surprise = centre_and_size(boxes_xyxy) - state[:, VALUE]
    # Of the value and of the rate.
    gain = state[:, VAR_VALUE:VAR_RATE] / (variance + (noise.measurement * size(state)) ** 2)[:, None]
    state[:, :VAR_VALUE] += gain * surprise[:, None]
    state[:, VAR_RATE] -= gain[:, 1] * state[:, COVARIANCE]
    state[:, VAR_VALUE:VAR_RATE] *= (1 - gain[:, 0])[:, None]
    np.maximum(state[2:, VALUE], _SMALLEST, out=state[2:, VALUE])
    return state


def centre_and_size(boxes_xyxy: Float) -> Float:
    """(N, 4) corners x1 y1 x2 y2 as (4, N) centre and size cx cy w h."""
    return np.asarray(_FROM_CORNERS @ boxes_xyxy.T)


def boxes(state: Float) -> Float:
    """The boxes (N, 4) x1 y1 x2 y2 of states (4, 5, N)."""
    return np.asarray((_TO_CORNERS @ state[:, VALUE]).T)


def doubt(state: Float) -> Float:
    """Standard deviation of the centre in x and y, (2, N) pixels."""
    return np.asarray(np.sqrt(state[:2, VAR_VALUE]))


def size(state: Float) -> Float:
    """√(w·h) of each track, (N,) pixels, at least one."""
    return np.asarray(np.maximum(np.sqrt(state[2, VALUE] * state[3, VALUE]), _SMALLEST))
