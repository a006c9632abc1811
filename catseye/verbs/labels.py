"""Verbs of those who label: other formats, and labels that are probably wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from catseye.console import output_console, print_table, progress_bars
from catseye.verbs.options import Images, Json, print_json

if TYPE_CHECKING:
    from catseye.pretrain.label_check import SecondOpinion

labels_app = typer.Typer(help="Label files: other formats, and what is wrong in them.", no_args_is_help=True)


@labels_app.command("convert")
def labels_convert(
    source: Annotated[Path, typer.Argument(help="COCO JSON, YOLO's data.yaml or folder, or CVAT XML.")],
    out: Annotated[Path, typer.Argument(help="File to write; for YOLO, a new folder.")],
    form: Annotated[Literal["coco", "yolo", "cvat"], typer.Option("--format", help="What to write.")],
    images: Images = None,
    without_crowd: Annotated[
        bool, typer.Option("--without-crowd", help="Leave out crowd boxes, which YOLO cannot hold.")
    ] = False,
) -> None:
    """Labels in another format; refused where that cannot hold them.

    YOLO's new folder gets links to the pictures, where these are found.
    """
    from catseye.pretrain.label_formats import images_folder, read_labels, write_labels

    labels = read_labels(source, images=images)
    folder = images_folder(source) if images is None else images
    if without_crowd:
        labels = labels.without_crowd()
    linked = folder if images is not None or folder.is_dir() else None
    write_labels(labels, out, form=form, images=linked)
    boxes = sum(len(image.boxes) for image in labels.images)
    output_console.print(f"{out}: {boxes:,} boxes of {len(labels.images):,} images", markup=False)
    if form == "yolo" and linked is None:
        output_console.print(
            f"The pictures are not in {folder}: put them into {out / 'images'}", markup=False
        )


@labels_app.command("check")
def labels_check(
    labels: Annotated[Path, typer.Argument(help="COCO JSON, YOLO's data.yaml or folder, or CVAT XML.")],
    out: Annotated[Path, typer.Option("--out", help="HTML page to write.")] = Path("label-check.html"),
    images: Images = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Fine-tuning run or bundle that has not learned from these labels."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Labels that are probably wrong, the worst first, with pictures.

    Doubled boxes, boxes outside the image or of improbable size; with --run also missing, shifted and
    spurious boxes and wrong classes.
    """
    from catseye.files import write_text
    from catseye.pretrain.label_check import check_labels
    from catseye.pretrain.label_error_page import render_page

    with progress_bars() as progress:
        opinion = None if run is None else second_opinion(run)
        check = check_labels(labels, images=images, opinion=opinion, progress=progress)
    write_text(out, render_page(check))
    if as_json:
        print_json({"labels": str(labels), "counts": check.counts(), "suspicions": check.documents()})
    else:
        rows = list(check.counts().items())
        print_table(str(labels), ("suspicion", "boxes"), rows)
        output_console.print(f"Look at {out}", markup=False)


def second_opinion(run: Path) -> SecondOpinion:
    """What a run or a bundle finds, of every score."""
    from catseye.capture.geometry import Image
    from catseye.model import load
    from catseye.pretrain.label_check import SecondOpinion
    from catseye.pretrain.label_errors import Found

    model = load(run)

    def detect(rgb: Image) -> Found:
        found = model.predict(rgb, threshold=0.0)
        return Found(found.boxes_xyxy, found.scores, found.classes)

    return SecondOpinion(run.name, model.names, detect)
