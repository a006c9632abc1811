"""The names of what lies in a bundle, and how large each may be."""

from __future__ import annotations

from collections.abc import Mapping

from catseye.runtime.engines.base import INPUT_NAME, INPUT_NAMES, OUTPUT_NAMES
from catseye.runtime.signing import SIGNATURE_BYTES

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
FRAGMENT = "proof/fragment.mp4"
PARITY = "proof/parity.json"


def array_entry(name: str) -> str:
    """Where the proof keeps what goes into a graph's input or comes out of an output."""
    return f"proof/{name}.npy"


def fragment_entry(name: str) -> str:
    """Where it keeps what the video fragment gives for an input."""
    return "proof/fragment.npy" if name == INPUT_NAME else f"proof/fragment_{name}.npy"


_INPUTS = tuple(name for names in INPUT_NAMES.values() for name in names)
_MIB = 1 << 20
LIMITS: Mapping[str, int] = {
    MANIFEST: _MIB,
    SIGNATURE: SIGNATURE_BYTES,
    "fp32.onnx": 512 * _MIB,
    "fp16.onnx": 256 * _MIB,
    "int8.onnx": 256 * _MIB,
    **{array_entry(name): 128 * _MIB for name in _INPUTS},
    FRAGMENT: 16 * _MIB,
    **{fragment_entry(name): 128 * _MIB for name in _INPUTS},
    **{array_entry(name): 64 * _MIB for name in OUTPUT_NAMES},
    PARITY: _MIB,
}
"""Every entry a bundle may have, and how many bytes of it at most."""
