"""Features whose structure is known."""

from __future__ import annotations

import numpy as np
import torch

from catseye.pretrain.evaluation.feature_space import component_colours, nearest


def test_two_kinds_of_places_get_two_colours_that_are_the_same_in_every_frame() -> None:
    generator = torch.Generator().manual_seed(0)
    kind = torch.rand(3, 1, 8, 12, generator=generator) < 0.5
    direction = torch.randn(1, 16, 1, 1, generator=generator)
    maps = kind * direction * 50 + 0.1 * torch.randn(3, 16, 8, 12, generator=generator) + 1000
    red = component_colours(maps)[..., 0].astype(int)
    one, other = red[kind[:, 0].numpy()], red[~kind[:, 0].numpy()]
    assert abs(one.mean() - other.mean()) > 200 and one.std() < 20 and other.std() < 20
    assert component_colours(torch.ones(2, 4, 3, 3)).shape == (2, 3, 3, 3)


def test_neighbours_are_of_others_one_of_each_and_the_nearest_first() -> None:
    angles = torch.tensor([0.0, 0.01, 0.3, 0.2, 1.0, 3.0])
    pooled = torch.stack((angles.cos(), angles.sin()), dim=1)
    pooled = torch.cat((pooled, -pooled))  # so that the mean is the origin
    owners = ["a", "a", "b", "b", "c", "d", *"eeeeee"]
    ((first, second, third, fourth),) = nearest(pooled, owners, [0])
    # By angle: 3 - π of "e", 0.2 of "b" and not also 0.3, 1 of "c", 3 of "d".
    assert (first, second, third, fourth) == (11, 3, 4, 5)
    # With two owners there is but one other: the rest follows by distance.
    assert nearest(pooled, ["a", "a", "b", "b", "b", "b", *"aaaaaa"], [0], count=3) == [[3, 2, 4]]


def test_neighbours_do_not_depend_on_a_common_offset() -> None:
    rng = np.random.default_rng(0)
    pooled = torch.from_numpy(rng.normal(size=(20, 8)))
    owners = [str(k // 4) for k in range(20)]
    assert nearest(pooled, owners, [0, 9]) == nearest(pooled + 100, owners, [0, 9])
