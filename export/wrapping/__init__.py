"""Other people's ONNX detectors as signed bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.lazy import lazily

if TYPE_CHECKING:
    from catseye.export.wrapping.wrapped_bundle import wrap

__all__ = ["wrap"]

__getattr__ = lazily(__name__, {"wrap": "wrapped_bundle"})
