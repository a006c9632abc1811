"""What pretraining costs beyond the arithmetic of its networks, its loader beyond decoding, and its encoder
beside that of timm.

    python scripts/bench/pretrain_speed.py [--dataset DIR] [--steps N] [--samples N] [--json]

- *step*: an optimiser step as ``pretrain`` takes it, beside the bare forward and backward pass of the same
  modules on the same tensors: no balance, clipping, optimiser, average or figures. By the clock on the wall,
  in turns on the same batches. Bound: the median ratio is 1.05 or less.
- *loader*: processor seconds a sample as the loader draws it, beside PyAV decoding the very same frames of
  the very same shards and converting them to RGB, batch by batch: files kept open, each group of pictures
  decoded from its key frame to the last frame wanted of it. Bound: the median ratio is 1.15 or less.
- *encoder*: forward and backward pass of the preset nano's encoder in bfloat16 on a processor, beside the
  same weights in timm's own network, in turns on the same pictures. Bound: the median ratio is 1 or less.

Exits 1 when one is missed. Without --dataset it renders a world and ingests it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import timm
import torch
from av.container import InputContainer

from catseye.capture import ingest, open_dataset, synth
from catseye.capture.clips import ClipReader
from catseye.capture.dataset import Dataset
from catseye.capture.frame_reader import CorruptClip, Request
from catseye.capture.geometry import Image
from catseye.console import print_table
from catseye.pretrain import PRESETS
from catseye.pretrain.balance import weighted
from catseye.pretrain.clip_batch import ClipBatch
from catseye.pretrain.clip_sampler import ClipSamples, clip_loader
from catseye.pretrain.devices import launch
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.pretraining import PretrainConfig, make_session
from catseye.pretrain.training import Session, train_step

STEP_BOUND, LOADER_BOUND, ENCODER_BOUND = 1.05, 1.15, 1.0
WARM = 3


def bare_pass(session: Session, batch: ClipBatch) -> None:
    """Forward and backward, and nothing else."""
    session.network.zero_grad(set_to_none=True)
    losses = {name: result.loss for name, result in session.network(batch).tasks.items()}
    shares = weighted(losses, session.position.weights, session.position.scales)
    torch.autograd.backward(torch.stack(list(shares.values())).sum())


def step_ratios(dataset: Dataset, *, steps: int) -> list[float]:
    """Seconds of a step over seconds of a bare pass, batch by batch."""
    config = PretrainConfig(steps=steps + WARM, workers=0)
    session = make_session(config, launch(1))
    samples = ClipSamples(dataset, dataset.select(split="train"), config.draw_options())
    session.model.train()
    ratios = []
    for number, batch in enumerate(clip_loader(samples, range(steps + WARM), batch=config.batch, workers=0)):
        seconds = {}
        for way in ("step", "bare") if number % 2 else ("bare", "step"):
            began = time.perf_counter()
            if way == "step":
                train_step(session, [batch], measure=False)
            elif session.position.scales:
                bare_pass(session, batch)
            seconds[way] = time.perf_counter() - began
        if number >= WARM:
            ratios.append(seconds["step"] / seconds["bare"])
    return ratios


class RequestLog(ClipReader):
    """Notes what is asked for."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self.requests: list[Request] = []

    def read_many(self, requests: Sequence[Request]) -> list[Image | CorruptClip]:
        self.requests += requests
        return super().read_many(requests)


class BareDecoding:
    """PyAV and nothing else: what any loader must do for these frames."""

    def __init__(self, dataset: Dataset) -> None:
        self._folder = Path(dataset.url)
        self._open: dict[str, InputContainer] = {}

    def read(self, requests: Sequence[Request]) -> None:
        wanted: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for request in requests:
            pts, keys = request.clip.shard_pts, request.clip.shard_pts[request.clip.shard_key_flags]
            for frame in request.frames:
                key = int(keys[max(0, np.searchsorted(keys, pts[frame], side="right") - 1)])
                wanted[request.clip.shard][key].add(int(pts[frame]))
        for shard, groups in wanted.items():
            for key, pts_wanted in sorted(groups.items()):
                self._decode(shard, key, pts_wanted)

    def _decode(self, shard: str, key: int, wanted: set[int]) -> None:
        if shard not in self._open:
            self._open[shard] = av.open(str(self._folder / shard))
            self._open[shard].streams.video[0].codec_context.thread_count = 1
        container = self._open[shard]
        stream = container.streams.video[0]
        container.seek(key, stream=stream)
        last = max(wanted)
        for picture in container.decode(stream):
            if picture.pts in wanted:
                picture.to_ndarray(format="rgb24")
            if picture.pts is None or picture.pts >= last:
                return


def loader_ratios(dataset: Dataset, *, samples: int, batch: int = 4) -> list[float]:
    """Processor seconds of the loader over those of bare decoding, batch by batch."""
    log, bare = RequestLog(dataset), BareDecoding(dataset)
    drawn = ClipSamples(dataset, dataset.select(split="train"), PretrainConfig().draw_options(), reader=log)
    ratios = []
    for first in range(0, samples + WARM * batch, batch):
        log.requests.clear()
        began = time.process_time()
        drawn.__getitems__(list(range(first, first + batch)))
        loader_s = time.process_time() - began
        began = time.process_time()
        bare.read(log.requests)
        bare_s = time.process_time() - began
        if first >= WARM * batch:
            ratios.append(loader_s / bare_s)
    return ratios


def encoder_ratios(*, rounds: int, batch: int = 12, width: int = 224, height: int = 128) -> list[float]:
    """Seconds of an encoder's pass forward and back over those of timm's network, round by round."""
    encoder = Encoder(PRESETS["nano"].encoder).to(memory_format=torch.channels_last)
    body = timm.create_model(
        encoder.name, features_only=True, out_indices=encoder.body.feature_info.out_indices
    )
    body.load_state_dict(encoder.body.state_dict())
    theirs = body.to(memory_format=torch.channels_last)
    rgb = torch.rand(batch, 3, height, width).contiguous(memory_format=torch.channels_last)
    ratios = []
    for number in range(rounds + WARM):
        seconds = {}
        for network in (encoder.body, theirs) if number % 2 else (theirs, encoder.body):
            network.zero_grad(set_to_none=True)
            began = time.perf_counter()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                maps = network(rgb)
            torch.autograd.backward([features.float().sum() for features in maps])
            seconds[network] = time.perf_counter() - began
        if number >= WARM:
            ratios.append(seconds[encoder.body] / seconds[theirs])
    return ratios


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        place = options.dataset
        if place is None:
            place = Path(name, "dataset")
            world = synth(Path(name, "world"), seed=0, clips=4, duration_s=8.0, width=640, height=360)
            ingest([world], place, validation_fraction=0)
        dataset = open_dataset(place)
        found = {
            "step": (step_ratios(dataset, steps=options.steps), STEP_BOUND),
            "loader": (loader_ratios(dataset, samples=options.samples), LOADER_BOUND),
            "encoder": (encoder_ratios(rounds=2 * options.steps), ENCODER_BOUND),
        }
    medians = {what: float(np.median(ratios)) for what, (ratios, _) in found.items()}
    met = all(medians[what] <= bound for what, (_, bound) in found.items())
    if options.json:
        print(json.dumps({"ratios": medians, "met": met}, indent=2))
    else:
        rows = []
        for what, (ratios, bound) in found.items():
            low, high = np.percentile(ratios, (25, 75))
            verdict = "ok" if medians[what] <= bound else "MISSED"
            rows.append((what, f"{medians[what]:.3f}", f"{low:.3f}…{high:.3f}", f"{bound}", verdict))
        print_table("Cost beyond the bare work", ("", "ratio", "quartiles", "bound", ""), rows)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
