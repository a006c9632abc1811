"""Future frame: dense features of what comes next, predicted from what was seen.

Targets are a slowly averaged copy of the encoder on clean frames (Grill et al., "Bootstrap Your Own Latent",
NeurIPS 2020), normalised over channels. Predictions are dense, at two strides, and know the real time they
look ahead. The predictor starts as copy-last-frame, its honest rival; the figure to watch is its skill, 1 −
error / error of copying. The raw loss also falls when features collapse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catseye.pretrain.ema import decay_at, frozen_copy, update_average
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.layers import conv_bn_relu
from catseye.pretrain.tasks.task import Encoded, Foreseen, Task, TaskOutput

LEVELS = slice(1, 3)
"""Which of the encoder's maps are predicted: strides 8 and 16."""

CONTEXT = 2
"""How many frames are seen before the first that is predicted."""

_WIDTH = 96
_REACH = 3
_DECAY = 0.99
_LEAST_SPREAD = 0.5
_SECONDS = 0.2


class FutureErrors(NamedTuple):
    """Mean absolute errors (B, T − 2) of prediction and of copying the last seen frame."""

    predicted: Tensor
    copied: Tensor


class Future(Task):
    """Predicts every later frame of a sequence from its first two.

    A prediction is the last seen frame's target, moved along an estimated flow, times a gain, plus an offset;
    an untrained one changes nothing. Flow is read from how the two contexts correlate at small displacements,
    which holds for pictures of any look; the gain lets go of what cannot be foreseen. The encoder has its
    gradient through what the contexts tell.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        fine, coarse = encoder.channels[LEVELS]
        self.target = frozen_copy(encoder)
        self.reduce = nn.ModuleList((nn.Conv2d(fine, _WIDTH // 2, 1), nn.Conv2d(coarse, _WIDTH, 1)))
        self.down = conv_bn_relu(_WIDTH + (2 * _REACH + 1) ** 2, _WIDTH, stride=2)
        self.join = conv_bn_relu(3 * _WIDTH, _WIDTH)
        self.when = nn.Sequential(nn.Linear(2, 64), nn.ReLU(inplace=True), nn.Linear(64, 2 * _WIDTH))
        self.coarse = nn.ModuleList(conv_bn_relu(_WIDTH, _WIDTH) for _ in range(2))
        self.fine = conv_bn_relu(2 * _WIDTH + (2 * _REACH + 1) ** 2, _WIDTH)
        self.flow = nn.Conv2d(_WIDTH, 2, 3, padding=1)
        self.correct = nn.ModuleList(nn.Conv2d(_WIDTH, 2 * channels, 1) for channels in (fine, coarse))
        for layer in (self.flow, *self.correct):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def train(self, mode: bool = True) -> Future:
        super().train(mode)
        self.target.eval()
        return self

    @torch.no_grad()
    def targets(self, clean: Tensor) -> list[Tensor]:
        """Normalised features (B, T, C, h, w) of clean frames (B, T, 3, H, W) by the averaged encoder."""
        maps: list[Tensor] = self.target(clean.flatten(0, 1))
        return [torch.unflatten(normalised(level.float()), 0, clean.shape[:2]) for level in maps[LEVELS]]

    def predict(self, contexts: list[Tensor], last: list[Tensor], times_s: Tensor) -> list[Tensor]:
        """Predictions (B, T − 2, C, h, w) of both levels.

        Args:
            contexts: the encoder's maps (B, 2, C, h, w) of the two frames seen, both levels.
            last: targets (B, C, h, w) of the second of them, both levels.
            times_s: (B, T) of all frames.
        """
        elapsed, ahead = times_s[:, 1] - times_s[:, 0], times_s[:, CONTEXT:] - times_s[:, 1:2]
        horizons = ahead.shape[1]
        fine, coarse = (
            torch.unflatten(reduce(normalised(maps.flatten(0, 1))), 0, maps.shape[:2])
            for reduce, maps in zip(self.reduce, contexts, strict=True)
        )
        matches = correlation(fine[:, 1], fine[:, 0], reach=_REACH)
        fine, coarse = torch.cat((fine.flatten(1, 2), matches), dim=1), coarse.flatten(1, 2)
        state = self.join(torch.cat((coarse, self.down(fine)), dim=1)).repeat_interleave(horizons, dim=0)
        when = torch.stack((elapsed.repeat_interleave(horizons), ahead.flatten()), dim=1) / _SECONDS
        gain, offset = self.when(when)[..., None, None].chunk(2, dim=1)
        state = state * (1 + gain) + offset
        for block in self.coarse:
            state = state + block(state)
        detail = F.interpolate(state, size=fine.shape[-2:], mode="nearest")
        detail = self.fine(torch.cat((fine.repeat_interleave(horizons, dim=0), detail), dim=1))
        flow = self.flow(detail).float() * when[:, 1, None, None, None].float()
        predictions = []
        for before, correct, own in zip(last, self.correct, (detail, state), strict=True):
            gain, offset = correct(own).float().chunk(2, dim=1)
            moved = move(before.repeat_interleave(horizons, dim=0), flow)
            predictions.append(torch.unflatten(moved * (1 + gain) + offset, 0, ahead.shape))
        return predictions

    def forward(self, encoded: Encoded) -> TaskOutput:
        targets = self.targets(encoded.clean[:, CONTEXT - 1 :])
        seen = [maps[:, :CONTEXT] for maps in encoded.features[LEVELS]]
        last = [maps[:, 0] for maps in targets]
        predictions = self.predict(seen, last, encoded.batch.times_s)
        encoded.foreseen.append(Foreseen(last, predictions))
        errors = errors_of(predictions, targets)
        loss = errors.predicted.mean()
        # The variance term of VICReg (Bardes et al., ICLR 2022): what never differs is easy to foresee.
        spread = torch.stack(
            [_shortfall(normalised(maps.flatten(0, 1))) for maps in encoded.features[LEVELS]]
        )
        metrics = {
            "skill": 1 - loss / errors.copied.mean(),
            "target_variance": torch.stack([_variance(maps) for maps in targets]).mean(),
            "spread_shortfall": spread.mean(),
        }
        return TaskOutput(loss + spread.mean(), {name: figure.detach() for name, figure in metrics.items()})

    def after_step(self, encoder: Encoder, *, step: int, metrics: Mapping[str, float]) -> None:
        update_average(self.target, encoder, decay=decay_at(step, final=_DECAY))


def errors_of(predictions: list[Tensor], targets: list[Tensor]) -> FutureErrors:
    """Errors, the mean over levels, channels and places, of what was predicted and of copying.

    Args:
        predictions: (B, T − 2, C, h, w) at ``LEVELS``.
        targets: (B, T − 1, C, h, w) of the last frame seen and all that follow, at ``LEVELS``.
    """
    predicted = [_distance(p, t[:, 1:]) for p, t in zip(predictions, targets, strict=True)]
    copied = [_distance(t[:, :1], t[:, 1:]) for t in targets]
    return FutureErrors(torch.stack(predicted).mean(dim=0), torch.stack(copied).mean(dim=0))


def normalised(maps: Tensor) -> Tensor:
    """Layer normalisation over the channels of (N, C, h, w), without parameters."""
    variance, mean = torch.var_mean(maps, dim=1, keepdim=True, correction=0)
    return (maps - mean) * torch.rsqrt(variance + 1e-5)


def correlation(maps: Tensor, others: Tensor, *, reach: int) -> Tensor:
    """Cosine (N, (2 · reach + 1)², h, w) of each place of (N, C, h, w) with those around it in ``others``."""
    height, width = maps.shape[-2:]
    one, other = F.normalize(maps.float(), dim=1), F.normalize(others.float(), dim=1)
    padded = F.pad(other, (reach,) * 4)
    displaced = [
        (one * padded[..., y : y + height, x : x + width]).sum(dim=1)
        for y in range(2 * reach + 1)
        for x in range(2 * reach + 1)
    ]
    return torch.stack(displaced, dim=1)


def move(maps: Tensor, flow: Tensor) -> Tensor:
    """Take each place of (N, C, h, w) from where ``flow`` (N, 2, h', w') points, in half image sizes."""
    flow = F.interpolate(flow, size=maps.shape[-2:], mode="bilinear", align_corners=False)
    identity = torch.eye(2, 3, device=maps.device).expand(len(maps), 2, 3)
    grid = F.affine_grid(identity, list(maps.shape), align_corners=False) + flow.permute(0, 2, 3, 1)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _distance(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction.float() - target).abs().mean(dim=(2, 3, 4))


def _variance(maps: Tensor) -> Tensor:
    return maps.transpose(0, -3).flatten(1).var(dim=1).mean()


def _shortfall(maps: Tensor) -> Tensor:
    """How far the standard deviation of each channel of (N, C, h, w) stays below what it should be."""
    deviation = (maps.transpose(0, 1).flatten(1).var(dim=1) + 1e-4).sqrt()
    return F.relu(_LEAST_SPREAD - deviation).mean()
