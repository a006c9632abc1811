"""Label files: COCO JSON, YOLO and CVAT for images, told apart by what is in them."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Literal, get_args

from catseye.errors import InputError, UsageError
from catseye.pretrain.label_formats.coco import read_coco, write_coco
from catseye.pretrain.label_formats.cvat import ANNOTATIONS, read_cvat, write_cvat
from catseye.pretrain.label_formats.yolo import is_yolo_folder, read_yolo, write_yolo, yolo_images_folder
from catseye.pretrain.labels import Labels

__all__ = ["Form", "form_of", "images_folder", "read_labels", "write_labels"]

Form = Literal["coco", "yolo", "cvat"]

_HEAD_BYTES = 4096
_FORMS = "give COCO JSON, YOLO's data.yaml or its folder, or CVAT's annotations.xml"
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_labels(path: str | Path, *, images: Path | None = None, clip: bool = True) -> Labels:
    """Read labels of any of the formats.

    Args:
        path: COCO JSON; YOLO's ``data.yaml``, or its folder; CVAT's XML, or the folder it was unpacked into.
        images: folder of the pictures; only YOLO's labels, which do not say how large they are, need them to
            be read.
        clip: cut boxes off at the border of their image.

    Raises:
        InputError: there is nothing at ``path``, it is of no known format, or it is broken; see the readers.
    """
    path = Path(path)
    form = form_of(path)
    if form == "yolo":
        return read_yolo(path, images=images, clip=clip)
    return (read_cvat if form == "cvat" else read_coco)(path, clip=clip)


def write_labels(labels: Labels, path: str | Path, *, form: Form, images: Path | None = None) -> None:
    """Write labels; what is at ``path`` is the old file or the whole new one.

    Args:
        path: a file for COCO and CVAT, a new folder for YOLO.
        images: only for YOLO, see ``write_yolo``.

    Raises:
        UsageError: ``form`` is none of the formats.
        InputError: the format cannot hold these labels, or ``path`` is not what it must be.
    """
    if form not in get_args(Form):
        raise UsageError(f"label format {form!r}: is one of {', '.join(get_args(Form))}")
    path = Path(path)
    try:
        if form == "yolo":
            write_yolo(labels, path, images=images)
        elif path.is_dir():
            raise InputError(path, "is a folder", "name the file to write")
        else:
            (write_cvat if form == "cvat" else write_coco)(labels, path)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise InputError(path, f"cannot be written ({error.strerror})", "name another place") from None


def images_folder(path: str | Path) -> Path:
    """The folder that the file names of labels are relative to, where no other is given.

    Raises:
        InputError: there is nothing at ``path``, or it is of no known format.
    """
    path = Path(path)
    if form_of(path) == "yolo":
        return yolo_images_folder(path)
    return (path if path.is_dir() else path.parent) / "images"


def form_of(path: Path) -> Form:
    """Tell the format by the content of a file or folder.

    Raises:
        InputError: there is nothing at ``path``, or it is of no known format.
    """
    if path.is_dir():
        if is_yolo_folder(path):
            return "yolo"
        if (path / ANNOTATIONS).is_file():
            return "cvat"
        raise InputError(path, "is a folder without labels in it", _FORMS)
    head = _head(path)
    if head.startswith("PK\x03\x04"):
        raise InputError(path, "is a ZIP archive", "unpack it, and give what is in it")
    start = head.lstrip()[:1]
    if start == "<":
        return "cvat"
    if start in ("{", "[") or path.suffix.lower() == ".json":
        return "coco"
    if path.suffix.lower() in (".yaml", ".yml"):
        return "yolo"
    raise InputError(path, "is of no known label format", _FORMS)


def _head(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise InputError(path, "no such file", "check the path") from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", _FORMS) from None
    encoding = next((name for bom, name in _BOMS.items() if content.startswith(bom)), "latin-1")
    return content.decode(encoding, errors="replace")
