"""Catseye: a fleet's unlabelled camera footage into one small network that runs on the vehicle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.lazy import lazily
from catseye.version import __version__

if TYPE_CHECKING:
    from catseye.model import load

__all__ = ["__version__", "load"]

# What imports only a stage needs none of the others' libraries.
__getattr__ = lazily(__name__, {"load": "model"})
