"""Verbs of those who train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from catseye import extras
from catseye.console import output_console, print_table, progress_bars
from catseye.errors import UsageError
from catseye.verbs.finetune_options import (
    CheckEvery,
    Classes,
    ClassMap,
    EncoderScale,
    ExtraImages,
    ExtraLabels,
    ExtraShare,
    FreezeEncoder,
    FreezeStages,
    GroupFrom,
    LayerDecay,
    Patience,
    RepeatRare,
    TinyPx,
    UnfreezeAfter,
    ValidationShare,
    class_names,
    class_pairs,
)
from catseye.verbs.gating import (
    ApBudget,
    Calibration,
    DepthBudget,
    FullRange,
    HeldOutDataset,
    HeldOutLabels,
    InputOption,
    MatrixOption,
    Precisions,
    Rank1Budget,
    held_out_of,
    named,
    print_verdicts,
)
from catseye.verbs.options import (
    Crop,
    Height,
    Images,
    Json,
    Out,
    Precision,
    Preset,
    PresetHeight,
    PresetWidth,
    Seed,
    TestList,
    Width,
    crop_sizes,
    print_json,
    print_metrics,
    settled,
)


def pretrain(
    dataset: Annotated[str, typer.Argument(help="Dataset folder or URL.")],
    out: Out,
    start: Annotated[
        Path | None, typer.Option(help="Finished run to go on from, on other footage or with more tasks.")
    ] = None,
    preset: Preset = None,
    encoder: Annotated[
        str | None, typer.Option(help="timm network with maps at strides 4, 8, 16, 32; else resnet18.")
    ] = None,
    tasks: Annotated[
        str,
        typer.Option(
            help="Comma-separated: order, future, depth; after future: pixels; after depth: objects; "
            "to compare: simclr, vicreg, dense."
        ),
    ] = "order,future,depth",
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 5000,
    batch: Annotated[int, typer.Option(min=1, help="Clips a process and batch.")] = 4,
    accumulate: Annotated[int, typer.Option(min=1, help="Batches a step.")] = 1,
    learning_rate: Annotated[float, typer.Option("--lr", help="Peak learning rate.")] = 1e-3,
    balance: Annotated[
        Literal["start", "gradnorm", "pcgrad"], typer.Option(help="How losses become one gradient.")
    ] = "start",
    devices: Annotated[
        int, typer.Option(min=1, help="GPUs, or processes on the CPU, of this machine; torchrun does more.")
    ] = 1,
    crop: Crop = None,
    shortest_s: Annotated[
        float, typer.Option(help="Least seconds between neighbouring frames; less where all is fast.")
    ] = 0.08,
    longest_s: Annotated[float, typer.Option(help="Most seconds between neighbouring frames.")] = 0.3,
    learn_intrinsics: Annotated[
        bool,
        typer.Option(
            "--learn-intrinsics",
            help="Learn the lens where no calibration is; takes footage with turns.",
        ),
    ] = False,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Less memory, more time: activations are computed again.")
    ] = False,
    compile_network: Annotated[
        bool, typer.Option("--compile", help="Use torch.compile; not with --recompute.")
    ] = False,
    precision: Precision = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Loader processes.")] = 2,
    seed: Seed = 0,
) -> None:
    """Unlabelled dataset to encoder: frame order, future frames and depth, jointly.

    Several GPUs: --devices N. Several machines: torchrun --nnodes M --nproc-per-node N -m catseye pretrain …
    with the run's folder on a disk that all share.
    """
    from catseye.capture.dataset import open_dataset
    from catseye.pretrain.presets import preset as preset_named
    from catseye.pretrain.pretraining import PretrainConfig
    from catseye.pretrain.pretraining import pretrain as run_pretrain

    config = PretrainConfig(
        **settled(preset_named(preset).pretraining if preset else {}, encoder=encoder),
        tasks=tuple(name.strip() for name in tasks.split(",")),
        steps=steps,
        batch=batch,
        accumulate=accumulate,
        lr=learning_rate,
        balance=balance,
        devices=devices,
        recompute=recompute,
        compile=compile_network,
        **crop_sizes(crop),
        shortest_s=shortest_s,
        longest_s=longest_s,
        learn_intrinsics=learn_intrinsics,
        precision=precision,
        workers=workers,
        seed=seed,
    )
    with progress_bars() as progress:
        info = run_pretrain(open_dataset(dataset), out, config, start=start, progress=progress)
    print_metrics(str(out), info.metrics)


def finetune(
    out: Out,
    labels: Annotated[Path, typer.Option(help="Boxes: COCO JSON, YOLO or CVAT.")],
    run: Annotated[Path | None, typer.Argument(help="Pretrained run; without it, from scratch.")] = None,
    images: Images = None,
    train_list: Annotated[Path | None, typer.Option(help="File names to train on, one a line.")] = None,
    test_list: TestList = None,
    preset: Preset = None,
    encoder: Annotated[
        str | None, typer.Option(help="Only without RUN: the timm network; else resnet18.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 2000,
    batch: Annotated[int, typer.Option(min=1, help="Images a step.")] = 8,
    learning_rate: Annotated[float, typer.Option("--lr", help="Peak learning rate.")] = 1e-3,
    width: PresetWidth = None,
    height: PresetHeight = None,
    neck_channels: Annotated[
        int | None, typer.Option(min=1, help="Width of neck and head, where not what goes with the encoder.")
    ] = None,
    crop: Crop = None,
    freeze_encoder: FreezeEncoder = False,
    freeze_stages: FreezeStages = 0,
    unfreeze_after: UnfreezeAfter = 1.0,
    encoder_lr: EncoderScale = 1.0,
    layer_decay: LayerDecay = 1.0,
    patience: Patience = 0,
    check_every: CheckEvery = 100,
    validation_share: ValidationShare = 0.15,
    group_from: GroupFrom = "",
    class_map: ClassMap = None,
    classes: Classes = None,
    repeat_rare: RepeatRare = 0.001,
    extra_labels: ExtraLabels = None,
    extra_images: ExtraImages = None,
    extra_share: ExtraShare = 0.5,
    tiny_px: TinyPx = 0.0,
    depth_weight: Annotated[
        float, typer.Option(help="How much to keep the pretrained depth; 0 gives it up.")
    ] = 1.0,
    precision: Precision = "auto",
    seed: Seed = 0,
) -> None:
    """Encoder and labels to detector, by default of 448x256.

    With --test-list, detection.html beside the run shows what it finds and misses.
    """
    from catseye.pretrain.finetune_config import FinetuneConfig
    from catseye.pretrain.finetuning import finetune as run_finetune
    from catseye.pretrain.presets import preset as preset_named

    sizes: dict[str, Any] = {"width": 448, "height": 256}
    if preset:
        sizes = preset_named(preset).finetuning
        if run is not None:
            _require_encoder(run, sizes["encoder"], preset=preset)
    config = FinetuneConfig(
        **settled(sizes, encoder=encoder, width=width, height=height, neck_channels=neck_channels),
        steps=steps,
        batch=batch,
        lr=learning_rate,
        **crop_sizes(crop),
        freeze_encoder=freeze_encoder,
        freeze_stages=freeze_stages,
        unfreeze_after=unfreeze_after,
        encoder_lr_scale=encoder_lr,
        layer_decay=layer_decay,
        patience=patience,
        check_every=check_every,
        validation_share=validation_share,
        group_from=group_from,
        class_map=class_pairs(class_map),
        classes=class_names(classes),
        repeat_rare=repeat_rare,
        extra_share=extra_share,
        tiny_px=tiny_px,
        depth_weight=depth_weight,
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
            extra_labels=extra_labels,
            extra_images=extra_images,
            config=config,
            progress=progress,
        )
    print_metrics(str(out), info.metrics)


def _require_encoder(run: Path, encoder: str, *, preset: str) -> None:
    """Refuse a preset that was made for another encoder than the run's."""
    from catseye.pretrain.checkpoint import INFO_FILE, CheckpointInfo

    found = CheckpointInfo.load(run / INFO_FILE).encoder
    if found != encoder:
        raise UsageError(
            f"--preset {preset} goes with the encoder {encoder}, but {run} has {found}: "
            "name the preset it was pretrained with, or give --width, --height and --neck-channels"
        )


def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Folders of pretrain and finetune runs.")],
    dataset: Annotated[str, typer.Option(help="Dataset folder or URL.")],
    out: Out,
    split: Annotated[str, typer.Option(help="Of the dataset: train, validation or test.")] = "test",
    labels: Annotated[Path | None, typer.Option(help="Boxes on stills: COCO JSON, YOLO or CVAT.")] = None,
    images: Images = None,
    train_list: Annotated[
        Path | None, typer.Option(help="File names that probes learn from; default: all but the test list's.")
    ] = None,
    test_list: TestList = None,
    learn_from: Annotated[
        int, typer.Option(min=0, help="Stills that probes learn from, drawn by the seed; 0 takes all.")
    ] = 100,
    few_labels: Annotated[
        bool,
        typer.Option("--few-labels", help="Also teach detectors with few of the labels; takes long."),
    ] = False,
    few_shares: Annotated[
        str, typer.Option(help="Comma-separated percentages of the stills to learn from.")
    ] = "1,5,10,100",
    few_steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of each detector.")] = 1000,
    few_seeds: Annotated[
        int, typer.Option(min=1, help="How often, with other stills each time, from --seed on.")
    ] = 1,
    few_lr: Annotated[float, typer.Option(help="Peak learning rate of the detectors.")] = 1e-3,
    width: Width = 448,
    height: Height = 256,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """What runs are worth, beside an untrained encoder: figures, and a page to look at.

    Pretext tasks on held-out clips, depth and the camera's motion where the truth is known, frozen probes and
    detections on labelled stills, collapse, cost, and errors by group. --width and --height are the size at
    which stills are looked at. --few-labels teaches a detector from each pretraining run and from scratch
    with each share of the stills; what is finished is kept, and the same command goes on where it stopped.
    """
    from catseye.pretrain.evaluation import FewLabelOptions, StillsOptions
    from catseye.pretrain.evaluation import evaluate as run_evaluate
    from catseye.pretrain.evaluation.evaluating import DOCUMENT, PAGE
    from catseye.pretrain.evaluation.few_label_table import few_label_rows
    from catseye.pretrain.evaluation.summary import table_of
    from catseye.pretrain.finetune_config import FinetuneConfig

    if labels is None and (images or train_list or test_list):
        raise UsageError("--images, --train-list and --test-list say which of --labels: give that too")
    if few_labels and labels is None:
        raise UsageError("--few-labels needs --labels and --test-list: boxes to learn from and to measure on")
    stills = None
    if labels is not None:
        if test_list is None:
            raise UsageError("--labels needs --test-list: a file with the names of the stills to measure on")
        stills = StillsOptions(
            labels=labels,
            test_list=test_list,
            train_list=train_list,
            images=images,
            learn_from=learn_from,
            width=width,
            height=height,
        )
    few = None
    if few_labels:
        few = FewLabelOptions(
            shares=_percentages(few_shares),
            seeds=few_seeds,
            config=FinetuneConfig(steps=few_steps, lr=few_lr, width=width, height=height),
        )
    with progress_bars() as progress:
        evaluation = run_evaluate(
            runs,
            dataset,
            out=out,
            split=split,
            stills=stills,
            few_labels=few,
            seed=seed,
            progress=progress,
        )
    if as_json:
        print_json(evaluation.model_dump())
    else:
        header, rows = table_of(evaluation)
        print_table(str(out / DOCUMENT), header, rows)
        if evaluation.few_labels is not None:
            print_table("", *few_label_rows(evaluation.few_labels))
        output_console.print(f"Look at {out / PAGE}", markup=False)


def _percentages(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--few-shares {text}: takes percentages with commas between, 1,5,10,100") from None


def export(
    run: Annotated[Path, typer.Argument(help="Finetuned run.")],
    out: Out,
    video: Annotated[
        list[Path] | None, typer.Option(help="Footage whose frames prove the export; repeatable.")
    ] = None,
    precisions: Precisions = "fp32,fp16",
    calibration: Calibration = None,
    labels: HeldOutLabels = None,
    test_list: TestList = None,
    images: Images = None,
    dataset: HeldOutDataset = None,
    ap_budget: ApBudget = 1.0,
    depth_budget: DepthBudget = 0.02,
    rank1_budget: Rank1Budget = 2.0,
    top_k: Annotated[int, typer.Option(min=1, help="Detections a frame.")] = 100,
    score_threshold: Annotated[
        float | None,
        typer.Option(
            help="Score from which to show a detection; default: what served F1 best on test stills."
        ),
    ] = None,
    input: InputOption = "rgb8",
    matrix: MatrixOption = "bt709",
    full_range: FullRange = False,
    batch: Annotated[int, typer.Option(min=1, help="Frames a call.")] = 1,
) -> None:
    """Detector to one signed bundle with its proof."""
    extras.require("export")
    from catseye.export.bundling import export as run_export
    from catseye.export.gate import Budget

    budget = Budget(ap_points=ap_budget, abs_rel=depth_budget, rank1_points=rank1_budget)
    held_out = held_out_of(labels=labels, test_list=test_list, images=images, dataset=dataset)
    with progress_bars() as progress:
        bundle = run_export(
            run,
            out,
            precisions=named(precisions),
            calibration=calibration or (),
            videos=video or (),
            top_k=top_k,
            score_threshold=score_threshold,
            input=input,
            matrix=matrix,
            full_range=full_range,
            batch=batch,
            held_out=held_out,
            budget=budget,
            progress=progress,
        )
    print_verdicts(bundle.manifest.verdicts)
    output_console.print(f"{out}: {', '.join(bundle.manifest.precisions)}", markup=False)
