"""View synthesis against scenes whose geometry is known."""

from __future__ import annotations

import pytest
import torch
from textures import texture
from torch import Tensor

from catseye.pretrain.photometric import (
    backproject,
    dissimilarity,
    make_views,
    pixels_within,
    project,
    rigid_error,
    smoothness,
    synthesis_error,
    warp,
)
from catseye.pretrain.pose import rigid_transform

H, W = 48, 64
INTRINSICS = torch.tensor([[0.8, 0.8 * W / H, 0.45, 0.55]])
FOCAL_PX = 0.8 * W
STILL = torch.ones(1, 1, H // 4, W // 4)


def sideways(distance: float) -> Tensor:
    """Target-to-source transform of a source camera ``distance`` to the right of the target's."""
    transform = torch.eye(4)[None].clone()
    transform[0, 0, 3] = -distance
    return transform


def test_a_point_comes_back_to_its_pixel() -> None:
    depth = torch.rand(1, 1, H, W) * 50 + 1
    seen = project(backproject(depth, INTRINSICS), torch.eye(4)[None], INTRINSICS)
    picture = texture(H, W)[..., 32:-32]
    torch.testing.assert_close(warp(picture, seen.grid), picture, atol=1e-4, rtol=0)
    assert seen.inside.all()


def test_a_plane_seen_from_the_side_is_shifted_by_its_disparity() -> None:
    depth, baseline = 8.0, 1.0
    shift = FOCAL_PX * baseline / depth
    assert shift == pytest.approx(6.4)
    seen = project(backproject(torch.full((1, 1, H, W), depth), INTRINSICS), sideways(baseline), INTRINSICS)
    columns = (seen.grid[0, 10, :, 0] + 1) / 2 * W
    torch.testing.assert_close(columns, (torch.arange(W) + 0.5 - shift).clamp(min=-W / 2), atol=1e-3, rtol=0)
    assert seen.inside[0, 0, 10].tolist() == [column >= shift for column in (torch.arange(W) + 0.5).tolist()]


def test_what_lies_behind_the_camera_is_not_seen() -> None:
    backwards = torch.eye(4)[None].clone()
    backwards[0, 2, 3] = -10.0
    points = backproject(torch.full((1, 1, H, W), 5.0), INTRINSICS).requires_grad_()
    seen = project(points, backwards, INTRINSICS)
    assert not seen.inside.any()
    seen.grid.sum().backward()
    assert points.grad is not None and points.grad.isfinite().all()


def test_the_right_depth_explains_the_picture_best() -> None:
    wide, depth = texture(H, W), 8.0
    target, right, left = wide[..., 32:-32], wide[..., 36:-28], wide[..., 28:-36]
    baseline = 4 * depth / FOCAL_PX
    views = make_views(
        target,
        torch.stack((right, left)),
        torch.stack((sideways(baseline), sideways(-baseline))),
        INTRINSICS,
    )
    candidates = [3.0, 5.0, 8.0, 12.0, 25.0]
    errors = [
        float(synthesis_error(rigid_error(torch.full((1, 1, H, W), d), views), views, STILL))
        for d in candidates
    ]
    assert candidates[errors.index(min(errors))] == depth
    assert min(errors) < 0.2 * float(views.unmoved.mean())


def test_a_picture_that_stands_still_teaches_nothing() -> None:
    picture = texture(H, W)[..., 32:-32]
    views = make_views(
        picture, torch.stack((picture, picture)), torch.stack((sideways(1), sideways(-1))), INTRINSICS
    )
    depth = torch.full((1, 1, H, W), 8.0, requires_grad=True)
    synthesis_error(rigid_error(depth, views), views, STILL).backward()
    assert depth.grad is not None
    assert (depth.grad == 0).float().mean() > 0.99


def test_what_moves_by_itself_has_no_say() -> None:
    wide = texture(H, W)
    views = make_views(wide[..., 32:-32], wide[None, ..., 36:-28], sideways(0.5)[None], INTRINSICS)
    rigid = rigid_error(torch.full((1, 1, H, W), 8.0), views)
    left, right = torch.zeros_like(STILL), torch.zeros_like(STILL)
    left[..., : W // 8], right[..., W // 8 :] = 1.0, 1.0
    worse = rigid.clone()
    worse[..., W // 2 + 4 :] = views.unmoved[..., W // 2 + 4 :]
    assert synthesis_error(worse, views, left) == pytest.approx(
        float(synthesis_error(rigid, views, left)), abs=1e-5
    )
    assert synthesis_error(worse, views, right) > 1.1 * synthesis_error(rigid, views, right)


def test_pixels_out_of_view_count_as_unmoved() -> None:
    wide = texture(H, W)
    views = make_views(wide[..., 32:-32], wide[None, ..., 36:-28], sideways(1e4)[None], INTRINSICS)
    error = synthesis_error(rigid_error(torch.full((1, 1, H, W), 8.0), views), views, STILL)
    torch.testing.assert_close(error, views.unmoved.mean(), atol=1e-4, rtol=0)


def test_errors_are_told_place_by_place() -> None:
    """What does not fit the motion stands out, whether or not it would look better unmoved."""
    wide, depth = texture(H, W), 8.0
    baseline = 4 * depth / FOCAL_PX
    views = make_views(wide[..., 32:-32], wide[None, ..., 36:-28], sideways(baseline)[None], INTRINSICS)
    ahead = torch.full((1, 1, H, W), depth)
    ahead[..., 10:30, 20:40] = 2.0
    error = rigid_error(ahead, views)
    assert error.shape == views.unmoved.shape == (1, 1, H, W)
    assert error[..., :4].isinf().all() and error[..., 6:].isfinite().all()
    rest = torch.cat((error[..., 34:, 6:].flatten(), error[..., 44:].flatten()))
    assert float(error[..., 12:28, 22:38].mean()) > 10 * float(rest.mean())


def test_rotation_tells_the_focal_length() -> None:
    """The gradient of the error leads from a wrong lens to the right one, as Gordon et al., 2019, observe."""
    turn = rigid_transform(torch.tensor([[0.03, 0.08, 0.02, 0.0, 0.0, 0.0]]))
    depth = torch.full((1, 1, H, W), 8.0)
    source = texture(H, W)[..., 32:-32]
    target = warp(source, project(backproject(depth, INTRINSICS), turn, INTRINSICS).grid)
    for start in (0.7, 1.4):
        scale = torch.tensor(start).log().requires_grad_()
        optimizer = torch.optim.Adam([scale], lr=0.05)
        for _ in range(40):
            focal = INTRINSICS[:, :2] * scale.exp()
            views = make_views(target, source[None], turn[None], torch.cat((focal, INTRINSICS[:, 2:]), dim=1))
            optimizer.zero_grad()
            synthesis_error(rigid_error(depth, views), views, STILL).backward()
            optimizer.step()
        assert float(scale.detach().exp()) == pytest.approx(1, abs=0.05)


def test_driving_straight_on_tells_nothing_of_the_focal_length() -> None:
    ahead = rigid_transform(torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, -1.0]]))
    depth = torch.full((1, 1, H, W), 8.0)
    source = texture(H, W)[..., 32:-32]
    target = warp(source, project(backproject(depth, INTRINSICS), ahead, INTRINSICS).grid)
    views = make_views(target, source[None], ahead[None], INTRINSICS)
    right = synthesis_error(rigid_error(depth, views), views, STILL)
    lens = (INTRINSICS * torch.tensor([1.3, 1.3, 1.0, 1.0])).requires_grad_()
    views = make_views(target, source[None], ahead[None], lens)
    wrong = synthesis_error(rigid_error(depth, views), views, STILL)
    wrong.backward()
    assert float(wrong.detach()) == pytest.approx(float(right), abs=1e-4)
    assert lens.grad is not None and float(lens.grad[:, :2].abs().max()) < 1e-3


def test_dissimilarity_is_zero_for_the_same_and_sees_structure() -> None:
    picture = texture(H, W)[..., 32:-32]
    assert float(dissimilarity(picture, picture).max()) == pytest.approx(0, abs=1e-6)
    brighter, noisy = picture + 0.05, picture + 0.05 * torch.randn_like(picture)
    assert dissimilarity(picture, brighter).mean() < 0.5 * dissimilarity(picture, noisy).mean()


def test_smoothness_forgives_a_step_at_an_edge_and_has_no_unit() -> None:
    inverse = torch.full((1, 1, H, W), 0.1)
    inverse[..., W // 2 :] = 0.3
    flat, edge = torch.zeros(1, 3, H, W), torch.zeros(1, 3, H, W)
    edge[..., W // 2 :] = 1
    assert smoothness(inverse, edge) < 0.5 * smoothness(inverse, flat)
    torch.testing.assert_close(smoothness(inverse, flat), smoothness(7 * inverse, flat))


def test_a_map_of_one_row_is_smooth_along_it() -> None:
    image = torch.full((1, 3, 1, 4), 0.5)
    assert smoothness(torch.ones(1, 1, 1, 4), image) == 0
    assert smoothness(torch.tensor([1.0, 1, 2, 2]).view(1, 1, 1, 4), image) > 0.1


def test_a_picture_ends_where_its_margin_begins_and_one_pixel_before() -> None:
    picture = torch.tensor([[4 / W, 0.0, 1 - 2 / W, 1 - 3 / H]])
    shown = pixels_within(torch.zeros(1, 3, H, W), picture)[0, 0]
    assert shown[:, 10].tolist() == [row < H - 4 for row in range(H)]
    assert shown[10].tolist() == [5 <= column < W - 3 for column in range(W)]
    assert pixels_within(torch.zeros(1, 3, H, W), torch.tensor([[0.0, 0.0, 1.0, 1.0]])).all()
    assert pixels_within(torch.zeros(1, 3, H, W), None).all()


def test_margins_see_nothing_and_are_seen_nowhere() -> None:
    wide, margin = texture(H, W), 8
    target, source = wide[..., 32:-32].clone(), wide[..., 36:-28].clone()
    target[..., :margin] = source[..., :margin] = 0.45
    within = torch.tensor([[margin / W, 0.0, 1.0, 1.0]])
    baseline = 4 * 8.0 / FOCAL_PX
    views = make_views(target, source[None], sideways(baseline)[None], INTRINSICS, within)
    rigid = rigid_error(torch.full((1, 1, H, W), 8.0), views)
    # A pixel falls on what lies four columns to its left.
    assert rigid[..., : margin + 5].isinf().all()
    assert rigid[..., margin + 5 :].isfinite().all()
    assert rigid[..., margin + 6 :].max() < 0.1


def test_beside_a_margin_depth_is_taught_as_elsewhere() -> None:
    """Without a word of it, standing still explains a margin best, and what shares its place with it."""
    wide, margin = texture(H, W), 8
    target, right, left = (wide[..., 32 + by : 32 + by + W].clone() for by in (0, 4, -4))
    for picture in (target, right, left):
        picture[..., :margin] = picture[..., -margin:] = 0.45
    baseline = 4 * 8.0 / FOCAL_PX
    cameras = torch.stack((sideways(baseline), sideways(-baseline)))
    within = torch.tensor([[margin / W, 0.0, 1 - margin / W, 1.0]])
    pulls = []
    for picture in (within, None):
        views = make_views(target, torch.stack((right, left)), cameras, INTRINSICS, picture)
        depth = torch.full((1, 1, H, W), 9.0, requires_grad=True)
        synthesis_error(rigid_error(depth, views), views, STILL).backward()
        assert depth.grad is not None
        pulls.append(float(depth.grad[..., :margin].abs().sum()))
    assert pulls[0] == 0 and pulls[1] > 0
