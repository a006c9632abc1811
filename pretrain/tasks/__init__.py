"""The pretext tasks by name. A new one is a file beside these and a line here."""

from __future__ import annotations

from catseye.pretrain.tasks.dense import Dense
from catseye.pretrain.tasks.depth import Depth
from catseye.pretrain.tasks.future import Future
from catseye.pretrain.tasks.objects import Objects
from catseye.pretrain.tasks.order import Order
from catseye.pretrain.tasks.pixels import Pixels
from catseye.pretrain.tasks.simclr import SimCLR
from catseye.pretrain.tasks.task import Encoded, Task, TaskOutput
from catseye.pretrain.tasks.vicreg import VICReg

TASKS: dict[str, type[Task]] = {
    "order": Order,
    "future": Future,
    "depth": Depth,
    "objects": Objects,
    "pixels": Pixels,
    "simclr": SimCLR,
    "vicreg": VICReg,
    "dense": Dense,
}

__all__ = ["TASKS", "Encoded", "Task", "TaskOutput"]
