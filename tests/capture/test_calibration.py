"""The camera's calibration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import letterbox
from catseye.errors import InputError

HASH_OF_1_0 = "32c70ebde6d7278ab3395614bc3148cd3e167dceb303d944b1a75ea7192197e1"
"""What the first version gave for the calibration that the test makes."""

K = ((700.0, 0.0, 640.0), (0.0, 710.0, 360.0), (0.0, 0.0, 1.0))


def test_it_loads_as_it_was_saved_and_has_a_hash_of_its_content(tmp_path: Path) -> None:
    calibration = Calibration(
        width=1280, height=720, K=K, distortion_model="plumb_bob", distortion=(0.1, 0.2)
    )
    calibration.save(tmp_path / "calibration.json")
    loaded = Calibration.load(tmp_path / "calibration.json")
    assert loaded.content_hash == calibration.content_hash
    np.testing.assert_array_equal(loaded.matrix, K)
    assert calibration.model_copy(update={"pitch_rad": 0.1}).content_hash != calibration.content_hash


def test_a_frame_of_another_size_has_the_same_view() -> None:
    calibration = Calibration(width=1280, height=720, K=K)
    full = calibration.network_matrix(letterbox(1280, 720, 320, 192))
    half = calibration.network_matrix(letterbox(640, 360, 320, 192))
    np.testing.assert_allclose(full, [[175, 0, 160], [0, 177.5, 96], [0, 0, 1]])
    np.testing.assert_allclose(half, full)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"K": ((0.0, 0.0, 1.0), *K[1:])}, "K"),
        ({"K": (*K[:2], (0.0, 0.0, 2.0))}, "K"),
        ({"K": K[:2]}, "K.2"),
        ({"width": 0}, "width"),
        ({"height_m": -1.0}, "height_m"),
        ({"distortion_model": "fisheye"}, "distortion_model"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    document = {"schema_version": "1.0", "width": 1280, "height": 720, "K": K, **change}
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=f"calibration.json: field '{field}'"):
        Calibration.load(path)


def test_a_hash_outlives_a_minor_version() -> None:
    calibration = Calibration(
        width=1280, height=720, K=K, distortion_model="plumb_bob", distortion=(0.1, 0.2)
    )
    assert calibration.content_hash == HASH_OF_1_0


def test_a_rational_distortion_has_all_its_coefficients(tmp_path: Path) -> None:
    document = {"schema_version": "1.1", "width": 1280, "height": 720, "K": K}
    document["distortion_model"] = "rational_polynomial"
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**document, "distortion": [0.1] * 8}))
    assert len(Calibration.load(path).distortion) == 8
    path.write_text(json.dumps({**document, "distortion": [0.1] * 5}))
    with pytest.raises(InputError, match="needs 8 coefficients, not 5"):
        Calibration.load(path)


def test_a_lens_is_undone_unless_frames_are_rectified() -> None:
    fisheye = {"distortion_model": "equidistant", "distortion": (0.0, 0.0, 0.0, 0.0)}
    bent = Calibration(width=1280, height=720, K=K, rectified=False, **fisheye)
    seen = np.array([[0.5, 0.0]])
    np.testing.assert_allclose(bent.undistorted(seen), [[np.tan(0.5), 0.0]])
    for straight in (bent.model_copy(update={"rectified": True}), Calibration(width=1280, height=720, K=K)):
        assert not straight.bends
        np.testing.assert_array_equal(straight.undistorted(seen), seen)
    assert not Calibration(width=1280, height=720, K=K, rectified=False).bends


@pytest.mark.parametrize(("model", "count"), [("equidistant", 5), ("plumb_bob", 8)])
def test_each_lens_has_its_coefficients(model: str, count: int) -> None:
    with pytest.raises(ValueError, match=f"{model} needs .* coefficients, not {count}"):
        Calibration(width=1280, height=720, K=K, distortion_model=model, distortion=(0.1,) * count)
