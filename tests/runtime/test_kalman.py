from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pytest import approx

from catseye.runtime import kalman
from catseye.runtime.kalman import Noise

NOISE = Noise(measurement=0.06, acceleration=0.4, initial_rate=1.5)
Float = NDArray[np.float64]


class FullFilter:
    """The textbook filter on (cx, cy, w, h, and their rates), in full 8×8 matrices, for one track; the rates
    of sizes are expected to decay, and their doubt as if they did not."""

    def __init__(self, box: Float) -> None:
        self.x = np.concatenate([measured(box), np.zeros(4)])
        size = np.sqrt(self.x[2] * self.x[3])
        self.P = np.diag([(NOISE.measurement * size) ** 2] * 4 + [(NOISE.initial_rate * size) ** 2] * 4)

    def predict(self, dt: float) -> None:
        F = np.eye(8)
        F[:4, 4:] = dt * np.eye(4)
        left = np.exp(-dt / 0.4)
        moves = F.copy()
        moves[[2, 3], [6, 7]] = 0.4 * (1 - left)
        moves[[6, 7], [6, 7]] = left
        standing = 0.7**2 * self.x[2] * self.x[3]
        q = NOISE.acceleration**2 * (standing + self.x[4] ** 2 + self.x[5] ** 2)
        Q = q * np.kron(np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]]), np.eye(4))
        self.x, self.P = moves @ self.x, F @ self.P @ F.T + Q

    def correct(self, box: Float) -> None:
        H = np.eye(4, 8)
        R = (NOISE.measurement**2) * self.x[2] * self.x[3] * np.eye(4)
        gain = self.P @ H.T @ np.linalg.inv(H @ self.P @ H.T + R)
        self.x = self.x + gain @ (measured(box) - H @ self.x)
        self.P = (np.eye(8) - gain @ H) @ self.P


def measured(box: Float) -> Float:
    x1, y1, x2, y2 = box
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])


def test_equals_the_full_filter_at_uneven_steps() -> None:
    draw = np.random.default_rng(0)
    corner = draw.uniform(0, 500, (3, 2))
    boxes = np.concatenate([corner, corner + draw.uniform(40, 120, (3, 2))], axis=1)
    ours, theirs = kalman.start(boxes, NOISE), [FullFilter(box) for box in boxes]
    for _ in range(30):
        dt = round(float(draw.uniform(0.01, 0.3)), 6)
        boxes = boxes + draw.normal(0, 3, boxes.shape) + 40 * dt
        ours = kalman.correct(kalman.predict(ours, dt, NOISE), boxes, NOISE)
        for one, box in zip(theirs, boxes, strict=True):
            one.predict(dt)
            one.correct(box)
    for track, one in enumerate(theirs):
        row = ours[..., track].T
        assert np.allclose(row[kalman.VALUE], one.x[:4], rtol=1e-9)
        assert np.allclose(row[kalman.RATE], one.x[4:], rtol=1e-7, atol=1e-9)
        assert np.allclose(row[kalman.VAR_VALUE], np.diag(one.P)[:4])
        assert np.allclose(row[kalman.COVARIANCE], np.diag(one.P[:4, 4:]))
        assert np.allclose(row[kalman.VAR_RATE], np.diag(one.P)[4:])


def test_one_long_step_is_many_short_ones() -> None:
    state = kalman.start(np.array([[10.0, 20.0, 70.0, 60.0]]), NOISE)
    state[:2, kalman.RATE, 0] = 30.0, -10.0
    whole, parts = kalman.predict(state, 1.0, NOISE), state
    for _ in range(10):
        parts = kalman.predict(parts, 0.1, NOISE)
    assert np.allclose(whole, parts)


def test_boxes_come_back_and_never_turn_inside_out() -> None:
    boxes = np.array([[10.0, 20.0, 70.0, 60.0]])
    state = kalman.start(boxes, NOISE)
    assert np.allclose(kalman.boxes(state), boxes)
    state[2:, kalman.RATE] = -100.0
    x1, y1, x2, y2 = kalman.boxes(kalman.predict(state, 5.0, NOISE))[0]
    assert x2 > x1 and y2 > y1


def test_what_moves_fast_is_less_certain_where_it_goes() -> None:
    state = kalman.start(np.array([[0.0, 0.0, 40.0, 10.0]] * 2), NOISE)
    state[0, kalman.RATE, 1] = 60.0
    slow, fast = kalman.doubt(kalman.predict(state, 1.0, NOISE))[0]
    growth = NOISE.acceleration**2 / 3
    known = (NOISE.measurement**2 + NOISE.initial_rate**2) * 400
    assert slow**2 == approx(known + growth * 0.7**2 * 400)
    assert fast**2 == approx(known + growth * (0.7**2 * 400 + 60**2))
