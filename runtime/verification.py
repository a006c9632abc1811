"""Does a bundle do here what it did where it was exported?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from catseye.capture.geometry import Image
from catseye.progress import Progress, silent
from catseye.runtime.bundle import FRAGMENT, FRAGMENT_FRAMES, FRAMES, Bundle, Manifest, open_bundle
from catseye.runtime.engines.base import Engine, EngineOutput
from catseye.runtime.engines.load import load_engine
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

    Golden frames go through the engine, and the video fragment through decoding and resizing.

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


def prove(bundle: Bundle, engine: Engine) -> list[Check]:
    """Replay a bundle's proof: golden frames through the engine, the video through decoding and resizing."""
    found = replay(engine, golden_frames(bundle), batch=bundle.manifest.network.batch)
    checks = compare_outputs(golden_outputs(bundle), found, bundle.manifest.tolerances)
    return checks + list(_fragment_checks(bundle))


def golden_frames(bundle: Bundle) -> Image:
    """The proof's inputs (F, H, W, 3) uint8."""
    return bundle.array(
        FRAMES, dtype="uint8", shape=_frames_shape(bundle.manifest, bundle.manifest.proof_frames)
    )


def golden_batch(bundle: Bundle) -> Image:
    """The first batch of them."""
    return golden_frames(bundle)[: bundle.manifest.network.batch]


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
