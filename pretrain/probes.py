"""What the pretext tasks have learned, measured on footage kept out of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catseye.capture.clips import ClipReader
from catseye.capture.dataset import Dataset
from catseye.capture.geometry import Image
from catseye.errors import InputError
from catseye.pretrain.checkpoint import CheckpointInfo, fitting, load_checkpoint
from catseye.pretrain.clip_sampler import DrawOptions, draw_frames, has_motion, long_enough
from catseye.pretrain.collapse import position_vectors
from catseye.pretrain.depth_probe import FrameTruth, depth_pairs, fast
from catseye.pretrain.encoder import to_rgb
from catseye.pretrain.model import SHARED_LEVEL, PretextModel
from catseye.pretrain.pose_probe import clip_snippets
from catseye.pretrain.pretext_figures import ClipProbe, FutureProbe, pretext_figures
from catseye.pretrain.tasks.future import CONTEXT, LEVELS, Future, errors_of, normalised
from catseye.pretrain.tasks.order import FRAMES, Order, path_of
from catseye.pretrain.tasks.pixels import Pixels, shrunk
from catseye.pretrain.tasks.task import Foreseen
from catseye.progress import Progress, silent

_CHUNK = 16


def load_pretext(run: Path) -> tuple[PretextModel, CheckpointInfo]:
    """The network of a finished pretraining run, in evaluation mode.

    Raises:
        InputError: the folder is none, or its weights do not fit its document.
    """
    info, state = load_checkpoint(run)
    if info.kind != "pretrain":
        raise InputError(run, f"holds a {info.kind} run", "give the folder of a pretraining run")
    network = PretextModel(info.encoder, info.config["tasks"])
    with fitting(run, remedy="pretrain again"):
        network.load_state_dict(state)
    return network.eval(), info


def evaluate_pretext(
    run: Path,
    dataset: Dataset,
    *,
    split: str = "test",
    truths: Mapping[str, FrameTruth] | None = None,
    draws: int = 400,
    depth_frames: int = 64,
    snippets: int = 64,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, float]:
    """Measure a pretraining run on clean frames of a split's usable clips.

    Sequences are drawn as in training. Figures of tasks that were not trained are left out.

    Args:
        truths: what is known of sources, by path as in ``Clip.source``.
        draws: sequences, spread over the clips.
        depth_frames: frames whose depth is compared, spread over the clips that have a truth.
        snippets: of five frames, on which motion is compared, spread likewise.

    Returns:
        ``order_accuracy``, its standard error ``order_accuracy_se`` by sequences or by clips, whichever is
        larger, and ``order_chance``; ``future_skill`` = 1 − error / error of copying the last seen frame,
        also by time ahead; ``pixel_skill``, the same of pictures; ``feature_spread`` and ``feature_rank`` as
        in ``CollapseFigures``, of the layer-normalised map at stride 16; and those of ``depth_figures`` and
        ``pose_figures``.

    Raises:
        InputError: the run is none, the split has no usable clip, or the dataset has another network size.
        CorruptClip: a clip cannot be read.
    """
    network, info = load_pretext(Path(run))
    probes = probe_clips(
        network,
        info,
        dataset,
        split=split,
        truths=truths,
        draws=draws,
        depth_frames=depth_frames,
        snippets=snippets,
        seed=seed,
        progress=progress,
    )
    return pretext_figures(probes, metric=info.depth is not None and info.depth.metric)


@torch.no_grad()
def probe_clips(
    network: PretextModel,
    info: CheckpointInfo,
    dataset: Dataset,
    *,
    split: str,
    truths: Mapping[str, FrameTruth] | None = None,
    draws: int = 400,
    depth_frames: int = 64,
    snippets: int = 64,
    seed: int = 0,
    progress: Progress = silent,
) -> list[ClipProbe]:
    """What ``evaluate_pretext`` measures of a loaded run, clip by clip, for figures of any set of them."""
    names = ("shortest_s", "longest_s")
    options = DrawOptions(frames=FRAMES, flip=False, seed=seed, **{name: info.config[name] for name in names})
    clips = [clip for clip in dataset.select(split=split) if long_enough(clip, options)]
    if not clips:
        raise InputError(dataset.url, f"has no usable clip in the split {split!r}", "ingest with a hold-out")
    if (dataset.info.width, dataset.info.height) != (info.width, info.height):
        size = f"{dataset.info.width}x{dataset.info.height}"
        raise InputError(dataset.url, f"has frames of {size}", f"ingest at {info.width}x{info.height}")
    truths = truths if truths is not None and "depth" in network.task_names else {}
    with_truth = max(1, sum(clip.source in truths for clip in clips))
    reader = ClipReader(dataset)
    probes = []
    for number, clip in enumerate(clips):
        rng = np.random.default_rng((seed, number))
        share = -(-draws // len(clips))
        drawn = np.stack([draw_frames(clip.times_s, options, rng) for _ in range(share)])
        truth = truths.get(clip.source)
        compared = np.zeros(0, dtype=np.int64)
        if truth is not None:
            few = min(len(clip), -(-depth_frames // with_truth))
            compared = np.linspace(0, len(clip) - 1, few).round().astype(np.int64)
        wanted = np.union1d(drawn, compared)
        pictures = reader.read(clip, wanted.tolist())
        places = np.searchsorted(wanted, drawn)
        moving = [has_motion(pictures[row], clip.speed_mps[wanted[row]]) for row in places]
        places = places[moving] if any(moving) else places
        encoded = _encode(network, pictures)
        rows = torch.from_numpy(places)
        times_s = torch.from_numpy(clip.times_s[wanted[places]].astype(np.float32))
        depth, motion = [], []
        if truth is not None:
            for index, place in zip(compared.tolist(), np.searchsorted(wanted, compared), strict=True):
                depth += depth_pairs(network, pictures[place], clip, index, truth)
            count = -(-snippets // with_truth)
            motion = clip_snippets(network, reader, clip, truth, count=count, rng=rng)
        probes.append(
            ClipProbe(
                clip=clip,
                vectors=position_vectors(normalised(encoded.maps[SHARED_LEVEL - LEVELS.start]), most=512),
                hits=_order_hits(network, encoded, rows) if "order" in network.task_names else None,
                future=_future_errors(network, pictures, encoded, rows, times_s)
                if "future" in network.task_names
                else None,
                depth=tuple(depth),
                motion=tuple(motion),
            )
        )
        progress("evaluate", number + 1, len(clips))
    return probes


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
        with fast():
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
    with fast():
        logits = [task.logits([maps[part] for maps in encoded.maps]) for part in _chunks(shuffled)]
    return np.asarray((torch.cat(logits).argmax(dim=1) == path_of(shuffle)).numpy(), dtype=np.bool_)


def _future_errors(
    network: PretextModel, pictures: Image, encoded: _Encodings, rows: Tensor, times_s: Tensor
) -> FutureProbe:
    """Of sequences (n, 4) of the pictures at ``times_s`` (n, 4)."""
    task = network.task("future")
    assert isinstance(task, Future)
    predicted, copied, pixels = [], [], []
    for part, when in zip(_chunks(rows), _chunks(times_s), strict=True):
        targets = [maps[part[:, CONTEXT - 1 :]] for maps in encoded.targets]
        last = [maps[:, 0] for maps in targets]
        coming = task.predict([maps[part[:, :CONTEXT]] for maps in encoded.maps], last, when)
        errors = errors_of(coming, targets)
        predicted.append(errors.predicted)
        copied.append(errors.copied)
        if "pixels" in network.task_names:
            clips = torch.unflatten(to_rgb(pictures[part.flatten().numpy()]), 0, part.shape)
            pixels.append(_pixel_errors(network, Foreseen(last, coming), clips))
    return FutureProbe(
        predicted=torch.cat(predicted),
        copied=torch.cat(copied),
        ahead_s=times_s[:, CONTEXT:] - times_s[:, CONTEXT - 1 : CONTEXT],
        pixels=torch.cat(pixels) if pixels else None,
    )


def _chunks(rows: Tensor) -> list[Tensor]:
    """Few enough at once to keep their maps in memory."""
    return [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
