"""The size of pictures, from their headers."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from catseye.errors import InputError
from catseye.pretrain.label_faults import refuse
from catseye.pretrain.labels import Labels

_ORIENTATION = 0x0112
_LYING = range(5, 9)
_REMEDY = "copy it again, or take it out of the labels"


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels as a decoder gives it, which turns it as its Exif orientation says.

    Raises:
        InputError: it is not there, or is no picture.
    """
    try:
        with warnings.catch_warnings():
            # It is for those who decode.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(path)
        with picture:
            width, height = picture.size
            lying = "exif" in picture.info and picture.getexif().get(_ORIENTATION) in _LYING
    except FileNotFoundError:
        raise InputError(
            path, "no such file", "give the folder of images that belongs to these labels"
        ) from None
    except Image.DecompressionBombError as error:
        raise InputError(path, f"is no picture to decode ({error})", _REMEDY) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise InputError(path, "is not a readable picture", _REMEDY) from None
    return (height, width) if lying else (width, height)


def labelled_pictures(labels: Labels, folder: Path) -> tuple[Path, ...]:
    """Where the labelled pictures are, below ``folder``.

    Raises:
        InputError: one is not there, is no picture, or is not of the size that its labels refer to.
    """
    paths = labels.pictures(folder)
    sizes = [picture_size(path) for path in paths]
    told = [(image.width, image.height) for image in labels.images]

    def first(row: int) -> str:
        (width, height), (told_width, told_height) = sizes[row], told[row]
        name = labels.images[row].file_name
        return f"{name!r} is {width}x{height}, but its labels are for {told_width}x{told_height}"

    wrong = [size != other for size, other in zip(sizes, told, strict=True)]
    fault = "are of another size"
    refuse(wrong, labels.path, f"pictures in {folder}", fault, first, "give the pictures that were labelled")
    return paths
