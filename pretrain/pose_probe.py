"""Motion of the camera that a pretraining run estimates, beside the true motion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from catseye.capture.frame_reader import FrameReader
from catseye.capture.geometry import Image
from catseye.capture.manifest import Clip
from catseye.pretrain.clip_sampler import (
    DrawOptions,
    draw_frames,
    long_enough,
    network_intrinsics,
    network_picture,
)
from catseye.pretrain.depth_probe import FrameTruth, fast, rows_of
from catseye.pretrain.encoder import to_rgb
from catseye.pretrain.model import PretextModel
from catseye.pretrain.pose_metrics import Poses, Snippet, chained
from catseye.pretrain.tasks.depth import Depth, halved

_SNIPPET = DrawOptions(frames=5, shortest_s=0.1, longest_s=0.1, flip=False)
"""Five frames a tenth of a second apart, as the sequences of KITTI are on which others measure."""


@torch.no_grad()
def estimated_poses(
    network: PretextModel,
    pictures: Image,
    times_s: NDArray[np.float64],
    intrinsics: Sequence[float],
    picture: Sequence[float],
) -> Poses:
    """Camera-to-world poses (T, 4, 4) that the depth task estimates; the world is the first frame's camera.

    Args:
        network: in evaluation mode, with the depth task.
        pictures: (T, H, W, 3) uint8 at the network's size.
        times_s: (T,) rising.
        intrinsics: fx/W, fy/H, cx/W, cy/H.
        picture: left/W, top/H, right/W, bottom/H.
    """
    task = network.task("depth")
    assert isinstance(task, Depth)
    rgb = to_rgb(pictures)
    with fast():
        inverse = task.decoder(network.encode(rgb)).inverses[0]
    times = torch.from_numpy(times_s.astype(np.float32))[None]
    steps = task.steps(
        halved(rgb[None], 1),
        inverse,
        torch.tensor([intrinsics], dtype=torch.float32),
        torch.tensor([picture], dtype=torch.float32),
        times_s=times,
        speed_mps=torch.full_like(times, torch.nan),
    )
    return chained(torch.cat(steps).double().numpy())


def clip_snippets(
    network: PretextModel,
    reader: FrameReader,
    clip: Clip,
    truth: FrameTruth,
    *,
    count: int,
    rng: np.random.Generator,
) -> list[Snippet]:
    """At most ``count`` snippets of five frames at random places of a clip; fewer where the truth has gaps.

    None of a clip that is shorter than a snippet.

    Raises:
        CorruptClip: the clip cannot be read.
    """
    if not long_enough(clip, _SNIPPET):
        return []
    drawn = np.stack([draw_frames(clip.times_s, _SNIPPET, rng) for _ in range(count)])
    wanted = np.unique(drawn)
    pictures = reader.read(clip, wanted.tolist())
    snippets = []
    for frames in drawn:
        rows = rows_of(truth, clip.pts[frames])
        if rows is not None:
            times_s = clip.times_s[frames]
            seen = pictures[np.searchsorted(wanted, frames)]
            height, width = seen.shape[1:3]
            lens = network_intrinsics(clip, width=width, height=height)
            picture = network_picture(clip, width=width, height=height)
            poses = estimated_poses(network, seen, times_s, lens, picture)
            snippets.append(Snippet(poses, np.asarray(truth.poses[rows], dtype=np.float64), times_s))
    return snippets
