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

    Those of where a vehicle stands and of sizes that are cut come from rendered drives on a flat road, those
    of depth from one network of 224x128 pixels on the same, those of edges from YOLOX-Nano on labelled
    stills, and the one that sizes have alike is between the means of KITTI's and nuScenes' cars.

    What real roads add is taken from 51 stereo pairs of a real drive, held against the road that they show
    (``scripts/bench/distance_roads.py``): nodding of 3.6 mrad against the road at 5 to 20 m, and 0.11 mrad
    more for each metre beyond, which is a radius of 4.5 km, about that of crests for 100 km/h. Zhang et al.
    ("Towards accurate ground plane normal estimation from ego-motion", Sensors 22, 2022) show swings of a
    degree, so that nodding is taken for a little larger. Roads are built to fall by 2 or 3 % to the side.

    Args:
        edges: of the boxes that are measured.
        mount_rad: a pitch that a calibration gives, against the camera's mean on the road, in radians.
        unknown_mount_rad: the same of a camera of which no pitch is known.
        nod_rad: how a camera nods about its mean, in radians.
        bend: by how much a road rises or falls, ray by ray: radians for each metre of distance. It is half of
            a vertical curvature.
        tilt: by how much a road falls to the side against the camera, in metres a metre.
        sizes: relative error that the heights of all vehicles have alike.
        ground: relative error that the place where a vehicle stands has at least.
        depth: relative error of the depth map at a vehicle.
        depth_px: what is added to that for low boxes: divided by the height in network pixels.
        depth_near_px: by how much the map is too near at low boxes, of which it sees little but the road
            before them: the logarithm, times the height in network pixels. It is a network's own, and 0
            unless that has been measured.
        cut: relative error of a size that is taken from a box of which an edge is cut off.
    """

    edges: BoxErrors
    mount_rad: float
    unknown_mount_rad: float
    nod_rad: float
    bend: float
    tilt: float
    sizes: float
    ground: float
    depth: float
    depth_px: float
    depth_near_px: float
    cut: float


ERRORS = CueErrors(
    edges=BoxErrors(px=1.05, share=0.04),
    mount_rad=0.003,
    unknown_mount_rad=0.03,
    nod_rad=0.0045,
    bend=1.1e-4,
    tilt=0.03,
    sizes=0.08,
    ground=0.012,
    depth=0.46,
    depth_px=3.3,
    depth_near_px=0.0,
    cut=0.55,
)
