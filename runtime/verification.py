"""Does a bundle do here what it did where it was exported?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from catseye.capture.geometry import Image
from catseye.progress import Progress, silent
from catseye.runtime.agreement import compare_coarsely
from catseye.runtime.bundle import FRAGMENT, FRAGMENT_FRAMES, FRAMES, Bundle, Manifest, open_bundle
from catseye.runtime.engines.base import EngineOutput
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
    progress: Progress = silent,
) -> VerifyReport:
    """Check a bundle's form, signature, hashes and schema, then replay its proof on this machine.

    Golden frames go through the engine, in every precision or the one named, and the video fragment through
    decoding and resizing.

    Raises:
        InputError: the bundle is refused, see ``open_bundle``.
        CatseyeError: the engine does not load the graph.
        UsageError: there is no such engine or precision.
    """
    progress("checking the signature", 0, 1)
    bundle = open_bundle(path)
    precisions = bundle.manifest.precisions if precision == "all" else (precision,)
    steps = len(precisions) + 2
    checks, name = [], ""
    for step, each in enumerate(precisions, 1):
        runner = load_engine(bundle, engine=engine, precision=each, threads=threads)
        progress(f"replaying golden frames in {each}", step, steps)
        found = replay(runner, golden_frames(bundle), batch=bundle.manifest.network.batch)
        name = runner.name
        runner.close()
        checks += proof_checks(bundle, found, precision=each)
    progress("decoding the video fragment", steps - 1, steps)
    checks += list(_fragment_checks(bundle))
    progress("verified", steps, steps)
    return VerifyReport(bundle.path, bundle.manifest.name, bundle.key, bundle.sha256, name, tuple(checks))


def proof_checks(bundle: Bundle, found: EngineOutput, *, precision: str) -> list[Check]:
    """Hold an engine's outputs for the golden frames to what its precision allows.

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


def golden_frames(bundle: Bundle) -> Image:
    """The proof's inputs (F, H, W, 3) uint8."""
    return bundle.array(
        FRAMES, dtype="uint8", shape=_frames_shape(bundle.manifest, bundle.manifest.proof_frames)
    )


def golden_outputs(bundle: Bundle) -> EngineOutput:
    """What the trained network gave for them."""
    _, outputs = bundle.manifest.interface()
    count = bundle.manifest.proof_frames
    return EngineOutput(
        **{
            value.name: bundle.array(
                f"proof/{value.name}.npy", dtype=value.dtype, shape=(count, *value.shape[1:])
            )
            for value in outputs
        }
    )


def _fragment_checks(bundle: Bundle) -> Iterator[Check]:
    shape = _frames_shape(bundle.manifest, bundle.manifest.fragment_frames)
    golden = bundle.array(FRAGMENT_FRAMES, dtype="uint8", shape=shape)
    network = bundle.manifest.network
    found = list(
        decode_fragment(bundle.entries[FRAGMENT], width=network.width, height=network.height, fit=network.fit)
    )
    yield from compare_frames(golden, found, bundle.manifest.tolerances)


def _frames_shape(manifest: Manifest, count: int) -> tuple[int, int, int, int]:
    return (count, manifest.network.height, manifest.network.width, 3)
