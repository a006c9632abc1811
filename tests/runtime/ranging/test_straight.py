from __future__ import annotations

import numpy as np
import pytest
from standing_boxes import BOX, K, boxes, standing

from catseye.capture.calibration import Calibration
from catseye.capture.lens import distorted
from catseye.runtime.ranging.straight import Straightener

STRONG = (-0.35, 0.1)


def camera(model: str = "plumb_bob", coefficients: tuple[float, ...] = STRONG) -> Calibration:
    """The camera of ``standing``, in pixels of its 640x360, behind a lens."""
    fx, cx, cy = K[0, 0] * 2, K[0, 2] * 2, (K[1, 2] - BOX.top) * 2
    pinhole = ((fx, 0, cx), (0, fx, cy), (0, 0, 1))
    return Calibration(
        width=640, height=360, K=pinhole, distortion_model=model, distortion=coefficients, rectified=False
    )


def bent(box: list[float]) -> list[float]:
    """Where that lens shows the middles of a box's edges."""
    left, top, right, bottom = box
    across, down = (left + right) / 2, (top + bottom) / 2
    middles = np.array([[left, down], [across, top], [right, down], [across, bottom]])
    focal, centre = np.array([K[0, 0], K[1, 1]]), K[:2, 2]
    seen = distorted((middles - centre) / focal, "plumb_bob", STRONG) * focal + centre
    return [seen[0, 0], seen[1, 1], seen[2, 0], seen[3, 1]]


@pytest.mark.parametrize("x", [-5.0, 0.0, 5.0])
def test_edges_lie_where_a_pinhole_sees_them(x: float) -> None:
    whole = standing(12.0, x=x)
    seen = bent(whole)
    assert x == 0 or max(abs(np.subtract(seen, whole))) > 5
    # The lens moves an edge along itself as well, which a box does not show.
    assert Straightener(camera(), BOX)(boxes(seen))[0] == pytest.approx(whole, abs=0.6)


def test_the_table_is_as_exact_as_it_says() -> None:
    calibration, rng = camera(), np.random.default_rng(0)
    corner = rng.uniform((0, 10), (280, 150), (200, 2))
    there = np.concatenate([corner, corner + rng.uniform(5, 30, (200, 2))], axis=1)
    focal, centre = np.array([K[0, 0], K[1, 1]]), K[:2, 2]
    bottoms = np.stack([(there[:, 0] + there[:, 2]) / 2, there[:, 3]], axis=1)
    exact = calibration.undistorted((bottoms - centre) / focal) * focal + centre
    np.testing.assert_allclose(Straightener(calibration, BOX)(there)[:, 3], exact[:, 1], atol=0.05)


def test_beyond_the_lens_nothing_is_said() -> None:
    found = Straightener(camera("equidistant", (0.0, -0.4, 0.0, 0.0)), BOX)(boxes([0, 0, 6, 8]))
    assert np.isnan(found).any()


def test_no_boxes() -> None:
    assert Straightener(camera(), BOX)(boxes()).shape == (0, 4)
