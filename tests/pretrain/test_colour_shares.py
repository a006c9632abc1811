from __future__ import annotations

import pytest
import torch
from torch import Tensor

from catseye.pretrain.colour_shares import COLOURS, colour_shares


def shares_of(*rgb: float) -> Tensor:
    return colour_shares(torch.tensor(rgb).view(1, 3, 1, 1)).flatten()


def test_every_pixel_is_shared_out_whole() -> None:
    rgb = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    shares = colour_shares(rgb)
    assert shares.shape == (2, COLOURS, 8, 12) and float(shares.min()) >= 0
    torch.testing.assert_close(shares[:, :10].sum(dim=1), torch.ones(2, 8, 12))
    torch.testing.assert_close(shares[:, 10:].sum(dim=1), torch.ones(2, 8, 12))


def test_a_pixel_between_two_bins_is_shared_by_them() -> None:
    grey = shares_of(0.5, 0.5, 0.5)
    # Brightness 0.5 lies midway between the fifth and the sixth of ten bins; grey is the middle of 5 x 5.
    assert grey[4:6].tolist() == pytest.approx([0.5, 0.5], abs=1e-5)
    assert float(grey[10 + 12]) == pytest.approx(1.0, abs=1e-5)
    # Red against blue 3 · 0.0625 + 0.5 lies three quarters of the way to the fourth bin.
    reddish = shares_of(0.53125, 0.5, 0.46875).tolist()
    assert reddish[10 + 12] == pytest.approx(0.25, abs=1e-5)
    assert reddish[10 + 17] == pytest.approx(0.75, abs=1e-5)


def test_pure_colours_share_no_bin() -> None:
    paints = [shares_of(*paint)[10:] for paint in ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (0.5, 0.5, 0.5))]
    alike = torch.stack(paints) @ torch.stack(paints).T
    torch.testing.assert_close(alike, torch.eye(4))
