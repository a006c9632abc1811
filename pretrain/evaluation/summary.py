"""The contract ``evaluation.json``, and what each of its figures is called."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from catseye.contract import Contract

Kind = Literal["pretrain", "finetune", "untrained"]


class ObjectGroup(BaseModel):
    """How the labelled objects of one kind fare.

    Args:
        reader: ``probe`` (the frozen linear one) or ``detector``.
        aspect: what the objects are grouped by, such as ``height``; ``name`` is the group's.
        objects: labelled ones.
        recall: share of them that is found, at the score that serves F1 best over all; None without any.
        false: what is found there and is no object.
    """

    model_config = ConfigDict(frozen=True)

    reader: Literal["probe", "detector"]
    aspect: str
    name: str
    objects: int = Field(ge=0)
    recall: float | None
    false: int = Field(ge=0)


class ClipGroup(BaseModel):
    """Pretext figures of the clips of one drive, or with one tag."""

    model_config = ConfigDict(frozen=True)

    aspect: Literal["drive", "tag"]
    name: str
    clips: int = Field(gt=0)
    figures: dict[str, float]


class Row(BaseModel):
    """One run, or the untrained encoder beside it.

    Args:
        name: shortest distinct name of its folder.
        run: the folder; empty for ``untrained``.
        encoder: timm name.
        width, height: network size in pixels, at which cost is counted.
        figures: by the names in ``FIGURES`` and others that ``evaluate_pretext`` gives.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Kind
    run: str
    encoder: str
    width: int
    height: int
    figures: dict[str, float]
    objects: tuple[ObjectGroup, ...] = ()
    clips: tuple[ClipGroup, ...] = ()


class Machine(BaseModel):
    """Where latency was measured."""

    model_config = ConfigDict(frozen=True)

    processor: str
    threads: int = Field(gt=0)


class ProbedStills(BaseModel):
    """The labelled stills that were read: from how many the probes learned, and on how many all is measured.

    ``width`` and ``height`` are the size in pixels at which probes look at them.
    """

    model_config = ConfigDict(frozen=True)

    labels: str
    train: int
    test: int
    width: int
    height: int


class FewLabelCase(BaseModel):
    """A detector taught by few labels.

    Args:
        start: the row whose encoder it began with, or that it began from scratch; ``pretrained`` says which.
        encoder: timm name.
        share: percentage of the stills that there are to learn from; ``stills`` is their number.
        seed: of the stills drawn, and of the training.
        figures: average precisions on the stills that all is measured on; none where training failed.
        failed: why it did, or empty.
    """

    model_config = ConfigDict(frozen=True)

    start: str
    encoder: str
    pretrained: bool
    share: float
    stills: int
    seed: int
    figures: dict[str, float]
    failed: str = ""


class FewLabels(BaseModel):
    """Fine-tuning on few labels: options that all cases share, and those that are done of those planned.

    ``stills`` is how many there are to learn from; ``width`` and ``height`` are in pixels.
    """

    model_config = ConfigDict(frozen=True)

    steps: int
    batch: int
    lr: float
    width: int
    height: int
    stills: int
    planned: int
    cases: tuple[FewLabelCase, ...] = ()


class Evaluation(Contract):
    """The contract ``evaluation.json``.

    Args:
        split: of the dataset, on whose clips everything but labelled stills is measured.
        blind: what a guess that looks at nothing gets, by the figure's name.
        rows: the runs in the order given, then ``untrained``.
        few_labels: None unless asked for.
    """

    VERSION: ClassVar[str] = "1.2"
    REMEDY: ClassVar[str] = "make it again with: catseye evaluate"

    dataset: str
    dataset_fingerprint: str
    split: str
    stills: ProbedStills | None = None
    seed: int
    machine: Machine
    blind: dict[str, float]
    rows: tuple[Row, ...]
    few_labels: FewLabels | None = None
    code_version: str


class Figure(NamedTuple):
    """How a figure is shown: under which heading and title, and which values are better."""

    name: str
    heading: str
    title: str
    better: Literal["higher", "lower", ""]
    form: str = "{:.3f}"


FIGURES = (
    Figure("linear_ap", "Frozen probe", "linear, AP of cells", "higher"),
    Figure("knn_ap", "Frozen probe", "nearest neighbours, AP of cells", "higher"),
    Figure("ap", "Detection", "AP", "higher"),
    Figure("ap50", "Detection", "AP50, all", "higher"),
    Figure("ap50_h10", "Detection", "AP50, height ≥ 10 px", "higher"),
    Figure("ap50_h20", "Detection", "AP50, height ≥ 20 px", "higher"),
    Figure("order_accuracy", "Pretext", "order, accuracy", "higher"),
    Figure("order_accuracy_se", "Pretext", "its standard error", ""),
    Figure("future_skill", "Pretext", "future, skill against copying", "higher"),
    Figure("future_skill_under_150ms", "Pretext", "… under 150 ms ahead", "higher"),
    Figure("future_skill_150_to_300ms", "Pretext", "… 150 to 300 ms", "higher"),
    Figure("future_skill_over_300ms", "Pretext", "… over 300 ms", "higher"),
    Figure("depth_absrel", "Depth", "AbsRel, median-scaled", "lower"),
    Figure("depth_absrel_raw", "Depth", "AbsRel in metres", "lower"),
    Figure("depth_scale_error", "Depth", "error of the metric scale", "lower"),
    Figure("pose_ate", "Motion of the camera", "path over 5 frames, scaled to fit, m", "lower", "{:.4f}"),
    Figure("pose_ate_still", "Motion of the camera", "… of standing still", "", "{:.4f}"),
    Figure("pose_translation", "Motion of the camera", "translation as it comes, m a step", "lower"),
    Figure("pose_translation_still", "Motion of the camera", "… of standing still", ""),
    Figure("pose_rotation", "Motion of the camera", "rotation, degrees a step", "lower"),
    Figure("feature_spread", "Collapse", "spread of directions, healthy near 1", ""),
    Figure("feature_rank", "Collapse", "effective rank (RankMe)", "", "{:.1f}"),
    Figure("encoder_parameters", "Cost", "encoder, million parameters", "lower", "{:.2f}"),
    Figure("encoder_gflops", "Cost", "encoder, GFLOPs a frame", "lower", "{:.2f}"),
    Figure("encoder_latency_ms", "Cost", "encoder, ms a frame here", "lower", "{:.1f}"),
)
"""What the table shows, in its order. Parameters are counted in millions, a multiply-add as two FLOPs."""


def best_values(rows: tuple[Row, ...]) -> dict[str, float]:
    """The best value of each figure that has a better side and in which rows differ."""
    best = {}
    for figure in FIGURES:
        values = [row.figures[figure.name] for row in rows if figure.name in row.figures]
        if figure.better and len(set(values)) > 1:
            best[figure.name] = max(values) if figure.better == "higher" else min(values)
    return best


def table_of(evaluation: Evaluation) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and lines of what ``FIGURES`` names, a column a row of the evaluation."""
    rows = [*(row.figures for row in evaluation.rows), evaluation.blind]
    lines = []
    for figure in FIGURES:
        values = [values.get(figure.name) for values in rows]
        if any(value is not None for value in values):
            shown = ["–" if value is None else figure.form.format(value) for value in values]
            lines.append((f"{figure.heading}: {figure.title}", *shown))
    return ("figure", *(row.name for row in evaluation.rows), "blind guess"), lines
