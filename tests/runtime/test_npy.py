from __future__ import annotations

import io

import numpy as np
import pytest

from catseye.errors import InputError
from catseye.runtime.npy import dump_array, parse_array


def test_array_header_is_never_obeyed() -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    content = dump_array(array)
    np.testing.assert_array_equal(parse_array(content, dtype="int32", shape=(2, 3), subject="a"), array)
    huge = io.BytesIO()
    header = {"descr": "<i4", "fortran_order": False, "shape": (1 << 40, 3)}
    np.lib.format.write_array_header_1_0(huge, header)
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    for wrong in (huge.getvalue(), pickled.getvalue(), content[:-1], content + b"\0", b"", b"\x93NUMPY"):
        with pytest.raises(InputError, match="a: is no"):
            parse_array(wrong, dtype="int32", shape=(2, 3), subject="a")
