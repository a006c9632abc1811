"""Constant-velocity Kalman filters over all tracks at once.

The state of a track is the centre and size of its box (cx, cy, w, h) in pixels and their rates in pixels a
second. Width and height, rather than area and aspect, because their measurement noise is then that of the
corners, and because no coordinate depends on another: with diagonal noise the eight-state filter falls apart,
exactly, into four filters of two states each. All of them are stepped by a few elementwise operations, with
no matrix to invert.

A set of N tracks is one float64 array (N, 5, 4): for each of the four coordinates its value, its rate, the
variance of the value, the covariance of both and the variance of the rate.

Noise is stated in box sizes, √(w·h), so that it means the same near and far, for a car seen from the side and
for a pedestrian. Process noise is white acceleration integrated over the real time step (Bar-Shalom, Li and
Kirubarajan, Estimation with Applications to Tracking and Navigation, 6.2.2), so that frames may come at any
pace.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

VALUE, RATE, VAR_VALUE, COVARIANCE, VAR_RATE = range(5)
_SMALLEST = 1.0  # pixels; a shrinking box that is not seen must not turn inside out


@dataclass(frozen=True)
class Noise:
    """Standard deviations in box sizes.

    Args:
        measurement: of a measured centre, width or height.
        acceleration: of the change of a rate over one second, in sizes a second.
        initial_rate: of the rate of a track seen once, in sizes a second.
    """

    measurement: float
    acceleration: float
    initial_rate: float


def start(boxes_xyxy: Float, noise: Noise) -> Float:
    """States (N, 5, 4) of tracks seen once, at boxes (N, 4)."""
    state = np.zeros((len(boxes_xyxy), 5, 4))
    state[:, VALUE] = centre_and_size(boxes_xyxy)
    size = _size(state)
    state[:, VAR_VALUE] = (noise.measurement * size) ** 2
    state[:, VAR_RATE] = (noise.initial_rate * size) ** 2
    return state


def predict(state: Float, dt: float, noise: Noise) -> Float:
    """States (N, 5, 4) ``dt`` seconds later."""
    density = (noise.acceleration * _size(state)) ** 2
    value, rate, var_value, covariance, var_rate = state.transpose(1, 0, 2)
    later = np.empty_like(state)
    later[:, VALUE] = value + dt * rate
    later[:, RATE] = rate
    later[:, VAR_VALUE] = var_value + dt * (2 * covariance + dt * var_rate) + density * (dt**3 / 3)
    later[:, COVARIANCE] = covariance + dt * var_rate + density * (dt**2 / 2)
    later[:, VAR_RATE] = var_rate + density * dt
    np.maximum(later[:, VALUE, 2:], _SMALLEST, out=later[:, VALUE, 2:])
    return later


def correct(state: Float, boxes_xyxy: Float, noise: Noise) -> Float:
    """States (N, 5, 4) after measuring boxes (N, 4), one for each."""
    value, rate, var_value, covariance, var_rate = state.transpose(1, 0, 2)
    surprise = centre_and_size(boxes_xyxy) - value
    total = var_value + (noise.measurement * _size(state)) ** 2
    gain_value, gain_rate = var_value / total, covariance / total
    known = np.empty_like(state)
    known[:, VALUE] = value + gain_value * surprise
    known[:, RATE] = rate + gain_rate * surprise
    known[:, VAR_VALUE] = (1 - gain_value) * var_value
    known[:, COVARIANCE] = (1 - gain_value) * covariance
    known[:, VAR_RATE] = var_rate - gain_rate * covariance
    np.maximum(known[:, VALUE, 2:], _SMALLEST, out=known[:, VALUE, 2:])
    return known


def centre_and_size(boxes_xyxy: Float) -> Float:
    """(N, 4) corners x1 y1 x2 y2 as (N, 4) centre and size cx cy w h."""
    out = np.empty_like(boxes_xyxy)
    out[:, :2] = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    out[:, 2:] = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    return out


def boxes(state: Float) -> Float:
    """The boxes (N, 4) x1 y1 x2 y2 of states (N, 5, 4)."""
    value = state[:, VALUE]
    half = value[:, 2:] / 2
    return np.concatenate([value[:, :2] - half, value[:, :2] + half], axis=1)


def reach(state: Float, most: float) -> Float:
    """How far off a centre may be in x and y, (N, 2) pixels: its deviation, at most ``most`` sizes."""
    return np.minimum(np.sqrt(state[:, VAR_VALUE, :2]), most * _size(state))


def _size(state: Float) -> Float:
    """√(w·h) of each track, (N, 1), at least a pixel."""
    return np.maximum(np.sqrt(state[:, VALUE, 2:3] * state[:, VALUE, 3:4]), _SMALLEST)
