"""The command line. Each verb imports its stage when it is called, so that `catseye --help` needs none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NoReturn

import typer

from catseye.console import configure_logging, describe, error_console, output_console
from catseye.verbs import (
    benching,
    building,
    dataset,
    demonstration,
    deployment,
    embedding,
    footage,
    keys,
    labelling,
    labels,
    recording,
    running,
    training,
    wrapping,
)
from catseye.version import __version__

app = typer.Typer(
    name="catseye",
    help="A fleet's unlabelled camera footage into one small network that runs on the vehicle.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (
    recording.record,
    recording.salvage,
    recording.lock,
    recording.upload,
    footage.calibrate,
    footage.synth,
    dataset.ingest,
    dataset.inspect,
    dataset.erase,
    training.pretrain,
    labelling.select,
    labelling.prelabel,
    training.finetune,
    embedding.embed,
    training.evaluate,
    training.export,
    wrapping.wrap,
    deployment.verify,
    building.build,
    deployment.deploy,
    running.run,
    benching.bench,
    demonstration.doctor,
    demonstration.demo,
):
    app.command()(verb)
app.add_typer(keys.keys_app, name="keys")
app.add_typer(labels.labels_app, name="labels")


@dataclass
class _Settings:
    debug: bool = False


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


def main() -> NoReturn:
    """Run the command line; every error a user can act on becomes one line and a non-zero exit code."""
    settings = _Settings()
    try:
        app(obj=settings)
    except Exception as error:  # the last place where an error can become a line; others are raised again
        told = describe(error)
        if settings.debug or told is None:
            raise
        line, code = told
        error_console.print(f"catseye: {line}", markup=False)
        raise SystemExit(code) from None
    raise SystemExit(0)
