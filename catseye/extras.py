"""The extras of ``pip install 'catseye[…]'``: which libraries each brings, and whether they are here."""

from __future__ import annotations

import importlib.util

from catseye.errors import MissingExtraError

_TRAIN = (
    "torch",
    "torchvision",
    "timm",
    "lightning_fabric",
    "torchmetrics",
    "faster_coco_eval",
    "safetensors",
    "tensorboard",
    "PIL",
    "yaml",
)
LIBRARIES = {
    "train": _TRAIN,
    "export": (*_TRAIN, "onnx", "onnxscript", "onnxslim"),
    "upload": ("s3fs",),
    "cluster": ("ray",),
    "mcap": ("mcap",),
    "mqtt": ("paho",),
}
"""Names to import, by extra."""


def lacking(extra: str) -> tuple[str, ...]:
    """Those of an extra's libraries that are not installed; none of them is imported."""
    return tuple(name for name in LIBRARIES[extra] if importlib.util.find_spec(name) is None)


def require(*extras: str) -> None:
    """Tell what is not installed before any work is done that would be in vain.

    Raises:
        MissingExtraError: a library of one of ``extras`` is not installed.
    """
    for extra in extras:
        if missing := lacking(extra):
            raise MissingExtraError(missing[0], extra)


def extra_of(module: str) -> str | None:
    """The first extra that brings a module; None where none does."""
    return next((extra for extra, names in LIBRARIES.items() if module in names), None)
