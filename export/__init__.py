"""Checkpoint, or someone else's ONNX detector, to signed bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.lazy import lazily

if TYPE_CHECKING:
    from catseye.export.bundling import export
    from catseye.export.wrapping.wrapped_bundle import wrap

__all__ = ["export", "wrap"]

__getattr__ = lazily(__name__, {"export": "bundling", "wrap": "wrapping.wrapped_bundle"})
