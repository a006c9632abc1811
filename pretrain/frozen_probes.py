"""What a frozen encoder's features tell about places in a picture, by the two simplest readers there are.

Labelled stills are cut into cells of ``CELL`` network pixels. A cell is positive if its centre lies in a
labelled box, and is left out if it lies in an ignored one. A linear classifier and a vote among nearest
neighbours (Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", CVPR 2018)
learn from some stills, and are measured by average precision over the cells of others.

Most cells show nothing. Where there are very many of these, a random part of them stands for all, each for
several: in what the linear reader learns from, and in what the vote is measured on. So objects are as rare in
both as they are in the stills.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from catseye.capture.geometry import letterbox
from catseye.errors import UsageError
from catseye.pretrain.augment import Still, fit
from catseye.pretrain.encoder import Encoder, to_rgb
from catseye.progress import Progress, silent

CELL = 8
"""Side of a cell: the stride of the finer of the maps that are read."""

LEVELS = slice(1, 3)
"""The encoder's maps that are read: strides 8 and 16."""

NEIGHBOURS = 20
_TEMPERATURE = 0.07
_BANK = 20_000
_NEGATIVES = 40_000
_STEPS = 300
_DECAYS = (1e-5, 1e-4, 1e-3, 1e-2)
_HELD_OUT = 0.2
_CHUNK = 4096


@dataclass(frozen=True)
class Cells:
    """N cells of some stills.

    Args:
        features: (N, C) float32, standardised by nobody yet.
        positive: (N,) bool.
        still: (N,) int64, which still each is of.
    """

    features: Tensor
    positive: Tensor
    still: Tensor


@torch.no_grad()
def cells_of(
    encoder: Encoder, stills: Sequence[Still], *, width: int, height: int, progress: Progress = silent
) -> Cells:
    """Features of all cells of stills, letterboxed to the network's size.

    Args:
        encoder: in evaluation mode.
        width, height: multiples of 32.
    """
    features, positive, numbers = [], [], []
    for number, still in enumerate(stills):
        fine, coarse = encoder(to_rgb(fit(still, width=width, height=height).rgb[None]))[LEVELS]
        coarse = F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
        by_box = cells_inside(still, width=width, height=height)
        inside, ignored = (
            torch.from_numpy(by_box[chosen].any(axis=0)).flatten()
            for chosen in (~still.ignored, still.ignored)
        )
        kept = inside | ~ignored
        features.append(torch.cat((fine, coarse), dim=1)[0].flatten(1).T[kept].float())
        positive.append(inside[kept])
        numbers.append(torch.full((int(kept.sum()),), number))
        progress("features", number + 1, len(stills))
    return Cells(torch.cat(features), torch.cat(positive), torch.cat(numbers))


def probe(train: Cells, test: Cells, *, seed: int = 0) -> tuple[dict[str, float], Tensor]:
    """Measure both readers.

    Returns:
        ``linear_ap`` and ``knn_ap``, and ``positive_share``, the average precision of a blind guess; and the
        linear reader's logits (N,) of the test cells.

    Raises:
        UsageError: one of the two has no positive cell.
    """
    for name, cells in (("train", train), ("test", test)):
        if not bool(cells.positive.any()):
            raise UsageError(f"the {name} stills have no labelled object to probe for")
    scores = linear_scores(train, test, seed=seed)
    figures = {
        "linear_ap": average_precision(scores, test.positive),
        "knn_ap": knn_average_precision(train, test, seed=seed),
        "positive_share": float(test.positive.float().mean()),
    }
    return figures, scores


def linear_scores(train: Cells, test: Cells, *, seed: int) -> Tensor:
    """Logits (N,) of logistic regression, its weight decay chosen on a fifth of the training stills."""
    generator = torch.Generator().manual_seed(seed)
    stills = torch.randperm(int(train.still.max()) + 1, generator=generator)
    held = torch.isin(train.still, stills[: max(1, round(_HELD_OUT * len(stills)))])
    decay = _DECAYS[-1]
    if bool(train.positive[held].any()) and bool(train.positive[~held].any()):
        rest = _thinned(train.positive, among=~held, generator=generator)
        tried = {
            each: average_precision(_fit_line(train, rest, each)(train.features[held]), train.positive[held])
            for each in _DECAYS
        }
        decay = max(tried, key=lambda each: tried[each])
    everything = torch.ones_like(held)
    chosen = _thinned(train.positive, among=everything, generator=generator)
    return _fit_line(train, chosen, decay)(test.features)


def knn_average_precision(train: Cells, test: Cells, *, seed: int) -> float:
    """Of a vote of the nearest training cells by cosine, the nearer the weightier.

    Positive and negative cells are in the bank in equal number as far as there are.
    """
    generator = torch.Generator().manual_seed(seed)
    sides = []
    for wanted in (True, False):
        found = torch.nonzero(train.positive == wanted).flatten()
        sides.append(found[torch.randperm(len(found), generator=generator)[: _BANK // 2]])
    picked = torch.cat(sides)
    mean = train.features.mean(dim=0)
    bank = F.normalize(train.features[picked] - mean, dim=1)
    votes = train.positive[picked].float()
    asked = _thinned(test.positive, among=torch.ones_like(test.positive), generator=generator)
    scores = []
    for part in torch.split(asked.index, _CHUNK):
        alike, index = (F.normalize(test.features[part] - mean, dim=1) @ bank.T).topk(
            min(NEIGHBOURS, len(bank)), dim=1
        )
        weight = (alike / _TEMPERATURE).softmax(dim=1)
        scores.append((weight * votes[index]).sum(dim=1))
    return average_precision(torch.cat(scores), test.positive[asked.index], stands_for=asked.stands_for)


def average_precision(scores: Tensor, positive: Tensor, *, stands_for: Tensor | None = None) -> float:
    """Mean precision at each positive, best score first; ties in the order given.

    Args:
        stands_for: (N,) how many cells each stands for; one each where it is not given.
    """
    order = scores.argsort(descending=True, stable=True)
    hits = positive[order]
    count = torch.ones(len(hits), dtype=torch.float64) if stands_for is None else stands_for[order].double()
    precision = (count * hits).cumsum(0) / count.cumsum(0)
    return float((precision * count)[hits].sum() / count[hits].sum())


@dataclass(frozen=True)
class _Some:
    """M of N cells: their ``index`` (M,), rising, and how many each ``stands_for`` (M,)."""

    index: Tensor
    stands_for: Tensor


def _thinned(positive: Tensor, *, among: Tensor, generator: torch.Generator) -> _Some:
    """All positive cells ``among`` (N,) bool some, and at most ``_NEGATIVES`` others of them at random."""
    objects, others = (torch.nonzero(among & (positive == wanted)).flatten() for wanted in (True, False))
    kept = others[torch.randperm(len(others), generator=generator)[:_NEGATIVES]]
    index = torch.cat((objects, kept)).sort().values
    share = len(others) / max(1, len(kept))
    return _Some(index, torch.where(positive[index], 1.0, share))


class _Line:
    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self._weight, self._bias = weight, bias

    def __call__(self, features: Tensor) -> Tensor:
        return features @ self._weight + self._bias


def _fit_line(cells: Cells, some: _Some, decay: float) -> _Line:
    """Logistic regression by L-BFGS on standardised features of some of the cells."""
    mean, spread = cells.features.mean(dim=0), cells.features.std(dim=0).clamp(min=1e-6)
    features = (cells.features[some.index] - mean) / spread
    truth, share = cells.positive[some.index].float(), some.stands_for / some.stands_for.sum()
    weight = torch.zeros(features.shape[1], requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(features @ weight + bias, truth, share, reduction="sum")
        loss = loss + decay * weight.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch gives it no types
    scaled = weight.detach() / spread
    return _Line(scaled, bias.detach() - mean @ scaled)


def cells_inside(still: Still, *, width: int, height: int) -> NDArray[np.bool_]:
    """(N, height / CELL, width / CELL): the cells whose centre lies in each of a still's N boxes."""
    box = letterbox(still.rgb.shape[1], still.rgb.shape[0], width, height)
    left, top, right, bottom = box.boxes_to_network(still.boxes).T[:, :, None, None]
    x = ((np.arange(width // CELL) + 0.5) * CELL)[None, None, :]
    y = ((np.arange(height // CELL) + 0.5) * CELL)[None, :, None]
    return np.asarray((left <= x) & (x < right) & (top <= y) & (y < bottom))
