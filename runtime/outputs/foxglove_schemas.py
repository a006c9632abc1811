"""The fields of Foxglove's messages that are written here, as JSON Schema.

Foxglove knows a message by its schema's name and reads the fields by theirs, so both are its own:
https://docs.foxglove.dev/docs/sdk/schemas. Every property has one plain type, since viewers derive their
fields from it and refuse what they cannot name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from catseye.runtime.results import SCHEMA_FILE

Schema = dict[str, Any]

RECORD = "catseye.Record"


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _array(items: Schema, count: int | None = None) -> Schema:
    counted = {} if count is None else {"minItems": count, "maxItems": count}
    return {"type": "array", "items": items, **counted}


_NUMBER: Schema = {"type": "number"}
_INTEGER: Schema = {"type": "integer"}
_STRING: Schema = {"type": "string"}
_TIME = _object(
    sec={"type": "integer", "minimum": 0}, nsec={"type": "integer", "minimum": 0, "maximum": 999_999_999}
)
_POINT = _object(x=_NUMBER, y=_NUMBER)
_VECTOR = _object(x=_NUMBER, y=_NUMBER, z=_NUMBER)
_POSE = _object(position=_VECTOR, orientation=_object(x=_NUMBER, y=_NUMBER, z=_NUMBER, w=_NUMBER))
_COLOUR = _object(r=_NUMBER, g=_NUMBER, b=_NUMBER, a=_NUMBER)
_PAIRS = _array(_object(key=_STRING, value=_STRING))
_NONE = _array({"type": "object", "properties": {}}, 0)

_POINTS = _object(
    timestamp=_TIME,
    type=_INTEGER,
    points=_array(_POINT),
    outline_color=_COLOUR,
    outline_colors=_array(_COLOUR),
    fill_color=_COLOUR,
    thickness=_NUMBER,
    metadata=_PAIRS,
)
_TEXT = _object(
    timestamp=_TIME,
    position=_POINT,
    text=_STRING,
    font_size=_NUMBER,
    text_color=_COLOUR,
    background_color=_COLOUR,
    metadata=_PAIRS,
)
_ENTITY = _object(
    timestamp=_TIME,
    frame_id=_STRING,
    id=_STRING,
    lifetime=_object(sec=_INTEGER, nsec=_INTEGER),
    frame_locked={"type": "boolean"},
    metadata=_PAIRS,
    arrows=_NONE,
    cubes=_array(_object(pose=_POSE, size=_VECTOR, color=_COLOUR)),
    spheres=_NONE,
    cylinders=_NONE,
    lines=_NONE,
    triangles=_NONE,
    texts=_array(
        _object(
            pose=_POSE,
            billboard={"type": "boolean"},
            font_size=_NUMBER,
            scale_invariant={"type": "boolean"},
            color=_COLOUR,
            text=_STRING,
        )
    ),
    models=_NONE,
)

_MESSAGES: dict[str, Schema] = {
    "foxglove.CompressedImage": _object(
        timestamp=_TIME,
        frame_id=_STRING,
        data={"type": "string", "contentEncoding": "base64"},
        format=_STRING,
    ),
    "foxglove.ImageAnnotations": _object(circles=_NONE, points=_array(_POINTS), texts=_array(_TEXT)),
    "foxglove.CameraCalibration": _object(
        timestamp=_TIME,
        frame_id=_STRING,
        width=_INTEGER,
        height=_INTEGER,
        distortion_model=_STRING,
        D=_array(_NUMBER),
        K=_array(_NUMBER, 9),
        R=_array(_NUMBER, 9),
        P=_array(_NUMBER, 12),
    ),
    "foxglove.SceneUpdate": _object(
        deletions=_array(_object(timestamp=_TIME, type=_INTEGER, id=_STRING)), entities=_array(_ENTITY)
    ),
}


@cache
def schema_text(name: str) -> bytes:
    """The JSON Schema of a message, by Foxglove's name or ``RECORD``."""
    if name == RECORD:
        contract = json.loads(SCHEMA_FILE.read_text())
        schema = {"title": contract["title"], **_plain(contract, contract["$defs"])}
    else:
        schema = {"title": name, **_MESSAGES[name]}
    return json.dumps(schema, separators=(",", ":")).encode()


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """The contract of records as viewers can read it: definitions in their places, and of types the one that
    is not null. A value that is not known is null all the same."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    given = schema.get("type", "string")  # an enumeration of words states none
    kind = given if isinstance(given, str) else next(each for each in given if each != "null")
    plain: Schema = {"type": kind}
    if "description" in schema:
        plain["description"] = schema["description"]
    if kind == "object":
        plain["properties"] = {
            name: _plain(field, definitions) for name, field in schema["properties"].items()
        }
    if kind == "array":
        plain["items"] = _plain(schema["items"], definitions)
    return plain
