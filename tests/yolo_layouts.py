"""YOLO labels as other tools lay them out."""

from __future__ import annotations

from pathlib import Path


def move_into_split(folder: Path) -> None:
    """Pictures and labels of a folder that ``write_labels`` wrote, below ``train`` as Roboflow has them."""
    (folder / "train").mkdir()
    for part in ("images", "labels"):
        (folder / part).rename(folder / "train" / part)
    meta = folder / "data.yaml"
    meta.write_text(
        meta.read_text().replace("train: images", "train: train/images").replace("val: images\n", "")
    )
