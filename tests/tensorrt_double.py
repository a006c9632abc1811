"""TensorRT without a GPU: building and executing, over ONNX Runtime and the GPU of ``cuda_double``.

Every name, argument and assignment is held to all the versions of ``tensorrt_api``. The plan it builds is the
ONNX itself. It minds the order of things: a context runs once before a stream that runs it is captured, every
tensor has an address that the GPU can reach, and nothing is computed before somebody waits for it.
"""

from __future__ import annotations

import importlib.machinery
import inspect
import json
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tensorrt_api
from cuda_double import CudaDouble
from tensorrt_api import WrongCallError, enumeration, recorded

_MAGIC = b"plan of the double "
_TYPES = {
    onnx.TensorProto.FLOAT: ("FLOAT", np.float32),
    onnx.TensorProto.FLOAT16: ("HALF", np.float16),
    onnx.TensorProto.INT8: ("INT8", np.int8),
    onnx.TensorProto.INT32: ("INT32", np.int32),
    onnx.TensorProto.INT64: ("INT64", np.int64),
    onnx.TensorProto.UINT8: ("UINT8", np.uint8),
}


class Held:
    """What the runtime gets in place of one of TensorRT's objects."""

    def __init__(self, thing: Any, kind: str, trt: TensorRTDouble) -> None:
        object.__setattr__(self, "_held", (thing, kind, trt))

    @property
    def held_as(self) -> str:
        kind: str = self._held[1]
        return kind

    def __getattr__(self, name: str) -> Any:
        thing, kind, trt = self._held
        with trt.strict():
            tensorrt_api.check_read(kind, name)
            found = getattr(thing, name)
        if not callable(found):
            return found

        def call(*args: Any, **named: Any) -> Any:
            with trt.strict():
                tensorrt_api.check_call(kind, name, args, named)
                names = list(inspect.signature(found).parameters)
                plain = dict(zip(names, args, strict=False))
                return found(**{key: _thing(value) for key, value in {**plain, **named}.items()})

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        thing, kind, trt = self._held
        with trt.strict():
            tensorrt_api.check_set(kind, name)
            setattr(thing, name, _thing(value))

    def __bytes__(self) -> bytes:
        if self.held_as != "IHostMemory":
            raise TypeError(self.held_as)
        content: bytes = self._held[0]
        return content


def _thing(value: Any) -> Any:
    return value._held[0] if isinstance(value, Held) else value


class _Strict:
    """Remembers what went wrong, since the runtime may swallow it."""

    def __init__(self, wrong: list[str]) -> None:
        self._wrong = wrong

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, WrongCallError | TypeError | AttributeError):
            self._wrong.append(str(error))


class TensorRTDouble(types.ModuleType):
    """The module ``tensorrt``.

    Args:
        cuda: the GPU that it runs on.
        version: what it says it is; a plan loads in the same version only.
        dla_cores: that the board has.
        refuse: gives the error of the parser for a model, or None.
        change: what the engine computes otherwise than ONNX Runtime, by output name.
    """

    def __init__(
        self,
        cuda: CudaDouble,
        *,
        version: str = "10.3.0",
        dla_cores: int = 0,
        refuse: Callable[[onnx.ModelProto], str | None] = lambda model: None,
        change: Callable[[onnx.ModelProto, str, Any], Any] = lambda model, name, array: array,
    ) -> None:
        super().__init__("tensorrt")
        self.__spec__ = importlib.machinery.ModuleSpec("tensorrt", None)
        self.__version__ = version
        self.cuda, self.dla_cores, self.refuse, self.change = cuda, dla_cores, refuse, change
        self.wrong: list[str] = []
        self.builds = 0
        self.last_config: Any = None

    def strict(self) -> _Strict:
        return _Strict(self.wrong)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        versions = list(recorded().values())
        if all(name in record["enums"] for record in versions):
            return enumeration(name)
        if not all(name in record["classes"] for record in versions):
            self.wrong.append(f"tensorrt.{name} is not recorded")
            raise AttributeError(f"tensorrt.{name} is not recorded")
        if name in _BASES:
            return _BASES[name]

        def make(*args: Any) -> Held:
            with self.strict():
                tensorrt_api.check_call(name, "__init__", args, {})
            return self.held(_MADE[name](self, *map(_thing, args)), name)

        return make

    def held(self, thing: Any, kind: str) -> Held:
        return Held(thing, kind, self)


class _Overridable:
    """A class that the runtime derives from: what it overrides TensorRT must call, as it calls it."""

    must: tuple[str, ...] = ()
    recorded_as = ""

    def __init_subclass__(cls) -> None:
        if _Overridable in cls.__bases__:
            return
        for name in cls.must:
            if name not in vars(cls):
                raise WrongCallError(f"{cls.recorded_as}.{name} is not overridden")
            for overloads in tensorrt_api.kind_of(cls.recorded_as, name).values():
                count = len(tensorrt_api.arguments(overloads[0]))
                inspect.signature(vars(cls)[name]).bind(*[None] * (count + 1))


class ILogger(_Overridable):
    must, recorded_as = ("log",), "ILogger"
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class IProgressMonitor(_Overridable):
    must, recorded_as = ("phase_start", "step_complete", "phase_finish"), "IProgressMonitor"


class _Builder:
    def __init__(self, trt: TensorRTDouble, logger: Any) -> None:
        self._trt, self._logger = trt, logger
        self.num_DLA_cores = trt.dla_cores

    def create_network(self, flags: int = 0) -> Held:
        return self._trt.held(_Network(self._trt, flags), "INetworkDefinition")

    def create_builder_config(self) -> Held:
        self._trt.last_config = _Config(self._trt)
        return self._trt.held(self._trt.last_config, "IBuilderConfig")

    def build_serialized_network(self, network: Any, config: Any) -> Held | None:
        strongly_typed = 1 << int(enumeration("NetworkDefinitionCreationFlag").STRONGLY_TYPED)
        if network.flags != strongly_typed or network.model is None:
            raise WrongCallError("a network is built that is not strongly typed, or was not parsed")
        if config.limits.get("WORKSPACE", 0) < 1:
            raise WrongCallError("the workspace is not bounded")
        if "TF32" in config.flags:
            raise WrongCallError("a float32 graph would be computed with 10 bits")
        self._trt.builds += 1
        if config.progress_monitor is not None and not _watched(config.progress_monitor):
            self._logger.log(ILogger.ERROR, "the build was stopped")
            return None
        if config.cache is not None:
            config.cache.content = b"timing " + self._trt.__version__.encode()
        header = {"version": self._trt.__version__, "dla": config.DLA_core if config.on_dla() else None}
        plan = _MAGIC + json.dumps(header).encode() + b"\n" + network.model.SerializeToString()
        return self._trt.held(plan, "IHostMemory")


def _watched(monitor: Any) -> bool:
    """Tell a monitor of a build as native code does, which no exception may cross."""
    try:
        monitor.phase_start("Building engine", None, 2)
        monitor.phase_start("Timing", "Building engine", 1)
        if not all(monitor.step_complete("Building engine", step) for step in range(2)):
            return False
        monitor.phase_finish("Timing")
        monitor.phase_finish("Building engine")
    except BaseException as error:
        raise WrongCallError(f"{type(error).__name__} crosses native code") from error
    return True


class _Network:
    def __init__(self, trt: TensorRTDouble, flags: int) -> None:
        self._trt, self.flags = trt, flags
        self.model: onnx.ModelProto | None = None

    @property
    def num_layers(self) -> int:
        return len(self.model.graph.node) if self.model else 0

    def get_layer(self, index: int) -> Held:
        return self._trt.held(_Layer(self._trt, self.model.graph.node[index]), "ILayer")


class _Layer:
    def __init__(self, trt: TensorRTDouble, node: onnx.NodeProto) -> None:
        self._trt, self._node = trt, node
        self.name, self.num_outputs = node.name, len(node.output)
        self.type = enumeration("LayerType").CONVOLUTION

    def get_output(self, index: int) -> Held:
        tensor = types.SimpleNamespace(
            name=self._node.output[index], dtype=enumeration("DataType").FLOAT, shape=(1,)
        )
        return self._trt.held(tensor, "ITensor")


class _Config:
    def __init__(self, trt: TensorRTDouble) -> None:
        self._trt = trt
        self.limits: dict[str, int] = {}
        self.flags = {"TF32"}
        self.cache: Any = None
        self.progress_monitor: Any = None
        self.profiling_verbosity = enumeration("ProfilingVerbosity").LAYER_NAMES_ONLY
        self.default_device_type = enumeration("DeviceType").GPU
        self.DLA_core = -1

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self.limits[pool.name] = pool_size

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self.flags.discard(flag.name)

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Held | None:
        known = b"timing " + self._trt.__version__.encode()
        if serialized_timing_cache not in (b"", known):
            return None
        return self._trt.held(_TimingCache(self._trt, serialized_timing_cache), "ITimingCache")

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        self.cache = cache
        return True

    def on_dla(self) -> bool:
        return self.default_device_type.name == "DLA"


class _TimingCache:
    def __init__(self, trt: TensorRTDouble, content: bytes) -> None:
        self._trt, self.content, self.began_with = trt, content, content

    def serialize(self) -> Held:
        return self._trt.held(self.content, "IHostMemory")


class _Parser:
    def __init__(self, trt: TensorRTDouble, network: _Network, logger: Any) -> None:
        self._trt, self._network = trt, network
        self._error: str | None = None

    def parse(self, model: bytes, path: str | None = None) -> bool:
        found = onnx.load_model_from_string(model)
        self._error = self._trt.refuse(found)
        self._network.model = found
        return self._error is None

    @property
    def num_errors(self) -> int:
        return int(self._error is not None)

    def get_error(self, index: int) -> Held:
        return self._trt.held(_Error(str(self._error)), "ParserError")


class _Error:
    def __init__(self, text: str) -> None:
        self._text = text

    def desc(self) -> str:
        return f"in node 3 (importModel):\n{self._text}"

    def node_name(self) -> str:
        return "head/Refused"

    def node_operator(self) -> str:
        return "Refused"


class _Runtime:
    def __init__(self, trt: TensorRTDouble, logger: Any) -> None:
        self._trt, self._logger = trt, logger
        self.DLA_core = -1

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Held | None:
        if not serialized_engine.startswith(_MAGIC):
            self._logger.log(ILogger.ERROR, "magic tag does not match")
            return None
        header, _, model = serialized_engine[len(_MAGIC) :].partition(b"\n")
        built = json.loads(header)
        if built["version"] != self._trt.__version__:
            self._logger.log(ILogger.ERROR, f"the plan is of version {built['version']}")
            return None
        if built["dla"] is not None and self.DLA_core != built["dla"]:
            self._logger.log(ILogger.ERROR, "the plan needs another DLA core")
            return None
        return self._trt.held(_Engine(self._trt, model, self._logger), "ICudaEngine")


class _Engine:
    def __init__(self, trt: TensorRTDouble, model: bytes, logger: Any) -> None:
        self.trt, self.logger = trt, logger
        self.model = onnx.load_model_from_string(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        modes, graph = enumeration("TensorIOMode"), self.model.graph
        self.tensors = {
            value.name: (
                mode,
                tuple(size.dim_value for size in value.type.tensor_type.shape.dim),
                _TYPES[value.type.tensor_type.elem_type],
            )
            for mode, values in ((modes.INPUT, graph.input), (modes.OUTPUT, graph.output))
            for value in values
        }

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self.tensors[name][0]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name][1]

    def get_tensor_dtype(self, name: str) -> Any:
        return enumeration("DataType")[self.tensors[name][2][0]]

    def create_execution_context(self) -> Held:
        return self.trt.held(_Context(self), "IExecutionContext")

    def create_engine_inspector(self) -> Held:
        return self.trt.held(_Inspector(self), "EngineInspector")


class _Inspector:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine

    def get_engine_information(self, format: Any) -> str:
        if format.name != "JSON":
            return "one line"
        layers = [{"Name": node.name, "LayerType": node.op_type} for node in self._engine.model.graph.node]
        return json.dumps({"Layers": layers, "Bindings": list(self._engine.tensors)})


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine, self._cuda = engine, engine.trt.cuda
        self._addresses: dict[str, int] = {}
        self._ran = False

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if name not in self._engine.tensors:
            self._engine.logger.log(ILogger.ERROR, f"no tensor {name}")
            return False
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        stream = self._cuda.stream(stream_handle)
        if missing := set(self._engine.tensors) - set(self._addresses):
            raise WrongCallError(f"no address was set for {', '.join(sorted(missing))}")
        if stream.captured is not None and not self._ran:
            raise WrongCallError("a stream is captured before the context has run once, which allocates")
        addresses = dict(self._addresses)

        def work() -> None:
            self._ran = True
            arrays = {name: self._array(name, address) for name, address in addresses.items()}
            inputs = [value.name for value in self._engine.session.get_inputs()]
            outputs = [value.name for value in self._engine.session.get_outputs()]
            found = self._engine.session.run(outputs, {name: arrays[name] for name in inputs})
            for name, array in zip(outputs, found, strict=True):
                arrays[name][...] = self._engine.trt.change(self._engine.model, name, array)

        self._cuda.submit(stream, work)
        return True

    def _array(self, name: str, address: int) -> Any:
        _, shape, (_, dtype) = self._engine.tensors[name]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._cuda.seen_by_gpu(address, size).view(dtype).reshape(shape)


_BASES: dict[str, type] = {"ILogger": ILogger, "IProgressMonitor": IProgressMonitor}
_MADE: dict[str, Any] = {"Builder": _Builder, "OnnxParser": _Parser, "Runtime": _Runtime}
