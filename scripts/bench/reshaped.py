#!/usr/bin/env python3
"""Is a re-shaped detector the one that its exporter writes at that size?

    python scripts/bench/reshaped.py SQUARE.onnx EXPORTED.onnx

Both are exports of one network, of other sizes. The first is re-shaped to the size of the second; both get
the same noise. Bound: outputs differ by 1e-5 of the largest at most. Exits 1 when it is missed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import onnxruntime

from catseye.console import print_table
from catseye.export.wrapping.original import Original, at_size, read_original

BOUND = 1e-5


def outputs(model: Original, pictures: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.content, providers=["CPUExecutionProvider"])
    return list(session.run(None, {model.frames.name: pictures}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("square", type=Path)
    parser.add_argument("exported", type=Path)
    options = parser.parse_args()
    source, exported = (
        read_original(path, width=None, height=None) for path in (options.square, options.exported)
    )
    made = at_size(source, width=exported.width, height=exported.height)
    pictures = np.random.default_rng(0).random(exported.frames.shape, dtype=np.float32)
    pairs = zip(outputs(made, pictures), outputs(exported, pictures), strict=True)
    worst = [float(np.abs(ours - theirs).max() / np.abs(theirs).max()) for ours, theirs in pairs]
    rows = [(port.name, f"{value:.3g}") for port, value in zip(exported.outputs, worst, strict=True)]
    print_table(f"bound: {BOUND:g} of the largest", ("output", "largest difference"), rows)
    return 0 if max(worst) <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
