"""The verb that brings in other people's detectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catseye import extras
from catseye.console import print_table, progress_bars
from catseye.verbs.gating import (
    ApBudget,
    Calibration,
    FullRange,
    HeldOutLabels,
    InputOption,
    MatrixOption,
    Precisions,
    held_out_of,
    named,
    print_verdicts,
)
from catseye.verbs.options import Images, Json, Out, TestList, print_json


def wrap(
    model: Annotated[Path, typer.Argument(help="ONNX file of a detector, one picture a call.")],
    decoder: Annotated[
        str,
        typer.Option(
            help="What it takes and gives: yolox, fastestdet, yolov8, yolo11, yolo26, rtdetr or dfine."
        ),
    ],
    out: Out,
    classes: Annotated[
        Path | None, typer.Option(help="Its class names, one a line; else those in its metadata.")
    ] = None,
    keep: Annotated[str, typer.Option(help="Classes to keep, with commas between; else all.")] = "",
    rename: Annotated[
        str, typer.Option(help="OLD=NEW, with commas between; classes of one new name become one.")
    ] = "",
    precisions: Precisions = "fp32",
    calibration: Calibration = None,
    labels: HeldOutLabels = None,
    test_list: TestList = None,
    images: Images = None,
    ap_budget: ApBudget = 1.0,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="Detections a frame; default 300 with doubles, else 100.")
    ] = None,
    nms_iou: Annotated[
        float | None, typer.Option(help="Overlap over which two are one object; else its authors'.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Score from which a detection is worth showing.")] = 0.3,
    width: Annotated[
        int | None, typer.Option(help="Width of the network's input; a file of another is re-shaped.")
    ] = None,
    height: Annotated[int | None, typer.Option(help="Its height, likewise.")] = None,
    input: InputOption = "rgb8",
    matrix: MatrixOption = "bt709",
    full_range: FullRange = False,
    video: Annotated[
        list[Path] | None, typer.Option(help="Footage whose frames prove the wrapping; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Someone else's ONNX detector to one signed bundle with its proof."""
    extras.require("export")
    from catseye.export.gate import Budget
    from catseye.export.wrapping import wrap as run_wrap
    from catseye.export.wrapping.class_map import parse_renames

    held_out = held_out_of(labels=labels, test_list=test_list, images=images)
    with progress_bars() as progress:
        bundle = run_wrap(
            model,
            out,
            decoder=decoder,
            classes=classes,
            keep=[name.strip() for name in keep.split(",") if name.strip()],
            rename=parse_renames(rename),
            precisions=named(precisions),
            calibration=calibration or (),
            top_k=top_k,
            nms_iou=nms_iou,
            score_threshold=threshold,
            width=width,
            height=height,
            input=input,
            matrix=matrix,
            full_range=full_range,
            videos=video or (),
            held_out=held_out,
            budget=Budget(ap_points=ap_budget),
            progress=progress,
        )
    manifest = bundle.manifest
    network = manifest.network
    if as_json:
        print_json(manifest.model_dump(exclude={"entries"}))
        return
    rows = [
        ("classes", ", ".join(manifest.classes)),
        ("network", f"{network.width}x{network.height}, frames: {network.fit.replace('_', ' ')}"),
        ("detections a frame", manifest.top_k),
        ("doubles dropped over an IoU of", manifest.nms_iou if manifest.nms_iou is not None else "none"),
        ("embeddings, depth", "none"),
        ("precisions", ", ".join(manifest.precisions)),
    ]
    print_table(str(out), ("", "value"), rows)
    print_verdicts(manifest.verdicts)
