"""Someone else's ONNX file, made into a graph of static shapes and one operator set to build upon."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import onnxslim
from onnx import numpy_helper, version_converter

from catseye.errors import InputError, UsageError
from catseye.export.onnx_files import OPSET, strip
from catseye.export.wrapping.layouts import SIZES_INPUT, Port
from catseye.export.wrapping.reshaping import reshaped
from catseye.runtime.onnx_reader import OPSETS

_MOST_BYTES = 1 << 29
_FLOATS = ("float32", "float16")
_LOWER = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.INT8}
_EXPORT_AGAIN = "export it again with a fixed batch of 1"


@dataclass(frozen=True)
class Original:
    """A model as it came, and as it is built upon.

    Args:
        path: its file.
        content: of that file, byte for byte; of one that is re-shaped, ``model``.
        sha256: of the file.
        metadata: what its exporter noted in it.
        model: the same network with static shapes, its shape arithmetic folded away.
        frames: the input for pictures (1, 3, height, width).
        sizes: the second input, ``SIZES_INPUT``, or None.
        outputs: in the file's order.
    """

    path: Path
    content: bytes
    sha256: str
    metadata: Mapping[str, str]
    model: onnx.ModelProto
    frames: Port
    sizes: Port | None
    outputs: tuple[Port, ...]

    @property
    def width(self) -> int:
        return self.frames.shape[3]

    @property
    def height(self) -> int:
        return self.frames.shape[2]

    @property
    def is_single(self) -> bool:
        """Whether all it computes with is float32."""
        weights = {weight.data_type for weight in self.model.graph.initializer}
        return self.frames.dtype == "float32" and not weights & _LOWER


def read_original(path: Path, *, width: int | None, height: int | None) -> Original:
    """Read a detector's ONNX file.

    Args:
        width, height: of the network's input in pixels, where the file leaves them open; where it fixes
            them, it is read at its own.

    Raises:
        InputError: the file is absent, is no ONNX model or not a detector's of one picture a call, or uses
            what cannot be converted.
        UsageError: a size is missing.
    """
    content = _read(path)
    try:
        model = onnx.load_model_from_string(content)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf's and the checker's share no base class
        reason = (str(error).strip().splitlines() or ["it is empty"])[0]
        raise InputError(path, f"is no valid ONNX model ({reason})", "export it again") from None
    if any(weight.data_location == onnx.TensorProto.EXTERNAL for weight in model.graph.initializer):
        raise InputError(path, "keeps weights in another file", "export it again as one file")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    frames, sizes = _inputs(path, model)
    _fix_size(path, frames, width=width, height=height)
    if sizes is not None:
        sizes.type.tensor_type.shape.dim[0].dim_value = 1
    model = _converted(path, model)
    values = {value.name: value for value in model.graph.input}
    return Original(
        path=path,
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        metadata=metadata,
        model=model,
        frames=_port(path, values[frames.name]),
        sizes=None if sizes is None else _port(path, values[sizes.name]),
        outputs=tuple(_port(path, value) for value in model.graph.output),
    )


def at_size(original: Original, *, width: int | None, height: int | None) -> Original:
    """The same detector for pictures of another size; itself where that is its own.

    Args:
        width, height: of the network's input in pixels; None keeps the original's.

    Raises:
        UsageError: there can be no network of that size.
        InputError: the graph depends on its size in a way that is not understood.
    """
    width, height = width or original.width, height or original.height
    if (width, height) == (original.width, original.height):
        return original
    for name, size in (("width", width), ("height", height)):
        _require_size(original.path, name, size)
    path, frames, model = original.path, original.frames, original.model
    model = reshaped(model, frames=frames.name, width=width, height=height, subject=str(path))
    return replace(
        original,
        content=model.SerializeToString(deterministic=True),
        model=model,
        frames=replace(frames, shape=(1, 3, height, width)),
        outputs=tuple(_port(path, value) for value in model.graph.output),
    )


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(path, f"is larger than {_MOST_BYTES >> 20} MiB", "give a smaller detector")
        return path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "give a detector's .onnx file") from None


def _inputs(path: Path, model: onnx.ModelProto) -> tuple[onnx.ValueInfoProto, onnx.ValueInfoProto | None]:
    weights = {weight.name for weight in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in weights]
    pictures = [value for value in given if len(value.type.tensor_type.shape.dim) == 4]
    others = [value for value in given if value not in pictures]
    if len(pictures) != 1 or any(value.name != SIZES_INPUT for value in others):
        named = ", ".join(value.name for value in given) or "nothing"
        fault = f"takes {named}, not one tensor of pictures 1x3xHxW"
        raise InputError(path, fault, "give a detector of single pictures")
    (frames,) = pictures
    dims = frames.type.tensor_type.shape.dim
    dtype = _dtype(frames)
    if dims[1].dim_value not in {0, 3} or dtype not in _FLOATS:
        raise InputError(
            path, f"takes {_dims(frames)} {dtype}, not 1x3xHxW floats", "export it again in that layout"
        )
    if dims[0].dim_value > 1:
        raise InputError(path, f"takes batches of {dims[0].dim_value}", _EXPORT_AGAIN)
    return frames, others[0] if others else None


def _fix_size(path: Path, frames: onnx.ValueInfoProto, *, width: int | None, height: int | None) -> None:
    dims = frames.type.tensor_type.shape.dim
    dims[0].dim_value, dims[1].dim_value = 1, 3
    for name, dim, wanted in (("height", dims[2], height), ("width", dims[3], width)):
        if not dim.dim_value and wanted is None:
            raise UsageError(f"{path} leaves its {name} open: give --{name}, such as 640")
        dim.dim_value = dim.dim_value or wanted or 0
        _require_size(path, name, dim.dim_value)


def _require_size(path: Path, name: str, size: int) -> None:
    if size % 2 or size < 32:
        raise UsageError(f"{path}: {name} {size} must be even and at least 32")


def _converted(path: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """One operator set that all engines read, no shape arithmetic, every shape known."""
    version = next((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), 0)
    try:
        if version not in OPSETS or version < OPSET:
            model = version_converter.convert_version(model, OPSET)
        _forget_shapes(model)
        model = onnxslim.slim(model, model_check=False)
        _forget_shapes(model)
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:  # each of the three raises its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        fault = f"cannot be brought to ONNX operator set {OPSET} with static shapes ({reason})"
        raise InputError(path, fault, f"export it again at operator set {OPSET}") from None
    strip(model)
    for weight in model.graph.initializer:
        if not weight.HasField("raw_data"):
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight), weight.name))
    return model


def _forget_shapes(model: onnx.ModelProto) -> None:
    """Drop what was noted of sizes that were open then, so that they are inferred anew."""
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def _port(path: Path, value: onnx.ValueInfoProto) -> Port:
    dims = value.type.tensor_type.shape.dim
    if not value.type.tensor_type.HasField("shape") or any(not dim.dim_value for dim in dims):
        fault = f"{value.name} has a size that is known only when it runs ({_dims(value)})"
        raise InputError(path, fault, "export it again with static shapes and without suppression of doubles")
    return Port(value.name, _dtype(value), tuple(dim.dim_value for dim in dims))


def _dims(value: onnx.ValueInfoProto) -> str:
    return "x".join(str(dim.dim_value or dim.dim_param or "?") for dim in value.type.tensor_type.shape.dim)


def _dtype(value: onnx.ValueInfoProto) -> str:
    return str(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
