"""CVAT for images 1.1: one XML file, boxes by their corners in pixels.

The format is described at https://docs.cvat.ai/docs/manual/advanced/xml_format/. Crowd boxes have the
attribute ``is_crowd``, a detector's boxes the attribute ``score``, as CVAT's own exchange with COCO names
them; the tool keeps them where the task's labels have attributes of these names, as the files written here
say. It holds all that ``Labels`` do, exactly.

Read are rectangles. Image tags, and what else a rectangle has (occluded, z-order, other attributes), are
passed over; other shapes, rotated rectangles and the tracks of CVAT for video are refused.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from catseye.errors import InputError
from catseye.files import write_text
from catseye.pretrain.label_faults import refuse, refuse_repeats
from catseye.pretrain.label_formats.assembly import Boxes, Picture, Wording, assemble
from catseye.pretrain.labels import LabelledImage, Labels

ANNOTATIONS = "annotations.xml"

_REMEDY = "correct the file, or export it again as 'CVAT for images 1.1'"
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_OTHER_SHAPES = frozenset({"polygon", "polyline", "points", "ellipse", "cuboid", "mask", "skeleton"})
_BOX_TYPES = frozenset({"any", "rectangle", "bbox"})
_CROWD, _SCORE = "is_crowd", "score"
_TRUE = frozenset({"true", "1", "yes"})
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOG = logging.getLogger(__name__)


def read_cvat(path: str | Path, *, clip: bool = True) -> Labels:
    """Read CVAT's ``annotations.xml``, or that of a folder.

    Classes are those of the file's ``meta`` part that may be rectangles, in its order; where it has none,
    they are in the order in which boxes name them. The file is parsed as a stream; a document type, and with
    it every entity of its own, is refused.

    Args:
        clip: False leaves boxes that reach over the border as they are.

    Raises:
        InputError: the file is absent, is not well-formed or of another kind, an image occurs twice or has no
            size, there are shapes other than upright rectangles, a label is not listed, or a box is not
            finite, has no area or lies outside.
    """
    path = Path(path)
    path = path / ANNOTATIONS if path.is_dir() else path
    found = _parse(path)
    if found.tracks:
        fault = f"has {found.tracks} tracks, as CVAT for video has them"
        raise InputError(path, fault, "export it as 'CVAT for images 1.1'")
    if found.shapes:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.shapes.items()))
        raise InputError(path, f"has shapes that are no boxes: {kinds}", "draw rectangles in their place")
    if found.tags:
        _LOG.warning("%s: %d image tags are passed over: they are no boxes", path, found.tags)
    refuse_repeats([image.get("id") for image in found.images if "id" in image], path, "image id", _REMEDY)
    pictures = [_picture(image, path) for image in found.images]
    classes = found.classes or list(dict.fromkeys(box.label for box in found.boxes))
    refuse_repeats(classes, path, "label", _REMEDY)
    wording = Wording("boxes", lambda row: _described(found.boxes[row], pictures), _REMEDY)

    def check(wrong: list[bool], fault: str) -> None:
        refuse(wrong, path, wording.boxes, fault, wording.first, _REMEDY)

    index = {name: number for number, name in enumerate(classes)}
    check([box.label not in index for box in found.boxes], "have a label not listed")
    check([_number(box.rotation) != 0 for box in found.boxes], "are rotated")
    scores = [_number(box.score) for box in found.boxes]
    unknown = [bool(box.score) and math.isnan(score) for box, score in zip(found.boxes, scores, strict=True)]
    check(unknown, "have a score that is no number")
    boxes = Boxes(
        images=np.array([box.image for box in found.boxes], dtype=np.int64),
        classes=np.array([index[box.label] for box in found.boxes], dtype=np.int32),
        corners=np.array([[_number(v) for v in box.corners] for box in found.boxes]).reshape(-1, 4),
        crowd=np.array([box.crowd for box in found.boxes], dtype=np.bool_),
        scores=np.array(scores, dtype=np.float64),
    )
    return assemble(path, classes, pictures, boxes, wording, clip=clip)


def write_cvat(labels: Labels, path: Path) -> None:
    """Write CVAT's XML; reading it gives the same float32 boxes.

    Raises:
        InputError: two classes have one name, or a name has a character that XML has not.
    """
    refuse_repeats(labels.classes, path, "class name", "rename a class, or write COCO")
    names = [*labels.classes, *(image.file_name for image in labels.images)]
    wrong = [_UNWRITABLE.search(name) is not None for name in names]
    fault = "have a character that XML cannot hold"
    refuse(wrong, path, "names", fault, lambda row: repr(names[row]), "rename it, or write COCO")
    images = "".join(_image(number, image, labels.classes) for number, image in enumerate(labels.images))
    write_text(path, f"{_head(labels)}{images}</annotations>\n")


@dataclass
class _Box:
    image: int
    label: str
    corners: tuple[str, ...]
    rotation: str
    crowd: bool = False
    score: str = ""


@dataclass
class _Found:
    """What a file has, as it stands there."""

    classes: list[str] = field(default_factory=list)
    images: list[dict[str, str]] = field(default_factory=list)
    boxes: list[_Box] = field(default_factory=list)
    shapes: Counter[str] = field(default_factory=Counter)
    tags: int = 0
    tracks: int = 0


class _Reader:
    """Takes the parser's events. ``place`` are the names of the elements that are open, outermost first."""

    def __init__(self, path: Path) -> None:
        self.found = _Found()
        self._path = path
        self._place: list[str] = []
        self._text: list[str] = []
        self._attribute = ""
        self._label, self._type = "", ""

    def doctype(self, *_: object) -> None:
        raise InputError(self._path, "has a document type, which CVAT's files have not", _REMEDY)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._place and name != "annotations":
            raise InputError(self._path, f"is XML of <{name[:40]}>, not CVAT's <annotations>", _REMEDY)
        parent = self._place[-1] if self._place else ""
        self._place.append(name)
        self._text = []
        if name == "box" and parent == "image":
            self.found.boxes.append(
                _Box(
                    image=len(self.found.images) - 1,
                    label=attributes.get("label", ""),
                    corners=tuple(attributes.get(corner, "") for corner in _CORNERS),
                    rotation=attributes.get("rotation", "0"),
                )
            )
        elif name == "image" and parent == "annotations":
            self.found.images.append(attributes)
        elif name == "attribute" and parent == "box":
            self._attribute = attributes.get("name", "")
        elif name == "track":
            self.found.tracks += 1
        elif parent == "image" and name in _OTHER_SHAPES:
            self.found.shapes[name] += 1
        elif parent == "image" and name == "tag":
            self.found.tags += 1
        elif name == "label" and parent == "labels":
            self._label, self._type = "", "any"

    def text(self, text: str) -> None:
        self._text.append(text)

    def end(self, name: str) -> None:
        self._place.pop()
        parent = self._place[-1] if self._place else ""
        text = "".join(self._text)
        if name == "attribute" and parent == "box":
            if self._attribute == _CROWD:
                self.found.boxes[-1].crowd = text.strip().lower() in _TRUE
            elif self._attribute == _SCORE:
                self.found.boxes[-1].score = text.strip()
        elif parent == "label" and name == "name":
            self._label = text
        elif parent == "label" and name == "type":
            self._type = text.strip()
        elif name == "label" and parent == "labels" and self._type in _BOX_TYPES:
            self.found.classes.append(self._label)
        self._text = []


def _parse(path: Path) -> _Found:
    reader = _Reader(path)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except FileNotFoundError:
        raise InputError(path, "no such file", "check the path") from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", _REMEDY) from None
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise InputError(path, f"is not well-formed XML ({error})", _REMEDY) from None
    return reader.found


def _picture(image: dict[str, str], path: Path) -> Picture:
    name = image.get("name", "")
    sides = [image.get(side, "") for side in ("width", "height")]
    if not name or not all(re.fullmatch("[0-9]{1,6}", side) and int(side) for side in sides):
        fault = f"image {name!r} has no name or size (width {sides[0]!r}, height {sides[1]!r})"
        raise InputError(path, fault, _REMEDY)
    return Picture(name, int(sides[0]), int(sides[1]))


def _number(text: str) -> float:
    """NaN for what is no number."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _described(box: _Box, pictures: list[Picture]) -> str:
    corners = " ".join(f"{name}={value[:20]}" for name, value in zip(_CORNERS, box.corners, strict=True))
    return f"{box.label[:40]!r} in {pictures[box.image].file_name!r} with {corners}"


def _head(labels: Labels) -> str:
    scored = any(image.scores is not None for image in labels.images)
    attributes = _attribute_kind(_CROWD, "checkbox", "false", "false")
    attributes += _attribute_kind(_SCORE, "text", "", "") if scored else ""
    kinds = "".join(
        f"<label><name>{_escaped(name)}</name><type>rectangle</type>"
        f"<attributes>{attributes}</attributes></label>"
        for name in labels.classes
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task>'
        f"<size>{len(labels.images)}</size><mode>annotation</mode><labels>{kinds}</labels></task></meta>\n"
    )


def _attribute_kind(name: str, kind: str, default: str, values: str) -> str:
    return (
        f"<attribute><name>{name}</name><mutable>False</mutable><input_type>{kind}</input_type>"
        f"<default_value>{default}</default_value><values>{values}</values></attribute>"
    )


def _image(number: int, image: LabelledImage, classes: tuple[str, ...]) -> str:
    name = quoteattr(image.file_name)
    lines = [f'<image id="{number}" name={name} width="{image.width}" height="{image.height}">\n']
    source = "manual" if image.scores is None else "auto"
    # The shortest decimals that name a float32.
    corners = image.boxes.astype(np.float32).astype(str).tolist()
    scores = [""] * len(corners) if image.scores is None else image.scores.astype(str).tolist()
    labels = [quoteattr(name) for name in classes]
    for index, box, crowd, score in zip(image.classes.tolist(), corners, image.crowd, scores, strict=True):
        places = " ".join(f'{name}="{value}"' for name, value in zip(_CORNERS, box, strict=True))
        attributes = _attribute(_CROWD, "true") if crowd else ""
        attributes += _attribute(_SCORE, score) if score else ""
        opening = f'<box label={labels[index]} source="{source}" occluded="0" {places} z_order="0">'
        lines.append(f"{opening}{attributes}</box>\n")
    return "".join([*lines, "</image>\n"])


def _attribute(name: str, value: str) -> str:
    return f'<attribute name="{name}">{value}</attribute>'


def _escaped(text: str) -> str:
    """Text in which no parser turns one line end into another."""
    return escape(text, {"\r": "&#13;"})
