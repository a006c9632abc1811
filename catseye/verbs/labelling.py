"""Verbs of those who label: which frames, and proposals for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from catseye.console import output_console, print_table, progress_bars
from catseye.errors import UsageError
from catseye.verbs.options import Images, Json, Out, Seed, print_json

if TYPE_CHECKING:
    from catseye.model import Model
    from catseye.pretrain.labels import Labels
    from catseye.progress import Progress

Split = Annotated[str, typer.Option(help="Of the dataset: train, validation, test or all.")]


def select(
    pool: Annotated[str, typer.Argument(help="Dataset folder or URL, or a folder of stills.")],
    run: Annotated[Path, typer.Option(help="Pretrain or finetune run; only the latter has doubts.")],
    budget: Annotated[int, typer.Option(min=1, help="How many frames to label.")],
    out: Out,
    labels: Annotated[
        Path | None, typer.Option(help="What is labelled already: not chosen again, nor what looks like it.")
    ] = None,
    images: Images = None,
    names_list: Annotated[
        Path | None, typer.Option("--list", help="Of a folder of stills, those to choose from, one a line.")
    ] = None,
    split: Split = "train",
    every_s: Annotated[float, typer.Option(help="Seconds between the frames of a clip looked at.")] = 1.0,
    doubt_weight: Annotated[
        float, typer.Option(help="How much the detector's doubts count; 0 leaves them out.")
    ] = 1.0,
    pictures: Annotated[
        Literal["png", "jpg"], typer.Option(help="Form of pictures made from video; stills are copied.")
    ] = "png",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """The frames that teach most, as pictures, with the reasons for each.

    Chosen are frames that many others are like, that the detector doubts, and evenly over drives, times,
    light and speed. Set-aside clips are never looked at.
    """
    from catseye.capture.dataset import open_dataset
    from catseye.pretrain.label_formats import read_labels
    from catseye.pretrain.selection import PAGE_FILE, SelectOptions
    from catseye.pretrain.selection import select as run_select

    options = SelectOptions(
        budget=budget,
        split=split,
        every_s=every_s,
        doubt_weight=doubt_weight,
        picture_form=pictures,
        seed=seed,
    )
    if images is not None and labels is None:
        raise UsageError(f"--images {images}: says where the pictures of --labels are; give that too")
    with progress_bars() as progress:
        selection = run_select(
            Path(pool) if _is_stills(pool) else open_dataset(pool),
            run,
            out,
            options,
            names_list=names_list,
            labels=read_labels(labels, images=images) if labels is not None else None,
            images=images,
            progress=progress,
        )
    if as_json:
        print_json(selection.model_dump())
        return
    counts = (
        ("frames looked at", selection.looked_at),
        ("could not be read", selection.unreadable),
        ("labelled before", selection.labelled),
        ("chosen", len(selection.pictures)),
    )
    print_table(str(out), ("frames", "count"), counts)
    output_console.print(f"Look at {out / PAGE_FILE}", markup=False)


def prelabel(
    pictures: Annotated[
        str,
        typer.Argument(
            help="Folder of pictures, one picture, or what select wrote; a dataset for --tracked."
        ),
    ],
    run: Annotated[Path, typer.Option(help="Finetune run, or bundle, whose boxes are proposed.")],
    out: Annotated[Path, typer.Option("--out", help="Label file to write, for yolo a new folder.")],
    form: Annotated[
        Literal["coco", "yolo", "cvat"], typer.Option("--format", help="Of the labels.")
    ] = "coco",
    threshold: Annotated[
        float,
        typer.Option(help="Least score of a box proposed; with --tracked, of a track kept, its median."),
    ] = 0.3,
    tracked: Annotated[
        bool,
        typer.Option(
            "--tracked", help="Of clips: keep what lasts and moves smoothly, mark what is in doubt."
        ),
    ] = False,
    split: Split = "train",
    every_s: Annotated[
        float, typer.Option(help="With --tracked on a dataset: seconds between frames labelled.")
    ] = 1.0,
    look_every_s: Annotated[
        float,
        typer.Option(help="With --tracked: seconds between frames looked at to follow what is in them."),
    ] = 0.1,
    images: Annotated[
        Path | None,
        typer.Option(
            help="With --tracked on a dataset: where to write pictures; default: images/ beside out."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Boxes proposed by a model, for people to correct, or by tracks, to learn from."""
    from catseye.model import load
    from catseye.pretrain.label_formats import write_labels

    if tracked and form == "yolo":
        raise UsageError("--format yolo: cannot say what is in doubt; with --tracked choose coco or cvat")
    if not tracked and images is not None:
        raise UsageError(f"--images {images}: is where --tracked writes a dataset's pictures")
    model = load(run)
    with progress_bars() as progress:
        if tracked:
            place = images or out.parent / "images"
            labels, folder = _tracked(
                pictures,
                model,
                place,
                threshold=threshold,
                split=split,
                every_s=every_s,
                look_every_s=look_every_s,
                progress=progress,
            )
        else:
            from catseye.pretrain.prelabelling import pictures_of
            from catseye.pretrain.prelabelling import prelabel as run_prelabel

            folder, names = pictures_of(Path(pictures))
            labels = run_prelabel(folder, names, model, threshold=threshold, progress=progress)
    write_labels(labels, out, form=form, images=folder)
    boxes = sum(len(image.boxes) for image in labels.images)
    doubtful = sum(int(image.crowd.sum()) for image in labels.images)
    if as_json:
        print_json({"labels": str(out), "pictures": len(labels.images), "boxes": boxes, "in_doubt": doubtful})
    else:
        rows = [("pictures", len(labels.images)), ("boxes", boxes - doubtful), ("in doubt", doubtful)]
        print_table(str(out), ("proposed", "count"), rows)
        output_console.print(f"The pictures are in {folder}", markup=False)


def _tracked(
    place: str,
    model: Model,
    images: Path,
    *,
    threshold: float,
    split: str,
    every_s: float,
    look_every_s: float,
    progress: Progress,
) -> tuple[Labels, Path]:
    """Labels by tracks of a selection's frames, or of a dataset's, and the folder of their pictures."""
    from catseye.capture.dataset import open_dataset
    from catseye.pretrain.prelabelling import prelabel_clips, prelabel_selection
    from catseye.pretrain.pseudo_labels import TrackRules
    from catseye.pretrain.selection import PICTURES_FOLDER, SELECTION_FILE, Selection
    from catseye.runtime import Tracker

    rules = TrackRules(sure=threshold, weak=min(TrackRules().weak, threshold))

    def follow() -> Tracker:
        return Tracker(
            high_threshold=0.8 * threshold, start_threshold=threshold, low_threshold=0.2 * threshold
        )

    selection_file = Path(place) / SELECTION_FILE
    if selection_file.exists():
        selection = Selection.load(selection_file)
        if not selection.dataset_fingerprint:
            raise UsageError(f"{place}: was selected from stills, which nothing can be followed through")
        dataset = open_dataset(selection.pool)
        labels = prelabel_selection(
            selection, dataset, model, follow, rules=rules, look_every_s=look_every_s, progress=progress
        )
        return labels, Path(place) / PICTURES_FOLDER
    labels = prelabel_clips(
        open_dataset(place),
        model,
        follow,
        pictures=images,
        rules=rules,
        split=None if split == "all" else split,
        every_s=every_s,
        look_every_s=look_every_s,
        progress=progress,
    )
    return labels, images


def _is_stills(pool: str) -> bool:
    """Whether a place is a folder on this machine that is no dataset."""
    from catseye.capture.dataset import INFO_NAME

    return Path(pool).is_dir() and not (Path(pool) / INFO_NAME).exists()
