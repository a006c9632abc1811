"""Evaluate: measure every run in the same way on the same data, write the document and the page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from catseye.capture.dataset import Dataset, open_dataset
from catseye.capture.rendering import load_truth
from catseye.errors import InputError, UsageError
from catseye.files import write_text
from catseye.pretrain.depth_probe import FrameTruth
from catseye.pretrain.evaluation.clip_groups import figures_by_group
from catseye.pretrain.evaluation.cost import encoder_cost, this_machine
from catseye.pretrain.evaluation.few_labels import (
    FewLabelOptions,
    FewLabelPlan,
    measure_few_labels,
    plan_few_labels,
)
from catseye.pretrain.evaluation.gallery import Features, frame_features, read_gallery
from catseye.pretrain.evaluation.labelled_stills import LabelledStills, StillsOptions, read_stills
from catseye.pretrain.evaluation.object_groups import groups_of
from catseye.pretrain.evaluation.outcomes import StillOutcome, detection_outcomes
from catseye.pretrain.evaluation.page import Pictures, render_page
from catseye.pretrain.evaluation.page_pictures import (
    depth_sheet,
    feature_sheet,
    neighbour_sheet,
    worst_sheet,
)
from catseye.pretrain.evaluation.probing import probe_stills
from catseye.pretrain.evaluation.subjects import Subject, load_subjects
from catseye.pretrain.evaluation.summary import ClipGroup, Evaluation, FewLabelCase, ObjectGroup, Row
from catseye.pretrain.prediction import measure, predict_labelled
from catseye.pretrain.pretext_figures import pretext_figures
from catseye.pretrain.probes import probe_clips
from catseye.progress import Progress, silent
from catseye.version import __version__

__all__ = ["FewLabelOptions", "StillsOptions", "evaluate"]

DOCUMENT, PAGE = "evaluation.json", "evaluation.html"
_BLIND = {
    "order_accuracy": "order_chance",
    "linear_ap": "positive_share",
    "knn_ap": "positive_share",
    "depth_absrel": "depth_absrel_constant",
    "pose_ate": "pose_ate_straight",
    "pose_translation": "pose_translation_straight",
    "pose_rotation": "pose_rotation_still",
}


def evaluate(
    runs: Sequence[Path],
    dataset_url: str | Path,
    *,
    out: Path,
    split: str = "test",
    stills: StillsOptions | None = None,
    few_labels: FewLabelOptions | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Evaluation:
    """Measure pretraining and fine-tuning runs beside an untrained encoder.

    Nothing is trained but probes, and detectors on few labels where that is asked for. Document and page are
    written before the first of these and after each; their results are kept in ``few_labels`` beside, so that
    the same call goes on after a kill.

    Leaves ``evaluation.json`` and ``evaluation.html`` in the folder ``out``. A pretraining run's depth
    and motion are compared with the truth where a source has its ``.truth.npz`` beside it, as rendered ones
    do.

    Args:
        runs: their folders.
        dataset_url: folder or fsspec URL.
        split: on whose usable clips runs are measured.
        stills: labelled ones; without them there are no figures of probes and detectors.
        few_labels: needs ``stills``, whose ``learn_from`` and size are for probes alone.
        seed: of drawn sequences and stills, of probes, and of the untrained encoder; the first of few labels.

    Raises:
        UsageError: there is no run, or one is named twice; few labels lack labels or a pretraining run, or
            are being measured in the same folder.
        InputError: a run is no finished one or does not fit the dataset or the labels, the split has no
            usable clip, the labels are not what they must be, or ``out`` cannot be written.
        CorruptClip: a clip cannot be read.
    """
    dataset = open_dataset(dataset_url)
    _check_writable(out)
    subjects = load_subjects(runs, dataset, seed=seed)
    if not any(len(clip) for clip in dataset.select(split=split)):
        raise InputError(dataset.url, f"has no usable clip in the split {split!r}", "ingest with a hold-out")
    plan = None
    if few_labels is not None:
        if stills is None:
            raise UsageError("few labels: need labelled stills to learn from and to measure on")
        plan = plan_few_labels(subjects, stills, few_labels, seed=seed)
    labelled = None if stills is None else read_stills(stills, seed=seed, progress=progress)
    if labelled is not None:
        _check_classes(subjects, labelled)
    gallery = read_gallery(dataset, split=split, progress=progress)
    features = {subject.name: frame_features(subject.encoder, gallery) for subject in subjects}
    truths = truths_beside(dataset, split=split)
    measured = []
    for number, subject in enumerate(subjects):
        told = _told(progress, subject.name)
        clips = _measure_clips(subject, dataset, split=split, truths=truths, seed=seed, progress=told)
        readings = [] if labelled is None else _read(subject, labelled, seed=seed, progress=told)
        measured.append(_Measured(subject, features[subject.name], clips, readings))
        progress("runs", number + 1, len(subjects))
    evaluation = Evaluation(
        dataset=dataset.url,
        dataset_fingerprint=dataset.fingerprint,
        split=split,
        stills=None if labelled is None else labelled.described(),
        seed=seed,
        machine=this_machine(),
        blind=_blind(measured),
        rows=tuple(_row(each) for each in measured),
        code_version=__version__,
    )
    pictures = Pictures(
        features=feature_sheet(gallery, features),
        depth=depth_sheet(gallery, subjects),
        neighbours={name: neighbour_sheet(gallery, found) for name, found in features.items()},
        worst={
            f"{each.subject.name}, {reading.reader}": worst_sheet(
                reading.outcomes, labelled.test, labelled.folder
            )
            for each in measured
            for reading in each.readings
            if labelled is not None
        },
    )
    if plan is None:
        _write(out, evaluation, pictures)
        return evaluation
    done: list[FewLabelCase] = []
    evaluation = _with_few_labels(evaluation, plan, done)
    _write(out, evaluation, pictures)
    for case in measure_few_labels(plan, out, progress=progress):
        done.append(case)
        evaluation = _with_few_labels(evaluation, plan, done)
        _write(out, evaluation, pictures)
    return evaluation


def _with_few_labels(evaluation: Evaluation, plan: FewLabelPlan, done: Sequence[FewLabelCase]) -> Evaluation:
    return evaluation.model_copy(update={"few_labels": plan.described(done)})


def _write(out: Path, evaluation: Evaluation, pictures: Pictures) -> None:
    write_text(out / PAGE, render_page(evaluation, pictures))
    evaluation.save(out / DOCUMENT)


def truths_beside(dataset: Dataset, *, split: str) -> dict[str, FrameTruth]:
    """The truth of the split's sources that have a ``.truth.npz`` beside them, by source path."""
    sources = {clip.source for clip in dataset.select(split=split)}
    files = {source: Path(source).with_suffix(".truth.npz") for source in sorted(sources)}
    return {source: load_truth(file) for source, file in files.items() if file.is_file()}


@dataclass(frozen=True)
class _Clips:
    """What was measured on clips."""

    figures: dict[str, float]
    groups: tuple[ClipGroup, ...]


@dataclass(frozen=True)
class _Reading:
    """What a probe or a detector found on the labelled stills."""

    reader: str
    figures: dict[str, float]
    outcomes: list[StillOutcome]
    groups: tuple[ObjectGroup, ...]


@dataclass(frozen=True)
class _Measured:
    subject: Subject
    features: Features
    clips: _Clips
    readings: list[_Reading]

    def figures(self) -> dict[str, float]:
        found = dict(self.clips.figures)
        for reading in self.readings:
            found |= reading.figures
        # On the same frames for all rows, where ``evaluate_pretext`` measures a run on the sequences it drew.
        collapse = self.features.collapse
        return found | {"feature_spread": collapse.spread, "feature_rank": collapse.rank}


def _measure_clips(
    subject: Subject,
    dataset: Dataset,
    *,
    split: str,
    truths: Mapping[str, FrameTruth],
    seed: int,
    progress: Progress,
) -> _Clips:
    if subject.pretext is None or subject.info is None:
        return _Clips({}, ())
    probes = probe_clips(
        subject.pretext, subject.info, dataset, split=split, truths=truths, seed=seed, progress=progress
    )
    return _Clips(
        pretext_figures(probes, metric=subject.metric), figures_by_group(probes, metric=subject.metric)
    )


def _read(subject: Subject, stills: LabelledStills, *, seed: int, progress: Progress) -> list[_Reading]:
    images = stills.test.images
    figures, outcomes = probe_stills(subject.encoder, stills, seed=seed, progress=progress)
    readings = [
        _Reading("probe", figures, outcomes, groups_of("probe", outcomes, images, stills.test_stills))
    ]
    if subject.detector is not None:
        found = predict_labelled(
            subject.detector,
            stills.test,
            stills.folder,
            width=subject.width,
            height=subject.height,
            progress=progress,
        )
        outcomes = detection_outcomes(found, images)
        figures = measure(found, stills.test)
        groups = groups_of("detector", outcomes, images, stills.test_stills)
        readings.append(_Reading("detector", figures, outcomes, groups))
    return readings


def _row(measured: _Measured) -> Row:
    subject = measured.subject
    cost = encoder_cost(subject.encoder, width=subject.width, height=subject.height)
    return Row(
        name=subject.name,
        kind=subject.kind,
        run="" if subject.run is None else str(subject.run),
        encoder=subject.encoder.name,
        width=subject.width,
        height=subject.height,
        figures=measured.figures() | cost,
        objects=tuple(group for reading in measured.readings for group in reading.groups),
        clips=measured.clips.groups,
    )


def _blind(measured: Sequence[_Measured]) -> dict[str, float]:
    """What a guess that looks at nothing gets; copying the last frame, for the future."""
    blind: dict[str, float] = {}
    for each in measured:
        figures = each.figures()
        blind |= {name: figures[source] for name, source in _BLIND.items() if source in figures}
        blind |= {name: 0.0 for name in figures if name.startswith("future_skill")}
    return blind


def _check_writable(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(out, "is a file", "name a folder with --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fault = f"cannot be made ({error.strerror})"
        raise InputError(out, fault, "name another folder with --out") from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise InputError(out, "cannot be written", "name another folder with --out")


def _check_classes(subjects: Sequence[Subject], stills: LabelledStills) -> None:
    known = stills.test.classes
    for subject in subjects:
        if subject.detector is not None and subject.detector.classes != known:
            taught = ", ".join(subject.detector.classes)
            fault = f"has classes {', '.join(known)}, {subject.run} {taught}"
            raise InputError(stills.test.path, fault, "give labels with the classes that it was taught")


def _told(progress: Progress, name: str) -> Progress:
    return lambda label, done, total: progress(f"{name}: {label}", done, total)
