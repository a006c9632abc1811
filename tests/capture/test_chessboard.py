"""A camera's calibration from a chessboard: rendered boards give back the camera that saw them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from catseye.capture.calibration import Calibration
from catseye.capture.chessboard import CalibrationReport, calibrate
from catseye.capture.chessboard.corners import Board, find_corners, parse_board, seen_board
from catseye.capture.chessboard.fit import Model, choose_fit, reach_of_lens
from catseye.capture.chessboard.variety import covered_share, shortcomings
from catseye.capture.chessboard.views import View, _most_different, find_views
from catseye.capture.geometry import Image
from catseye.capture.writer import VideoWriter
from catseye.errors import InputError, UsageError
from catseye.progress import silent

SIZE = (640, 400)
K = np.array([[520.0, 0, 331.0], [0, 515.0, 193.0], [0, 0, 1.0]])
DISTORTION = np.array([-0.28, 0.09, 0.0008, -0.0006, 0.0])
BOARD = Board(9, 6)
FINE = 5

Pose = tuple[tuple[float, float, float], tuple[float, float, float]]


def aimed(turn: tuple[float, float, float], at: tuple[float, float], depth: float) -> Pose:
    """A board turned so, with its middle at a pixel and at a depth in squares."""
    middle = cv2.Rodrigues(np.array(turn))[0] @ [4.0, 2.5, 0.0]
    x, y, z = np.linalg.inv(K) @ [*at, 1.0] * depth - middle
    return turn, (float(x), float(y), float(z))


POSES: list[Pose] = [
    aimed((0.4, 0.1, 0.0), (180, 130), 18),
    aimed((-0.5, 0.2, 0.1), (460, 120), 18),
    aimed((0.1, -0.6, -0.1), (170, 275), 18),
    aimed((0.2, 0.6, 0.05), (475, 270), 18),
    aimed((-0.3, -0.4, 0.0), (320, 200), 13.5),
    aimed((0.6, 0.0, 0.2), (330, 190), 14),
    aimed((-0.1, 0.5, -0.2), (200, 205), 16),
    aimed((0.0, -0.4, 0.6), (430, 200), 19),
    aimed((0.5, 0.3, -0.3), (330, 130), 18),
    aimed((-0.6, 0.0, 0.0), (320, 280), 17),
    aimed((0.05, 0.05, 0.02), (325, 198), 12),
    aimed((0.0, 0.5, 3.1), (320, 200), 15),
]


def rays(
    K: NDArray[np.float64], distortion: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Where each pixel looks, (H, W, 2): the distortion inverted by fixed point."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    seen = np.stack([(x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1]], axis=-1)
    k1, k2, p1, p2, k3 = distortion
    ray = seen.copy()
    for _ in range(30):
        a, b = ray[..., 0], ray[..., 1]
        r2 = a * a + b * b
        bent = np.stack(
            [2 * p1 * a * b + p2 * (r2 + 2 * a * a), p1 * (r2 + 2 * b * b) + 2 * p2 * a * b], axis=-1
        )
        ray = (seen - bent) / (1 + r2 * (k1 + r2 * (k2 + r2 * k3)))[..., None]
    return ray


@pytest.fixture(scope="module")
def render() -> Callable[..., Image]:
    """Draw a board of squares of side 1 with a white border as the camera above sees it, BGR."""
    plain = rays(K, DISTORTION, SIZE)
    fine = cv2.resize(plain, None, fx=FINE, fy=FINE, interpolation=cv2.INTER_CUBIC)
    look = np.dstack([fine, np.ones(fine.shape[:2])]).astype(np.float32)

    def draw(pose: Pose, board: Board = BOARD) -> Image:
        rotation = cv2.Rodrigues(np.array(pose[0]))[0]
        plane = np.column_stack([rotation[:, 0], rotation[:, 1], pose[1]])
        at = cv2.transform(look, np.linalg.inv(plane))
        x, y = at[..., 0] / at[..., 2], at[..., 1] / at[..., 2]
        light = np.full(x.shape, 120, dtype=np.uint8)
        light[(x > -1.6) & (x < board.columns + 0.6) & (y > -1.6) & (y < board.rows + 0.6)] = 235
        squares = (x > -1) & (x < board.columns) & (y > -1) & (y < board.rows)
        light[squares & ((np.floor(x) + np.floor(y)) % 2 == 0)] = 25
        grey = cv2.resize(light, SIZE, interpolation=cv2.INTER_AREA)
        noise = np.random.default_rng(0).normal(0, 1.5, grey.shape)
        return np.asarray(
            cv2.cvtColor(np.clip(grey + noise, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR), np.uint8
        )

    return draw


@pytest.fixture(scope="module")
def report(render: Callable[..., Image], tmp_path_factory: pytest.TempPathFactory) -> CalibrationReport:
    """Twelve views, one a pixel larger, one with the board cut off, and one file that is no picture."""
    folder = tmp_path_factory.mktemp("board")
    for number, pose in enumerate(POSES):
        picture = render(pose)
        if number == 3:
            picture = cv2.copyMakeBorder(picture, 0, 1, 0, 1, cv2.BORDER_REPLICATE)
        cv2.imwrite(str(folder / f"view{number:02d}.png"), picture)
    cv2.imwrite(str(folder / "zcut.png"), render(aimed((0.0, 0.0, 0.0), (520, 200), 13)))
    (folder / "znothing.jpg").write_bytes(b"no picture")
    return calibrate(
        [folder],
        out=folder / "out" / "calibration.json",
        square_m=0.03,
        camera="front",
        height_m=1.4,
        pitch_rad=0.02,
    )


def views_of(
    poses: Sequence[Pose],
    K: NDArray[np.float64],
    distortion: Sequence[float],
    points: NDArray[np.floating] | None = None,
    *,
    noise_px: float = 0.1,
) -> list[NDArray[np.float32]]:
    """Corners without pictures."""
    rng = np.random.default_rng(1)
    points = np.asarray(BOARD.points if points is None else points, dtype=np.float64)
    seen = (cv2.projectPoints(points, np.array(r), np.array(t), K, np.array(distortion))[0] for r, t in poses)
    return [(s.reshape(-1, 2) + rng.normal(0, noise_px, (len(points), 2))).astype(np.float32) for s in seen]


def many_poses(count: int, *, beyond: float = 0, nearer: float = 1.0) -> list[Pose]:
    rng = np.random.default_rng(0)
    poses = []
    for _ in range(count):
        a, b, c = rng.uniform(-0.6, 0.6, 3)
        u, v = rng.uniform((150 - beyond, 100 - beyond), (490 + beyond, 300 + beyond))
        poses.append(aimed((a, b, c), (u, v), rng.uniform(12, 18) * nearer))
    return poses


def test_rendered_boards_give_back_the_camera(report: CalibrationReport) -> None:
    found = report.calibration
    assert (found.width, found.height) == SIZE
    assert found.matrix[0, 0] == pytest.approx(K[0, 0], rel=0.003)
    assert found.matrix[1, 1] == pytest.approx(K[1, 1], rel=0.003)
    np.testing.assert_allclose(found.matrix[:2, 2], K[:2, 2], atol=1.5)
    assert report.error_px < 0.15
    # Together the parameters place every ray to a quarter of a pixel, at the corners of the picture too.
    look = rays(K, DISTORTION, SIZE)[::20, ::20].reshape(-1, 2)
    ahead = np.column_stack([look, np.ones(len(look))])
    at = cv2.projectPoints(ahead, np.zeros(3), np.zeros(3), found.matrix, np.array(found.distortion))[
        0
    ].reshape(-1, 2)
    x, y = np.meshgrid(np.arange(0, SIZE[0], 20), np.arange(0, SIZE[1], 20))
    off_px = np.linalg.norm(at - np.column_stack([x.ravel(), y.ravel()]), axis=1)
    assert np.percentile(off_px, 90) < 0.25
    assert off_px.max() < 1.5


def test_deviations_say_how_far_off_the_parameters_are(report: CalibrationReport) -> None:
    (fx, _, cx), (_, fy, cy), _ = report.calibration.K
    for name, error in {"fx": fx - 520, "fy": fy - 515, "cx": cx - 331, "cy": cy - 193}.items():
        assert 0 < report.deviations[name] < 3
        assert abs(error) < 6 * report.deviations[name]


def test_what_it_wrote_loads_and_shows_straight_lines(report: CalibrationReport) -> None:
    loaded = Calibration.load(report.path)
    assert loaded == report.calibration.model_copy(update={"schema_version": loaded.schema_version})
    assert (loaded.camera, loaded.height_m, loaded.pitch_rad, loaded.rectified) == ("front", 1.4, 0.02, False)
    before_px, after_px = report.straightness_px
    assert after_px < 0.1
    assert before_px > 4 * after_px
    side_by_side = cv2.imread(str(report.undistorted))
    assert side_by_side is not None and side_by_side.shape[1] > 2 * SIZE[0]
    coverage = cv2.imread(str(report.coverage))
    assert coverage is not None and coverage.std() > 5
    document = json.loads(json.dumps(report.to_document(), allow_nan=False))
    assert document["calibration"]["K"][0][0] == loaded.K[0][0]


def test_every_picture_is_accounted_for(report: CalibrationReport) -> None:
    by_name = {view.name: view for view in report.views}
    assert len(by_name) == len(POSES) + 2
    assert report.used == len(POSES)
    assert by_name["view03.png"].used, "a pixel more at the edge is cropped"
    assert "of 9x6 corners are seen" in by_name["zcut.png"].reason
    assert by_name["znothing.jpg"].reason == "cannot be read as a picture"
    distance_m = by_name["view00.png"].distance_m
    assert distance_m == pytest.approx(0.03 * np.linalg.norm(POSES[0][1]), rel=0.01)


def test_corners_are_in_the_same_order_whichever_way_up(render: Callable[..., Image]) -> None:
    grey = np.asarray(cv2.cvtColor(render(POSES[4]), cv2.COLOR_BGR2GRAY), np.uint8)
    true = cv2.projectPoints(BOARD.points, np.array(POSES[4][0]), np.array(POSES[4][1]), K, DISTORTION)[
        0
    ].reshape(-1, 2)
    upright, turned = find_corners(grey, BOARD), find_corners(np.ascontiguousarray(grey[::-1, ::-1]), BOARD)
    assert upright is not None and turned is not None
    for found in (upright, np.array(SIZE) - 1 - turned):
        off_px = np.linalg.norm(found - true, axis=1)
        assert np.sqrt(np.mean(off_px**2)) < 0.1
        assert off_px.max() < 0.4


def test_the_board_is_found_out(render: Callable[..., Image], tmp_path: Path) -> None:
    board = Board(7, 5)
    for number, pose in enumerate(POSES[4:7]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), render(pose, board))
    found = find_views([tmp_path], None, progress=silent)
    assert found.board == board
    assert len(found.views) == 3
    assert seen_board(np.full((100, 100), 90, np.uint8)) is None


def test_a_video_gives_its_sharp_and_different_frames(render: Callable[..., Image], tmp_path: Path) -> None:
    path = tmp_path / "board.mp4"
    with VideoWriter(
        path, width=SIZE[0], height=SIZE[1], time_base=Fraction(1, 10), crf=8, threads=1
    ) as writer:
        sharp = [render(pose) for pose in POSES[4:6]]
        for number in range(20):  # each pose is held for a second, and one frame of five is sharp
            picture = sharp[number // 10]
            if number % 5 != 2:
                picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 3), np.uint8)
            writer.write_rgb(np.ascontiguousarray(picture[..., ::-1]), pts=number)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    found = find_views([tmp_path], BOARD, progress=silent)
    (lost,) = found.dropped
    assert lost.name == "broken.mp4" and "is not a readable video" in lost.reason
    first, second = (view.name for view in found.views)
    assert first in {"board.mp4 at 0.20 s", "board.mp4 at 0.70 s"}
    assert second in {"board.mp4 at 1.20 s", "board.mp4 at 1.70 s"}


def test_of_many_frames_the_most_different_are_taken() -> None:
    views = [View(str(x), np.float32([[x, 0], [x + 10, 0]]), 640, 400, b"") for x in (0, 1, 300, 301, 600)]
    assert [view.name for view in _most_different(views, most=3)] == ["0", "300", "600"]
    assert _most_different(views, most=9) == views


def test_mixed_sizes_are_refused_by_name(render: Callable[..., Image], tmp_path: Path) -> None:
    for number, pose in enumerate(POSES[4:7]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), render(pose))
    cv2.imwrite(str(tmp_path / "3.png"), cv2.resize(render(POSES[4]), (960, 600)))
    with pytest.raises(InputError, match=r"3\.png: is of 960x600 pixels, but 3 others of 640x400"):
        calibrate([tmp_path], out=tmp_path / "calibration.json")
    assert not (tmp_path / "calibration.json").exists()


def test_views_of_another_camera_are_dropped() -> None:
    corners = views_of(many_poses(14), K, DISTORTION.tolist())
    for index in (3, 9):
        corners[index] = views_of([many_poses(14)[index]], K * [[1.4], [1.4], [1]], [0, 0, 0, 0, 0])[0]
    choice = choose_fit(corners, BOARD, SIZE)
    assert np.flatnonzero(~choice.kept).tolist() == [3, 9]
    assert set(choice.outlier_errors_px) == {3, 9}
    assert choice.fit.K[0, 0] == pytest.approx(520, rel=0.005)


def test_a_richer_model_has_to_earn_its_place() -> None:
    plain = choose_fit(views_of(many_poses(16), K, [-0.28, 0.09, 0, 0, 0]), BOARD, SIZE)
    assert plain.fit.model == Model(4)
    # A lens of 125° across, whose pixels are as far from the middle as the ray's angle.
    corners = []
    for pose in many_poses(24, beyond=330, nearer=0.55):
        at = BOARD.points @ cv2.Rodrigues(np.array(pose[0]))[0].T + pose[1]
        flat = np.linalg.norm(at[:, :2], axis=1)
        seen = at[:, :2] / flat[:, None] * (280 * np.arctan2(flat, at[:, 2]))[:, None] + (320, 200)
        if (np.abs(seen - (320, 200)) < (320, 200)).all():
            corners.append(seen.astype(np.float32))
    wide = choose_fit(corners, BOARD, SIZE)
    assert wide.fit.model.coefficients == 8
    assert wide.held_out_px["8 coefficients"] < 0.3
    assert wide.fit.K[0, 0] == pytest.approx(280, rel=0.01)
    assert reach_of_lens(wide.fit, SIZE) == 1


def test_a_bent_board_is_found_out_and_allowed_for() -> None:
    points = BOARD.points.astype(np.float64)
    points[:, 2] = 0.12 * np.sin(np.pi * points[:, 0] / 8) * np.cos(np.pi * points[:, 1] / 5)
    choice = choose_fit(views_of(many_poses(11), K, DISTORTION.tolist(), points), BOARD, SIZE)
    assert choice.fit.model.bent
    assert choice.held_out_px["4 coefficients, bent board"] < 0.5 * choice.held_out_px["4 coefficients"]
    assert choice.fit.K[0, 0] == pytest.approx(520, rel=0.005)
    assert np.corrcoef(choice.fit.board_points[:, 2], points[:, 2])[0, 1] > 0.9


def test_poor_views_are_warned_of() -> None:
    head_on: list[Pose] = [aimed((0.02 * i, 0.01, 0.0), (320 + 2 * i, 200), 20) for i in range(4)]
    corners = views_of(head_on, K, DISTORTION.tolist(), noise_px=0.02)
    told = " ".join(shortcomings(choose_fit(corners, BOARD, SIZE).fit, corners, SIZE))
    for fault in ("4 views are few", "at one place", "of the picture", "tilted by"):
        assert fault in told
    good = views_of(many_poses(20), K, DISTORTION.tolist())
    assert not [
        text for text in shortcomings(choose_fit(good, BOARD, SIZE).fit, good, SIZE) if "cover" not in text
    ]


def test_coverage_is_the_share_within_some_outline() -> None:
    quarter = np.array([[0, 0], [319, 0], [319, 199], [0, 199]], np.float32)
    assert covered_share([quarter], SIZE) == pytest.approx(0.25, abs=0.01)
    assert covered_share([quarter, quarter], SIZE) == pytest.approx(0.25, abs=0.01)


def test_too_little_to_go_by_is_one_line(tmp_path: Path, render: Callable[..., Image]) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((80, 80), 90, np.uint8))
    with pytest.raises(InputError, match=r"grey\.png: .*no board of 9x6 corners"):
        calibrate([tmp_path], out=tmp_path / "calibration.json")
    cv2.imwrite(str(tmp_path / "board.png"), render(POSES[4]))
    with pytest.raises(InputError, match="1 views of the board: are too few"):
        calibrate([tmp_path], out=tmp_path / "calibration.json")
    with pytest.raises(InputError, match="no such file or folder"):
        calibrate([tmp_path / "none"], out=tmp_path / "calibration.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no picture or video"):
        calibrate([tmp_path / "empty"], out=tmp_path / "calibration.json")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"board": "9by6"}, "9by6"),
        ({"board": (9, 2)}, "9, 2"),
        ({"out": Path("camera.yaml")}, "camera.yaml"),
        ({"square_m": 0.0}, "square-m"),
        ({"height_m": -1.0}, "height-m"),
        ({"pitch_rad": 2.0}, "pitch-rad"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        calibrate([Path("none")], **{"out": Path("calibration.json"), **options})  # type: ignore[arg-type]  # wrong on purpose


def test_a_board_is_written_either_way_round() -> None:
    assert parse_board("6x9") == parse_board((9, 6)) == BOARD
    assert parse_board("auto") is None


def test_the_real_set_gives_a_plausible_camera(shared_data: Path, tmp_path: Path) -> None:
    found = calibrate([shared_data / "video" / "chessboard"], out=tmp_path / "calibration.json", board="auto")
    (fx, _, cx), (_, fy, cy), _ = found.calibration.K
    assert found.board == "9x6"
    assert (found.calibration.width, found.calibration.height) == (1280, 720)
    assert found.used == 18
    assert found.error_px < 0.6
    assert fx == pytest.approx(fy, rel=0.01)
    assert 1100 < fx < 1230
    assert abs(cx - 640) < 40 and abs(cy - 360) < 45
    assert "bent" in found.model, "the paper lies in waves, as the pictures show"
    assert found.straightness_px[1] < 0.5 * found.straightness_px[0]
