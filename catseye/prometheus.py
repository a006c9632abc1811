"""Figures in Prometheus' text format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Metric:
    """One figure of several things.

    Args:
        name: in snake case; a counter's ends in ``_total``.
        kind: whether it only grows.
        help: one line that says what it is.
        samples: labels and value of each thing; one of None is left out.
    """

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    samples: Iterable[tuple[Mapping[str, str], float | None]]


def exposition(metrics: Iterable[Metric]) -> str:
    lines: list[str] = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        for labels, value in metric.samples:
            if value is not None:
                inside = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
                lines.append(f"{metric.name}{{{inside}}} {value!r}")
    return "\n".join([*lines, ""])


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
