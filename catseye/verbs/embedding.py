"""The verb that teaches what tells vehicles apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catseye.console import output_console, progress_bars
from catseye.errors import UsageError
from catseye.verbs.options import Crop, Images, Out, Precision, Seed, crop_sizes, print_metrics


def embed(
    run: Annotated[Path, typer.Argument(help="Finetuned run whose embedding is taught.")],
    out: Out,
    dataset: Annotated[
        str | None, typer.Option(help="Folder or URL of a dataset of unlabelled clips.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="In place of a dataset: labels of stills, which teach less.")
    ] = None,
    images: Images = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 1000,
    batch: Annotated[int, typer.Option(min=1, help="Pairs of views a step.")] = 8,
    learning_rate: Annotated[float, typer.Option("--lr", help="Peak learning rate.")] = 2e-3,
    threshold: Annotated[
        float, typer.Option(help="Score from which a detection is taken for a vehicle.")
    ] = 0.4,
    crop: Crop = None,
    precision: Precision = "auto",
    seed: Seed = 0,
) -> None:
    """Teach a detector's embedding to tell vehicles apart, without identity labels.

    What the run detects in a dataset's clips is linked from frame to frame where there is no doubt, and
    sights of one vehicle are told from those of others. Boxes, scores and depth stay as they are to the bit.
    Pictures of the links and of nearest neighbours are left in pictures/.
    """
    from catseye.capture.dataset import open_dataset
    from catseye.pretrain.appearance_training import EmbedConfig
    from catseye.pretrain.appearance_training import embed as run_embed
    from catseye.pretrain.label_formats import read_labels
    from catseye.pretrain.pseudo_tracks import LinkOptions

    if images is not None and labels is None:
        raise UsageError("--images says where the stills of --labels are: give that too")
    config = EmbedConfig(
        steps=steps,
        batch=batch,
        lr=learning_rate,
        **crop_sizes(crop),
        precision=precision,
        linking=LinkOptions(threshold=threshold),
        seed=seed,
    )
    with progress_bars() as progress:
        info = run_embed(
            run,
            out,
            dataset=open_dataset(dataset) if dataset is not None else None,
            labels=read_labels(labels, images=images) if labels is not None else None,
            images=images,
            config=config,
            progress=progress,
        )
    print_metrics(str(out), info.metrics)
    output_console.print(f"Look at {out / 'pictures'}", markup=False)
