"""Pretext figures by drive and by tag, so that it shows on which footage a run has learned less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from catseye.capture.dataset import Dataset
from catseye.capture.manifest import Clip
from catseye.errors import InputError
from catseye.pretrain.evaluation.summary import ClipGroup
from catseye.pretrain.probes import DepthTruth, evaluate_pretext
from catseye.progress import Progress

_MOST_GROUPS = 12
_DRAWS = 100
_NO_TAG = "no tag"


def pretext_by_group(
    run: Path,
    dataset: Dataset,
    *,
    split: str,
    truths: Mapping[str, DepthTruth],
    seed: int,
    progress: Progress,
) -> tuple[ClipGroup, ...]:
    """Measure a pretraining run on the split's drives and tags one by one, those with most clips first.

    A split of a single drive, or without tags, is not taken apart.
    """
    groups = list(clip_groups(dataset.select(split=split)))
    found = []
    for number, (aspect, name, clips) in enumerate(groups):
        progress("evaluate by drive and tag", number, len(groups))
        try:
            figures = evaluate_pretext(
                run, replace(dataset, clips=clips), split=split, truths=truths, draws=_DRAWS, seed=seed
            )
        except InputError:  # the run fits the dataset, or it had not come so far: all its clips are too short
            continue
        found.append(ClipGroup(aspect=aspect, name=name, clips=len(clips), figures=figures))
    progress("evaluate by drive and tag", len(groups), len(groups))
    return tuple(found)


def clip_groups(
    clips: tuple[Clip, ...],
) -> list[tuple[Literal["drive", "tag"], str, tuple[Clip, ...]]]:
    """Clips by drive and by tag; an aspect with fewer than two groups is left out."""
    by_drive: dict[str, list[Clip]] = {}
    by_tag: dict[str, list[Clip]] = {}
    for clip in clips:
        by_drive.setdefault(clip.drive, []).append(clip)
        for tag in sorted(clip.tags) or [_NO_TAG]:
            by_tag.setdefault(tag, []).append(clip)
    found: list[tuple[Literal["drive", "tag"], str, tuple[Clip, ...]]] = []
    aspects: tuple[tuple[Literal["drive", "tag"], dict[str, list[Clip]]], ...] = (
        ("drive", by_drive),
        ("tag", by_tag),
    )
    for aspect, groups in aspects:
        if len(groups) > 1:
            largest = sorted(groups, key=lambda name: (-len(groups[name]), name))[:_MOST_GROUPS]
            found += [(aspect, name, tuple(groups[name])) for name in sorted(largest)]
    return found
