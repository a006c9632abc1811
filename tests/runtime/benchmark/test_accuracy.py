from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bright_engine import BrightEngine

from catseye.errors import InputError
from catseye.runtime.benchmark.accuracy import measure_accuracy
from catseye.runtime.manifest import Manifest


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Two stills of 320x192 with a lamp each; the second's label lies beside its lamp."""
    (tmp_path / "images").mkdir()
    images, annotations = [], []
    for number, shift in enumerate((0, 60)):
        picture = np.full((192, 320, 3), 30, np.uint8)
        picture[40:80, 100:160] = 250
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), picture)
        images.append({"id": number, "file_name": f"{number}.png", "width": 320, "height": 192})
        box = [100 + shift, 40, 60, 40]
        annotations.append({"image_id": number, "category_id": 7, "bbox": box, "iscrowd": 0})
        annotations.append({"image_id": number, "category_id": 8, "bbox": box})
    categories = [{"id": 7, "name": "lamp"}, {"id": 8, "name": "moon"}]
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def changed(path: Path, **parts: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **parts}))


def test_what_is_found_in_stills(
    labels: Path, engine: BrightEngine, manifest: Manifest, tmp_path: Path
) -> None:
    both = measure_accuracy(engine, manifest, labels)
    assert (both.stills, both.objects) == (2, 2)
    assert both.ap50 == pytest.approx(51 / 101)  # of equal scores, the right one first
    (tmp_path / "list.txt").write_text("0.png\n\n")
    first = measure_accuracy(engine, manifest, labels, test_list=tmp_path / "list.txt")
    assert (first.ap50, first.stills) == (pytest.approx(1.0), 1)


def test_labels_that_do_not_fit(
    labels: Path, engine: BrightEngine, manifest: Manifest, tmp_path: Path
) -> None:
    def fault() -> str:
        with pytest.raises(InputError) as error:
            measure_accuracy(engine, manifest, labels, test_list=listed)
        return str(error.value)

    listed: Path | None = tmp_path / "list.txt"
    assert "cannot be read" in fault()
    listed.write_text("9.png")
    assert "names 9.png, which" in fault()
    listed = None
    whole = labels.read_text()
    changed(labels, categories=[{"id": 7, "name": "sun"}])
    assert "labels sun, of which the bundle knows none" in fault()
    labels.write_text(whole)
    changed(labels, images=[{"id": 0, "file_name": "0.png", "width": 32, "height": 19}])
    assert "is 320x192, its labels are for 32x19" in fault()
    changed(labels, images=[{"id": 0, "file_name": "0.png"}])
    assert "field 'images.0.width'" in fault()
    changed(labels, images=[{"id": 0, "file_name": "gone.png", "width": 320, "height": 192}])
    assert "gone.png: is no picture that can be read" in fault()
    labels.write_text("{")
    assert "is not JSON" in fault()
