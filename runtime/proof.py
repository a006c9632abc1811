"""How close a replay is to the golden outputs that a bundle carries."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catseye.capture.sources import VideoFile
from catseye.runtime.engines.base import Engine, EngineOutput, Inputs
from catseye.runtime.manifest import Network, Tolerances
from catseye.runtime.network_input import frame_count, in_batches, network_input

_MEASURED = frozenset({"boxes", "scores", "embeddings", "depth"})
_PER_DETECTION = ("boxes", "embeddings")


@dataclass(frozen=True)
class Check:
    """One figure held to a limit."""

    name: str
    value: float
    limit: float

    def __bool__(self) -> bool:
        return self.value <= self.limit


def replay(
    engine: Engine, inputs: Inputs, *, batch: int, told: Callable[[int], object] = lambda frames: None
) -> EngineOutput:
    """Run any number of frames and join what comes out along the first axis.

    A last batch that is not full is filled up by its last frame, as ``run`` does, and counts as what it was.
    ``told`` hears after each call how many frames it was of.
    """
    outputs = []
    for part, kept in in_batches(inputs, batch):
        outputs.append({name: array[:kept] for name, array in engine.infer(part).arrays().items()})
        told(kept)
    return EngineOutput(**{name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]})


def compare_outputs(golden: EngineOutput, found: EngineOutput, tolerances: Tolerances) -> list[Check]:
    """Hold one engine's outputs to another's.

    Scores are compared rank by rank and depth pixel by pixel. Boxes and embeddings are compared between
    counterparts as ``match`` finds them, since near-equal scores may change places; what the network has not
    is left out. A detection without a counterpart is a fault, unless its score is within ``score_gap`` of the
    last one's: there the cut may fall either side.
    """
    limits = {name: _limit(array, tolerances) for name, array in golden.arrays().items() if name in _MEASURED}
    worst = {name: 0.0 for name in _PER_DETECTION if name in limits}
    lost = 0
    for index in range(len(golden.scores)):
        pairs = match(_frame(golden, index), _frame(found, index), limits)
        firm = above_cut(golden.scores[index], tolerances)
        firm_found = above_cut(found.scores[index], tolerances)
        lost += int((firm & (pairs < 0)).sum()) + len(set(np.flatnonzero(firm_found)) - set(pairs))
        kept = np.flatnonzero(firm & (pairs >= 0))
        for name, before in worst.items():
            pair = getattr(golden, name)[index, kept], getattr(found, name)[index, pairs[kept]]
            worst[name] = max(before, _largest(*pair))
    checks = [
        Check("unmatched detections", float(lost), 0.0),
        Check("scores", _largest(golden.scores, found.scores), limits["scores"]),
        *(Check(name, value, limits[name]) for name, value in worst.items()),
    ]
    if golden.depth is not None and found.depth is not None:
        checks.append(Check("depth", _largest(golden.depth, found.depth), limits["depth"]))
    return checks


def above_cut(scores: NDArray[np.float32], tolerances: Tolerances) -> NDArray[np.bool_]:
    """Which detections (..., K) no rounding can push past the last place: they must be found again."""
    return np.asarray(scores > scores.min(axis=-1, keepdims=True) + tolerances.score_gap)


def match(golden: EngineOutput, found: EngineOutput, limits: dict[str, float]) -> NDArray[np.int64]:
    """For each of one frame's K golden detections the index of its counterpart, or −1.

    Nearness is the largest difference of score, box and embedding, each in units of its limit; every found
    detection is taken once, and only by one of its own class.
    """
    distance = np.abs(golden.scores[:, None] - found.scores[None]) / limits["scores"]
    for name in [name for name in _PER_DETECTION if name in limits]:
        a, b = getattr(golden, name), getattr(found, name)
        distance = np.maximum(distance, np.abs(a[:, None] - b[None]).max(axis=-1) / limits[name])
    distance[golden.classes[:, None] != found.classes[None]] = np.inf
    pairs = np.full(len(golden.scores), -1, dtype=np.int64)
    for row in range(len(pairs)):
        nearest = int(distance[row].argmin())
        if np.isfinite(distance[row, nearest]):
            pairs[row] = nearest
            distance[:, nearest] = np.inf
    return pairs


def decode_fragment(video: bytes | memoryview, network: Network) -> Iterator[Inputs]:
    """The frames of a short video as network input, without the batch axis, made as ``run`` makes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fragment.mp4"
        path.write_bytes(video)
        with VideoFile(path, threads=1) as source:
            for frame in source.frames():
                yield network_input(frame.planes, network)


def compare_frames(golden: Inputs, found: Sequence[Inputs], tolerances: Tolerances) -> list[Check]:
    """Hold decoded and resized frames to the golden ones; of planes the worse counts.

    Other decoders round otherwise.
    """
    missing = Check("fragment frames missing", float(abs(frame_count(golden) - len(found))), 0.0)
    if not missing:
        return [missing]
    differences = [
        np.abs(array.astype(np.int16) - np.stack([frame[name] for frame in found]))
        for name, array in golden.items()
    ]
    return [
        missing,
        Check("fragment mean level", max(float(d.mean()) for d in differences), tolerances.frame_mean),
        Check("fragment largest level", max(float(d.max()) for d in differences), tolerances.frame_max),
    ]


def _limit(golden: NDArray[np.float32], tolerances: Tolerances) -> float:
    return tolerances.relative * max(float(np.abs(golden).max(initial=0)), float(np.finfo(np.float32).tiny))


def _largest(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Largest absolute difference; anything that is not a number is infinitely far."""
    difference = np.abs(a - b)
    return float(np.where(np.isnan(difference), np.inf, difference).max(initial=0))


def _frame(output: EngineOutput, index: int) -> EngineOutput:
    return EngineOutput(**{name: array[index] for name, array in output.arrays().items()})
