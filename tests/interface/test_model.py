from __future__ import annotations

import json
import shutil
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

import catseye
from catseye.capture.calibration import Calibration
from catseye.capture.sources import VideoFile
from catseye.capture.writer import VideoWriter
from catseye.errors import InputError, UsageError

FRAMES = 6


@pytest.fixture(scope="module")
def picture(labels: Path) -> Path:
    return labels.parent / "images" / "0.png"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames of 192×128 from 3 s on, a bright patch moving to the right."""
    path = tmp_path_factory.mktemp("video") / "drive.mp4"
    with VideoWriter(path, width=192, height=128, time_base=Fraction(1, 1000), crf=10) as writer:
        for k in range(FRAMES):
            frame = np.full((128, 192, 3), 60, np.uint8)
            frame[40:64, 16 + 4 * k : 52 + 4 * k] = 230
            writer.write_rgb(frame, pts=3000 + 40 * k)
    return path


def test_a_picture_by_path_is_the_picture_itself(finetuned: Path, picture: Path, tmp_path: Path) -> None:
    model = catseye.load(finetuned)
    rgb = cv2.imread(str(picture))[..., ::-1]
    by_path, by_array = model.predict(picture, threshold=0.0), model.predict(rgb, threshold=0.0)
    assert model.names == by_path.names == ("car", "truck") and len(by_path) > 0
    np.testing.assert_array_equal(by_path.boxes_xyxy, by_array.boxes_xyxy)
    np.testing.assert_array_equal(model.predict(str(picture), threshold=0.0).scores, by_array.scores)
    several = model.predict([picture, rgb], threshold=0.0, save=True, out=tmp_path)
    assert [len(found) for found in several] == [len(by_path)] * 2
    saved = cv2.imread(str(tmp_path / "0.png"))
    assert saved.shape == (64, 96, 3) and (saved[..., ::-1] != rgb).any()
    assert (tmp_path / "picture.jpg").is_file()


def test_a_run_detects_in_each_frame_of_a_video(finetuned: Path, video: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    frames = catseye.load(finetuned).predict(
        video,
        threshold=0.0,
        save=True,
        out=tmp_path,
        progress=lambda _, done, total: seen.append((done, total)),
    )
    assert [(found.frame, found.time_s) for found in frames] == [
        (k, pytest.approx(3.0 + 0.04 * k)) for k in range(FRAMES)
    ]
    assert frames[0].ids is None and seen[-1][0] >= 200
    with VideoFile(tmp_path / "drive.mp4") as saved:
        assert len(list(saved.frames())) == FRAMES
    with pytest.raises(UsageError, match="calibration is for a bundle"):
        catseye.load(finetuned).predict(video, calibration=tmp_path / "c.json")


def test_a_bundle_tracks_a_video(tiny_bundle: Path, video: Path, tmp_path: Path) -> None:
    model = catseye.load(tiny_bundle)
    focal, calibration = 200.0, tmp_path / "calibration.json"
    Calibration(
        width=192, height=128, K=((focal, 0, 96), (0, focal, 40), (0, 0, 1)), height_m=1.4, pitch_rad=0.0
    ).save(calibration)
    frames = model.predict(video, threshold=0.01, save=True, out=tmp_path, calibration=calibration)
    assert [found.frame for found in frames] == list(range(FRAMES))
    assert all(found.ids is not None and found.distances_m is not None for found in frames)
    records = [json.loads(line) for line in (tmp_path / "drive.jsonl").read_text().splitlines()]
    assert [[track["id"] for track in record["tracks"]] for record in records] == [
        found.ids.tolist() for found in frames
    ]
    with VideoFile(tmp_path / "drive.mp4") as saved:
        assert len(list(saved.frames())) == FRAMES


@pytest.mark.usefixtures("no_thread_left")
@pytest.mark.parametrize("kind", ["finetuned", "tiny_bundle"])
def test_a_stream_can_be_left_early(kind: str, video: Path, request: pytest.FixtureRequest) -> None:
    stream = catseye.load(request.getfixturevalue(kind)).predict(video, stream=True)
    assert [found.frame for found in islice(stream, 2)] == [0, 1]
    stream.close()


def test_a_run_shows_from_the_score_that_served_its_test_stills_best(finetuned: Path, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    every = catseye.load(finetuned).predict(picture, threshold=0.0).scores
    least = float(np.sort(every)[-3])
    run = shutil.copytree(finetuned, tmp_path / "run")
    document = json.loads((run / "checkpoint.json").read_text())
    (run / "checkpoint.json").write_text(json.dumps(document | {"metrics": {"best_score": least}}))
    assert len(catseye.load(run).predict(picture)) == int((every >= least).sum()) < len(every)


def test_pretrained_to_detector_in_one_line(pretrained: Path, labels: Path, tmp_path: Path) -> None:
    options = {"width": 96, "height": 64, "steps": 2, "batch": 2, "log_every": 1, "save_every": 2}
    model = catseye.load(pretrained).finetune(labels=labels, out=tmp_path / "first", **options)
    assert model.names == ("car",)
    assert model.predict(np.zeros((64, 96, 3), np.uint8), threshold=0.0).names == ("car",)
    more = {name: value for name, value in options.items() if name not in {"width", "height"}}
    again = model.finetune(labels=str(labels), out=str(tmp_path / "second"), **more)
    document = json.loads((tmp_path / "second/checkpoint.json").read_text())
    assert again.names == ("car",) and (document["width"], document["height"]) == (96, 64)


def test_what_cannot_be_is_said_in_one_line(
    pretrained: Path, finetuned: Path, tiny_bundle: Path, labels: Path, video: Path, tmp_path: Path
) -> None:
    bare, model = catseye.load(pretrained), catseye.load(finetuned)
    assert bare.names == ()
    with pytest.raises(UsageError, match="has learned no detection yet: finetune it"):
        bare.predict(np.zeros((64, 96, 3), np.uint8))
    with pytest.raises(UsageError, match=r"finetune has no option 'epochs': it has .*steps"):
        bare.finetune(labels=labels, out=tmp_path / "run", epochs=3)
    with pytest.raises(UsageError, match="a bundle cannot be fine-tuned"):
        catseye.load(tiny_bundle).finetune(labels=labels, out=tmp_path / "run")
    with pytest.raises(UsageError, match=r"given float64 of shape \(64, 96, 3\): give a path, or RGB"):
        model.predict(np.zeros((64, 96, 3)))
    with pytest.raises(UsageError, match=r"uint8 of shape \(0, 96, 3\)"):
        model.predict(np.zeros((0, 96, 3), np.uint8))
    with pytest.raises(UsageError, match="threshold is 30: give a score from 0 to 1"):
        model.predict(np.zeros((64, 96, 3), np.uint8), threshold=30)
    with pytest.raises(InputError, match=r"no\.png: no such file"):
        model.predict(tmp_path / "no.png")
    with pytest.raises(InputError, match=r"labels\.json: is neither a picture nor a video"):
        model.predict(labels)
    with pytest.raises(UsageError, match="is the source, which would be lost"):
        model.predict(video, save=True, out=video.parent)
    assert not list(tmp_path.iterdir())
