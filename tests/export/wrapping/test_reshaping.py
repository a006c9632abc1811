"""A network of one size made for another is the network that its exporter would have written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from catseye.errors import InputError, UsageError
from catseye.export.wrapping.original import at_size, read_original

from .sized_network import CHANNELS, PARTS, Graph, detector, grid

SIZES = [(96, 96, 96, 64), (96, 96, 64, 96), (96, 64, 160, 128), (128, 64, 64, 128), (96, 96, 128, 64)]


def outputs_of(content: bytes, *, width: int, height: int) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    pictures = np.random.default_rng(1).uniform(-1, 1, (1, 3, height, width)).astype(np.float32)
    return np.asarray(session.run(None, {"images": pictures})[0])


def remade(model: onnx.ModelProto, folder: Path, *, width: int, height: int) -> bytes:
    onnx.save(model, folder / "network.onnx")
    original = read_original(folder / "network.onnx", width=None, height=None)
    return at_size(original, width=width, height=height).content


@pytest.mark.parametrize("picked", [False, True])
@pytest.mark.parametrize(("width", "height", "wide", "high"), SIZES)
def test_it_is_the_network_of_the_other_size(
    width: int, height: int, wide: int, high: int, picked: bool, tmp_path: Path
) -> None:
    made = remade(detector(width, height, picked=picked), tmp_path, width=wide, height=high)
    expected = detector(wide, high, picked=picked).SerializeToString()
    found = outputs_of(made, width=wide, height=high)
    np.testing.assert_allclose(found, outputs_of(expected, width=wide, height=high), rtol=1e-4, atol=1e-4)
    assert np.ptp(found) > 10


def test_back_it_is_the_same(tmp_path: Path) -> None:
    model = detector(96, 96)
    there = onnx.load_model_from_string(remade(model, tmp_path, width=128, height=64))
    back = remade(there, tmp_path, width=96, height=96)
    np.testing.assert_allclose(
        outputs_of(back, width=96, height=96),
        outputs_of(model.SerializeToString(), width=96, height=96),
        rtol=1e-4,
        atol=1e-4,
    )


def position(g: Graph, maps: str, rows: int, columns: int) -> str:
    table = np.random.default_rng(0).standard_normal((1, CHANNELS, rows, columns))
    return g.node("Add", maps, g.constant(table), name="guilty")


def in_pictures(g: Graph, maps: str, rows: int, columns: int) -> str:
    table = grid(rows, columns).reshape(1, 2, rows, columns) / np.reshape([columns, rows], (1, 2, 1, 1))
    return g.node("Add", maps, g.constant(np.tile(table, (1, CHANNELS // 2, 1, 1))), name="guilty")


def layer(g: Graph, maps: str, rows: int, columns: int) -> str:
    flat = g.node("Reshape", maps, g.shape(1, CHANNELS, rows * columns))
    weight = g.constant(np.eye(rows * columns))
    mixed = g.node("MatMul", flat, weight, name="guilty")
    return g.node("Reshape", mixed, g.shape(1, CHANNELS, rows, columns))


def whole_window(g: Graph, maps: str, rows: int, columns: int) -> str:
    kernel = g.constant(np.full((CHANNELS, 1, rows, columns), 0.01))
    return g.node("Add", maps, g.node("Conv", maps, kernel, group=CHANNELS, name="guilty"))


def half(g: Graph, maps: str, rows: int, columns: int) -> str:
    part = g.node("Slice", maps, g.shape(0), g.shape(rows // 2), g.shape(2), name="guilty")
    return g.node("Concat", part, part, axis=2)


def numbered(g: Graph, maps: str, rows: int, columns: int) -> str:
    order = np.arange(rows)[::-1]
    return g.node("Gather", maps, g.constant(order, np.int64), axis=2, name="guilty")


def of_size(g: Graph, maps: str, rows: int, columns: int) -> str:
    return g.node("Div", maps, g.constant(g.height), name="guilty")


def of_share(g: Graph, maps: str, rows: int, columns: int) -> str:
    return g.node("Mul", maps, g.constant(1 / g.height), name="guilty")


def row_of_best(g: Graph, maps: str, rows: int, columns: int) -> str:
    flat = g.node("Reshape", maps, g.shape(1, CHANNELS * rows * columns))
    found = g.node("TopK", flat, g.shape(1), outputs=2)
    row = g.node("Mod", f"{found}:1", g.constant(columns, np.int64), name="guilty")
    return g.node("Add", maps, g.node("Cast", row, to=1))


def places_of_a_table(g: Graph, maps: str, rows: int, columns: int) -> str:
    flat = g.node("Reshape", maps, g.shape(1, CHANNELS * rows * columns))
    found = g.node("TopK", flat, g.shape(1), outputs=2)
    table = g.constant(np.arange(CHANNELS * rows * columns))
    return g.node("Add", maps, g.node("Gather", table, f"{found}:1", name="guilty"))


def sampled(g: Graph, maps: str, rows: int, columns: int) -> str:
    where = g.constant(np.zeros((1, rows, columns, 2)))
    return g.node("GridSample", maps, where, name="guilty")


def turned(g: Graph, maps: str, rows: int, columns: int) -> str:
    """Rows as columns, which a square map allows."""
    return g.node("Add", maps, g.node("Transpose", maps, perm=[0, 1, 3, 2]), name="guilty")


def repeated(g: Graph, maps: str, rows: int, columns: int) -> str:
    """One value to as many places as there are: whether it follows the map or not, nobody can tell."""
    mean = g.node("GlobalAveragePool", maps)
    return g.node("Add", maps, g.node("Expand", mean, g.shape(1, CHANNELS, rows, columns)), name="guilty")


def third(g: Graph, maps: str, rows: int, columns: int) -> str:
    less = g.node("Resize", maps, "", "", g.shape(1, CHANNELS, rows // 3, columns), name="guilty")
    return g.node("Resize", less, "", "", g.shape(1, CHANNELS, rows, columns))


def area_attention(g: Graph, maps: str, rows: int, columns: int) -> str:
    """YOLO12's: two areas see themselves alone. They may be two, or of three rows each: nobody can tell."""
    flat = g.node("Reshape", maps, g.shape(1, CHANNELS, -1))
    flat = g.node("Transpose", flat, perm=[0, 2, 1])
    areas = g.node("Reshape", flat, g.shape(2, rows * columns // 2, CHANNELS), name="guilty")
    alike = g.node("Softmax", g.node("MatMul", areas, g.node("Transpose", areas, perm=[0, 2, 1])), axis=-1)
    mixed = g.node("Reshape", g.node("MatMul", alike, areas), g.shape(1, rows, columns, CHANNELS))
    return g.node("Add", maps, g.node("Transpose", mixed, perm=[0, 3, 1, 2]))


UNKNOWN: dict[str, tuple[Callable[[Graph, str, int, int], str], str]] = {
    "learned position": (position, "a value for each place that is no grid"),
    "grid in pictures": (in_pictures, "a value for each place that is no grid"),
    "layer over places": (layer, "a weight for each place"),
    "window over the map": (whole_window, "a weight for each place"),
    "half a map": (half, "takes places 0 to 3 of 6"),
    "places by number": (numbered, "picks places by their number"),
    "picture's height": (of_size, "computes with 96, which may be the size of the picture"),
    "share of the height": (of_share, "computes with 96, which may be the size of the picture"),
    "row of a place": (row_of_best, "computes with the number of a place"),
    "a table's places": (places_of_a_table, "computes with the number of a place"),
    "unknown operator": (sampled, "whose work at another size is not known here"),
    "rows as columns": (turned, "joins places that change apart: 6 -> 4 and 6"),
    "one to many": (repeated, "joins places that change apart: 6 -> 4 and 6 -> 6"),
    "no whole number": (third, "makes 2 of 6 places, and of 4 no whole number"),
    "areas": (area_attention, "cuts 6 -> 4 places into 2"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_not_understood_is_one_line(what: str, tmp_path: Path) -> None:
    part, said = UNKNOWN[what]
    with pytest.raises(InputError) as refused:
        remade(detector(96, 96, parts=(part,)), tmp_path, width=96, height=64)
    told = str(refused.value)
    assert "cannot be made 96x64: node 'guilty'" in told and said in told and "\n" not in told
    assert told.endswith("export it at 96x64 instead")


def test_what_does_not_change_is_not_asked(tmp_path: Path) -> None:
    """A learned position of each column, when rows alone change."""

    def columns_alone(g: Graph, maps: str, rows: int, columns: int) -> str:
        table = np.random.default_rng(0).standard_normal((1, CHANNELS, 1, columns))
        return g.node("Add", maps, g.constant(np.repeat(table, rows, axis=2)))

    made = remade(detector(96, 96, parts=(columns_alone,)), tmp_path, width=96, height=64)
    expected = detector(96, 64, parts=(columns_alone,)).SerializeToString()
    sizes = {"width": 96, "height": 64}
    np.testing.assert_allclose(outputs_of(made, **sizes), outputs_of(expected, **sizes), rtol=1e-4, atol=1e-4)


def test_pixels_are_a_grid_too(tmp_path: Path) -> None:
    def in_pixels(g: Graph, maps: str, rows: int, columns: int) -> str:
        table = 16 * grid(rows, columns).reshape(1, 2, rows, columns)
        return g.node("Add", maps, g.constant(np.tile(table, (1, CHANNELS // 2, 1, 1))))

    made = remade(detector(96, 96, parts=(in_pixels,)), tmp_path, width=160, height=64)
    expected = detector(160, 64, parts=(in_pixels,)).SerializeToString()
    sizes = {"width": 160, "height": 64}
    np.testing.assert_allclose(outputs_of(made, **sizes), outputs_of(expected, **sizes), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ({"height": 80}, "--height 80: .* works in steps of 32 pixels, give 64 or 96"),
        ({"width": 100}, "--width 100: .* works in steps of 32 pixels, give 96 or 128"),
        ({"width": 97}, "width 97 must be even and at least 32"),
    ],
)
def test_a_size_that_cannot_be(size: dict[str, int], said: str, tmp_path: Path) -> None:
    onnx.save(detector(96, 96), tmp_path / "network.onnx")
    original = read_original(tmp_path / "network.onnx", width=None, height=None)
    with pytest.raises(UsageError, match=said):
        at_size(original, **{"width": None, "height": None, **size})


def test_its_own_size_is_left_alone(tmp_path: Path) -> None:
    onnx.save(detector(96, 96, parts=(position, *PARTS.values())), tmp_path / "network.onnx")
    original = read_original(tmp_path / "network.onnx", width=None, height=None)
    assert at_size(original, width=96, height=None) is original
