"""``catseye demo``: every stage, from footage to tracked vehicles on a clip held out of all training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from catseye.capture.calibration import calibration_beside
from catseye.errors import CatseyeError
from catseye.footage import (
    Footage,
    World,
    check_footage,
    own_footage,
    render_world,
    rendered_footage,
)
from catseye.ledger import Ledger, Stage
from catseye.progress import Progress, silent

Figures = dict[str, float]
Work = Callable[[], tuple[str, Figures]]


@dataclass(frozen=True)
class Effort:
    """How much is done on what.

    Args:
        world: what is rendered where no footage is given.
        dataset_size, detector_size: (width, height) in pixels.
        pretrain_steps, finetune_steps: of the optimiser.
        pretrain_batch, finetune_batch: clips and stills a step.
    """

    world: World
    dataset_size: tuple[int, int]
    detector_size: tuple[int, int]
    pretrain_steps: int
    pretrain_batch: int
    finetune_steps: int
    finetune_batch: int


RENDERED = Effort(
    world=World(train_clips=16, held_out_clips=4),
    dataset_size=(160, 96),
    detector_size=(320, 192),
    pretrain_steps=280,
    pretrain_batch=4,
    finetune_steps=200,
    finetune_batch=8,
)
"""Ten minutes on two cores."""

REAL = Effort(
    world=World(train_clips=0, held_out_clips=0),
    dataset_size=(224, 128),
    detector_size=(448, 256),
    pretrain_steps=600,
    pretrain_batch=4,
    finetune_steps=1000,
    finetune_batch=8,
)
"""Smaller vehicles in a richer world ask for more."""


def demo(
    out: Path,
    *,
    videos: Sequence[Path] = (),
    holdout: Path | None = None,
    labels: Path | None = None,
    train_list: Path | None = None,
    test_list: Path | None = None,
    effort: Effort | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Stage, ...]:
    """Run every stage and leave their results in ``out``; what an earlier call finished is kept.

    Without ``videos`` a road world is rendered. With them, ``holdout`` is the video to track (by default the
    last of them) and ``labels`` has the boxes; lists ``train.txt`` and ``test.txt`` beside it are used.

    Returns:
        What each stage did, in order.

    Raises:
        UsageError: videos without labels, or the reverse, or nothing to hold out.
        InputError: some input is absent or broken.
    """
    from catseye.report import write_report

    check_footage(videos=videos, holdout=holdout, labels=labels)
    effort = effort or (REAL if videos else RENDERED)
    ledger = Ledger(out / "summary.json")
    if labels is not None:
        footage = own_footage(
            videos=videos, holdout=holdout, labels=labels, train_list=train_list, test_list=test_list
        )
    else:
        footage = _synth(ledger, out / "world", effort.world, seed, progress)
    chain: tuple[tuple[str, object, tuple[str, ...], Work], ...] = (
        (
            "ingest",
            (footage.digest(), effort.dataset_size),
            ("dataset/dataset.json",),
            lambda: _ingest(out, footage, effort, progress),
        ),
        (
            "pretrain",
            (effort.pretrain_steps, effort.pretrain_batch, seed),
            ("run/pretrain/checkpoint.json",),
            lambda: _pretrain(out, footage, effort, seed, progress),
        ),
        (
            "finetune",
            (
                footage.labels_digest(),
                effort.detector_size,
                effort.finetune_steps,
                effort.finetune_batch,
                seed,
            ),
            ("run/finetune/checkpoint.json", "run/scratch/checkpoint.json"),
            lambda: _finetune(out, footage, effort, seed, progress),
        ),
        ("export", None, ("demo.catseye",), lambda: _export(out, footage, progress)),
        ("run", None, ("tracks.jsonl", "tracked.mp4"), lambda: _run(out, footage, progress)),
        ("bench", None, ("bench.json",), lambda: _bench(out, footage, progress)),
    )
    for name, inputs, outputs, work in chain:
        ledger.run(name, inputs, [out / output for output in outputs], work)
    write_report(out, ledger.stages)
    return tuple(ledger.stages)


def _synth(ledger: Ledger, folder: Path, world: World, seed: int, progress: Progress) -> Footage:
    def work() -> tuple[str, Figures]:
        render_world(folder, world, seed=seed, progress=progress)
        return f"{world.train_clips} clips to learn from, {world.held_out_clips} held out", {}

    ledger.run("synth", (world, seed), [folder / "labels.json"], work)
    return rendered_footage(folder)


def _ingest(out: Path, footage: Footage, effort: Effort, progress: Progress) -> tuple[str, Figures]:
    from catseye.capture.ingestion import ingest

    width, height = effort.dataset_size
    dataset = ingest(
        [*footage.train, *footage.held_out],
        out / "dataset",
        holdout=footage.held_out,
        width=width,
        height=height,
        progress=progress,
    )
    kept = [clip for clip in dataset.clips if clip.usable]
    minutes = sum(float(clip.times_s[-1]) for clip in kept) / 60
    return f"{len(kept)} of {len(dataset.clips)} clips kept, {minutes:.1f} minutes", {}


def _pretrain(
    out: Path, footage: Footage, effort: Effort, seed: int, progress: Progress
) -> tuple[str, Figures]:
    from catseye.capture.dataset import open_dataset
    from catseye.pretrain.pretraining import PretrainConfig, pretrain
    from catseye.pretrain.probes import evaluate_pretext

    dataset = open_dataset(out / "dataset")
    config = PretrainConfig(steps=effort.pretrain_steps, batch=effort.pretrain_batch, seed=seed)
    pretrain(dataset, out / "run/pretrain", config, progress=progress)
    figures = evaluate_pretext(
        out / "run/pretrain", dataset, split="test", truths=footage.truths(), progress=progress
    )
    return (
        f"{config.steps} steps of {config.batch} clips on three objectives; measured on held-out clips",
        figures,
    )


def _finetune(
    out: Path, footage: Footage, effort: Effort, seed: int, progress: Progress
) -> tuple[str, Figures]:
    from catseye.pretrain.finetuning import FinetuneConfig, finetune

    width, height = effort.detector_size
    config = FinetuneConfig(
        steps=effort.finetune_steps, batch=effort.finetune_batch, width=width, height=height, seed=seed
    )
    figures: Figures = {}
    for name, start in (("finetune", out / "run/pretrain"), ("scratch", None)):
        info = finetune(
            start,
            out / "run" / name,
            labels=footage.labels,
            images=footage.images,
            train_list=footage.train_list,
            test_list=footage.test_list,
            config=config,
            progress=lambda label, done, total, name=name: progress(f"{name}: {label}", done, total),
        )
        figures |= {f"{name}_{key}": value for key, value in info.metrics.items() if key.startswith("ap")}
    return f"{config.steps} steps of {config.batch} stills, beside the same from scratch", figures


def _export(out: Path, footage: Footage, progress: Progress) -> tuple[str, Figures]:
    from catseye.export.bundling import export
    from catseye.runtime.verification import verify

    bundle = out / "demo.catseye"
    export(out / "run/finetune", bundle, videos=footage.train[:2], progress=progress)
    if not verify(bundle, progress=progress):
        raise CatseyeError(f"{bundle}: differs from its proof; run: catseye verify {bundle}")
    return f"one signed bundle of {bundle.stat().st_size / 1e6:.1f} MB, verified", {}


def _run(out: Path, footage: Footage, progress: Progress) -> tuple[str, Figures]:
    from catseye.runtime import run

    video = _video_to_track(out, footage)
    summary = run(
        out / "demo.catseye",
        video,
        jsonl=out / "tracks.jsonl",
        video=out / "tracked.mp4",
        calibration=calibration_beside(video),
        progress=progress,
    )
    return (
        f"{summary.tracks} tracks in {summary.processed} frames of {video.name}, {summary.dropped} dropped",
        {"frames_per_second": summary.fps},
    )


def _bench(out: Path, footage: Footage, progress: Progress) -> tuple[str, Figures]:
    from catseye.runtime import bench

    report = bench(out / "demo.catseye", _video_to_track(out, footage), progress=progress)
    report.save(out / "bench.json")
    return "latency on this machine", report.figures()


def _video_to_track(out: Path, footage: Footage) -> Path:
    """The brightest of the videos held out: it shows people most."""
    from catseye.capture.dataset import open_dataset

    by_path = {str(video.resolve()): video for video in footage.held_out}
    clips = [clip for clip in open_dataset(out / "dataset").clips if clip.source in by_path]
    return by_path[max(clips, key=lambda clip: clip.brightness).source]
