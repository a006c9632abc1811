from __future__ import annotations

import pytest
import torch
from torch import Tensor

from catseye.pretrain.appearance import map_of_boxes
from catseye.pretrain.appearance_head import AppearanceHead, mean_around, shorter_sides
from catseye.pretrain.colour_shares import COLOURS

HEIGHT, WIDTH = 16, 24


def plain_mean(maps: Tensor, y: int, x: int, cells: int) -> Tensor:
    """Over a window of an odd number of cells, what lies outside left out."""
    reach = cells // 2
    rows, columns = slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1)
    return maps[0, :, rows, columns].mean(dim=(1, 2))


def everywhere(pixels: float) -> Tensor:
    return torch.full((1, 1, HEIGHT, WIDTH), pixels)


@pytest.mark.parametrize("place", [(0, 0), (7, 11), (15, 23)])
def test_the_window_is_as_wide_as_asked_for(place: tuple[int, int]) -> None:
    maps = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    one, three = plain_mean(maps, *place, 1), plain_mean(maps, *place, 3)
    for pixels, expected in ((2.0, one), (4.0, one), (8.0, (one + three) / 2), (12.0, three)):
        told = mean_around(maps, everywhere(pixels))[0, :, place[0], place[1]]
        torch.testing.assert_close(told, expected)


def test_wide_windows_are_about_their_cell() -> None:
    """A window of 24 px is three by three of blocks of two cells; what lies beyond has no say."""
    maps = torch.zeros(1, 1, HEIGHT, WIDTH)
    maps[0, 0, 6:12, 8:14] = 1
    assert float(mean_around(maps, everywhere(24.0))[0, 0, 8, 10]) == pytest.approx(1.0)
    assert float(mean_around(maps, everywhere(48.0))[0, 0, 8, 10]) == pytest.approx(36 / 144)
    assert float(mean_around(maps, everywhere(500.0))[0, 0, 8, 10]) == pytest.approx(36 / 384, rel=0.3)


def test_each_cell_has_a_window_of_its_own() -> None:
    maps = torch.rand(1, 2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    widths = everywhere(4.0)
    widths[..., 12:] = 12.0
    mixed = mean_around(maps, widths)
    assert torch.equal(mixed[..., :12], maps[..., :12])
    torch.testing.assert_close(mixed[0, :, 5, 18], plain_mean(maps, 5, 18, 3))


def test_a_vehicle_is_known_by_its_colours_before_anything_is_learned() -> None:
    """Near and far, on other ground and in the other half, among vehicles of other paint."""
    torch.manual_seed(0)
    head = AppearanceHead(4, dim=8, width=8).eval()
    picture = torch.full((1, 3, 4 * HEIGHT, 4 * WIDTH), 0.45)
    picture[..., 2 * WIDTH :] = 0.55
    boxes = torch.tensor([[4.0, 6, 36, 30], [56, 40, 72, 52], [4, 40, 36, 60], [60, 8, 92, 28]])
    paints = [(0.7, 0.1, 0.1), (0.7, 0.1, 0.1), (0.1, 0.2, 0.7), (0.9, 0.9, 0.9)]
    for (x0, y0, x1, y1), paint in zip(boxes.int().tolist(), paints, strict=True):
        picture[0, :, y0:y1, x0:x1] = torch.tensor(paint)[:, None, None]
    middles = ((boxes[:, :2] + boxes[:, 2:]) / 8).long()
    cells, first = middles[:, 1] * WIDTH + middles[:, 0], torch.zeros(4, dtype=torch.long)
    features = torch.zeros(1, 4, HEIGHT, WIDTH)
    with torch.no_grad():
        maps = head(picture, [features], map_of_boxes(boxes, first, cells, like=features))
    assert maps.shape == (1, COLOURS + 8, HEIGHT, WIDTH)
    told = torch.nn.functional.normalize(maps[0, :COLOURS].flatten(1)[:, cells], dim=0)
    alike = told.T @ told
    assert float(alike[0, 1]) > 0.95 and float(alike[0, 2:].max()) < 0.6


def test_boxes_are_put_where_their_cells_are() -> None:
    boxes = torch.tensor([[1.0, 2, 11, 7], [0, 0, 4, 9]])
    placed = map_of_boxes(boxes, torch.tensor([0, 1]), torch.tensor([6, 0]), like=torch.empty(2, 9, 3, 5))
    assert placed.shape == (2, 4, 3, 5) and placed[0, :, 1, 1].tolist() == [1, 2, 11, 7]
    assert shorter_sides(placed)[:, 0, [1, 0], [1, 0]].tolist() == [[5, 0], [0, 4]]
    assert int((placed != 0).sum()) == 6
