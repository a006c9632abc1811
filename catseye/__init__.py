"""Catseye: a fleet's unlabelled camera footage into one small network that runs on the vehicle."""

from catseye.version import __version__

__all__ = ["__version__"]
