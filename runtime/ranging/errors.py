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
    """Errors of all cues, by default as ``scripts/bench/distance.py`` fits them.

    Those of the ground and of sizes that are cut come from rendered drives on a flat road, those of depth
    from one network of 224x128 pixels on the same, those of edges from YOLOX-Nano on labelled stills. Real
    roads rise and fall, which is not in them.

    Args:
        edges: of the boxes that are measured.
        pitch_rad: how a camera of known pitch nods, and the road rises and falls, in radians.
        unknown_pitch_rad: the pitch of a camera of which it is not known, in radians.
        ground: relative error that the place where a vehicle stands has at least.
        depth: relative error of the depth map at a vehicle.
        depth_px: what is added to that for low boxes: divided by the height in network pixels.
        depth_near_px: by how much the map is too near at low boxes, of which it sees little but the road
            before them: the logarithm, times the height in network pixels. It is a network's own, and 0
            unless that has been measured.
        cut: relative error of a size that is taken from a box of which an edge is cut off.
    """

    edges: BoxErrors
    pitch_rad: float
    unknown_pitch_rad: float
    ground: float
    depth: float
    depth_px: float
    depth_near_px: float
    cut: float


ERRORS = CueErrors(
    edges=BoxErrors(px=1.05, share=0.04),
    pitch_rad=0.0026,
    unknown_pitch_rad=0.03,
    ground=0.012,
    depth=0.46,
    depth_px=3.3,
    depth_near_px=0.0,
    cut=0.55,
)
