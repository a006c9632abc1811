"""What a graph is given, whatever the decoder gave, and in whole batches."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame

from catseye.capture.geometry import Planes, planes_to_rgb
from catseye.capture.sources import to_frame
from catseye.runtime.engines.base import Inputs
from catseye.runtime.manifest import Colour, Network
from catseye.runtime.network_input import filled, in_batches, network_input, picture_input, stacked

RGB8 = Network(width=48, height=32, batch=1)
NV12 = [
    Network(width=48, height=32, batch=1, input="nv12", colour=Colour(matrix=matrix, full_range=full_range))
    for matrix, full_range in (("bt709", False), ("bt601", True))
]
BT601, BT709 = 5, 1
LIMITED, FULL = 1, 2


def scene() -> np.ndarray:
    coarse = np.random.default_rng(3).integers(20, 236, (4, 6, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (96, 72), interpolation=cv2.INTER_LINEAR), np.uint8)


def shown(inputs: Inputs, network: Network) -> np.ndarray:
    """RGB of what a network is given."""
    if network.colour is None:
        return inputs["frames"].astype(int)
    luma, chroma = inputs["luma"], inputs["chroma"]
    assert luma.shape == (32, 48) and chroma.shape == (16, 24, 2)
    colour = network.colour
    planes = Planes(luma, chroma[..., 0], chroma[..., 1], colour.matrix, colour.full_range)
    return planes_to_rgb(planes).astype(int)


@pytest.mark.parametrize("network", NV12, ids=["bt709", "bt601, full"])
@pytest.mark.parametrize(
    ("pixel_format", "space", "levels"),
    [
        ("yuv420p", BT709, LIMITED),
        ("yuv420p", BT601, LIMITED),
        ("yuv420p", BT709, FULL),
        ("yuvj420p", BT601, FULL),
        ("nv12", BT709, LIMITED),
        ("nv12", BT601, FULL),
        ("yuv422p", BT601, LIMITED),
        ("yuv444p", BT709, LIMITED),
        ("yuvj422p", BT601, FULL),
        ("rgb24", 2, 0),
        ("gbrp", 2, 0),
    ],
)
def test_every_source_looks_the_same_as_planes_and_as_rgb(
    pixel_format: str, space: int, levels: int, network: Network
) -> None:
    picture = VideoFrame.from_ndarray(scene(), format="rgb24")
    if pixel_format != "rgb24":
        colour = {"dst_colorspace": space, "dst_color_range": levels} if levels else {}
        picture = picture.reformat(format=pixel_format, **colour)
    picture.pts, picture.colorspace, picture.color_range = 0, space, levels
    planes = to_frame(picture, index=0, time_base=Fraction(1)).planes
    by_planes, by_rgb, still = (
        shown(given, of)
        for given, of in (
            (network_input(planes, network), network),
            (network_input(planes, RGB8), RGB8),
            (picture_input(scene(), RGB8), RGB8),
        )
    )
    # But for the border's edge, which is two pixels wide.
    inner = np.s_[4:-4, 6:-6]
    assert np.abs(by_planes - by_rgb)[inner].max() <= 5 and np.abs(by_planes - by_rgb)[inner].mean() < 1
    assert np.abs(by_planes - still)[inner].mean() < 3


@pytest.mark.parametrize("network", NV12, ids=["bt709", "bt601, full"])
def test_a_picture_is_given_as_planes(network: Network) -> None:
    given = shown(picture_input(scene(), network), network)
    expected = shown(picture_input(scene(), RGB8), RGB8)
    difference = (given - expected)[4:-4, 6:-6]
    # Fine colour is lost with half of the chroma, light is not.
    assert np.abs(difference @ (0.299, 0.587, 0.114)).mean() < 1 and np.abs(difference).mean() < 2.5
    assert np.abs(given[:, [0, -1]] - 114).max() <= 1


def frames(count: int) -> Inputs:
    one = [
        {"luma": np.full((2, 2), k, np.uint8), "chroma": np.full((1, 1, 2), k, np.uint8)}
        for k in range(count)
    ]
    return stacked(one)


def test_what_a_batch_lacks_is_its_last_frame_again() -> None:
    assert filled(frames(3), 3)["luma"][:, 0, 0].tolist() == [0, 1, 2]
    whole = filled(frames(2), 4)
    assert whole["luma"][:, 0, 0].tolist() == whole["chroma"][:, 0, 0, 0].tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("count", "batch", "expected"),
    [
        (1, 1, [([0], 1)]),
        (5, 2, [([0, 1], 2), ([2, 3], 2), ([4, 4], 1)]),
        (4, 4, [([0, 1, 2, 3], 4)]),
        (2, 3, [([0, 1, 1], 2)]),
    ],
)
def test_any_number_of_frames_goes_in_whole_batches(
    count: int, batch: int, expected: list[tuple[list[int], int]]
) -> None:
    found = [(part["luma"][:, 0, 0].tolist(), kept) for part, kept in in_batches(frames(count), batch)]
    assert found == expected
