"""Does a bundle do here what it did where it was exported?"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from catseye.progress import Progress, silent
from catseye.runtime.bundle import FRAGMENT, Bundle, array_entry, fragment_entry, open_bundle
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
        checks: each figure and its limit.
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
    threads: int = 0,
    plans: PlanOptions | None = None,
    progress: Progress = silent,
) -> VerifyReport:
    """Check a bundle's form, signature, hashes and schema, then replay its proof on this machine.

    Golden inputs go through the engine, and the video fragment through decoding and resizing.

    Raises:
        InputError: the bundle is refused, see ``open_bundle``.
        CatseyeError: the engine does not load the graph.
        UsageError: there is no such engine.
    """
    progress("checking the signature", 0, 3)
    bundle = open_bundle(path)
    progress("replaying the proof", 1, 3)
    with closing(load_engine(bundle, engine=engine, threads=threads, plans=plans)) as runner:
        checks = prove(bundle, runner)
    progress("verified", 3, 3)
    return VerifyReport(
        bundle.path, bundle.manifest.name, bundle.key, bundle.sha256, runner.name, tuple(checks)
    )


def prove(bundle: Bundle, engine: Engine, *, precision: str = "fp32") -> list[Check]:
    """Replay a bundle's proof: golden inputs through the engine, the video through decoding too."""
    batch = bundle.manifest.network.batch
    found = replay(engine, golden_inputs(bundle), batch=batch)
    decoded = list(decode_fragment(bundle.entries[FRAGMENT], bundle.manifest.network))
    seen = replay(engine, stacked(decoded), batch=batch)
    wild = sum(int((~np.isfinite(array)).sum()) for array in seen.arrays().values())
    return [
        *proof_checks(bundle, found, precision=precision),
        *compare_frames(_golden_fragment(bundle), decoded, bundle.manifest.tolerances),
        Check("fragment outputs that are no number", float(wild), 0.0),
    ]


def proof_checks(bundle: Bundle, found: EngineOutput, *, precision: str) -> list[Check]:
    """Hold an engine's outputs for the golden inputs to what its precision allows."""
    return compare_outputs(golden_outputs(bundle), found, bundle.manifest.tolerances)


def golden_inputs(bundle: Bundle) -> Inputs:
    """The proof's inputs, all its frames along the first axis."""
    frames = bundle.manifest.proof_frames
    return {
        value.name: bundle.array(array_entry(value.name), dtype="uint8", shape=(frames, *value.shape[1:]))
        for value in bundle.manifest.network.inputs()
    }


def golden_batch(bundle: Bundle) -> Inputs:
    """The first of them, as many as the network takes at once."""
    return next(in_batches(golden_inputs(bundle), bundle.manifest.network.batch))[0]


def golden_outputs(bundle: Bundle) -> EngineOutput:
    """What the trained network gave for them."""
    _, outputs = bundle.manifest.interface()
    count = bundle.manifest.proof_frames
    return EngineOutput(
        **{
            value.name: bundle.array(
                array_entry(value.name), dtype=value.dtype, shape=(count, *value.shape[1:])
            )
            for value in outputs
        }
    )


def _golden_fragment(bundle: Bundle) -> Inputs:
    frames = bundle.manifest.fragment_frames
    return {
        value.name: bundle.array(fragment_entry(value.name), dtype="uint8", shape=(frames, *value.shape[1:]))
        for value in bundle.manifest.network.inputs()
    }
