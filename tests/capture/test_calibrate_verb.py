"""``catseye calibrate`` as it is called: the camera, its error, a picture to look at; faults in a line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import Command

from catseye.capture.calibration import Calibration

WIDTH, HEIGHT = 640, 400
K = np.array([[520.0, 0, 331.0], [0, 515.0, 193.0], [0, 0, 1.0]])
SQUARE, FINE = 24, 3
TURNS = [
    (0.4, 0.1, 0.0), (-0.5, 0.2, 0.1), (0.1, -0.6, -0.1), (0.2, 0.6, 0.05), (-0.3, -0.4, 0.0),
    (0.6, 0.0, 0.2), (-0.1, 0.5, -0.2), (0.05, 0.05, 0.02), (-0.6, 0.0, 0.0), (0.3, -0.3, 0.3),
]  # fmt: skip
MIDDLES = [(x, y) for y in (130, 200, 270) for x in (180, 320, 460)] + [(330, 190)]


def chessboard(columns: int = 9, rows: int = 6) -> np.ndarray:
    """A board of so many inner corners with a white border of a square, ``SQUARE`` pixels each."""
    dark = np.indices((rows + 1, columns + 1)).sum(axis=0) % 2 == 0
    board = np.pad(np.where(dark, 20, 235).astype(np.uint8), 1, constant_values=235)
    return board.repeat(SQUARE, 0).repeat(SQUARE, 1)


def seen(turn: tuple[float, float, float], middle: tuple[int, int], depth: float = 17) -> np.ndarray:
    """The board as a camera without distortion sees it, its middle at a pixel and a depth in squares."""
    board = chessboard()
    rotation = cv2.Rodrigues(np.array(turn))[0]
    away = np.linalg.inv(K) @ [*middle, 1.0] * depth - rotation @ [6.0, 4.5, 0.0]
    onto_plane = np.diag([1 / SQUARE, 1 / SQUARE, 1.0])
    finer = np.diag([FINE, FINE, 1.0])
    homography = finer @ K @ np.column_stack([rotation[:, 0], rotation[:, 1], away]) @ onto_plane
    size = (FINE * WIDTH, FINE * HEIGHT)
    fine = cv2.warpPerspective(board, homography, size, borderValue=128)
    return cv2.resize(fine, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, (turn, middle) in enumerate(zip(TURNS, MIDDLES, strict=True)):
        cv2.imwrite(str(folder / f"{number}.png"), seen(turn, middle))
    return folder


def test_rendered_pictures_give_the_camera_its_error_and_a_picture(
    catseye: Command, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "front.json"
    called = catseye("calibrate", pictures, "--out", out, "--camera", "front", "--json")
    assert called.code == 0, called.err
    report = json.loads(called.out)
    assert sum(view["used"] for view in report["views"]) >= 8
    assert 0 < report["error_px"] < 0.3
    calibration = Calibration.load(out)
    assert calibration.camera == "front" and (calibration.width, calibration.height) == (WIDTH, HEIGHT)
    assert np.diag(calibration.matrix)[:2] == pytest.approx(np.diag(K)[:2], rel=0.02)
    undistorted = cv2.imread(report["undistorted"])
    assert undistorted is not None and undistorted.std() > 10


def test_the_table_tells_the_error_and_what_was_left_out(
    catseye: Command, pictures: Path, tmp_path: Path
) -> None:
    blank = tmp_path / "wall.png"
    cv2.imwrite(str(blank), np.full((HEIGHT, WIDTH), 200, np.uint8))
    called = catseye("calibrate", pictures, blank, "--out", tmp_path / "c.json", "--board", "9x6")
    assert called.code == 0, called.err
    assert "reprojection error, RMS" in called.out and " px" in called.out
    assert "left out wall.png: no board of 9x6 corners is seen" in called.out
    _, _, shown = called.out.splitlines()[-1].partition("Look at ")
    assert all(Path(path).is_file() for path in shown.split(" and ")), called.out


def test_what_cannot_be_is_one_line_and_writes_nothing(
    catseye: Command, pictures: Path, tmp_path: Path
) -> None:
    noise = tmp_path / "noise.png"
    cv2.imwrite(str(noise), np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8))
    two = (pictures / "0.png", pictures / "1.png")
    for arguments, code, told in (
        (two, 1, "2 views of the board: are too few"),
        ((pictures, "--board", "7x5"), 1, "10 pictures: show no whole board of 7x5 inner corners"),
        ((noise,), 1, "show no chessboard"),
        ((tmp_path / "gone",), 1, "gone: no such file or folder"),
        ((pictures, "--board", "nine"), 2, "'nine'"),
        ((pictures, "--square", "-1"), 2, "-1"),
    ):
        called = catseye("calibrate", *arguments, "--out", tmp_path / "out.json")
        assert (called.code, told in called.line) == (code, True), called.err
    assert not (tmp_path / "out.json").exists()


def test_the_real_chessboard(catseye: Command, shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "camera.json"
    called = catseye("calibrate", shared_data / "video" / "chessboard", "--out", out, "--json")
    assert called.code == 0, called.err
    report = json.loads(called.out)
    assert report["error_px"] < 1.0 and sum(view["used"] for view in report["views"]) >= 15
    assert Calibration.load(out).matrix[0, 0] == pytest.approx(1160, rel=0.05)
    assert Path(report["undistorted"]).is_file()
