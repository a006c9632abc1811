"""Compiling a bundle's graphs with TensorRT: for good on the board, or as a check with no GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from catseye.errors import CatseyeError, InputError, MissingExtraError
from catseye.files import write_json
from catseye.progress import Progress, silent
from catseye.runtime.bundle import Bundle, open_bundle
from catseye.runtime.device import Device, this_device
from catseye.runtime.engines.base import Engine
from catseye.runtime.engines.tensorrt import TensorRTEngine
from catseye.runtime.manifest import Verdict
from catseye.runtime.plan import AHEAD_OF_TIME, Plan, PlanReport, build_plan
from catseye.runtime.plan_cache import PlanCache, PlanEntry, PlanKey
from catseye.runtime.plan_options import PlanOptions
from catseye.runtime.precision import Precision
from catseye.runtime.precision_choice import choose
from catseye.runtime.tensorrt_library import installed_backend
from catseye.runtime.verification import golden_batch, prove

_WARM_UP, _TIMED = 5, 30
_DLA_COMPUTES = ("fp16", "int8")


@dataclass(frozen=True)
class BuildReport:
    """What became of a bundle on this board.

    Args:
        chosen: the precision that is served.
        reason: why it and none of the others.
        plans: what is known of each precision's plan, also of those that may not be served.
        left_out: precisions that were not built, with the reason.
    """

    chosen: Precision
    reason: str
    plans: tuple[PlanEntry, ...]
    left_out: Mapping[Precision, str]

    def to_json(self) -> dict[str, Any]:
        """The whole of it as a document, but for the layers."""
        return {
            "chosen": self.chosen,
            "reason": self.reason,
            "left_out": dict(self.left_out),
            "plans": [
                {**entry.model_dump(exclude={"layers"}), "proven": entry.proven} for entry in self.plans
            ],
        }


def build(
    path: str | Path,
    *,
    precision: str = "auto",
    options: PlanOptions | None = None,
    layers: str | Path | None = None,
    progress: Progress = silent,
) -> BuildReport:
    """Compile a bundle's graphs for the GPU of this machine, prove each plan, and choose one by its speed.

    A plan that is in the cache and proven is not built again. One that does not replay the bundle's proof
    within its tolerances is noted with the fault, and never served.

    Args:
        path: a signed bundle.
        precision: which graph; ``auto`` builds all that the gate accepted and serves the fastest.
        options: how, and where the plans are kept.
        layers: write what TensorRT made of each graph to this file, as JSON.
        progress: told of TensorRT's phases.

    Raises:
        InputError: the bundle is refused, see ``open_bundle``, or the cache's folder is open to others.
        UsageError: there is no such precision, or an option cannot be.
        CatseyeError: TensorRT or a GPU is missing, another process builds this bundle, or no plan is proven.
    """
    options = options or PlanOptions()
    bundle = open_bundle(path)
    wanted, left_out = candidates(bundle, precision=precision, dla=options.dla)
    device = this_device(installed_backend())
    cache = PlanCache(options.cache)
    entries = {}
    with cache.building(device, bundle.sha256):
        for name in wanted:
            key = plan_key(device, bundle, name, options)
            known = cache.find(key)
            intact = known is not None and known.proven and cache.holds(known)
            entries[name] = known if known and intact else _build_one(bundle, key, cache, progress)
    if layers is not None:
        write_json(layers, {name: list(entry.layers) for name, entry in entries.items()})
    chosen, reason = choose_plan(bundle, entries)
    return BuildReport(chosen, reason, tuple(entries.values()), left_out)


def compile_ahead_of_time(
    path: str | Path,
    *,
    compute_capabilities: Sequence[str] = AHEAD_OF_TIME,
    layers: str | Path | None = None,
    progress: Progress = silent,
) -> tuple[PlanReport, ...]:
    """Compile every graph of a bundle for each compute capability, as a check that needs no GPU.

    The plans are dropped: a plan is good only where its proof has been replayed, which takes a GPU.

    Args:
        path: a signed bundle.
        compute_capabilities: such as ``SM86``.
        layers: write the layers of each graph as TensorRT parsed it to this file, as JSON.
        progress: told which graph is being compiled.

    Raises:
        InputError: the bundle is refused, see ``open_bundle``.
        CatseyeError: TensorRT refuses a graph, for the precision, layer and reason named.
        MissingExtraError: TensorRT for RTX is not installed.
    """
    bundle = open_bundle(path)
    jobs = [(precision, sm) for precision in bundle.manifest.precisions for sm in compute_capabilities]
    reports = []
    parsed: dict[str, list[Any]] = {}
    for done, (precision, capability) in enumerate(jobs):
        progress(f"compiling {precision} for {capability}", done, len(jobs))
        try:
            plan = build_plan(
                bundle.graph(precision), backend="tensorrt-rtx", compute_capabilities=[capability]
            )
        except MissingExtraError:
            raise
        except CatseyeError as error:
            raise CatseyeError(f"{path}: {precision} for {capability}: {error}") from None
        reports.append(replace(plan.report, precision=precision))
        parsed[precision] = list(plan.layers)
    progress("compiled", len(jobs), len(jobs))
    if layers is not None:
        write_json(layers, parsed)
    return tuple(reports)


def candidates(
    bundle: Bundle, *, precision: str, dla: int | None
) -> tuple[list[Precision], dict[Precision, str]]:
    """Precisions worth a plan, and those that are not with the reason.

    Raises:
        UsageError: DLA cannot compute the precision that is asked for.
        CatseyeError: the bundle has no such precision, the gate has not accepted it, or none is left.
    """
    verdicts = verdicts_of(bundle)
    if precision != "auto" and precision not in bundle.manifest.precisions:
        bundle.graph(precision)
    asked = [name for name in bundle.manifest.precisions if precision in {"auto", name}]
    left_out = {name: verdict.reason for name, verdict in verdicts.items() if not verdict.accepted}
    if dla is not None:
        slow = {name: "DLA computes in fp16 and int8 only" for name in asked if name not in _DLA_COMPUTES}
        left_out = {**slow, **left_out}
    wanted = [name for name in asked if name not in left_out]
    if not wanted:
        reasons = "; ".join(f"{name}: {left_out[name]}" for name in asked)
        raise InputError(
            bundle.path, f"has no graph to build ({reasons})", "ask for another, or export again"
        )
    return wanted, left_out


def choose_plan(bundle: Bundle, entries: Mapping[Precision, PlanEntry]) -> tuple[Precision, str]:
    """The precision to serve among plans that were built, and why in one line.

    Raises:
        CatseyeError: none is proven.
    """
    faults = [f"{name}: {entry.fault}" for name, entry in entries.items() if not entry.proven]
    latencies = {
        name: entry.latency_ms
        for name, entry in entries.items()
        if entry.proven and entry.latency_ms is not None
    }
    if not latencies:
        raise CatseyeError(
            f"{bundle.path}: no plan is proven here: {'; '.join(faults)}; `catseye build` tries anew"
        )
    verdicts = verdicts_of(bundle)
    chosen, reason = choose({name: verdicts[name] for name in latencies}, latencies)
    return chosen, "; ".join([reason, *(f"{fault} (not served)" for fault in faults)])


def verdicts_of(bundle: Bundle) -> dict[Precision, Verdict]:
    """What the gate said of each precision at export; one that it did not judge is accepted."""
    unjudged = Verdict(accepted=True, reason="no gate has looked at it")
    return {**dict.fromkeys(bundle.manifest.precisions, unjudged), **bundle.manifest.verdicts}


def plan_key(device: Device, bundle: Bundle, precision: Precision, options: PlanOptions) -> PlanKey:
    return PlanKey(
        device=device,
        bundle_sha256=bundle.sha256,
        precision=precision,
        dla=options.dla,
        workspace_mib=options.workspace_mib,
    )


def load_plan(bundle: Bundle, key: PlanKey, content: bytes, **more: Any) -> TensorRTEngine:
    """A plan made ready to run; ``more`` goes to ``TensorRTEngine``."""
    inputs, outputs = bundle.manifest.interface()
    return TensorRTEngine(
        content,
        inputs=inputs,
        outputs=outputs,
        backend=key.device.backend,
        precision=key.precision,
        dla=key.dla,
        **more,
    )


def fault_of(bundle: Bundle, engine: Engine, *, precision: str) -> tuple[str, dict[str, tuple[float, float]]]:
    """What is wrong with an engine by the bundle's proof, empty where nothing is; and every figure."""
    checks = prove(bundle, engine, precision=precision)
    failed = [f"{check.name} ({check.value:.3g}, limit {check.limit:.3g})" for check in checks if not check]
    fault = f"differs from its proof in {', '.join(failed)}" if failed else ""
    return fault, {check.name: (check.value, check.limit) for check in checks}


def _build_one(bundle: Bundle, key: PlanKey, cache: PlanCache, progress: Progress) -> PlanEntry:
    """Build, prove, measure and store; an entry with a fault where TensorRT or the proof says no."""
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    content = b""
    try:
        plan = _compiled(bundle, key, cache, progress)
        content = plan.content
        progress(f"proving {key.precision}", 0, 1)
        with closing(load_plan(bundle, key, content)) as engine:
            fault, checks = fault_of(bundle, engine, precision=key.precision)
            entry = PlanEntry(
                key=key,
                created=created,
                report=plan.report,
                layers=tuple(engine.layers()) or plan.layers,
                fault=fault,
                checks=checks,
                latency_ms=_latency_ms(engine, bundle),
            )
        progress(f"proving {key.precision}", 1, 1)
    except CatseyeError as error:
        entry = PlanEntry(key=key, created=created, fault=str(error))
    return cache.keep(entry, content)


def _compiled(bundle: Bundle, key: PlanKey, cache: PlanCache, progress: Progress) -> Plan:
    def told(label: str, done: int, total: int) -> None:
        progress(f"{key.precision}: {label}", done, total)

    plan = build_plan(
        bundle.graph(key.precision),
        backend=key.device.backend,
        workspace_mib=key.workspace_mib,
        dla=key.dla,
        timing_cache=cache.timing(key.device),
        progress=told,
    )
    cache.keep_timing(key.device, plan.timing_cache)
    return plan


def _latency_ms(engine: Engine, bundle: Bundle) -> float:
    """Median time of a call on golden frames, copies included."""
    batch = golden_batch(bundle)
    spent = []
    for _ in range(_WARM_UP + _TIMED):
        before = perf_counter()
        engine.infer(batch)
        spent.append(1e3 * (perf_counter() - before))
    return median(spent[_WARM_UP:])
