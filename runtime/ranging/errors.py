"""How wrong each cue is: what the uncertainty of a distance is made of.

A relative error is the standard deviation of the natural logarithm of a distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from catseye.runtime.ranging.cue import Float


@dataclass(frozen=True)
class BoxErrors:
    """How far a detector's edges are from the object's: ``px`` network pixels, plus a share of the height."""

    px: float
    share: float

    def variance(self, height_px: Float) -> Float:
        """Of an edge of boxes (N,) of this height, in square network pixels."""
        return np.asarray(self.px**2 + (self.share * height_px) ** 2)


@dataclass(frozen=True)
class CueErrors:
    """Errors of all cues.

    Args:
        edges: of the boxes that are measured.
        pitch_rad: how a camera of known pitch nods, and the road rises and falls, in radians.
        unknown_pitch_rad: the pitch of a camera of which it is not known, in radians.
        ground: relative error that the place where a vehicle stands has at least.
        depth: relative error of the depth map at a vehicle.
        depth_px: what is added to that for low boxes: divided by the height in network pixels.
        cut: relative error of a size that is taken from a box of which an edge is cut off.
        shared: how alike the cues err, as a correlation of any two.
    """

    edges: BoxErrors
    pitch_rad: float
    unknown_pitch_rad: float
    ground: float
    depth: float
    depth_px: float
    cut: float
    shared: float


ERRORS = CueErrors(
    edges=BoxErrors(px=0.5, share=0.03),
    pitch_rad=0.0027,
    unknown_pitch_rad=0.03,
    ground=0.006,
    depth=0.42,
    depth_px=3.5,
    cut=0.4,
    shared=0.0,
)
