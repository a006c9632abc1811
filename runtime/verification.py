"""Does a bundle do here what it did where it was exported?"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from catseye.progress import Progress, silent
from catseye.runtime.agreement import compare_coarsely
from catseye.runtime.bundle import Bundle, open_bundle
from catseye.runtime.bundle_entries import FRAGMENT, array_entry, fragment_entry
from catseye.runtime.engines.base import Engine, EngineOutput, Inputs
from catseye.runtime.engines.load import load_engine
from catseye.runtime.network_input import in_batches, stacked
from catseye.runtime.plan_options import PlanOptions
from catseye.runtime.proof import Check, compare_frames, compare_outputs, decode_fragment, replay


@dataclass(frozen=True)
class VerifyReport:
    """What was held to the proof; true where every check passed.

    Args:
        path: the bundle.
        name: of its network.
        key: id of the trusted key that signed it.
        sha256: identity of the file.
        engine: what replayed the proof.
        checks: each figure and its limit; those of a lower precision begin with its name.
    """

    path: Path
    name: str
    key: str
    sha256: str
    engine: str
    checks: tuple[Check, ...]

    def __bool__(self) -> bool:
        return all(self.checks)


def verify(
    path: str | Path,
    *,
    engine: str = "auto",
    precision: str = "all",
    threads: int = 0,
    plans: PlanOptions | None = None,
    progress: Progress = silent,
) -> VerifyReport:
    """Check a bundle's form, signature, hashes and schema, then replay its proof on this machine.

    Golden inputs go through the engine, in every precision or the one named, and the video fragment through
    decoding and resizing too.

    Raises:
        InputError: the bundle is refused, see ``open_bundle``.
        CatseyeError: the engine does not load the graph.
        UsageError: there is no such engine or precision.
    """
    progress("checking the signature", 0, 1)
    bundle = open_bundle(path)
    precisions = bundle.manifest.precisions if precision == "all" else (precision,)
    progress("decoding the video fragment", 0, len(precisions) + 1)
    decoded = _decoded_fragment(bundle)
    checks, name = _frame_checks(bundle, decoded), ""
    for step, each in enumerate(precisions, 1):
        progress(f"replaying the proof in {each}", step, len(precisions) + 1)
        with closing(
            load_engine(bundle, engine=engine, precision=each, threads=threads, plans=plans)
        ) as runner:
            checks += _engine_checks(bundle, runner, decoded, precision=each)
            name = runner.name
    progress("verified", 1, 1)
    return VerifyReport(bundle.path, bundle.manifest.name, bundle.key, bundle.sha256, name, tuple(checks))


def prove(bundle: Bundle, engine: Engine, *, precision: str = "fp32") -> list[Check]:
    """Replay a bundle's proof: golden inputs through the engine, the video through decoding too."""
    decoded = _decoded_fragment(bundle)
    return _frame_checks(bundle, decoded) + _engine_checks(bundle, engine, decoded, precision=precision)


def proof_checks(bundle: Bundle, found: EngineOutput, *, precision: str) -> list[Check]:
    """Hold an engine's outputs for the golden inputs to what its precision allows.

    The float32 graph must give the golden outputs element by element, ``auto`` stands for it where the bundle
    says so; a lower precision must see the same, see ``agreement``.
    """
    manifest, golden = bundle.manifest, golden_outputs(bundle)
    if precision == "auto":
        precision = manifest.cpu_precision
    if precision == "fp32":
        return compare_outputs(golden, found, manifest.tolerances)
    limits = manifest.agreement("fp16" if precision == "fp16" else "int8")
    apart = compare_coarsely(golden, found, threshold=manifest.score_threshold)
    return [replace(check, name=f"{precision} {check.name}") for check in apart.checks(limits)]


def golden_inputs(bundle: Bundle) -> Inputs:
    """The proof's inputs, all its frames along the first axis."""
    return {value.name: bundle.array(array_entry(value.name)) for value in bundle.manifest.network.inputs()}


def golden_batch(bundle: Bundle) -> Inputs:
    """The first of them, as many as the network takes at once."""
    return next(in_batches(golden_inputs(bundle), bundle.manifest.network.batch))[0]


def golden_outputs(bundle: Bundle) -> EngineOutput:
    """What the trained network gave for them."""
    _, outputs = bundle.manifest.interface()
    return EngineOutput(**{value.name: bundle.array(array_entry(value.name)) for value in outputs})


def _decoded_fragment(bundle: Bundle) -> list[Inputs]:
    return list(decode_fragment(bundle.entries[FRAGMENT], bundle.manifest.network))


def _frame_checks(bundle: Bundle, decoded: list[Inputs]) -> list[Check]:
    """Is the video decoded, converted and resized here as it was at export?"""
    golden = {
        value.name: bundle.array(fragment_entry(value.name)) for value in bundle.manifest.network.inputs()
    }
    return compare_frames(golden, decoded, bundle.manifest.tolerances)


def _engine_checks(bundle: Bundle, engine: Engine, decoded: list[Inputs], *, precision: str) -> list[Check]:
    """Does the engine give for the golden inputs what it must, and numbers for the video?"""
    batch = bundle.manifest.network.batch
    found = replay(engine, golden_inputs(bundle), batch=batch)
    seen = replay(engine, stacked(decoded), batch=batch)
    wild = sum(int((~np.isfinite(array)).sum()) for array in seen.arrays().values())
    return [
        *proof_checks(bundle, found, precision=precision),
        Check(f"{precision} outputs for the fragment that are no number", float(wild), 0.0),
    ]
