"""How large things are: heights of classes in metres, with their spread.

The heights lie between the means over the labelled boxes of KITTI (Geiger et al., CVPR 2012) and of nuScenes
(Caesar et al., CVPR 2020), and a spread covers that within each and the difference of the two: KITTI's cars
are 1.53 m high with a deviation of 0.14 m, nuScenes' 1.73 m. A rider counts to the two-wheeler.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """One kind of object of a class, as it stands on the road.

    Args:
        height_m: median height.
        spread: standard deviation of the logarithm of the height.
        aspect: median width over height of its boxes, all directions seen from.
        aspect_spread: standard deviation of the logarithm of that.
        share: how many of the class's objects are of this kind.
    """

    model_config = ConfigDict(frozen=True)

    height_m: float = Field(gt=0)
    spread: float = Field(gt=0)
    aspect: float = Field(gt=0)
    aspect_spread: float = Field(gt=0)
    share: float = Field(default=1.0, gt=0)

    @property
    def log_height(self) -> float:
        return math.log(self.height_m)


Shapes = tuple[Shape, ...]
"""All kinds that a class has. Of several, the aspect of a box tells which is the likely one."""

_CAR = Shape(height_m=1.63, spread=0.12, aspect=1.40, aspect_spread=0.35)
_TRUCK = Shape(height_m=3.10, spread=0.20, aspect=0.95, aspect_spread=0.35)
_BUS = Shape(height_m=3.30, spread=0.10, aspect=1.00, aspect_spread=0.35)
_PERSON = Shape(height_m=1.74, spread=0.09, aspect=0.40, aspect_spread=0.25)
_CYCLIST = Shape(height_m=1.70, spread=0.10, aspect=0.60, aspect_spread=0.45)


def _among(**shares: tuple[Shape, float]) -> Shapes:
    return tuple(shape.model_copy(update={"share": share}) for shape, share in shares.values())


SIZES: Mapping[str, Shapes] = {
    "car": (_CAR,),
    "van": (Shape(height_m=2.10, spread=0.13, aspect=1.10, aspect_spread=0.35),),
    "truck": (_TRUCK,),
    "bus": (_BUS,),
    "vehicle": _among(car=(_CAR, 0.8), truck=(_TRUCK, 0.13), bus=(_BUS, 0.07)),
    "person": (_PERSON,),
    "pedestrian": (_PERSON,),
    "cyclist": (_CYCLIST,),
    "motorcycle": (Shape(height_m=1.55, spread=0.13, aspect=0.60, aspect_spread=0.45),),
    "bicycle": (Shape(height_m=1.45, spread=0.22, aspect=0.80, aspect_spread=0.50),),
}
"""By class name in small letters."""


def shapes_of(name: str) -> Shapes:
    """What is known of a class; nothing of one that is not in the table."""
    return SIZES.get(name.lower(), ())
