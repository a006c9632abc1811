"""Options of ``finetune`` beyond those that training verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catseye.errors import UsageError

FreezeEncoder = Annotated[
    bool, typer.Option("--freeze-encoder", help="Leave the encoder's weights as they start.")
]
FreezeStages = Annotated[
    int,
    typer.Option(
        min=0, help="Leave its first N stages, of four, as they start, their batch normalisation too."
    ),
]
UnfreezeAfter = Annotated[
    float, typer.Option(help="Share of the steps after which what is frozen learns too; 1 never.")
]
EncoderScale = Annotated[
    float, typer.Option("--encoder-lr", help="The pretrained encoder's learning rate in units of --lr.")
]
LayerDecay = Annotated[
    float,
    typer.Option(
        help="Each stage of the pretrained encoder learns this much slower than the next; 1 is not."
    ),
]
Patience = Annotated[
    int,
    typer.Option(
        min=0,
        help="End after N checks without gain, on stills kept back from training; keep the best. 0 never.",
    ),
]
CheckEvery = Annotated[int, typer.Option(min=1, help="Steps between checks, with --patience.")]
ValidationShare = Annotated[float, typer.Option(help="Share of the stills kept back, with --patience.")]
GroupFrom = Annotated[
    str,
    typer.Option(help="Regular expression for a file name's drive, kept back whole; default: its folder."),
]
ClassMap = Annotated[
    str | None, typer.Option(help="What classes of the labels are called here, car=vehicle,bus=vehicle.")
]
Classes = Annotated[
    str | None, typer.Option(help="Comma-separated: those to be found, in that order; others are background.")
]
RepeatRare = Annotated[
    float, typer.Option(help="Show stills with a class that is on a smaller share of them more often.")
]
ExtraLabels = Annotated[
    Path | None,
    typer.Option(
        help="Labels to learn from too, such as a detector's proposals; boxes weigh by their score."
    ),
]
ExtraImages = Annotated[
    Path | None, typer.Option(help="Folder of their images; default: images/ beside --extra-labels.")
]
ExtraShare = Annotated[float, typer.Option(help="Part of each batch taken of the extra labels.")]
TinyPx = Annotated[
    float,
    typer.Option(
        min=0,
        help="Match and outline boxes below this size in network pixels by Wasserstein distance too; 0 none.",
    ),
]


def class_names(text: str | None) -> tuple[str, ...]:
    """The classes that ``--classes`` names."""
    return () if text is None else tuple(name.strip() for name in text.split(","))


def class_pairs(text: str | None) -> dict[str, str]:
    """The pairs of names that ``--class-map`` gives.

    Raises:
        UsageError: a part is no pair, or a class is mapped twice.
    """
    pairs: dict[str, str] = {}
    for part in [] if text is None else text.split(","):
        name, equals, other = (piece.strip() for piece in part.partition("="))
        if not (name and equals and other):
            raise UsageError(
                f"--class-map {part.strip()!r}: is not of the form NAME=NAME, such as car=vehicle"
            )
        if name in pairs:
            raise UsageError(f"--class-map {part.strip()!r}: {name!r} is mapped to {pairs[name]!r} already")
        pairs[name] = other
    return pairs
