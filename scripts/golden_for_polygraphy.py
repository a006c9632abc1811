"""A bundle's graphs and golden frames as polygraphy takes them.

    python scripts/golden_for_polygraphy.py car.catseye out/
    polygraphy inspect model out/fp32.onnx
    polygraphy run out/fp32.onnx --onnxrt --load-inputs out/inputs.json --load-outputs out/golden.json \\
        --atol 1e-3 --rtol 1e-3 --check-error-stat elemwise boxes:median embeddings:median classes:median

For bundles of one frame a call.

Needs ``pip install polygraphy onnx onnxruntime``, and nothing of Catseye. Polygraphy compares place by place;
detections of nearly equal scores may change places, hence the medians. ``catseye verify`` finds counterparts.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np
from polygraphy.comparator import IterationResult, RunResults
from polygraphy.json import save_json

INPUTS = ("frames", "luma", "chroma")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(options.bundle) as bundle:
        entries = {name: bundle.read(name) for name in bundle.namelist()}
    for name, content in entries.items():
        if name.endswith(".onnx"):
            (options.out / name).write_bytes(content)
    arrays = {
        Path(name).stem: np.load(io.BytesIO(entries[name])) for name in entries if name.endswith(".npy")
    }
    arrays = {name: array for name, array in arrays.items() if not name.startswith("fragment")}
    inputs = {name: arrays.pop(name) for name in INPUTS if name in arrays}
    frames = len(arrays["scores"])
    save_json(
        [{name: array[at : at + 1] for name, array in inputs.items()} for at in range(frames)],
        str(options.out / "inputs.json"),
    )
    golden = RunResults()
    golden.append(
        (
            "golden",
            [
                IterationResult({name: array[at : at + 1] for name, array in arrays.items()})
                for at in range(frames)
            ],
        )
    )
    save_json(golden, str(options.out / "golden.json"))


if __name__ == "__main__":
    main()
