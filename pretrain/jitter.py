"""Photometric jitter, drawn anew for every frame, so that no frame's coding betrays its place in a sequence.

A codec spends its bits unevenly over a group of pictures, and a camera's exposure drifts; an order task left
with clean frames would read those instead of motion.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
_BLOCK = 8
_GAMMA = 0.5
_DARKEST = 1e-3


def jitter(frames: Tensor, *, strength: float = 1.0) -> Tensor:
    """Jitter colour, sharpness, block coding and noise of each of (N, 3, H, W) frames in [0, 1] by itself.

    Geometry is untouched. H and W are multiples of 8. Draws from torch's global generators.
    """
    if strength == 0:
        return frames
    frames = _colour(frames, strength)
    frames = _blur(frames, strength)
    frames = _block_coding(frames, strength)
    noise = torch.randn_like(frames) * (0.02 * strength * _uniform(frames, 0, 1))
    return (frames + noise).clamp(0, 1)


def _uniform(frames: Tensor, low: float, high: float) -> Tensor:
    return torch.empty(len(frames), 1, 1, 1, device=frames.device).uniform_(low, high)


def _colour(frames: Tensor, strength: float) -> Tensor:
    """Gamma, gain a channel, saturation, contrast about the mean, and brightness.

    Gamma makes noon of dusk and the reverse: other cameras, on other days, expose otherwise.
    """
    spread = 0.25 * strength
    frames = frames.clamp(min=_DARKEST) ** torch.exp(_uniform(frames, -_GAMMA, _GAMMA) * strength)
    luma = frames.new_tensor(_LUMA).view(1, 3, 1, 1)
    gains = 1 + torch.empty(len(frames), 3, 1, 1, device=frames.device).uniform_(-spread / 3, spread / 3)
    frames = frames * gains
    grey = (frames * luma).sum(dim=1, keepdim=True)
    frames = torch.lerp(grey, frames, 1 + _uniform(frames, -2 * spread, spread))
    mean = grey.mean(dim=(2, 3), keepdim=True)
    frames = mean + (frames - mean) * (1 + _uniform(frames, -spread, spread))
    return frames + _uniform(frames, -spread / 2, spread / 2)


def _blur(frames: Tensor, strength: float) -> Tensor:
    """Mix each frame with its 3×3 binomial blur; below zero it sharpens."""
    padded = F.pad(frames, (1, 1, 1, 1), mode="replicate")
    rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    blurred = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16
    return torch.lerp(frames, blurred, _uniform(frames, -0.5, 1.0) * strength)


def _block_coding(frames: Tensor, strength: float) -> Tensor:
    """Quantise the 8×8 discrete cosine transform, coarser towards high frequencies, as JPEG and H.264 do."""
    count, channels, height, width = frames.shape
    basis = _cosines(frames)
    blocks = frames.reshape(count, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).transpose(
        3, 4
    )
    frequencies = torch.arange(_BLOCK, device=frames.device)
    table = (1.0 + frequencies[:, None] + frequencies).to(frames)
    step = _uniform(frames, 0.002, 0.03 * strength).view(-1, 1, 1, 1, 1, 1) * table
    coded = torch.round(basis @ blocks @ basis.T / step) * step
    return (basis.T @ coded @ basis).transpose(3, 4).reshape(count, channels, height, width)


def _cosines(frames: Tensor) -> Tensor:
    """The orthonormal DCT-II matrix (8, 8)."""
    n = torch.arange(_BLOCK, device=frames.device, dtype=frames.dtype)
    matrix = torch.cos(math.pi / _BLOCK * (n + 0.5) * n[:, None]) * math.sqrt(2 / _BLOCK)
    matrix[0] /= math.sqrt(2)
    return matrix
