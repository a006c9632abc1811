"""Pretext figures by drive and by tag, so that it shows on which footage a run has learned less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from catseye.pretrain.evaluation.summary import ClipGroup
from catseye.pretrain.pretext_figures import ClipProbe, pretext_figures

_MOST_GROUPS = 12
_NO_TAG = "no tag"


def figures_by_group(probes: Sequence[ClipProbe], *, metric: bool) -> tuple[ClipGroup, ...]:
    """Figures of drives and of tags one by one, those with most clips; see ``clip_groups``."""
    return tuple(
        ClipGroup(aspect=aspect, name=name, clips=len(group), figures=pretext_figures(group, metric=metric))
        for aspect, name, group in clip_groups(probes)
    )


def clip_groups(
    probes: Sequence[ClipProbe],
) -> list[tuple[Literal["drive", "tag"], str, list[ClipProbe]]]:
    """Clips by drive and by tag; an aspect with fewer than two groups is left out."""
    by_drive: dict[str, list[ClipProbe]] = {}
    by_tag: dict[str, list[ClipProbe]] = {}
    for probe in probes:
        by_drive.setdefault(probe.clip.drive, []).append(probe)
        for tag in sorted(probe.clip.tags) or [_NO_TAG]:
            by_tag.setdefault(tag, []).append(probe)
    found: list[tuple[Literal["drive", "tag"], str, list[ClipProbe]]] = []
    aspects: tuple[tuple[Literal["drive", "tag"], dict[str, list[ClipProbe]]], ...] = (
        ("drive", by_drive),
        ("tag", by_tag),
    )
    for aspect, groups in aspects:
        if len(groups) > 1:
            largest = sorted(groups, key=lambda name: (-len(groups[name]), name))[:_MOST_GROUPS]
            found += [(aspect, name, groups[name]) for name in sorted(largest)]
    return found
