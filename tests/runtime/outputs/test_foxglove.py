"""Messages as Foxglove's own definitions have them, by its package for Protobuf: the same fields by the same
names, of which JSON differs in its times alone."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import datetime, timezone
from fractions import Fraction
from importlib import import_module
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Planes
from catseye.runtime.outputs.foxglove import (
    camera_calibration,
    compressed_image,
    image_annotations,
    jpeg,
    picture_size,
    scene_update,
    time_ns,
)
from catseye.runtime.outputs.foxglove_schemas import RECORD, schema_text

from .sights import CAMERA, HEIGHT, STARTED_NS, WIDTH, a_frame, a_result

AT_NS = STARTED_NS + 40_000_007
PICTURE = (WIDTH, HEIGHT)


def messages() -> dict[str, dict[str, Any]]:
    result = a_result(1, live=True)
    picture = jpeg(a_frame(1).planes, PICTURE)
    return {
        "CompressedImage": json.loads(compressed_image(picture, at_ns=AT_NS, frame_id='"front"')),
        "ImageAnnotations": image_annotations(result, PICTURE, at_ns=AT_NS),
        "CameraCalibration": camera_calibration(CAMERA, PICTURE, at_ns=AT_NS, frame_id="front"),
        "SceneUpdate": scene_update(result, CAMERA, at_ns=AT_NS, frame_id="front"),
    }


def as_protobuf_writes_it(value: Any) -> Any:
    """Times and spans as text, the one thing that Foxglove's JSON writes otherwise."""
    if isinstance(value, list):
        return [as_protobuf_writes_it(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"sec", "nsec"}:
        if value["sec"] < 1e9:
            return f"{value['sec']}.{value['nsec']:09}s"
        moment = datetime.fromtimestamp(value["sec"], timezone.utc)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{value['nsec']:09}Z"
    return {key: as_protobuf_writes_it(item) for key, item in value.items()}


@pytest.mark.parametrize("name", ["CompressedImage", "ImageAnnotations", "CameraCalibration", "SceneUpdate"])
def test_every_field_is_one_of_foxgloves(name: str) -> None:
    pytest.importorskip("foxglove_schemas_protobuf", reason="Foxglove's definitions are not installed")
    from google.protobuf.json_format import ParseDict

    message = messages()[name]
    definition = getattr(import_module(f"foxglove_schemas_protobuf.{name}_pb2"), name)
    taken = ParseDict(as_protobuf_writes_it(message), definition())
    assert taken.ByteSize() > 50
    # Each field is there, also one that holds nothing, but for the ones it calls optional.
    given = schema_fields(json.loads(schema_text(f"foxglove.{name}")))
    assert given == protobuf_fields(definition.DESCRIPTOR, given)


def schema_fields(schema: dict[str, Any]) -> dict[str, Any]:
    """Names of fields, nested."""
    if schema["type"] == "array":
        return schema_fields(schema["items"])
    return {name: schema_fields(field) for name, field in schema.get("properties", {}).items()}


def _is_optional(field: Any) -> bool:
    """``metadata`` of annotations is, in the definitions that viewers have used for years."""
    return field.containing_oneof is not None or field.name == "metadata"


def protobuf_fields(descriptor: Any, given: dict[str, Any]) -> dict[str, Any]:
    if descriptor.full_name.startswith("google.protobuf."):
        return {"sec": {}, "nsec": {}}
    return {
        field.name: protobuf_fields(field.message_type, given[field.name])
        if field.message_type and given.get(field.name)
        else {}
        for field in descriptor.fields
        if field.name in given or not _is_optional(field)
    }


@pytest.mark.parametrize("name", ["CompressedImage", "ImageAnnotations", "CameraCalibration", "SceneUpdate"])
def test_messages_are_as_their_schema_in_the_file_says(name: str) -> None:
    schema = json.loads(schema_text(f"foxglove.{name}"))
    assert schema["title"] == f"foxglove.{name}" and schema["type"] == "object"
    jsonschema.Draft202012Validator(schema).validate(messages()[name])


@pytest.mark.parametrize(
    "name",
    [
        RECORD,
        *(
            f"foxglove.{name}"
            for name in ("CompressedImage", "ImageAnnotations", "CameraCalibration", "SceneUpdate")
        ),
    ],
)
def test_a_viewer_finds_one_plain_type_for_each_field(name: str) -> None:
    """Older viewers refuse a whole topic for a reference, several types or none."""

    def check(schema: dict[str, Any]) -> None:
        assert schema["type"] in ("boolean", "string", "number", "integer", "object", "array")
        assert not {"$ref", "oneOf", "anyOf", "enum"} & set(schema)
        for field in schema["properties"].values() if schema["type"] == "object" else []:
            check(field)
        if schema["type"] == "array":
            check(schema["items"])

    check(json.loads(schema_text(name)))


def test_a_viewer_is_told_what_to_decode() -> None:
    schema = json.loads(schema_text("foxglove.CompressedImage"))
    assert schema["properties"]["data"] == {"type": "string", "contentEncoding": "base64"}


def test_the_records_schema_names_all_that_a_record_has() -> None:
    schema = json.loads(schema_text(RECORD))
    record = a_result(1).record()
    assert set(record) == set(schema["properties"])
    assert set(record["tracks"][0]) == set(schema["properties"]["tracks"]["items"]["properties"])
    assert schema["properties"]["tracks"]["items"]["properties"]["distance_m"]["type"] == "number"


def test_boxes_and_labels_lie_in_the_picture() -> None:
    found = image_annotations(a_result(1), (160, 96), at_ns=AT_NS)
    car, truck = found["points"]
    assert [(p["x"], p["y"]) for p in car["points"]] == [(50, 20), (80, 20), (80, 40), (50, 40)]
    assert car["type"] == 2 and car["timestamp"] == {"sec": 1_764_000_000, "nsec": 40_000_007}
    assert car["outline_color"] != truck["outline_color"]
    assert {pair["key"]: pair["value"] for pair in truck["metadata"]} == {
        "id": "8",
        "class": "truck",
        "score": "0.50",
    }
    assert [text["text"] for text in found["texts"]] == ["car 3  30 m  0.91", "truck 8  0.50"]
    assert found["texts"][0]["position"] == {"x": 50, "y": 20}
    # There is no room above the truck.
    assert found["texts"][1]["position"]["y"] == found["texts"][1]["font_size"]


def test_a_picture_keeps_its_aspect_and_colours() -> None:
    rgb_of = {"red": (150, 90, 240), "grey": (120, 128, 128)}
    for name, (y, u, v) in rgb_of.items():
        chroma = np.ones((540, 960), np.uint8)
        planes = Planes(np.full((1080, 1920), y, np.uint8), u * chroma, v * chroma)
        size = picture_size(replace(a_result(0), width=1920, height=1080), planes, 960)
        assert size == (960, 540)
        shown = cv2.imdecode(np.frombuffer(jpeg(planes, size), np.uint8), cv2.IMREAD_COLOR)
        blue, green, red = shown[270, 480].tolist()
        assert shown.shape == (540, 960, 3)
        assert (red > green + 50 and red > blue + 50) if name == "red" else abs(red - blue) <= 2


@pytest.mark.parametrize(
    ("source", "planes", "widest", "size"),
    [
        ((320, 192), (320, 192), 960, (320, 192)),
        ((1920, 1080), (448, 252), 960, (448, 252)),  # scaled by the decoder
        ((1920, 1080), (448, 256), 960, (448, 252)),  # and stretched
        ((641, 361), (641, 361), 960, (640, 360)),
        ((1280, 720), (1280, 720), 101, (100, 56)),
    ],
)
def test_the_size_of_a_picture(
    source: tuple[int, int], planes: tuple[int, int], widest: int, size: tuple[int, int]
) -> None:
    result = replace(a_result(0), width=source[0], height=source[1])
    width, height = planes
    chroma = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
    given = Planes(np.zeros((height, width), np.uint8), chroma, chroma)
    assert picture_size(result, given, widest) == size
    picture = cv2.imdecode(np.frombuffer(jpeg(given, size), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[:2] == size[::-1]


def test_a_calibration_is_of_the_pictures_size() -> None:
    camera = camera_calibration(CAMERA, (160, 96), at_ns=0, frame_id="front")
    assert camera["K"] == [150, 0, 80, 0, 150, 48, 0, 0, 1] and camera["width"] == 160
    assert camera["P"] == [150, 0, 80, 0, 0, 150, 48, 0, 0, 0, 1, 0]
    assert camera["distortion_model"] == "" and camera["D"] == []
    bent = Calibration(
        width=640, height=384, K=CAMERA.K, distortion_model="plumb_bob", distortion=(0.1, 0, 0, 0, 0)
    )
    assert camera_calibration(bent, (160, 96), at_ns=0, frame_id="front")["D"] == []  # it is rectified
    raw = bent.model_copy(update={"rectified": False})
    camera = camera_calibration(raw, (160, 96), at_ns=0, frame_id="front")
    assert camera["distortion_model"] == "plumb_bob" and camera["D"] == [0.1, 0, 0, 0, 0]


def test_in_space_a_track_projects_onto_its_box() -> None:
    scene = scene_update(a_result(1), CAMERA, at_ns=AT_NS, frame_id="front")
    (entity,) = scene["entities"]  # nobody knows where the truck is
    assert entity["id"] == "3" and scene["deletions"][0]["type"] == 1
    (plate,) = entity["cubes"]
    centre, size = plate["pose"]["position"], plate["size"]
    assert centre["z"] - size["z"] / 2 == pytest.approx(30)
    fx, cx, cy = 300, 160, 96  # of the source, half as wide as the calibration says
    left = cx + fx * (centre["x"] - size["x"] / 2) / 30
    right = cx + fx * (centre["x"] + size["x"] / 2) / 30
    top = cy + fx * (centre["y"] - size["y"] / 2) / 30
    bottom = cy + fx * (centre["y"] + size["y"] / 2) / 30
    assert (left, top, right, bottom) == pytest.approx((100, 40, 160, 80), abs=0.05)


def test_times() -> None:
    assert time_ns(a_result(3, live=True)) == STARTED_NS + 120_000_000
    assert time_ns(a_result(3)) == 120_000_000
    assert time_ns(replace(a_result(0), pts=-5)) == 0
    assert time_ns(replace(a_result(0), pts=10**9, time_base=Fraction(1, 90_000))) == 11_111_111_111_111


def test_a_picture_comes_back_as_it_was() -> None:
    picture = jpeg(a_frame(0).planes, PICTURE)
    message = json.loads(compressed_image(picture, at_ns=0, frame_id="front"))
    assert base64.b64decode(message["data"]) == picture and message["format"] == "jpeg"
    luma = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert np.abs(luma.astype(int) - a_frame(0).planes.y).mean() < 3
