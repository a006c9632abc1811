"""Depth by trying: which of many fronto-parallel planes explains each place of a picture best.

Gradients of a photometric error reach as far as a picture's texture is smooth, a pixel or two; from a first
guess of depth the near road and what stands beside it are farther away than that. Trying every depth has no
such reach, and what it finds, where it explains the picture better than the network does, is a hint for the
network. (Plane sweeps: Collins, "A Space-Sweep Approach to True Multi-Image Matching", CVPR 1996; hints:
Watson et al., "Self-Supervised Monocular Depth Hints", ICCV 2019.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from catseye.pretrain.photometric import Views, source_errors

_PLANES = 24
_WINDOW = 3
_MARGIN = 0.02
_NO_VIEW = 1.0


class Hint(NamedTuple):
    """What a sweep found, both (N, 1, H, W): depth, and where it is to be believed, a bool."""

    depth: Tensor
    believed: Tensor


@torch.no_grad()
def sweep(views: Views, guess: Tensor, *, nearest: Tensor, farthest: Tensor) -> Hint:
    """Depth of the best plane at each place, believed where it explains more than a guess and standing still.

    What moves along with the camera, and what is so far away that it does not shift, looks best standing
    still: of that a sweep knows nothing.

    Args:
        guess: depth so far, (N, 1, H, W).
        nearest, farthest: depths (N,) between which the planes lie, evenly in their logarithm.
    """
    best = torch.full_like(views.unmoved, torch.inf)
    depth = torch.ones_like(best)
    for step in range(_PLANES):
        share = step / (_PLANES - 1)
        plane = torch.exp(torch.lerp(nearest.log(), farthest.log(), share)).view(-1, 1, 1, 1)
        error = _blurred(_common_error(plane.expand_as(best), views))
        depth = torch.where(error < best, plane, depth)
        best = torch.minimum(best, error)
    known = torch.minimum(_blurred(_common_error(guess, views)), _blurred(views.unmoved))
    return Hint(depth, best < known - _MARGIN)


def hint_error(depth: Tensor, hint: Hint) -> Tensor:
    """Mean (scalar) of |log depth − log hint| where the hint is believed, 0 elsewhere; depth (N, 1, H, W)."""
    missed = (depth.log() - hint.depth.log()).abs()
    return (missed * hint.believed).mean()


def _common_error(depth: Tensor, views: Views) -> Tensor:
    """Mean dissimilarity (N, 1, H, W) over the sources that see a place, infinite where none does.

    The best source alone would do for a wrong plane: among so many, one or another shows something alike by
    chance. It is less likely that all do.
    """
    errors = source_errors(depth, views)
    seen = errors.isfinite()
    count = seen.sum(dim=0)
    mean = torch.where(seen, errors, 0).sum(dim=0) / count.clamp(min=1)
    return torch.where(count > 0, mean, torch.inf)


def _blurred(error: Tensor) -> Tensor:
    """Mean over a window, in which what no source sees counts as wholly unlike."""
    seen = torch.where(error.isfinite(), error, _NO_VIEW)
    return F.avg_pool2d(seen, _WINDOW, stride=1, padding=_WINDOW // 2, count_include_pad=False)
