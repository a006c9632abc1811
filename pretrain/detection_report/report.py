"""Measure detections on labelled stills, and leave ``detection.json`` and ``detection.html``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catseye.files import write_text
from catseye.pretrain.detection_metrics import (
    Detections,
    Truth,
    average_precision,
    class_average_precision,
)
from catseye.pretrain.detection_report.bands import by_distance, by_height
from catseye.pretrain.detection_report.case_pictures import case_pictures
from catseye.pretrain.detection_report.confusion import confusion_matrix
from catseye.pretrain.detection_report.distances import read_distances
from catseye.pretrain.detection_report.matching import FALSE, match_detections
from catseye.pretrain.detection_report.page import render_page
from catseye.pretrain.detection_report.precision_recall import precision_recall
from catseye.pretrain.detection_report.summary import BadCase, ClassFigures, DetectionReport
from catseye.pretrain.detection_report.worst_cases import Case, worst_false_alarms, worst_misses
from catseye.pretrain.evaluation.outcomes import best_threshold
from catseye.pretrain.labels import Labels

DOCUMENT = "detection.json"
PAGE = "detection.html"
_MOST_CASES = 24


def save_detection_report(
    found: Sequence[Detections], labels: Labels, images: Path, out: Path
) -> DetectionReport:
    """Write both files into the folder ``out``; pictures are read from ``images``."""
    matches = [match_detections(*each) for each in zip(found, labels.images, strict=True)]
    threshold = _threshold(found, matches, labels)
    misses = worst_misses(found, labels.images, threshold=threshold, most=_MOST_CASES)
    alarms = worst_false_alarms(found, labels.images, threshold=threshold, most=_MOST_CASES)
    report = detection_report(found, labels, matches, threshold, misses, alarms)
    report.save(out / DOCUMENT)
    pictures = [case_pictures(cases, found, labels, images, threshold) for cases in (misses, alarms)]
    write_text(out / PAGE, render_page(report, *pictures))
    return report


def detection_report(
    found: Sequence[Detections],
    labels: Labels,
    matches: Sequence[NDArray[np.int64]],
    threshold: float,
    misses: Sequence[Case],
    alarms: Sequence[Case],
) -> DetectionReport:
    """All figures of detections on labelled stills.

    Args:
        matches: what each detection finds, see ``match_detections``.
        threshold: least score that counts in the confusion matrix and among the worst cases.
    """
    truths = [Truth(image.boxes, image.classes, np.asarray(image.crowd)) for image in labels.images]
    distances = read_distances(labels)
    counts = confusion_matrix(found, labels.images, num_classes=len(labels.classes), threshold=threshold)
    return DetectionReport(
        labels=str(labels.path),
        stills=len(labels.images),
        threshold=threshold if np.isfinite(threshold) else None,
        figures=average_precision(found, truths),
        classes=tuple(
            _class_figures(index, found, truths, matches, labels, threshold)
            for index in range(len(labels.classes))
        ),
        heights=by_height(found, truths),
        distances=by_distance(found, truths, distances) if distances else (),
        confusion=tuple(tuple(row) for row in counts.tolist()),
        misses=tuple(_described(case, labels) for case in misses),
        false_alarms=tuple(_described(case, labels) for case in alarms),
    )


def _threshold(found: Sequence[Detections], matches: Sequence[NDArray[np.int64]], labels: Labels) -> float:
    scores = np.concatenate([f.scores[m >= FALSE] for f, m in zip(found, matches, strict=True)])
    right = np.concatenate([m[m >= FALSE] > FALSE for m in matches])
    return best_threshold(scores, right, objects=sum(int((~i.crowd).sum()) for i in labels.images))


def _class_figures(
    index: int,
    found: Sequence[Detections],
    truths: Sequence[Truth],
    matches: Sequence[NDArray[np.int64]],
    labels: Labels,
    threshold: float,
) -> ClassFigures:
    rows = [(f.classes == index) & (m >= FALSE) for f, m in zip(found, matches, strict=True)]
    scores = np.concatenate([f.scores[kept] for f, kept in zip(found, rows, strict=True)])
    right = np.concatenate([m[kept] > FALSE for m, kept in zip(matches, rows, strict=True)])
    objects = sum(int(((truth.classes == index) & ~truth.ignored).sum()) for truth in truths)
    curve = precision_recall(scores, right, objects=objects).thinned()
    hits, counted = int(right[scores >= threshold].sum()), int((scores >= threshold).sum())
    precision = class_average_precision(found, truths, index)
    return ClassFigures(
        name=labels.classes[index],
        objects=objects,
        ap=precision.get("ap"),
        ap50=precision.get("ap50"),
        precision=hits / max(1, counted),
        recall=hits / max(1, objects),
        curve=tuple(zip(curve.recall.tolist(), curve.precision.tolist(), curve.scores.tolist(), strict=True)),
    )


def _described(case: Case, labels: Labels) -> BadCase:
    left, top, right, bottom = (float(value) for value in case.box)
    return BadCase(
        file_name=labels.images[case.image].file_name,
        box=(left, top, right, bottom),
        name=labels.classes[case.label],
        score=case.score,
        why=case.why,
    )
