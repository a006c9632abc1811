"""Checkpoint to signed bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.lazy import lazily

if TYPE_CHECKING:
    from catseye.export.bundling import export

__all__ = ["export"]

__getattr__ = lazily(__name__, {"export": "bundling"})
