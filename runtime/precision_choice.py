"""Which of a bundle's precisions a machine runs: the fastest there of those that still do the work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from catseye.runtime.precision import PRECISIONS, Precision

_EXACT, *_LOWER = PRECISIONS
_GAIN = 0.02
"""The share of time that a less exact precision has to save: less than that differs from run to run."""


class GateVerdict(Protocol):
    """What the gate found of a precision at export."""

    @property
    def accepted(self) -> bool: ...

    @property
    def reason(self) -> str: ...


class PrecisionChoice(NamedTuple):
    """A precision, and in one line why it and none of the others."""

    precision: Precision
    reason: str


def choose(
    verdicts: Mapping[Precision, GateVerdict], latencies_ms: Mapping[Precision, float]
) -> PrecisionChoice:
    """Take the fastest precision that the gate has accepted.

    A less exact one has to be faster than each more exact one by 2 %. What was not measured is not taken, as
    long as anything was; where nothing was, it is ``fp32``.

    Args:
        verdicts: of each lower precision that was tried at export; ``fp32`` is what they are held to, and
            in every bundle.
        latencies_ms: milliseconds a batch on this machine, of those that were measured.
    """
    tried = [name for name in _LOWER if name in verdicts]
    accepted = [_EXACT, *(name for name in tried if verdicts[name].accepted)]
    notes = [f"{name} is left out: {verdicts[name].reason}" for name in tried if name not in accepted]
    measured = [name for name in accepted if name in latencies_ms]
    if not measured:
        return PrecisionChoice(_EXACT, "; ".join([f"{_EXACT}: no latency was measured", *notes]))
    taken = measured[0]
    for name in measured[1:]:
        if latencies_ms[name] < (1 - _GAIN) * latencies_ms[taken]:
            taken = name
    times = [_told(name, latencies_ms, taken) for name in accepted if name != taken]
    return PrecisionChoice(taken, "; ".join([f"{taken} takes {latencies_ms[taken]:.3g} ms", *times, *notes]))


def _told(name: Precision, latencies_ms: Mapping[Precision, float], taken: Precision) -> str:
    if name not in latencies_ms:
        return f"{name} was not measured"
    less_exact = PRECISIONS.index(name) > PRECISIONS.index(taken)
    return f"{name} {'is not faster with' if less_exact else 'takes'} {latencies_ms[name]:.3g} ms"
