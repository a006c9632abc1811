"""How the ego vehicle and the traffic move: car following, lane changes, stops.

Everybody keeps to a lane, follows whoever is ahead by the Intelligent Driver Model (Treiber, Hennecke,
Helbing, "Congested traffic states in empirical observations and microscopic simulations", 2000), and may
change lanes when there is room. Vehicle 0 is the ego.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catseye.capture.rendering.look import Layout

Array = NDArray[np.float64]

_SHARES = (0.74, 0.16, 0.10)
_LONGEST_M = (4.8, 9.0, 12.0)

_SUBSTEPS = 4
_ACCELERATION, _BRAKING, _HARDEST = 2.0, 3.0, 7.0
_GAP_M, _HEADWAY_S = 2.5, 1.1
_SIDE_M = 2.3
_CHANGE_S, _CHANGE_MPS = 3.2, 9.0
"""A lane change takes that long from that speed on, and longer below it."""


@dataclass(frozen=True)
class Traffic:
    """Who takes part, ego first: arrays (V,).

    Args:
        category: class index.
        length: metres; the longest of the class until the vehicle is known.
        direction: 1 along the road, -1 against it.
        s, d: where they start, in road coordinates.
        wish: the speed each would like, m/s; 0 for the parked.
        change_at: when one looks for another lane, seconds; inf for never.
        change_to: offset of that lane.
    """

    category: NDArray[np.int64]
    length: Array
    direction: Array
    s: Array
    d: Array
    wish: Array
    change_at: Array
    change_to: Array


@dataclass(frozen=True)
class Motion:
    """Arrays (T, V) over frames and vehicles: road coordinates and yaw against the road's own direction."""

    s: Array
    d: Array
    yaw: Array


def draw_wishes(
    rng: np.random.Generator, *, frames: int, dt: float, stops: bool, pace: tuple[float, float]
) -> Array:
    """The speed the ego would like, (frames,) m/s; with ``stops`` it stands for some seconds."""
    time = np.arange(frames) * dt
    knots = np.arange(0, time[-1] + 6, 2.5)
    levels = 0.5 * (rng.uniform(*pace) + rng.uniform(*pace, len(knots)))
    wish = np.interp(time, knots, levels)
    if stops:
        hold = min(3.5, 0.45 * time[-1])
        if rng.random() < 0.5:
            wish[time < hold] = 0.0
        else:
            wish[time > min(rng.uniform(0.3, 1.2), 0.2 * time[-1])] = 0.0
            wish[time > hold + 6.0] = max(levels[-1], 5.0)
    return np.asarray(wish)


def draw_traffic(rng: np.random.Generator, layout: Layout, *, ego_wish: Array, reach: float) -> Traffic:
    """Vehicles around an ego that starts at s = 0, as far as it may see in ``reach`` metres of driving."""
    ego_lane = layout.right[int(rng.integers(len(layout.right)))]
    pace = float(ego_wish.max())
    density = rng.uniform(0.7, 1.4)
    rows: list[tuple[float, float, float, float, int]] = [(1.0, 0.0, ego_lane, float(ego_wish[0]), 0)]

    def line_up(direction: float, lane: float, start: float, end: float, gaps: tuple[float, float]) -> None:
        s = start
        while s < end:
            category = int(rng.choice(3, p=_SHARES))
            s += _LONGEST_M[category] / 2
            if lane == ego_lane or direction < 0 or abs(s) > 7 + _LONGEST_M[category] / 2:
                faster = (
                    0.0 if direction < 0 else 1.5 if lane < ego_lane else -1.5 if lane == ego_lane else 0.0
                )
                wish = rng.uniform(7, 16) if direction < 0 else max(4.5, pace + faster + rng.uniform(-3, 3))
                rows.append((direction, s, lane, wish, category))
            s += _LONGEST_M[category] / 2 + rng.uniform(*gaps) / density

    for lane in layout.right:
        start = rng.uniform(12, 38) if lane == ego_lane else rng.uniform(-45, -10)
        line_up(1.0, lane, start, 150 + 0.35 * reach, (9, 42))
    for lane in layout.left:
        line_up(-1.0, lane, rng.uniform(12, 50), 160 + 2 * reach, (11, 52))
    if layout.parking:
        strip = layout.lane_width / 2 + layout.parking / 2
        for side, lane in ((1.0, layout.right[-1]), (-1.0, layout.left[-1])):
            s = rng.uniform(-5, 8)
            while s < 140 + reach:
                if rng.random() < 0.55:
                    rows.append((side, s, lane + side * strip + rng.uniform(-0.12, 0.12), 0.0, 0))
                s += rng.uniform(6.2, 9.0)
    direction, place, d, wish = np.array([row[:4] for row in rows]).T
    category = np.array([row[4] for row in rows])
    change_at, change_to = _draw_changes(rng, layout, direction, d, wish)
    return Traffic(category, np.array(_LONGEST_M)[category], direction, place, d, wish, change_at, change_to)


def _draw_changes(
    rng: np.random.Generator, layout: Layout, direction: Array, d: Array, wish: Array
) -> tuple[Array, Array]:
    """When each vehicle looks for another lane, and which: one beside its own, for about three in ten."""
    change_at, change_to = np.full(len(d), np.inf), d.copy()
    for index in np.flatnonzero(rng.random(len(d)) < 0.3):
        lanes = layout.right if direction[index] > 0 else layout.left
        if wish[index] > 0 and len(lanes) > 1:
            here = lanes.index(float(d[index]))
            beside = [lanes[i] for i in (here - 1, here + 1) if 0 <= i < len(lanes)]
            change_to[index] = beside[int(rng.integers(len(beside)))]
            change_at[index] = rng.uniform(0.3, 6)
    return change_at, change_to


def drive(traffic: Traffic, ego_wish: Array, *, dt: float) -> Motion:
    """Simulate ``len(ego_wish)`` frames of ``dt`` seconds."""
    frames, count = len(ego_wish), len(traffic.s)
    s, d, wish = traffic.s.copy(), traffic.d.copy(), traffic.wish.copy()
    speed = wish.copy()
    target, since, origin = d.copy(), np.full(count, np.inf), d.copy()
    all_s, all_d, all_yaw = (np.empty((frames, count)) for _ in range(3))
    step = dt / _SUBSTEPS
    for frame in range(frames):
        wish[0] = ego_wish[frame]
        all_s[frame], all_d[frame] = s, d
        pace = np.minimum(1.0, speed / _CHANGE_MPS) / _CHANGE_S
        drift = _ease_rate(since / _CHANGE_S) * pace * (target - origin)
        all_yaw[frame] = np.arctan2(drift * traffic.direction, np.maximum(speed, 0.1))
        for part in range(_SUBSTEPS):
            now = (frame + part / _SUBSTEPS) * dt
            _begin_changes(traffic, now, s, d, speed, target, since, origin)
            s += traffic.direction * speed * step
            speed = np.clip(speed + _acceleration(traffic, s, d, target, speed, wish) * step, 0.0, None)
            since += step * np.minimum(1.0, speed / _CHANGE_MPS)
            changing = np.isfinite(since)
            d[changing] = (origin + (target - origin) * _ease(since / _CHANGE_S))[changing]
            since[since >= _CHANGE_S] = np.inf
    return Motion(all_s, all_d, all_yaw)


def _ease(share: Array) -> Array:
    share = np.clip(np.nan_to_num(share, posinf=1.0), 0, 1)
    return share * share * (3 - 2 * share)


def _ease_rate(share: Array) -> Array:
    share = np.clip(np.nan_to_num(share, posinf=1.0), 0, 1)
    return 6 * share * (1 - share)


def _begin_changes(
    traffic: Traffic, now: float, s: Array, d: Array, speed: Array, target: Array, since: Array, origin: Array
) -> None:
    """Start the lane changes that are due and for which there is room. Changes the last three arrays."""
    due = (traffic.change_at <= now) & (target != traffic.change_to) & np.isinf(since)
    for index in np.flatnonzero(due):
        beside = np.abs(d - traffic.change_to[index]) < _SIDE_M
        beside |= np.abs(target - traffic.change_to[index]) < _SIDE_M
        beside[index] = False
        room = 9.0 + traffic.length / 2 + traffic.length[index] / 2 + 1.5 * np.abs(speed - speed[index])
        if not (beside & (np.abs(s - s[index]) < room)).any():
            origin[index], target[index], since[index] = d[index], traffic.change_to[index], 0.0


def _acceleration(traffic: Traffic, s: Array, d: Array, target: Array, speed: Array, wish: Array) -> Array:
    ahead = (s[None, :] - s[:, None]) * traffic.direction[:, None]
    lanes = np.minimum(np.abs(d[None, :] - d[:, None]), np.abs(d[None, :] - target[:, None]))
    lanes = np.minimum(lanes, np.abs(target[None, :] - d[:, None]))
    follows = (lanes < _SIDE_M) & (ahead > 0) & (traffic.direction[None, :] == traffic.direction[:, None])
    follows &= wish[:, None] + speed[:, None] > 0
    lengths = (traffic.length[None, :] + traffic.length[:, None]) / 2
    gaps = np.where(follows, np.maximum(ahead - lengths, 0.3), np.inf)
    leader = gaps.argmin(axis=1)
    gap, lead_speed = gaps.min(axis=1), speed[leader]
    closing = speed * (speed - lead_speed) / (2 * np.sqrt(_ACCELERATION * _BRAKING))
    wanted = _GAP_M + np.maximum(0, speed * _HEADWAY_S + closing)
    slowest = -_BRAKING / _ACCELERATION
    free = np.where(wish > 0, np.maximum(1 - (speed / np.maximum(wish, 0.1)) ** 4, slowest), slowest)
    return np.asarray(np.clip(_ACCELERATION * (free - (wanted / gap) ** 2), -_HARDEST, _ACCELERATION))
