"""YOLO labels in Ultralytics' layout: a text file a picture, a line a box.

A line is ``class x y width height``, and may end with a detector's score: the class is an index into the
names, x and y are of the centre, and all four are shares of the picture's size
(https://docs.ultralytics.com/datasets/detect). Names are in ``data.yaml``, or one a line in ``classes.txt``.
The text file of ``…/images/a/b.jpg`` is ``…/labels/a/b.txt``; a picture without one has no object.

What it cannot hold: crowd boxes, and a picture's size, which is read from the picture. Its splits ``train``,
``val`` and ``test`` are read as one set of labels.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import Repr
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from catseye.errors import InputError
from catseye.files import fsync
from catseye.pretrain.label_faults import read_text, refuse, refuse_repeats
from catseye.pretrain.label_formats.assembly import Boxes, Picture, Wording, assemble
from catseye.pretrain.labels import LabelledImage, Labels
from catseye.pretrain.picture_size import picture_size

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
META_FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")

_SPLITS = ("train", "val", "test")
_NAME_FILES = ("classes.txt", "labels/classes.txt", "obj.names")
_REMEDY = "correct the labels, or export them again as YOLO (Ultralytics) for detection"
_NO_PICTURES = "put the pictures into images/ beside labels/, or give their folder with --images"
_MOST_META_BYTES = 1 << 20
_MOST_TEXT_BYTES = 1 << 26
_Line = tuple[int, int, list[str]]
"""Index of the picture, number of the line, columns."""
_shortened = Repr()
_shortened.maxstring = 120


@dataclass(frozen=True)
class _Layout:
    """Where everything is.

    Args:
        path: what errors name.
        folder: that file names are relative to.
        pictures, texts: each picture, and the file of its boxes, which need not be there.
        label_folders: that hold nothing but text files of pictures.
    """

    path: Path
    classes: tuple[str, ...]
    folder: Path
    pictures: tuple[Path, ...]
    texts: tuple[Path, ...]
    label_folders: frozenset[Path]


def is_yolo_folder(folder: Path) -> bool:
    return _meta_file(folder) is not None or (folder / "labels").is_dir()


def yolo_images_folder(path: Path) -> Path:
    """The folder that file names are relative to: ``images`` at the root if that holds all, else the root.

    Raises:
        InputError: there are no such labels, or no picture.
    """
    return _find(path, None).folder


def read_yolo(path: str | Path, *, images: Path | None = None, clip: bool = True) -> Labels:
    """Read YOLO labels.

    Args:
        path: ``data.yaml``, or the folder that has it, or one with ``images/``, ``labels/`` and the names.
        images: where the pictures are, instead of ``images/`` at the root.
        clip: False leaves boxes that reach over the border as they are.

    Raises:
        InputError: there are no such labels or no picture, a text file has no picture, a picture cannot be
            read, a line has another number of columns or what is no number, a class has no name, or a box is
            not finite, has no area or lies outside.
    """
    layout = _find(Path(path), images)
    _refuse_orphans(layout)
    lines: list[_Line] = []
    for index, text in enumerate(layout.texts):
        if text.is_file():
            content = read_text(text, remedy=_REMEDY, most_bytes=_MOST_TEXT_BYTES)
            columns = map(str.split, content.split("\n"))
            lines += [(index, number, found) for number, found in enumerate(columns, start=1) if found]
    pictures = [
        Picture(each.relative_to(layout.folder).as_posix(), *picture_size(each)) for each in layout.pictures
    ]
    wording = Wording("lines", lambda row: _described(layout, *lines[row]), _REMEDY)
    values = _numbers(lines, layout.path, wording)
    known = np.isin(values[:, 0], np.arange(len(layout.classes)))
    fault = f"have a class that is not one of the {len(layout.classes)} named"
    refuse(~known, layout.path, wording.boxes, fault, wording.first, _REMEDY)
    owners = np.array([index for index, _, _ in lines], dtype=np.int64)
    sizes = np.array([(p.width, p.height) for p in pictures], dtype=np.float64)[owners]
    centres, halves = values[:, 1:3] * sizes, values[:, 3:5] * sizes / 2
    boxes = Boxes(
        images=owners,
        classes=values[:, 0].astype(np.int32),
        corners=np.concatenate([centres - halves, centres + halves], axis=1),
        crowd=np.zeros(len(values), dtype=np.bool_),
        scores=values[:, 5],
    )
    return assemble(layout.path, layout.classes, pictures, boxes, wording, clip=clip)


def write_yolo(labels: Labels, folder: Path, *, images: Path | None = None) -> None:
    """Write ``data.yaml`` and ``labels/`` into a new folder, which appears when it is complete.

    Numbers have ten significant digits: corners are the same to within a thousandth of a pixel. A picture
    without boxes gets an empty file.

    Args:
        images: the pictures' folder; each is linked to below ``images/`` of the new folder, without which
            the labels cannot be read again.

    Raises:
        InputError: there are crowd boxes, two pictures whose text file would be the same, a name that is no
            path of a picture below a folder, a folder there already, or no permission to write it.
    """
    _refuse_what_yolo_cannot_hold(labels, folder)
    sources = None if images is None else labels.pictures(images)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(folder, "is there already", "name a folder that is not there yet")
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        for place in (aside / "images", aside / "labels"):
            place.mkdir(parents=True)
        for number, image in enumerate(labels.images):
            text = aside / _text_of(Path("images", image.file_name))
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text(_lines(image))
            fsync(text)
            if sources is not None:
                link = aside / "images" / image.file_name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(sources[number].resolve())
        names = dict(enumerate(labels.classes))
        meta = {"train": "images", "val": "images", "names": names}
        (aside / META_FILES[0]).write_text(yaml.safe_dump(meta, allow_unicode=True, sort_keys=False), "utf-8")
        fsync(aside / META_FILES[0])
        fsync(aside)
        aside.replace(folder)
        fsync(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _find(path: Path, images: Path | None) -> _Layout:
    meta = _meta_file(path) if path.is_dir() else path
    root = path if path.is_dir() else path.parent
    document: dict[str, Any] = {}
    if meta is None:
        classes = _listed_names(root)
    else:
        document = _read_meta(meta)
        classes = _names(document.get("names"), meta)
        root = _root(document, meta)
    root = Path(os.path.abspath(root))  # noqa: PTH100  # resolve would follow links out of the folder
    named = meta or path
    if images is not None:
        pictures, folder = _pictures_below(images), images
        texts = [_text_of(root / "images" / each.relative_to(images)) for each in pictures]
        label_folders = {root / "labels"}
    else:
        folders, pictures = _named_pictures(document, root, named)
        texts = [_text_of(each) for each in pictures]
        label_folders = {_text_of(each / "_").parent for each in folders if "images" in each.parts}
        folder = root / "images"
        if not all(each.is_relative_to(folder) for each in pictures):
            folder = root
    label_folders |= {text.parent for text in texts if "labels" in text.parts}
    if not pictures:
        raise InputError(named, "has no picture", _NO_PICTURES)
    outside = [each for each in pictures if not each.is_relative_to(folder)]
    if outside:
        fault = f"{len(outside)} of its {len(pictures)} pictures are not below {folder}, first {outside[0]}"
        raise InputError(named, fault, "keep them together, and let 'path' name the folder of all")
    repeated = [str(text) for text in texts]
    refuse_repeats(repeated, named, "text file of two pictures", "give each picture a name of its own")
    return _Layout(named, classes, folder, tuple(pictures), tuple(texts), frozenset(label_folders))


def _meta_file(folder: Path) -> Path | None:
    """The YAML file that names the classes: one of the usual names, or the only one."""
    for name in META_FILES:
        if (folder / name).is_file():
            return folder / name
    others = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    return others[0] if len(others) == 1 else None


def _read_meta(path: Path) -> dict[str, Any]:
    text = read_text(path, remedy=_REMEDY, most_bytes=_MOST_META_BYTES)
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        place = "" if where is None else f" (line {where.line + 1})"
        raise InputError(path, f"is not YAML{place}", _REMEDY) from None
    if not isinstance(document, dict) or "names" not in document:
        raise InputError(path, "has no 'names' of classes", _REMEDY)
    return document


def _names(names: object, path: Path) -> tuple[str, ...]:
    """Class names as a list, or as a mapping from 0, 1, …"""
    if isinstance(names, dict):
        if list(names) != list(range(len(names))):
            fault = f"'names' has the keys {_shortened.repr(list(names))}, which are not 0, 1, …"
            raise InputError(path, fault, _REMEDY)
        names = list(names.values())
    if not isinstance(names, list) or not names:
        raise InputError(path, "'names' is no list of classes", _REMEDY)
    wrong = [name for name in names if isinstance(name, bool) or not isinstance(name, (str, int, float))]
    if wrong:
        fault = f"{len(wrong)} of {len(names)} class names are no text, first {_shortened.repr(wrong[0])}"
        raise InputError(path, fault, "put class names between quotes")
    return tuple(map(str, names))


def _listed_names(root: Path) -> tuple[str, ...]:
    for place in _NAME_FILES:
        if (root / place).is_file():
            lines = read_text(root / place, remedy=_REMEDY, most_bytes=_MOST_META_BYTES).split("\n")
            if names := tuple(line.strip() for line in lines if line.strip()):
                return names
    raise InputError(root, "does not name its classes", "add data.yaml with 'names', or classes.txt")


def _root(document: dict[str, Any], meta: Path) -> Path:
    """The folder that ``path`` names; the YAML file's own where that is of another machine."""
    given = document.get("path")
    root = meta.parent / given if isinstance(given, str) else meta.parent
    return root if root.is_dir() else meta.parent


def _named_pictures(document: dict[str, Any], root: Path, named: Path) -> tuple[list[Path], list[Path]]:
    """The folders that splits name, ``images`` where none does, and all pictures, each once."""
    entries: list[str] = []
    for split in _SPLITS:
        value = document.get(split)
        entries += [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]
    folders: list[Path] = []
    found: dict[Path, None] = {}
    for entry in entries or ["images"]:
        place = root / entry
        if not place.exists() and entry.startswith("../"):
            # Written for a YAML file that is read from a folder further down, as Roboflow does.
            place = root / entry[len("../") :]
        place = Path(os.path.normpath(place))
        if place.is_dir():
            folders.append(place)
            found |= dict.fromkeys(_pictures_below(place))
        elif place.suffix == ".txt" and place.is_file():
            found |= dict.fromkeys(_listed_pictures(place, root))
        else:
            raise InputError(named, f"has no {entry!r} in {root}", _NO_PICTURES)
    return folders, list(found)


def _pictures_below(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())


def _listed_pictures(path: Path, root: Path) -> list[Path]:
    lines = [line.strip() for line in read_text(path, remedy=_REMEDY).split("\n") if line.strip()]
    places = [path.parent / line if line.startswith("./") else root / line for line in lines]
    first = lines.__getitem__
    refuse([not p.is_file() for p in places], path, "pictures", "are not there", first, _NO_PICTURES)
    return places


def _text_of(picture: Path) -> Path:
    """Where a picture's boxes are: ``labels`` in place of the last folder ``images`` in its path."""
    parts = list(picture.with_suffix(".txt").parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts)


def _refuse_orphans(layout: _Layout) -> None:
    """Refuse text files in the folders of labels that belong to no picture: their pictures are missing."""
    expected = set(layout.texts)
    there = {text for folder in layout.label_folders if folder.is_dir() for text in folder.rglob("*.txt")}
    texts = sorted(text for text in there if text in expected or text.name != "classes.txt")
    refuse(
        [text not in expected for text in texts],
        layout.path,
        "text files",
        f"have no picture in {layout.folder}",
        lambda row: str(texts[row]),
        _NO_PICTURES,
    )


def _numbers(lines: Sequence[_Line], path: Path, wording: Wording) -> NDArray[np.float64]:
    """(N, 6) class, x, y, width, height, score; NaN for a score that is not there."""
    counts = np.array([len(columns) for _, _, columns in lines], dtype=np.int64)
    fault = "have not 5 columns (class x y width height), nor a score as a sixth"
    refuse((counts != 5) & (counts != 6), path, wording.boxes, fault, wording.first, _REMEDY)
    filled = [columns if len(columns) == 6 else [*columns, "nan"] for _, _, columns in lines]
    try:
        return np.array(filled, dtype=np.float64).reshape(-1, 6)
    except ValueError:
        wrong = [not all(map(_is_number, columns)) for columns in filled]
        refuse(wrong, path, wording.boxes, "have what is no number", wording.first, _REMEDY)
        raise


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _described(layout: _Layout, index: int, number: int, columns: list[str]) -> str:
    return f"line {number} of {layout.texts[index]}: {_shortened.repr(' '.join(columns[:10]))}"


def _lines(image: LabelledImage) -> str:
    """A picture's text file."""
    size = np.array([image.width, image.height], dtype=np.float64)
    corners = image.boxes.astype(np.float64)
    shares = np.concatenate(
        [(corners[:, :2] + corners[:, 2:]) / 2 / size, (corners[:, 2:] - corners[:, :2]) / size], axis=1
    )
    scores = [()] * len(shares) if image.scores is None else [(score,) for score in image.scores.tolist()]
    rows = zip(image.classes.tolist(), shares.tolist(), scores, strict=True)
    return "".join(f"{index} {' '.join(f'{v:.10g}' for v in (*row, *score))}\n" for index, row, score in rows)


def _refuse_what_yolo_cannot_hold(labels: Labels, folder: Path) -> None:
    crowds = [int(image.crowd.sum()) for image in labels.images]
    if any(crowds):
        first = labels.images[next(i for i, count in enumerate(crowds) if count)].file_name
        fault = f"cannot hold the {sum(crowds)} crowd boxes of {labels.path} as YOLO, first in {first!r}"
        raise InputError(folder, fault, "write COCO or CVAT, or leave them out (--without-crowd)")
    names = [image.file_name for image in labels.images]
    remedy = "rename the pictures, or write COCO or CVAT"
    wrong = [not _is_picture_path(name) for name in names]
    fault = "cannot be the path of a picture below images/"
    refuse(wrong, folder, "file names", fault, lambda row: repr(names[row]), remedy)
    texts = [str(_text_of(Path("images", name))) for name in names]
    refuse_repeats(texts, folder, "text file of two pictures", remedy)


def _is_picture_path(name: str) -> bool:
    path = Path(name)
    return (
        str(path) == name
        and "\0" not in name
        and not path.is_absolute()
        and ".." not in path.parts
        and path.suffix.lower() in SUFFIXES
    )
