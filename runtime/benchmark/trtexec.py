"""What NVIDIA's ``trtexec`` measured of the same engine, to set beside our own figures.

``--exportTimes FILE`` writes a list with an object a query, in milliseconds of one clock: when its copy in,
its computing and its copy out began and ended, how long each took, and ``latencyMs``, their sum
(TensorRT/samples/common/sampleReporting.cpp, ``exportJSONTrace``). Until TensorRT 8.0 the copies were
``inMs`` and ``outMs``. ``--exportProfile FILE`` writes a list too: how many queries, then a layer each.

Neither file says which engine it is of: that is for whoever gives it to know. trtexec puts the next query
while the one before runs, and its latency is the GPU's, from copy to copy; ours is what the caller waits,
with what Python takes. ``trtexec --useSpinWait --noDataTransfers=0 --avgRuns=1`` is nearest to ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from catseye.errors import InputError
from catseye.runtime.benchmark.distribution import Distribution

_REMEDY = "give what trtexec --exportTimes=FILE wrote"
_PROFILE_REMEDY = "give what trtexec --exportProfile=FILE wrote"
_LAYERS = 10


class LayerTime(BaseModel):
    """Mean milliseconds of a layer a query, and its share of all layers' time."""

    model_config = ConfigDict(frozen=True)

    name: str
    mean_ms: float
    share: float


class TrtexecTimes(BaseModel):
    """What trtexec saw of each query.

    Args:
        latency: copy in, computing and copy out together.
        copy_in, compute, copy_out: of each by itself.
        queries_per_s: over the time from the first copy in to the last copy out; None where that is not told.
        layers: those that take longest.
    """

    model_config = ConfigDict(frozen=True)

    latency: Distribution
    copy_in: Distribution
    compute: Distribution
    copy_out: Distribution
    queries_per_s: float | None
    layers: tuple[LayerTime, ...] = ()


def read_trtexec(times: Path, profile: Path | None = None) -> TrtexecTimes:
    """Read ``--exportTimes``, and ``--exportProfile`` where it is given.

    Raises:
        InputError: a file is not what trtexec writes.
    """
    rows = _rows(times, _REMEDY)
    try:
        spans = {
            name: [float(row[new] if new in row else row[old]) for row in rows]
            for name, new, old in (
                ("latency", "latencyMs", "latencyMs"),
                ("copy_in", "h2dMs", "inMs"),
                ("compute", "computeMs", "computeMs"),
                ("copy_out", "d2hMs", "outMs"),
            )
        }
        began, ended = rows[0].get("startH2dMs"), rows[-1].get("endD2hMs")
        seconds = None if began is None or ended is None else (float(ended) - float(began)) / 1e3
    except KeyError as error:
        raise InputError(times, f"has a query without {error}", _REMEDY) from None
    except (TypeError, ValueError):
        raise InputError(times, "has a time that is no number", _REMEDY) from None
    return TrtexecTimes(
        **{name: Distribution.of(values) for name, values in spans.items()},
        queries_per_s=len(rows) / seconds if seconds else None,
        layers=() if profile is None else _layers(profile),
    )


def _layers(profile: Path) -> tuple[LayerTime, ...]:
    try:
        found = [
            LayerTime(name=row["name"], mean_ms=row["averageMs"], share=row["percentage"] / 100)
            for row in _rows(profile, _PROFILE_REMEDY)
            if "name" in row
        ]
    except (KeyError, TypeError, ValueError):
        raise InputError(
            profile, "has a layer without name, averageMs or percentage", _PROFILE_REMEDY
        ) from None
    return tuple(sorted(found, key=lambda layer: -layer.mean_ms)[:_LAYERS])


def _rows(path: Path, remedy: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(path, "no such file", remedy) from None
    except (OSError, ValueError, RecursionError):
        raise InputError(path, "is not JSON", remedy) from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError(path, "is no list of queries", remedy)
    return rows
