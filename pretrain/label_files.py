"""Label files by their form: for now COCO alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from catseye.errors import UsageError
from catseye.files import write_json
from catseye.pretrain.labels import Labels
from catseye.pretrain.labels import read_coco as read_labels

__all__ = ["Form", "read_labels", "write_labels"]

Form = Literal["coco", "yolo", "cvat"]


def write_labels(labels: Labels, path: str | Path, *, form: Form, images: Path | None = None) -> None:
    """Write labels, with a ``score`` where boxes have one.

    Raises:
        UsageError: the form is not known here.
    """
    if form != "coco":
        raise UsageError(f"--format {form}: cannot be written yet, only coco")
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(labels.images, 1):
        corners = image.boxes.astype(float)
        boxes = (corners - corners[:, [0, 1, 0, 1]] * [0, 0, 1, 1]).tolist()
        scores = [None] * len(boxes) if image.scores is None else image.scores.tolist()
        for box, index, crowd, score in zip(boxes, image.classes, image.crowd, scores, strict=True):
            annotation = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": int(index) + 1,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": int(crowd),
            }
            annotations.append(annotation if score is None else {**annotation, "score": score})
    images_listed = [
        {"id": number, "file_name": image.file_name, "width": image.width, "height": image.height}
        for number, image in enumerate(labels.images, 1)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(labels.classes, 1)]
    write_json(path, {"images": images_listed, "annotations": annotations, "categories": categories})
