"""A run and the bundle exported from it find the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import catseye
from catseye.errors import InputError
from catseye.runtime.bundle import Bundle


def test_run_and_its_bundle_agree(run_folder: Path, exported: Bundle) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    by_run = catseye.load(run_folder).predict(rgb, threshold=0.0)
    by_bundle = catseye.load(exported.path).predict(rgb, threshold=0.0)
    assert by_run.names == by_bundle.names == ("car", "truck")
    best = slice(0, 5)
    np.testing.assert_allclose(by_bundle.scores[best], by_run.scores[best], atol=1e-3)
    np.testing.assert_allclose(by_bundle.boxes_xyxy[best], by_run.boxes_xyxy[best], atol=0.2)


def test_threshold_leaves_the_best(exported: Bundle) -> None:
    rgb = np.zeros((64, 96, 3), dtype=np.uint8)
    model = catseye.load(exported.path)
    everything = model.predict(rgb, threshold=0.0)
    middle = float(np.median(everything.scores))
    assert (model.predict(rgb, threshold=middle).scores >= middle).all()
    assert 0 < len(model.predict(rgb, threshold=middle).scores) < len(everything.scores)


def test_neither_run_nor_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"checkpoint\.json: no such file"):
        catseye.load(tmp_path)
    with pytest.raises(InputError, match=r"x\.catseye: no such file"):
        catseye.load(tmp_path / "x.catseye")
