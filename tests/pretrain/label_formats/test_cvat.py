"""CVAT's XML as the tool writes it, and what is wrong or hostile in it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from catseye.errors import InputError
from catseye.pretrain.label_formats import images_folder, read_labels

HEAD = '<?xml version="1.0" encoding="utf-8"?>'
META = (
    "<version>1.1</version><meta><task><id>7</id><name>drive</name><labels>"
    "<label><name>car</name><color>#fa3253</color><type>rectangle</type><attributes></attributes></label>"
    "<label><name>rainy</name><type>tag</type><attributes></attributes></label>"
    "<label><name>bus</name><type>any</type><attributes><attribute><name>is_crowd</name></attribute>"
    "</attributes></label></labels></task><dumped>2026-01-01</dumped></meta>"
)
BOX = 'label="bus" source="manual" occluded="0" xtl="10.50" ytl="20" xbr="40.25" ybr="30" z_order="0"'


def write(
    folder: Path, *images: str, meta: str = META, head: str = '<?xml version="1.0" encoding="utf-8"?>'
) -> Path:
    path = folder / "annotations.xml"
    path.write_text(f"{head}\n<annotations>{meta}{''.join(images)}</annotations>\n")
    return path


def image(*shapes: str, name: str = "a.jpg", number: int = 0, size: str = 'width="100" height="60"') -> str:
    return f'<image id="{number}" name="{name}" {size}>{"".join(shapes)}</image>'


def box(attributes: str = BOX, content: str = "") -> str:
    return f"<box {attributes}>{content}</box>"


def test_an_export_of_the_tool(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    crowd = '<attribute name="is_crowd">true</attribute><attribute name="colour">red</attribute>'
    score = '<attribute name="score"> 0.25 </attribute>'
    path = write(
        tmp_path,
        image(box(content=crowd), box(content=score), '<tag label="rainy" source="manual"></tag>'),
        image(name="sub/b &amp; c.jpg", number=1),
    )
    with caplog.at_level(logging.WARNING, "catseye"):
        labels = read_labels(path)
    assert "1 image tags are passed over" in caplog.text
    assert labels.classes == ("car", "bus")
    a, b = labels.images
    np.testing.assert_array_equal(a.boxes, np.float32([[10.5, 20, 40.25, 30]] * 2))
    assert a.classes.tolist() == [1, 1] and a.crowd.tolist() == [True, False]
    assert a.scores is not None and a.scores.tolist() == [1, 0.25]
    assert b.file_name == "sub/b & c.jpg" and len(b.boxes) == 0 and b.scores is None
    assert read_labels(tmp_path).digest() == labels.digest()
    assert images_folder(tmp_path) == images_folder(path) == tmp_path / "images"


def test_without_a_list_of_labels_they_are_those_that_boxes_name(tmp_path: Path) -> None:
    other = BOX.replace("bus", "van")
    labels = read_labels(write(tmp_path, image(box(other), box(), box(other)), meta=""))
    assert labels.classes == ("van", "bus") and labels.images[0].classes.tolist() == [0, 1, 0]


def changed(**values: str) -> str:
    attributes = dict(part.split("=") for part in BOX.split())
    return box(
        " ".join(f"{k}={v}" for k, v in {**attributes, **{k: f'"{v}"' for k, v in values.items()}}.items())
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (image(), "has no annotation"),
        (
            image(box(), changed(label="tram")),
            "1 of 2 boxes have a label not listed, first 'tram' in 'a",
        ),
        (image(changed(label="rainy")), "have a label not listed"),
        (image(changed(xtl="nan")), "1 of 1 boxes have no finite bbox"),
        (image(changed(xtl="wide")), "have no finite bbox, first 'bus' in 'a.jpg' with xtl=wide ytl=20"),
        (image(changed(xtl="1e999")), "have no finite bbox"),
        (image("<box label='bus'/>"), "have no finite bbox"),
        (image(changed(xbr="10.5")), "have a box without area"),
        (image(changed(xtl="100", xbr="120")), "have a box outside the image"),
        (image(changed(rotation="30.0")), "1 of 1 boxes are rotated"),
        (image(box(content='<attribute name="score">high</attribute>')), "have a score that is no number"),
        (image(box(content='<attribute name="score">7</attribute>')), "have a score outside 0 to 1"),
        (image(box()) + image(box(), name="b.jpg"), "image id '0' occurs twice"),
        (image(box()) + image(box(), number=1), "file_name 'a.jpg' occurs twice"),
        (image(box(), size='width="0" height="60"'), "image 'a.jpg' has no name or size (width '0'"),
        (image(box(), size='width="-5" height="1e3"'), "image 'a.jpg' has no name or size"),
        (
            image(box(), '<polygon label="car" points="1,2;3,4;5,6"/>' * 3),
            "has shapes that are no boxes: 3 polygon",
        ),
        ('<track id="0" label="car"><box frame="0"/></track>', "has 1 tracks, as CVAT for video has them"),
        (image(box()) + "<image", "is not well-formed XML"),
    ],
)
def test_broken_labels_get_one_line(tmp_path: Path, content: str, says: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_labels(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and says in message and "\n" not in message


def test_entities_are_refused_before_they_grow_or_read_anything(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("bus")
    laughs = "".join(f'<!ENTITY l{k + 1} "{f"&l{k};" * 10}">' for k in range(9))
    for kind in (
        f'<!DOCTYPE annotations [<!ENTITY l0 "ha">{laughs}]>',
        f'<!DOCTYPE annotations [<!ENTITY l9 SYSTEM "file://{secret}">]>',
        '<!DOCTYPE annotations SYSTEM "http://127.0.0.1:1/a.dtd">',
    ):
        path = write(tmp_path, image(box(BOX.replace("bus", "&l9;"))), meta="", head=kind)
        with pytest.raises(InputError, match="has a document type"):
            read_labels(path)
    with pytest.raises(InputError, match=r"is not well-formed XML \(undefined entity"):
        read_labels(write(tmp_path, image(box(BOX.replace("bus", "&l9;"))), meta=""))


def test_encodings(tmp_path: Path) -> None:
    path = write(tmp_path, image(box(), name="ä.jpg"))
    text = path.read_text()
    for encoding in ("utf-8-sig", "utf-16", "iso-8859-1"):
        path.write_bytes(text.replace("utf-8", encoding.removesuffix("-sig")).encode(encoding))
        assert read_labels(path).images[0].file_name == "ä.jpg"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="is not well-formed XML"):
        read_labels(path)


def test_deep_nesting_and_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text("<annotations>" + "<a>" * 200_000)
    with pytest.raises(InputError, match="is not well-formed XML"):
        read_labels(path)
    path.write_bytes(b"<" + bytes(range(1, 256)) * 1000)
    with pytest.raises(InputError, match="is not well-formed XML"):
        read_labels(path)
