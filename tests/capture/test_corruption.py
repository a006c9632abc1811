"""Damage that shows in a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from catseye.capture.corruption import FILL_SHARE, GRID, filled_share, torn_share
from catseye.capture.geometry import Image, Planes
from catseye.capture.ingestion import ingest
from catseye.capture.quality import TORN_FROM
from catseye.capture.sources import VideoFile

WIDTH, HEIGHT = 320, 192


def road(seed: int = 0) -> Image:
    """A picture with structure at every scale, edges of its own among it."""
    rng = np.random.default_rng(seed)
    picture = np.full((HEIGHT, WIDTH), 110.0)
    for size in (4, 12, 40):
        coarse = rng.normal(0, 14, (size, size)).astype(np.float32)
        picture += cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    picture[60:140, 101:103] = 235
    picture[90:93] = 30
    return np.clip(picture, 0, 255).astype(np.uint8)


def planes(y: Image, chroma: tuple[int, int] = (120, 135)) -> Planes:
    half = (y.shape[0] // 2, y.shape[1] // 2)
    return Planes(y, *(np.full(half, level, np.uint8) for level in chroma))


def test_blocks_out_of_place_show_and_edges_of_the_scene_do_not() -> None:
    whole = road()
    assert torn_share(whole) < TORN_FROM / 2
    torn = whole.copy()
    torn[96:112, 80:240] = np.roll(whole, 70, axis=0)[96:112, 80:240] ^ 60
    assert torn_share(torn) > TORN_FROM
    # Off the grid of blocks it is a thing in the picture.
    beside = whole.copy()
    beside[99:115, 83:243] = torn[96:112, 80:240]
    assert torn_share(beside) < TORN_FROM / 2


def test_torn_edges_are_counted_as_defined_both_ways() -> None:
    """Pixel by pixel, from the definition."""
    picture = np.random.default_rng(5).integers(90, 140, (44, 70)).astype(np.uint8)
    torn = []
    for luma in (picture[:40, :64].astype(int), picture[:40, :64].T.astype(int)):
        for edge in range(GRID, luma.shape[0], GRID):
            for block in range(0, luma.shape[1], GRID):
                a, b, c, d = luma[edge - 2 : edge + 2, block : block + GRID]
                excess = np.abs(c - b) - np.maximum(np.abs(b - a), np.abs(d - c))
                torn.append(excess.mean() > 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("catseye.capture.corruption.STEP", 0)
        assert torn_share(picture) == pytest.approx(np.mean(torn))
    assert 0.05 < np.mean(torn) < 0.95


@pytest.mark.parametrize("shape", [(8, 8), (9, 40), (40, 17), (100, 101), (1, 1)])
def test_pictures_of_any_size(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    assert 0 <= torn_share(rng.integers(0, 255, shape, dtype=np.uint8)) <= 1


def test_every_edge_of_the_grid_counts() -> None:
    checks = np.indices((HEIGHT, WIDTH)).sum(axis=0) * 0
    checks[(np.indices((HEIGHT, WIDTH)) // GRID).sum(axis=0) % 2 == 1] = 200
    assert torn_share(checks.astype(np.uint8)) == 1


@pytest.mark.parametrize(("level", "chroma"), [(128, (128, 128)), (0, (0, 0)), (16, (3, 2))])
def test_what_decoders_fill_in_is_found(level: int, chroma: tuple[int, int]) -> None:
    picture = planes(road())
    assert filled_share(picture) < 0.01
    rows = np.s_[: HEIGHT // 4]
    picture.y[: HEIGHT // 2] = level
    picture.u[rows], picture.v[rows] = chroma
    assert filled_share(picture) == pytest.approx(0.5, abs=0.01) and filled_share(picture) > FILL_SHARE


def test_a_grey_camera_is_not_filled() -> None:
    assert filled_share(planes(road(), (128, 128))) < FILL_SHARE


def flipped(path: Path, target: Path, *, seed: int) -> Path:
    """A copy with 40 bytes in a row inverted somewhere in the middle."""
    content = bytearray(path.read_bytes())
    at = int(np.random.default_rng(seed).integers(len(content) // 4, 3 * len(content) // 4))
    content[at : at + 40] = bytes(255 - byte for byte in content[at : at + 40])
    target.write_bytes(content)
    return target


def test_damage_is_told_up_to_the_next_key_frame(
    write_video: Callable[..., Path], moving: Callable[..., Callable[[int], Image]], tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mp4", moving(), range(0, 4000, 40), gop=25)
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    content = bytearray(path.read_bytes())
    at, size = packets[35]
    content[at + size // 2 : at + size // 2 + 20] = bytes(20)
    path.write_bytes(content)
    with VideoFile(path) as video:
        found = {round(float(frame.pts * frame.time_base) * 25): frame.damaged for frame in video.frames()}
    assert found[34] is False and found[50] is False and found[99] is False
    assert all(damaged for number, damaged in found.items() if 36 <= number < 50)
    dataset = ingest([path], tmp_path / "dataset", width=160, height=96, jobs=1)
    spans = [(len(clip), set(clip.tags)) for clip in dataset.clips if len(clip)]
    assert spans[0] == (35, set()) and spans[-1] == (50, set())
    assert all("corrupt" in tags for _, tags in spans[1:-1])
    assert dataset.clips[1].corruption == 1 > dataset.clips[0].corruption


def test_flipped_bytes_in_real_footage_are_set_aside(shared_data: Path, tmp_path: Path) -> None:
    """Forty bytes that leave frames damaged without an exception."""
    original = shared_data / "video/highway_white_right.mp4"
    with VideoFile(original, threads=1) as video:
        sound = {frame.pts: frame.planes.y[::2, ::2].copy() for frame in video.frames()}
    damaged = flipped(original, tmp_path / "damaged.mp4", seed=4)
    with VideoFile(damaged, threads=1) as video:
        frames = {frame.pts: frame.planes.y[::2, ::2].astype(int) for frame in video.frames()}
    visible = {pts for pts, luma in frames.items() if np.abs(luma - sound[pts]).max() > 40}
    assert len(visible) > 5
    dataset = ingest([damaged], tmp_path / "dataset", width=160, height=96, jobs=1)
    used = {int(pts) for clip in dataset.select() for pts in clip.pts}
    assert not visible & used and len(used) > 150
