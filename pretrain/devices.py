"""Where a run trains: one device, several of one machine, or several machines started by torchrun."""

from __future__ import annotations

import os

from lightning_fabric import Fabric
from torch import nn

from catseye.errors import UsageError


def launch(devices: int) -> Fabric:
    """Fabric over ``devices`` processes of this machine, or over all that torchrun has started.

    CUDA devices where there are any, else processes on the CPU that speak gloo. The run's folder must be the
    same for all machines.

    Raises:
        UsageError: torchrun has started another number of processes here than ``devices`` asks for.
    """
    world, local = (int(os.environ.get(name, "0")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    nodes = 1
    if local:
        if devices not in (1, local):
            raise UsageError(f"devices {devices}: torchrun has started {local} processes on this machine")
        devices, nodes = local, world // local
    # Precision is the model's own matter: see Note [Autocast inside] in model.py.
    fabric = Fabric(accelerator="auto", devices=devices, num_nodes=nodes, precision="32-true")
    fabric.launch()
    return fabric


def share_statistics(network: nn.Module, fabric: Fabric) -> None:
    """Normalise the parts of a network over the batches of all devices, where they are GPUs and several."""
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        for name, child in network.named_children():
            # torch gives it no types.
            shared: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(child)  # type: ignore[no-untyped-call]
            setattr(network, name, shared)
