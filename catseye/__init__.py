"""Catseye: a fleet's unlabelled camera footage into one small network that runs on the vehicle."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from catseye.lazy import lazily
from catseye.version import __version__

if TYPE_CHECKING:
    from catseye.model import load

# ONNX Runtime from 1.32 on reports to its makers, and marks the machine with an id, unless this is set before
# it loads. What runs on a vehicle tells nobody anything that it was not asked to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["__version__", "load"]

# What imports only a stage needs none of the others' libraries.
__getattr__ = lazily(__name__, {"load": "model"})
