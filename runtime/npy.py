"""Arrays in NumPy's .npy format whose header is known beforehand, and never obeyed."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from catseye.errors import InputError
from catseye.runtime.archive import REMEDY

_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '([|<][a-z]\d)', 'fortran_order': False, "
    rb"'shape': \(([\d, ]{,80})\), \} *\n",
    re.DOTALL,
)
"""All that NumPy writes of a plain array (numpy.lib.format, version 1.0)."""
_NPY_PREFIX, _NPY_LENGTH_END = 1024, 10


def dump_array(array: NDArray[Any]) -> bytes:
    """An array in NumPy's .npy format."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def parse_array(
    content: bytes | memoryview, *, dtype: DTypeLike, shape: tuple[int, ...], subject: str
) -> NDArray[Any]:
    """Read what ``dump_array`` wrote. The header must be the expected one; it is never obeyed.

    Raises:
        InputError: type, shape or size is another.
    """
    header = _NPY_HEADER.match(content[:_NPY_PREFIX])
    if header is None or int.from_bytes(header[1], "little") != header.end() - _NPY_LENGTH_END:
        raise InputError(subject, "is no array", REMEDY)
    payload = content[header.end() :]
    found_shape = tuple(int(size) for size in header[3].decode().split(",") if size.strip())
    expected = np.dtype(dtype)
    found = (found_shape, header[2].decode(), len(payload))
    if found != (shape, expected.str, math.prod(shape) * expected.itemsize):
        raise InputError(subject, f"is no {expected} array of shape {shape}", REMEDY)
    return np.frombuffer(payload, dtype=dtype).reshape(shape)
