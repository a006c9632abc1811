"""A sweep finds the depth of scenes whose geometry is known, from however far away the first guess is."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from textures import texture
from torch import Tensor

from catseye.pretrain.photometric import Views, make_views, source_errors
from catseye.pretrain.plane_sweep import Hint, hint_error, sweep
from catseye.pretrain.pose import rigid_transform

H, W = 48, 64
INTRINSICS = torch.tensor([[0.8, 0.8 * W / H, 0.5, 0.5]])
FOCAL_PX = 0.8 * W
NEAREST, FARTHEST = torch.tensor([2.0]), torch.tensor([100.0])
APART = (100 / 2) ** (1 / 23)
"""By how much the depth of a plane differs from the next one's."""


def wall(depth: float, *, shift: int) -> Views:
    """A wall seen from two cameras to either side, that shifts by so many pixels between them."""
    wide, baseline = texture(H, W), shift * depth / FOCAL_PX
    sides = torch.eye(4).repeat(2, 1, 1, 1)
    sides[0, 0, 0, 3], sides[1, 0, 0, 3] = -baseline, baseline
    left, right = (wide[..., 32 + by : 32 + by + W] for by in (-shift, shift))
    return make_views(wide[..., 32:-32], torch.stack((right, left)), sides, INTRINSICS)


def middle(maps: Tensor) -> Tensor:
    return maps[..., 4:-4, 16:-16]


@pytest.mark.parametrize("depth", [4.0, 15.0])
@pytest.mark.parametrize("guess", [2.5, 80.0])
def test_the_right_plane_is_found_from_any_guess(depth: float, guess: float) -> None:
    views = wall(depth, shift=8)
    hint = sweep(views, torch.full((1, 1, H, W), guess), nearest=NEAREST, farthest=FARTHEST)
    off = (middle(hint.depth).log() - torch.tensor(depth).log()).abs()
    assert off.max() < torch.tensor(APART).log() / 2 + 1e-3
    assert middle(hint.believed).float().mean() > 0.95


def test_a_guess_that_is_right_needs_no_hint() -> None:
    hint = sweep(wall(15.0, shift=8), torch.full((1, 1, H, W), 15.0), nearest=NEAREST, farthest=FARTHEST)
    assert middle(hint.believed).float().mean() < 0.02


def test_of_what_does_not_shift_nothing_is_known() -> None:
    still = wall(15.0, shift=8)
    same = still._replace(sources=still.target.expand_as(still.sources), unmoved=torch.zeros(1, 1, H, W))
    hint = sweep(same, torch.full((1, 1, H, W), 5.0), nearest=NEAREST, farthest=FARTHEST)
    assert not hint.believed.any()


def test_the_error_counts_what_is_believed_and_teaches_depth_alone() -> None:
    depth = torch.full((1, 1, 2, 2), 10.0, requires_grad=True)
    hint = Hint(torch.full((1, 1, 2, 2), 5.0), torch.tensor([[[[True, False], [False, False]]]]))
    error = hint_error(depth, hint)
    torch.testing.assert_close(error, torch.tensor(2.0).log() / 4)
    error.backward()
    assert depth.grad is not None and (depth.grad.flatten() > 0).tolist() == [True, False, False, False]


def test_a_plane_that_one_camera_alone_confirms_is_not_the_best() -> None:
    """A third camera, far up, that by chance shows the same for another plane."""
    views, decoy = wall(15.0, shift=4), 5.0
    up = torch.eye(4)[None].clone()
    up[0, 1, 3] = 6 * decoy / FOCAL_PX
    chance = views.target.roll(6, dims=-2)
    noise = torch.rand(views.sources.shape, generator=torch.Generator().manual_seed(5))
    three = views._replace(
        sources=torch.cat((0.8 * views.sources + 0.2 * noise, chance[None])),
        transforms=torch.cat((views.transforms, up[None])),
    )
    hint = sweep(three, torch.full((1, 1, H, W), 80.0), nearest=NEAREST, farthest=FARTHEST)
    off = (middle(hint.depth).log() - torch.tensor(15.0).log()).abs()[..., 12:-12, :]
    assert off.median() < torch.tensor(APART).log()


def by_definition(views: Views, guess: Tensor) -> Hint:
    """The sweep as its pieces say it, one plane and one comparison after the other."""

    def error(depth: Tensor) -> Tensor:
        errors = source_errors(depth, views)
        seen = errors.isfinite()
        mean = torch.where(seen, errors, 0).sum(dim=0) / seen.sum(dim=0).clamp(min=1)
        return blurred(torch.where(seen.any(dim=0), mean, 1))

    def blurred(maps: Tensor) -> Tensor:
        return F.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)

    planes = torch.logspace(NEAREST.log10().item(), FARTHEST.log10().item(), 24)
    errors = torch.stack([error(torch.full_like(guess, float(plane))) for plane in planes])
    least, index = errors.min(dim=0)
    return Hint(planes[index], least < torch.minimum(error(guess), blurred(views.unmoved)) - 0.02)


@pytest.mark.parametrize("picture", [None, torch.tensor([[0.0, 0.15, 1.0, 0.8]])])
def test_it_is_what_its_pieces_say(picture: Tensor | None) -> None:
    """Cameras that turn, go past the nearest planes and see nothing of some places."""
    motions = torch.tensor([[0.02, -0.1, 0.05, 1.0, 0.2, -5.0], [0.0, 0.3, 0.0, -2.0, 0.0, 1.0]])
    wide = texture(H, W)
    sources = torch.stack((wide[..., 36:-28], wide[..., 30:-34]))
    transforms = rigid_transform(motions)[:, None]
    views = make_views(wide[..., 32:-32], sources, transforms, INTRINSICS, picture)
    guess = torch.full((1, 1, H, W), 4.0)
    found, expected = sweep(views, guess, nearest=NEAREST, farthest=FARTHEST), by_definition(views, guess)
    assert 0.02 < expected.believed.float().mean() < 0.98
    # Where two planes do equally well, or a place falls on a border, the last bit decides.
    assert torch.isclose(found.depth, expected.depth).float().mean() > 0.99
    assert (found.believed == expected.believed).float().mean() > 0.99
