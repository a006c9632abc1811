"""What the pretext tasks have learned, measured on footage kept out of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catseye.capture.clips import ClipReader
from catseye.capture.dataset import Dataset
from catseye.capture.geometry import Image, letterbox
from catseye.capture.manifest import Clip
from catseye.errors import InputError
from catseye.pretrain.checkpoint import CheckpointInfo, load_checkpoint
from catseye.pretrain.clip_sampler import (
    DrawOptions,
    draw_frames,
    has_motion,
    long_enough,
    network_intrinsics,
)
from catseye.pretrain.collapse import collapse_figures, position_vectors
from catseye.pretrain.depth_metrics import DepthPair, depth_figures
from catseye.pretrain.encoder import to_rgb
from catseye.pretrain.model import SHARED_LEVEL, PretextModel
from catseye.pretrain.tasks.depth import Depth, canonical_depth
from catseye.pretrain.tasks.future import CONTEXT, LEVELS, Future, errors_of, normalised
from catseye.pretrain.tasks.order import FRAMES, PATHS, Order, path_of
from catseye.pretrain.tasks.pixels import Pixels, shrunk
from catseye.pretrain.tasks.task import Foreseen
from catseye.pretrain.training import autocast_type
from catseye.progress import Progress, silent

_CHUNK = 16
_VECTORS = 4096
_HORIZONS = (("under_150ms", 0.0, 0.15), ("150_to_300ms", 0.15, 0.3), ("over_300ms", 0.3, np.inf))


class DepthTruth(Protocol):
    """Depth of a source in metres (T, h, w), each map a whole picture, and ``pts`` (T,) of its frames."""

    @property
    def pts(self) -> NDArray[np.int64]: ...

    @property
    def depth(self) -> NDArray[Any]: ...


@dataclass
class _Tally:
    """What was found so far; one entry a clip."""

    hits: list[NDArray[np.bool_]] = field(default_factory=list)
    ahead_s: list[Tensor] = field(default_factory=list)
    predicted: list[Tensor] = field(default_factory=list)
    copied: list[Tensor] = field(default_factory=list)
    pixels: list[Tensor] = field(default_factory=list)
    vectors: list[Tensor] = field(default_factory=list)
    depth: list[DepthPair] = field(default_factory=list)


def load_pretext(run: Path) -> tuple[PretextModel, CheckpointInfo]:
    """The network of a finished pretraining run, in evaluation mode.

    Raises:
        InputError: the folder is none, or its weights do not fit its document.
    """
    info, state = load_checkpoint(run)
    if info.kind != "pretrain":
        raise InputError(run, f"holds a {info.kind} run", "give the folder of a pretraining run")
    network = PretextModel(info.encoder, info.config["tasks"])
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(run, f"has weights that do not fit ({error})", "train again") from None
    return network.eval(), info


@torch.no_grad()
def evaluate_pretext(
    run: Path,
    dataset: Dataset,
    *,
    split: str = "test",
    truths: Mapping[str, DepthTruth] | None = None,
    draws: int = 400,
    depth_frames: int = 64,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, float]:
    """Measure a pretraining run on clean frames of a split's usable clips.

    Sequences are drawn as in training. Figures of tasks that were not trained are left out.

    Args:
        truths: known depth by source path, as in ``Clip.source``.
        draws: sequences, spread over the clips.
        depth_frames: frames whose depth is compared, spread over the clips that have a truth.

    Returns:
        ``order_accuracy``, its standard error ``order_accuracy_se`` by sequences or by clips, whichever is
        larger, and ``order_chance``; ``future_skill`` = 1 − error / error of copying the last seen frame,
        also by time ahead; ``pixel_skill``, the same of pictures; ``feature_spread`` and ``feature_rank`` as
        in ``CollapseFigures``, of the layer-normalised map at stride 16; and those of ``depth_figures``.

    Raises:
        InputError: the run is none, the split has no usable clip, or the dataset has another network size.
        CorruptClip: a clip cannot be read.
    """
    network, info = load_pretext(Path(run))
    names = ("shortest_s", "longest_s")
    options = DrawOptions(frames=FRAMES, flip=False, seed=seed, **{name: info.config[name] for name in names})
    clips = [clip for clip in dataset.select(split=split) if long_enough(clip, options)]
    if not clips:
        raise InputError(dataset.url, f"has no usable clip in the split {split!r}", "ingest with a hold-out")
    if (dataset.info.width, dataset.info.height) != (info.width, info.height):
        size = f"{dataset.info.width}x{dataset.info.height}"
        raise InputError(dataset.url, f"has frames of {size}", f"ingest at {info.width}x{info.height}")
    truths = truths or {}
    with_truth = sum(clip.source in truths for clip in clips)
    reader, tally = ClipReader(dataset), _Tally()
    for number, clip in enumerate(clips):
        rng = np.random.default_rng((seed, number))
        share = -(-draws // len(clips))
        drawn = np.stack([draw_frames(clip.times_s, options, rng) for _ in range(share)])
        compared = np.zeros(0, dtype=np.int64)
        if clip.source in truths and "depth" in network.task_names:
            few = min(len(clip), -(-depth_frames // with_truth))
            compared = np.linspace(0, len(clip) - 1, few).round().astype(np.int64)
        _probe_clip(network, reader, clip, drawn, compared, truths.get(clip.source), tally)
        progress("evaluate", number + 1, len(clips))
    return _figures(tally, metric=info.depth is not None and info.depth.metric)


def _probe_clip(
    network: PretextModel,
    reader: ClipReader,
    clip: Clip,
    drawn: NDArray[np.int64],
    compared: NDArray[np.int64],
    truth: DepthTruth | None,
    tally: _Tally,
) -> None:
    """Encode each frame that is wanted once, and take all measurements from that.

    Args:
        drawn: (n, 4) frame indices of sequences.
        compared: (m,) frame indices whose depth is compared.
    """
    wanted = np.union1d(drawn, compared)
    pictures = reader.read(clip, wanted.tolist())
    places = np.searchsorted(wanted, drawn)
    moving = [has_motion(pictures[row], clip.speed_mps[wanted[row]]) for row in places]
    places = places[moving] if any(moving) else places
    encoded = _encode(network, pictures)
    tally.vectors.append(position_vectors(normalised(encoded.maps[SHARED_LEVEL - LEVELS.start]), most=512))
    rows = torch.from_numpy(places)
    times = torch.from_numpy(clip.times_s[wanted[places]].astype(np.float32))
    if "order" in network.task_names:
        tally.hits.append(_order_hits(network, encoded, rows))
    if "future" in network.task_names:
        task = network.task("future")
        assert isinstance(task, Future)
        for part, when in zip(_chunks(rows), _chunks(times), strict=True):
            targets = [maps[part[:, CONTEXT - 1 :]] for maps in encoded.targets]
            last = [maps[:, 0] for maps in targets]
            coming = task.predict([maps[part[:, :CONTEXT]] for maps in encoded.maps], last, when)
            errors = errors_of(coming, targets)
            tally.predicted.append(errors.predicted)
            tally.copied.append(errors.copied)
            tally.ahead_s.append(when[:, CONTEXT:] - when[:, CONTEXT - 1 : CONTEXT])
            if "pixels" in network.task_names:
                clips = torch.unflatten(to_rgb(pictures[part.flatten().numpy()]), 0, part.shape)
                tally.pixels.append(_pixel_errors(network, Foreseen(last, coming), clips))
    if truth is not None:
        for index in compared:
            pair = _depth_pair(network, pictures[np.searchsorted(wanted, index)], clip, int(index), truth)
            tally.depth.extend(pair)


@dataclass(frozen=True)
class _Encodings:
    """Maps (n, C, h, w) of n clean frames at ``LEVELS``, and the future task's targets of the same."""

    maps: list[Tensor]
    targets: list[Tensor]


def _encode(network: PretextModel, pictures: Image) -> _Encodings:
    maps: list[list[Tensor]] = []
    targets: list[list[Tensor]] = []
    for first in range(0, len(pictures), _CHUNK):
        rgb = to_rgb(pictures[first : first + _CHUNK])
        with _fast():
            maps.append(network.encode(rgb)[LEVELS])
            if "future" in network.task_names:
                task = network.task("future")
                assert isinstance(task, Future)
                targets.append([level[0] for level in task.targets(rgb[None])])
    return _Encodings(
        [torch.cat(parts) for parts in zip(*maps, strict=True)],
        [torch.cat(parts) for parts in zip(*targets, strict=True)],
    )


def _pixel_errors(network: PretextModel, foreseen: Foreseen, clips: Tensor) -> Tensor:
    """Absolute errors (n, 2) of the pictures painted of clips (n, 4, 3, H, W), and of copying."""
    task = network.task("pixels")
    assert isinstance(task, Pixels)
    frames = shrunk(clips[:, CONTEXT - 1 :])
    painted = task.pictures(*foreseen, frames[:, 0])
    pairs = [(guess - frames[:, 1:]).abs().mean(dim=(1, 2, 3, 4)) for guess in (painted, frames[:, :1])]
    return torch.stack(pairs, dim=1)


def _order_hits(network: PretextModel, encoded: _Encodings, rows: Tensor) -> NDArray[np.bool_]:
    """Whether each sequence (n, 4) of frames, shuffled, is put in order."""
    task = network.task("order")
    assert isinstance(task, Order)
    generator = torch.Generator().manual_seed(0)
    shuffle = torch.rand(rows.shape, generator=generator).argsort(dim=1)
    shuffled = rows.gather(1, shuffle)
    with _fast():
        logits = [task.logits([maps[part] for maps in encoded.maps]) for part in _chunks(shuffled)]
    return np.asarray((torch.cat(logits).argmax(dim=1) == path_of(shuffle)).numpy(), dtype=np.bool_)


def _depth_pair(
    network: PretextModel, picture: Image, clip: Clip, index: int, truth: DepthTruth
) -> list[DepthPair]:
    """Predicted camera depth at the places of the true map, where that frame has one."""
    row = int(np.searchsorted(truth.pts, clip.pts[index]))
    if row >= len(truth.pts) or truth.pts[row] != clip.pts[index]:
        return []
    task = network.task("depth")
    assert isinstance(task, Depth)
    with _fast():
        inverse = task.decoder(network.encode(to_rgb(picture[None])))[0][0, 0]
    height, width = picture.shape[:2]
    focal = network_intrinsics(clip, width=width, height=height)[0]
    depth = (canonical_depth(inverse) * focal).float().numpy()
    true = np.asarray(truth.depth[row], dtype=np.float32)
    box = letterbox(clip.width, clip.height, width, height)
    x = ((np.arange(true.shape[1]) + 0.5) / true.shape[1] * box.scaled_width + box.left) / width
    y = ((np.arange(true.shape[0]) + 0.5) / true.shape[0] * box.scaled_height + box.top) / height
    columns, lines = np.meshgrid(x * depth.shape[1] - 0.5, y * depth.shape[0] - 0.5)
    at_truth = cv2.remap(
        depth,
        columns.astype(np.float32),
        lines.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return [DepthPair(np.asarray(at_truth, dtype=np.float32), true)]


def _figures(tally: _Tally, *, metric: bool) -> dict[str, float]:
    vectors = torch.cat(tally.vectors)
    collapse = collapse_figures(vectors[:: max(1, -(-len(vectors) // _VECTORS))])
    figures = {"feature_spread": collapse.spread, "feature_rank": collapse.rank}
    if tally.hits:
        hits = np.concatenate(tally.hits)
        accuracy = float(hits.mean())
        figures["order_accuracy"] = accuracy
        figures["order_accuracy_se"] = max(
            float(np.sqrt(accuracy * (1 - accuracy) / len(hits))), _error_by_group(tally.hits)
        )
        figures["order_chance"] = 1 / len(PATHS)
    if tally.predicted:
        predicted, copied, ahead = (
            torch.cat(parts).flatten() for parts in (tally.predicted, tally.copied, tally.ahead_s)
        )
        figures["future_skill"] = float(1 - predicted.sum() / copied.sum())
        for name, low, high in _HORIZONS:
            within = (ahead >= low) & (ahead < high)
            if within.any():
                skill = 1 - predicted[within].sum() / copied[within].sum()
                figures[f"future_skill_{name}"] = float(skill)
    if tally.pixels:
        predicted, copied = torch.cat(tally.pixels).sum(dim=0)
        figures["pixel_skill"] = float(1 - predicted / copied)
    return figures | depth_figures(tally.depth, metric=metric)


def _error_by_group(groups: Sequence[NDArray[np.bool_]]) -> float:
    """Standard error of the overall mean when sequences of a clip are alike; 0 for a single clip."""
    if len(groups) < 2:
        return 0.0
    means = np.array([group.mean() for group in groups])
    return float(means.std(ddof=1) / np.sqrt(len(means)))


def _chunks(rows: Tensor) -> list[Tensor]:
    """Few enough at once to keep their maps in memory."""
    return [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]


def _fast() -> torch.autocast:
    kind = autocast_type("auto", torch.device("cpu"))
    return torch.autocast("cpu", dtype=kind or torch.bfloat16, enabled=kind is not None)
