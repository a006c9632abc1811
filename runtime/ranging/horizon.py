"""Where the horizon is: what a camera's pitch is off by from what is taken for it, by what is of known size.

A thing of known size is at a known distance, and so tells the slope of the ray to where it stands. What that
is off by in all boxes alike is the camera's pitch: how it was mounted, and how it nods on its springs. Far
things tell it best: a slope is the camera's height over the distance, so that of a distance known to a tenth
it is known to a tenth of little.

How a camera is mounted stays, and is followed by a Kalman filter of one state. How it nods is each frame's
own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from catseye.runtime.ranging.cue import Cue
from catseye.runtime.ranging.errors import CueErrors
from catseye.runtime.ranging.ground import Mount, Pitch, Stand
from catseye.runtime.ranging.visibility import CutOff

_SURPRISE = 3.0
"""Standard deviations from which on a box counts less: it may be of another size, or not on the road."""
_ALIKE_S = 4.0
"""Seconds over which a stream shows the same vehicles: frames closer than that tell less than as many
apart."""
_LEAST = 1e-6
"""Weight of what tells nothing, in 1/rad²."""


class _Known(NamedTuple):
    """What is known of the mounting: radians to add to the pitch, their variance, and since when."""

    off: float
    variance: float
    time_s: float


class Horizon:
    """The pitch of one stream's camera."""

    def __init__(self, mount: Mount, *, errors: CueErrors) -> None:
        self._mount, self._errors = mount, errors
        self._known = _Known(0.0, mount.pitch_variance(errors), -math.inf)

    def see(self, stand: Stand, cut: CutOff, size: Cue, *, focal_px: float, time_s: float) -> Pitch:
        """Take what one frame shows.

        Args:
            stand: of boxes, by the mount.
            size: what their sizes say, silent where nothing is known.
            focal_px: fy in network pixels.

        Returns:
            For each box what all others tell, so that its errors are independent of its own size's.
        """
        known, errors = self._known, self._errors
        prior = known.variance + errors.nod_rad**2
        silent = cut.bottom | np.isnan(size.log_m)
        slope = np.where(silent, 1.0, self._mount.height_m * np.exp(-size.log_m))
        off = slope - stand.down - known.off
        # Of a vehicle as tall as the camera is high, a bottom edge that is too low tells the same pitch.
        noise = slope**2 * size.variance + (1 - 2 * focal_px * slope / stand.tall) * stand.edge
        noise = noise + stand.lean + (errors.bend * self._mount.height_m / slope) ** 2
        # What surprises counts less, as in ``fusion``: its variance grows until it is just not surprising.
        weights = np.where(silent, 0.0, 1 / np.maximum(noise, (off / _SURPRISE) ** 2 - prior))
        total = float(weights.sum())
        if total <= 0:
            return Pitch(known.off, prior)
        pulls = weights * off
        pull, steep = float(pulls.sum()), float(weights @ slope)
        # That all sizes are off alike does not average out over boxes.
        alike = (errors.sizes * steep / total) ** 2
        others = np.maximum(total - weights, _LEAST)
        gain = prior / (prior + alike + 1 / others)
        pitch = Pitch(known.off + gain * (pull - pulls) / others, (1 - gain) * prior)
        self._learn(pull / total, 1 / total + errors.nod_rad**2, alike, time_s=time_s)
        return pitch

    def _learn(self, off: float, variance: float, alike: float, *, time_s: float) -> None:
        """How the camera is mounted, by one frame; never better than sizes are known."""
        known = self._known
        often = 1 + 2 * _ALIKE_S / max(time_s - known.time_s, 1e-3)
        gain = known.variance / (known.variance + variance * often + alike)
        left = max((1 - gain) * known.variance, min(known.variance, alike))
        self._known = _Known(known.off + gain * off, left, time_s)
