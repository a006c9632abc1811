"""What executes a bundle's graph."""

from catseye.runtime.engines.load import load_engine

__all__ = ["load_engine"]
