#!/usr/bin/env python3
"""Record what TensorRT's Python classes have, version by version, for the tests that hold the runtime to it.

    scripts/tensorrt_api.py 10.3.0 11.4.0.106 rtx > tests/runtime/tensorrt_api.json

NVIDIA's documentation of the Python API is made from the docstrings of these very bindings, which name
each argument. Their wheels are on PyPI and import without a GPU, but not without TensorRT's libraries;
libraries of the same names that hold nothing but the functions looked up at import stand in for them. That
takes `cc`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

CLASSES = (
    "Builder", "EngineInspector", "IBuilderConfig", "ICudaEngine", "IExecutionContext", "IHostMemory",
    "ILayer", "ILogger", "INetworkDefinition", "IProgressMonitor", "ITensor", "ITimingCache", "OnnxParser",
    "ParserError", "Runtime",
)  # fmt: skip
ENUMS = (
    "BuilderFlag", "DataType", "DeviceType", "LayerInformationFormat", "LayerType", "MemoryPoolType",
    "NetworkDefinitionCreationFlag", "ProfilingVerbosity", "TensorIOMode",
)  # fmt: skip
LOOKED_UP = (
    "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL", "getBuilderPluginRegistry",
    "getNvOnnxParserVersion", "getPluginRegistry", "initLibNvInferPlugins",
)  # fmt: skip


def main() -> None:
    if sys.argv[1] == "--module":
        print(json.dumps(record(importlib.import_module(sys.argv[2]))))
        return
    found = {version: of_rtx() if version == "rtx" else of_wheel(version) for version in sys.argv[1:]}
    print(json.dumps(found, indent=1, sort_keys=True))


def of_rtx() -> Any:
    from catseye.runtime.tensorrt_library import load_tensorrt

    return record(load_tensorrt("tensorrt-rtx")[0])


def of_wheel(version: str) -> Any:
    """Record a version by importing its wheel's bindings in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*pip, "--dest", name, f"tensorrt-cu12-bindings=={version}"], check=True)
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (folder / "tensorrt.so").write_bytes(archive.read("tensorrt_bindings/tensorrt.so"))
        source = folder / "nothing.c"
        source.write_text("".join(f"void *{function}(void) {{ return 0; }}\n" for function in LOOKED_UP))
        for library in ("nvinfer", "nvonnxparser", "nvinfer_plugin"):
            path = folder / f"lib{library}.so.{version.split('.', maxsplit=1)[0]}"
            subprocess.run(
                ["cc", "-shared", "-fPIC", f"-Wl,-soname,{path.name}", "-o", path, source], check=True
            )
        environment = {**os.environ, "LD_LIBRARY_PATH": name, "PYTHONPATH": name}
        told = subprocess.run(
            [sys.executable, __file__, "--module", "tensorrt"],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
        )
        return json.loads(told.stdout)


def record(module: Any) -> dict[str, Any]:
    """Members of each class by name, each with its kind or its arguments; values of each enumeration."""
    return {
        "classes": {name: members(getattr(module, name)) for name in CLASSES},
        "enums": {
            name: {key: int(value) for key, value in getattr(module, name).__members__.items()}
            for name in ENUMS
        },
    }


def members(kind: type) -> dict[str, Any]:
    names = [name for name in dir(kind) if name == "__init__" or not name.startswith(("_", "add_"))]
    return {name: member(kind, name) for name in names}


def member(kind: type, name: str) -> Any:
    """``property``, ``settable``, ``constant``, or each overload's arguments as its docstring has them."""
    found = inspect.getattr_static(kind, name)
    if isinstance(found, property):
        return "settable" if found.fset else "property"
    text = getattr(kind, name).__doc__ or ""
    calls = re.findall(rf"^(?:\d+\. )?{name}\(self: [\w.]+(?:, )?(.*)\)(?: -> .+)?$", text, re.M)
    return [re.sub(r"\btensorrt(_rtx_bindings\.tensorrt_rtx)?\.", "", call) for call in calls] or "constant"


if __name__ == "__main__":
    main()
