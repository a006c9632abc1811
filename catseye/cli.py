"""The command line. Each verb imports its stage when it is called, so that `catseye --help` needs none."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from catseye.console import (
    configure_logging,
    describe,
    error_console,
    output_console,
    print_table,
    progress_bars,
)
from catseye.errors import CatseyeError
from catseye.files import write_json
from catseye.version import __version__

app = typer.Typer(
    name="catseye",
    help="A fleet's unlabelled camera footage into one small network that runs on the vehicle.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys_app = typer.Typer(help="Keys that sign bundles and keys that are trusted.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")


@dataclass
class _Settings:
    debug: bool = False


Out = Annotated[Path, typer.Option("--out", help="Folder or file to write.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Jobs = Annotated[int, typer.Option(min=0, help="Processes; 0 takes one a core.")]
Width = Annotated[int, typer.Option(min=32, help="Width in pixels.")]
Height = Annotated[int, typer.Option(min=32, help="Height in pixels.")]
Engine = Annotated[str, typer.Option(help="auto, onnxruntime or tensorrt.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads of the engine; 0 takes one a core.")]
Precision = Annotated[
    Literal["auto", "32-true", "bf16-mixed"], typer.Option(help="auto: bf16 where the processor has it.")
]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same result.")]


def _version(value: bool) -> None:
    if value:
        output_console.print(f"catseye {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    context.obj.debug = debug
    configure_logging(debug=debug)


@app.command()
def synth(
    out: Out,
    clips: Annotated[int, typer.Option(min=1, help="Clips to render.")] = 8,
    duration: Annotated[float, typer.Option(help="Seconds a clip.")] = 8.0,
    fps: Annotated[float, typer.Option(help="Frames a second.")] = 12.5,
    width: Width = 320,
    height: Height = 192,
    seed: Seed = 0,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Draw colours and shapes kept for testing.")
    ] = False,
    jobs: Jobs = 0,
) -> None:
    """Render a road world with exact boxes, tracks, depth, pose and speed."""
    from catseye.capture.rendering import synth as render

    with progress_bars() as progress:
        render(
            out,
            seed=seed,
            clips=clips,
            duration_s=duration,
            fps=fps,
            width=width,
            height=height,
            appearance="heldout" if held_out else "train",
            jobs=jobs,
            progress=progress,
        )
    output_console.print(f"{clips} clips in {out}")


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")],
    out: Out,
    holdout: Annotated[
        list[Path] | None, typer.Option(help="Footage kept out of training; repeatable.")
    ] = None,
    width: Width = 320,
    height: Height = 192,
    drive_from: Annotated[
        str | None, typer.Option(help="Regular expression whose group 1 is the drive.")
    ] = None,
    calibration: Annotated[Path | None, typer.Option(help="calibration.json of the camera.")] = None,
    jobs: Jobs = 0,
    as_json: Json = False,
) -> None:
    """Footage to dataset: clips, tags, short-GOP shards and a Parquet manifest."""
    from catseye.capture.ingestion import ingest as run_ingest

    with progress_bars() as progress:
        dataset = run_ingest(
            paths,
            out,
            holdout=holdout or (),
            width=width,
            height=height,
            drive_from=drive_from,
            calibration=calibration,
            jobs=jobs,
            progress=progress,
        )
    rows = _clip_rows(dataset)
    if as_json:
        _print_json(
            {"dataset": str(out), "clips": [dict(zip(_CLIP_HEADER, row, strict=True)) for row in rows]}
        )
    else:
        print_table(str(out), _CLIP_HEADER, rows)


_CLIP_HEADER = ("kept or why not", "split", "clips", "seconds")


def _clip_rows(dataset: Any) -> list[tuple[str, str, int, float]]:
    sums: dict[tuple[str, str], list[float]] = {}
    for clip in dataset.clips:
        key = ("kept" if clip.usable else clip.reason, clip.split)
        sums.setdefault(key, []).append(float(clip.times_s[-1]) if len(clip) else 0.0)
    return [(*key, len(seconds), round(sum(seconds), 1)) for key, seconds in sorted(sums.items())]


@app.command()
def pretrain(
    dataset: Annotated[str, typer.Argument(help="Dataset folder or URL.")],
    out: Out,
    encoder: Annotated[
        str, typer.Option(help="timm network with maps at strides 4, 8, 16, 32.")
    ] = "resnet18",
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 5000,
    batch: Annotated[int, typer.Option(min=1, help="Clips a step.")] = 4,
    learning_rate: Annotated[float, typer.Option("--lr", help="Peak learning rate.")] = 1e-3,
    precision: Precision = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Loader processes.")] = 2,
    seed: Seed = 0,
) -> None:
    """Unlabelled dataset to encoder: frame order, future frames and depth, jointly."""
    from catseye.capture.dataset import open_dataset
    from catseye.pretrain.pretraining import PretrainConfig
    from catseye.pretrain.pretraining import pretrain as run_pretrain

    config = PretrainConfig(
        encoder=encoder,
        steps=steps,
        batch=batch,
        lr=learning_rate,
        precision=precision,
        workers=workers,
        seed=seed,
    )
    with progress_bars() as progress:
        info = run_pretrain(open_dataset(dataset), out, config, progress=progress)
    _print_metrics(str(out), info.metrics)


@app.command()
def finetune(
    out: Out,
    labels: Annotated[Path, typer.Option(help="COCO JSON with the boxes.")],
    run: Annotated[Path | None, typer.Argument(help="Pretrained run; without it, from scratch.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; default: images/ beside labels.")
    ] = None,
    train_list: Annotated[Path | None, typer.Option(help="File names to train on, one a line.")] = None,
    test_list: Annotated[Path | None, typer.Option(help="File names to measure on, one a line.")] = None,
    encoder: Annotated[str, typer.Option(help="Only without RUN: the timm network.")] = "resnet18",
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 2000,
    batch: Annotated[int, typer.Option(min=1, help="Images a step.")] = 8,
    learning_rate: Annotated[float, typer.Option("--lr", help="Peak learning rate.")] = 1e-3,
    width: Width = 448,
    height: Height = 256,
    precision: Precision = "auto",
    seed: Seed = 0,
) -> None:
    """Encoder and labels to detector."""
    from catseye.pretrain.finetuning import FinetuneConfig
    from catseye.pretrain.finetuning import finetune as run_finetune

    config = FinetuneConfig(
        encoder=encoder,
        steps=steps,
        batch=batch,
        lr=learning_rate,
        width=width,
        height=height,
        precision=precision,
        seed=seed,
    )
    with progress_bars() as progress:
        info = run_finetune(
            run,
            out,
            labels=labels,
            images=images,
            train_list=train_list,
            test_list=test_list,
            config=config,
            progress=progress,
        )
    _print_metrics(str(out), info.metrics)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Finetuned run.")],
    out: Out,
    video: Annotated[
        list[Path] | None, typer.Option(help="Footage whose frames prove the export; repeatable.")
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Detections a frame.")] = 100,
) -> None:
    """Detector to one signed bundle with its proof."""
    from catseye.export.bundling import export as run_export

    with progress_bars() as progress:
        run_export(run, out, videos=video or (), top_k=top_k, progress=progress)
    output_console.print(f"{out}")


@keys_app.command("new")
def keys_new() -> None:
    """Make a signing key pair and trust its public half on this machine."""
    from catseye.runtime.signing import new_key

    output_console.print(f"new signing key {new_key()}")


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="NAME.catseye")],
    engine: Engine = "auto",
    threads: Threads = 0,
    as_json: Json = False,
) -> None:
    """Signature, schema and proof of a bundle, on this machine."""
    from catseye.runtime.verification import verify as run_verify

    with progress_bars() as progress:
        report = run_verify(bundle, engine=engine, threads=threads, progress=progress)
    if as_json:
        _print_json({**asdict(report), "passed": bool(report)})
    else:
        rows = [
            (check.name, f"{check.value:.3g}", f"{check.limit:.3g}", "ok" if check else "FAILED")
            for check in report.checks
        ]
        title = f"{report.path}: {report.name}, signed by {report.key}, on {report.engine}"
        print_table(title, ("check", "value", "limit", ""), rows)
    if not report:
        failed = ", ".join(check.name for check in report.checks if not check)
        raise CatseyeError(f"{bundle}: differs from its proof in {failed}; do not use it on this machine")


@app.command()
def build(
    bundle: Annotated[Path, typer.Argument(help="NAME.catseye")],
    ahead_of_time: Annotated[
        bool, typer.Option("--ahead-of-time", help="Compile with no GPU, as a check; nothing is kept.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compile a bundle's graphs with TensorRT."""
    from catseye.runtime.build import build as run_build

    with progress_bars() as progress:
        reports = run_build(bundle, ahead_of_time=ahead_of_time, progress=progress)
    if as_json:
        _print_json([asdict(report) for report in reports])
    else:
        rows = [
            (
                f"{report.backend} {report.version}",
                ", ".join(report.compute_capabilities),
                report.layers,
                f"{report.size / 1e6:.1f} MB",
                f"{report.seconds:.1f} s",
            )
            for report in reports
        ]
        print_table(str(bundle), ("compiler", "for", "layers", "plan", "took"), rows)


@app.command()
def run(
    bundle: Annotated[Path, typer.Argument(help="NAME.catseye")],
    source: Annotated[Path, typer.Argument(help="Video file.")],
    jsonl: Annotated[Path | None, typer.Option(help="Write a record a frame to this file.")] = None,
    video: Annotated[Path | None, typer.Option(help="Write the video, tracks drawn, to this file.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="calibration.json of the camera.")] = None,
    engine: Engine = "auto",
    threads: Threads = 0,
    as_json: Json = False,
) -> None:
    """Detect, track and measure distance."""
    from catseye.runtime import run as run_source

    with progress_bars() as progress:
        summary = run_source(
            bundle,
            source,
            jsonl=jsonl,
            video=video,
            calibration=calibration,
            engine=engine,
            threads=threads,
            progress=progress,
        )
    if as_json:
        _print_json(asdict(summary))
    else:
        rows = [
            ("frames in", f"{summary.frames_in}"),
            ("processed", f"{summary.processed}"),
            ("dropped", f"{summary.dropped}"),
            ("packets that did not decode", f"{summary.corrupt_packets}"),
            ("tracks", f"{summary.tracks}"),
            ("took", f"{summary.seconds:.2f} s, {summary.fps:.1f} frames/s"),
        ]
        if summary.output_age is not None:
            age = summary.output_age
            rows.append(("age at output, p50 and p99", f"{age.p50_ms:.1f} ms, {age.p99_ms:.1f} ms"))
        print_table(str(source), ("figure", "value"), rows)


@app.command()
def bench(
    bundle: Annotated[Path, typer.Argument(help="NAME.catseye")],
    source: Annotated[Path | None, typer.Argument(help="Video file; without it, a rendered one.")] = None,
    engine: Engine = "auto",
    threads: Threads = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Write the report as JSON to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Latency and throughput, end to end and of the engine alone, with a fingerprint of the device."""
    from catseye.runtime import bench as run_bench

    with progress_bars() as progress:
        report = run_bench(bundle, source, engine=engine, threads=threads, progress=progress)
    if out is not None:
        write_json(out, report.to_json())
    if as_json:
        _print_json(report.to_json())
    else:
        print_table(str(bundle), ("figure", "value"), report.table())


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything.")] = Path("demo"),
    video: Annotated[list[Path] | None, typer.Option(help="Footage to learn from; repeatable.")] = None,
    holdout: Annotated[Path | None, typer.Option(help="The video to track, kept out of training.")] = None,
    labels: Annotated[Path | None, typer.Option(help="COCO JSON with boxes of your vehicles.")] = None,
    train_list: Annotated[Path | None, typer.Option(help="File names to train on, one a line.")] = None,
    test_list: Annotated[Path | None, typer.Option(help="File names to measure on, one a line.")] = None,
    seed: Seed = 0,
) -> None:
    """All of it: from footage to tracked vehicles on a video held out of all training."""
    from catseye.demo import demo as run_demo

    with progress_bars() as progress:
        stages = run_demo(
            out,
            videos=video or (),
            holdout=holdout,
            labels=labels,
            train_list=train_list,
            test_list=test_list,
            seed=seed,
            progress=progress,
        )
    rows = [(s.name, s.did, f"{s.seconds:.1f} s") for s in stages]
    print_table("What each stage did", ("stage", "did", "took"), rows)
    figures = [(f"{s.name}: {name}", f"{value:.4g}") for s in stages for name, value in s.figures.items()]
    print_table("What was measured", ("figure", "value"), figures)
    output_console.print(f"Look at {out / 'report.html'} and {out / 'tracked.mp4'}")


@keys_app.command("trust")
def keys_trust(
    public_key: Annotated[Path, typer.Argument(help="Public half of the key, as `keys new` wrote it.")],
) -> None:
    """Trust bundles that someone else's key signed."""
    from catseye.runtime.signing import trust

    output_console.print(f"trusted {trust(public_key)}")


def _print_metrics(title: str, metrics: dict[str, float]) -> None:
    print_table(
        title, ("figure", "value"), [(name, f"{value:.4g}") for name, value in sorted(metrics.items())]
    )


def _print_json(document: object) -> None:
    typer.echo(json.dumps(document, indent=2, default=str))


def main() -> NoReturn:
    """Run the command line; every error a user can act on becomes one line and a non-zero exit code."""
    settings = _Settings()
    try:
        app(obj=settings)
    except Exception as error:
        told = describe(error)
        if settings.debug or told is None:
            raise
        line, code = told
        error_console.print(f"catseye: {line}", markup=False)
        raise SystemExit(code) from None
    raise SystemExit(0)
