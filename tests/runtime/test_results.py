from __future__ import annotations

import json
import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from catseye.runtime.distance import Distances
from catseye.runtime.results import SCHEMA_FILE, FrameResult, JsonLinesWriter, line_of
from catseye.runtime.tracker import Tracks


def result(frame: int = 0) -> FrameResult:
    tracks = Tracks(
        ids=np.array([3, 8]),
        boxes_xyxy=np.array([[0, 10.123, 50, 60], [600, 300, 640, 360]], np.float32),
        scores=np.array([0.91234, 0.3], np.float32),
        classes=np.array([1, 0], np.int32),
        detection_index=np.array([0, 4], np.int32),
        ages_s=np.array([1.5, 0], np.float32),
    )
    distances = Distances(
        relative=np.array([0.5, 2.0], np.float32),
        metres=np.array([21.5, np.nan], np.float32),
        sigma_m=np.array([1.25, np.nan], np.float32),
        closing_mps=np.array([-2.5, np.nan], np.float32),
        closing_sigma_mps=np.array([0.5, np.nan], np.float32),
        contact_s=np.array([np.nan, 2.25], np.float32),
        contact_sigma_s=np.array([np.nan, 0.25], np.float32),
    )
    return FrameResult(
        stream="drive.mp4",
        frame=frame,
        pts=9000 + 3600 * frame,
        time_base=Fraction(1, 90000),
        width=640,
        height=360,
        output_age_s=0.02,
        classes=("car", "truck"),
        tracks=tracks,
        distances=distances,
    )


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads(SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_record_says_what_was_found(validator: Any) -> None:
    record = result().record()
    validator.validate(record)
    assert record["capture_time_s"] == 0.1 and record["time_base"] == "1/90000"
    near, far = record["tracks"]
    assert near == {
        "id": 3,
        "class": "truck",
        "score": 0.9123,
        "box_xyxy": [0.0, 10.12, 50.0, 60.0],
        "distance_m": 21.5,
        "distance_sigma_m": 1.25,
        "distance_relative": 0.5,
        "closing_speed_mps": -2.5,
        "closing_speed_sigma_mps": 0.5,
        "time_to_contact_s": None,
        "time_to_contact_sigma_s": None,
        "age_s": 1.5,
    }
    assert far["distance_m"] is None and far["distance_relative"] == 2.0
    assert far["closing_speed_mps"] is None and far["time_to_contact_s"] == 2.25


def test_numbers_are_rounded_as_python_rounds_them() -> None:
    """To the even digit where a float32 lies just between two, and whatever its size."""
    draw = np.random.default_rng(0)
    between = np.arange(1, 400, 2) / np.float32(32)
    many = np.concatenate([between, -between, draw.normal(0, 1, 400) * 10.0 ** draw.integers(-6, 30, 400)])
    numbers = many[:400].astype(np.float32)
    sizes, boxes = many[400:].astype(np.float32), numbers.reshape(-1, 4)
    for values in (numbers[: len(boxes)], numbers[-len(boxes) :], sizes[: len(boxes)]):
        whole, none = result(), np.full(len(boxes), np.nan, np.float32)
        tracks = Tracks(
            ids=np.arange(len(boxes)),
            boxes_xyxy=boxes,
            scores=values,
            classes=np.zeros(len(boxes), np.int32),
            detection_index=np.zeros(len(boxes), np.int32),
            ages_s=values,
        )
        rows = replace(whole, tracks=tracks, distances=Distances(values, values, none)).record()["tracks"]
        assert [row["distance_m"] for row in rows] == [round(value, 4) for value in values.tolist()]
        assert [row["box_xyxy"] for row in rows] == [[round(e, 2) for e in box] for box in boxes.tolist()]


def test_record_of_a_frame_that_stands_alone_has_no_speeds(validator: Any) -> None:
    whole = result()
    alone = replace(
        whole.distances, closing_mps=None, closing_sigma_mps=None, contact_s=None, contact_sigma_s=None
    )
    record = replace(whole, distances=alone).record()
    validator.validate(record)
    assert {track["time_to_contact_s"] for track in record["tracks"]} == {None}


@pytest.mark.parametrize(
    "damage",
    [
        {"schema_version": "2.0"},
        {"frame": -1},
        {"capture_source": "guess"},
        {"tracks": [{"id": 1}]},
        {"time_base": 0.04},
        {"calibration": "no hash"},
    ],
)
def test_schema_refuses_what_is_not_a_record(validator: Any, damage: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**result().record(), **damage})


def test_schema_names_every_field(validator: Any) -> None:
    """A field that is written but not described would go unnoticed, as the schema allows newer ones."""
    record = replace(result(), calibration="0" * 64).record()
    described = validator.schema["properties"]
    assert set(record) == set(described)
    assert set(record["tracks"][0]) == set(validator.schema["$defs"]["track"]["properties"])


def test_file_takes_its_name_when_done(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tracks.jsonl"
    with JsonLinesWriter(path) as writer:
        writer.write(result(0).record())
        assert not path.exists()
        on_disk = (tmp_path / "new" / "tracks.jsonl.part").read_text()
        assert json.loads(on_disk)["frame"] == 0
        writer.write(result(1).record())
    assert [json.loads(line)["frame"] for line in path.read_text().splitlines()] == [0, 1]
    assert list(path.parent.iterdir()) == [path]


def test_failure_keeps_whole_lines_aside_and_the_old_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tracks.jsonl"
    path.write_text("old\n")
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(RuntimeError, match="engine"),
        JsonLinesWriter(path) as writer,
    ):
        writer.write(result(0).record())
        writer.write(result(1).record())
        writer._stream.write(b'{"frame":2,"tra')  # as a disk leaves it that fills up on the way
        raise RuntimeError("engine")
    kept = (tmp_path / "tracks.jsonl.part").read_text()
    assert [json.loads(line)["frame"] for line in kept.splitlines()] == [0, 1]
    assert path.read_text() == "old\n"
    assert "2 results are kept in" in caplog.text


def test_value_that_json_cannot_hold_is_not_written_as_a_broken_line(tmp_path: Path) -> None:
    path = tmp_path / "tracks.jsonl"
    with pytest.raises(TypeError, match="JSON"), JsonLinesWriter(path) as writer:
        writer.write(result(0).record())
        writer.write({"frame": object()})
    assert len((tmp_path / "tracks.jsonl.part").read_text().splitlines()) == 1


@pytest.mark.parametrize("name", ["front", "überland – 2", "not UTF-8: \udcff"])
def test_a_line_is_what_json_makes_of_it(name: str) -> None:
    record = {"stream": name, "score": 0.1234, "box_xyxy": [1e-7, 1280.0, -0.5, 1e22], "distance_m": None}
    assert json.loads(line_of(record)) == record
    assert line_of(record).count(b"\n") == 1 and line_of(record).endswith(b"}\n")


def test_what_is_not_finite_is_null() -> None:
    assert json.loads(line_of({"a": float("nan"), "b": [float("inf")]})) == {"a": None, "b": [None]}
