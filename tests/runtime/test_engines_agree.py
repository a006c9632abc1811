"""Whatever executes a bundle here sees what its proof says: every engine that this machine has."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from catseye.errors import CatseyeError
from catseye.runtime.bundle import open_bundle
from catseye.runtime.cuda import device_count
from catseye.runtime.engines.base import Engine
from catseye.runtime.engines.load import ENGINES, load_engine
from catseye.runtime.plan_options import PlanOptions
from catseye.runtime.tensorrt_library import is_installed
from catseye.runtime.verification import prove


@pytest.mark.parametrize("name", ENGINES)
def test_the_proof_holds(name: str, tiny_bundle: Path, tmp_path: Path) -> None:
    bundle, plans = open_bundle(tiny_bundle), PlanOptions(cache=tmp_path / "plans")
    with ExitStack() as stack:
        if name == "tensorrt" and not (is_installed("tensorrt") and device_count()):
            pytest.importorskip("cuda.bindings.runtime", reason="pip install cuda-bindings")
            from board import board  # a double: there is no GPU here

            stack.enter_context(board())
        try:
            engine: Engine = load_engine(bundle, engine=name, threads=1, plans=plans)
        except CatseyeError as error:
            if name.startswith("onnxruntime-"):
                pytest.skip(str(error))
            raise
        stack.enter_context(closing(engine))
        checks = prove(bundle, engine)
    assert checks and all(checks), [check for check in checks if not check]
