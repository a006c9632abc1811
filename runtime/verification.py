"""Does a bundle do here what it did where it was exported?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catseye.progress import Progress, silent
from catseye.runtime.bundle import FRAGMENT, Bundle, array_entry, fragment_entry, open_bundle
from catseye.runtime.engines.base import EngineOutput, Inputs
from catseye.runtime.engines.load import load_engine
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
    path: str | Path, *, engine: str = "auto", threads: int = 0, progress: Progress = silent
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
    runner = load_engine(bundle, engine=engine, threads=threads)
    progress("replaying golden inputs", 1, 3)
    found = replay(runner, golden_inputs(bundle), batch=bundle.manifest.network.batch)
    runner.close()
    checks = compare_outputs(golden_outputs(bundle), found, bundle.manifest.tolerances)
    progress("decoding the video fragment", 2, 3)
    checks += list(_fragment_checks(bundle))
    progress("verified", 3, 3)
    return VerifyReport(
        bundle.path, bundle.manifest.name, bundle.key, bundle.sha256, runner.name, tuple(checks)
    )


def golden_inputs(bundle: Bundle) -> Inputs:
    """The proof's inputs, all its frames along the first axis."""
    frames = bundle.manifest.proof_frames
    return {
        value.name: bundle.array(array_entry(value.name), dtype="uint8", shape=(frames, *value.shape[1:]))
        for value in bundle.manifest.network.inputs()
    }


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


def _fragment_checks(bundle: Bundle) -> Iterator[Check]:
    network, frames = bundle.manifest.network, bundle.manifest.fragment_frames
    golden = {
        value.name: bundle.array(fragment_entry(value.name), dtype="uint8", shape=(frames, *value.shape[1:]))
        for value in network.inputs()
    }
    found = list(decode_fragment(bundle.entries[FRAGMENT], network))
    yield from compare_frames(golden, found, bundle.manifest.tolerances)
