"""ONNX nodes, one call each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike
from onnx import helper, numpy_helper


class Builder:
    """Collects nodes and constants below a prefix that nothing else uses.

    Args:
        prefix: of every name that it gives.
    """

    def __init__(self, prefix: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._prefix = prefix
        self._taken: Counter[str] = Counter()

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Append a node of one output; return the output's name, which is ``output`` where that is given."""
        (made,) = self._node(operator, inputs, (output,), attributes)
        return made

    def top_k(self, values: str, k: int) -> tuple[str, str]:
        """The ``k`` largest along the last axis, largest first: names of the values and their indices."""
        count = self.constant([k], np.int64)
        best, at = self._node("TopK", (values, count), (None, None), {"axis": -1})
        return best, at

    def constant(self, values: ArrayLike, dtype: DTypeLike = np.float32) -> str:
        """Add a constant; return its name."""
        name = self._name("constant")
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=dtype), name))
        return name

    def columns(self, value: str, start: int, stop: int) -> str:
        """``value[..., start:stop]``."""
        limits = (self.constant([at], np.int64) for at in (start, stop, -1))
        return self.add("Slice", value, *limits)

    def reshape(self, value: str, *shape: int) -> str:
        return self.add("Reshape", value, self.constant(shape, np.int64))

    def _node(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str | None], attributes: dict[str, Any]
    ) -> list[str]:
        name = self._name(operator)
        made = [given or f"{name}:{index}" for index, given in enumerate(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), made, name=name, **attributes))
        return made

    def _name(self, kind: str) -> str:
        self._taken[kind] += 1
        return f"{self._prefix}/{kind}_{self._taken[kind]}"
