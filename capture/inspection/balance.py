"""What there is much of and little of among the hours that can be trained on, and one sentence on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from catseye.capture.inspection.columns import KMH_PER_MPS, SPEED_STEPS_KMH, Columns, Flags, Texts
from catseye.capture.quality import STATIONARY

NIGHT_BELOW, DUSK_BELOW = 45.0, 80.0
"""Median brightness of a clip: a lit road at night is below the first, daylight above the second."""

STANDING_BELOW_MPS = 0.5

_OVER, _UNDER = 2.0, 0.25
_SHOWN = 12


@dataclass(frozen=True)
class Share:
    """One of the kinds of an aspect.

    Args:
        name: of the kind.
        hours: of it.
        share: of the hours of which the aspect is known, 0 … 1.
        standing: ``over`` where it has more than twice an even share, ``under`` where less than a quarter.
    """

    name: str
    hours: float
    share: float
    standing: str


@dataclass(frozen=True)
class Balance:
    """How usable hours fall on the kinds of one aspect.

    Args:
        aspect: such as ``light``.
        basis: how a kind is told.
        shares: in their natural order, or the largest first; the rest of many is one row.
        unknown_hours: of which the aspect is not known.
        sentence: what stands out.
    """

    aspect: str
    basis: str
    shares: tuple[Share, ...]
    unknown_hours: float
    sentence: str


def balances(rows: Columns) -> tuple[Balance, ...]:
    """One for each aspect."""
    return (light(rows), hour_of_day(rows), movement(rows), speed(rows), cameras(rows), drives(rows))


def light(rows: Columns) -> Balance:
    names = ("night", "dusk", "daylight")
    kinds = np.digitize(rows.brightness, (NIGHT_BELOW, DUSK_BELOW))
    hours, unknown = _sums(rows, kinds, np.isfinite(rows.brightness), len(names))
    basis = (
        f"by median brightness: night below {NIGHT_BELOW:g}, dusk or deep shade below {DUSK_BELOW:g} of 255"
    )
    return _balance("light", basis, names, hours, unknown)


def hour_of_day(rows: Columns) -> Balance:
    names = ("00–06 UTC", "06–12 UTC", "12–18 UTC", "18–24 UTC")
    known = np.isfinite(rows.hour_of_day)
    kinds = np.where(known, rows.hour_of_day, 0).astype(np.int64) // 6
    hours, unknown = _sums(rows, kinds, known, len(names))
    return _balance("hour of the day", "by the start of a clip", names, hours, unknown)


def movement(rows: Columns) -> Balance:
    """Over all clips with frames, since standing ones are mostly set aside."""
    frames = np.maximum(rows.frames, 1)
    known = np.isfinite(rows.frame_speed_mps)
    slow = np.bincount(
        rows.frame_row[known], rows.frame_speed_mps[known] < STANDING_BELOW_MPS, minlength=len(rows)
    )
    standing = (slow > frames / 2) | rows.tags.get(STATIONARY, np.zeros(len(rows), dtype=bool))
    hours = [float(rows.hours[standing].sum()), float(rows.hours[~standing].sum())]
    basis = f"by the tag {STATIONARY}, or under {STANDING_BELOW_MPS:g} m/s; of all hours, usable or not"
    return _balance("movement", basis, ("standing", "moving"), hours, 0.0, of="all hours")


def speed(rows: Columns) -> Balance:
    steps = SPEED_STEPS_KMH
    names = (
        *(f"{low}–{high} km/h" for low, high in pairwise(steps)),
        f"over {steps[-1]} km/h",
    )
    known = np.isfinite(rows.frame_speed_mps)
    usable = rows.usable[rows.frame_row]
    kinds = np.digitize(rows.frame_speed_mps[known & usable] * KMH_PER_MPS, steps[1:])
    hours = np.bincount(kinds, rows.frame_hours[known & usable], minlength=len(names)).tolist()
    unknown = float(rows.frame_hours[~known & usable].sum())
    return _balance("speed", "by telemetry, frame by frame", names, hours, unknown)


def cameras(rows: Columns) -> Balance:
    return _by_name("camera", "by usable hours", rows, rows.camera)


def drives(rows: Columns) -> Balance:
    return _by_name("drive", "by usable hours; a split takes whole drives", rows, rows.drive)


def duration(hours: float) -> str:
    """A length of time in words, such as ``12 minutes`` or ``3.4 hours``."""
    seconds = hours * 3600
    if round(seconds) < 60:
        return _count(f"{seconds:.0f}", "second")
    if round(seconds / 60) < 60:
        return _count(f"{seconds / 60:.0f}", "minute")
    return _count(f"{hours:.1f}" if hours < 10 else f"{hours:,.0f}", "hour")


def _count(amount: str, unit: str) -> str:
    return f"{amount} {unit}{'' if amount in ('1', '1.0') else 's'}"


def percent(share: float) -> str:
    if 0 < share < 0.01:
        return "under 1 %"
    if 0.99 < share < 1:
        return "over 99 %"
    return f"{share:.0%}".replace("%", " %")


def _sums(
    rows: Columns, kinds: np.ndarray[tuple[int], np.dtype[np.int64]], known: Flags, count: int
) -> tuple[list[float], float]:
    """Usable hours by kind, and those of which it is not known."""
    counted = rows.usable & known
    hours = np.bincount(kinds[counted], rows.hours[counted], minlength=count)
    return hours.tolist(), float(rows.hours[rows.usable & ~known].sum())


def _by_name(noun: str, basis: str, rows: Columns, names: Texts) -> Balance:
    counted = rows.usable & (names != "")
    distinct, which = np.unique(names[counted], return_inverse=True)
    hours = np.bincount(which, rows.hours[counted], minlength=len(distinct))
    order = np.argsort(-hours, kind="stable")
    unknown = float(rows.hours[rows.usable & (names == "")].sum())
    ranked = [str(distinct[index]) for index in order]
    found = _balance(noun, basis, ranked, hours[order].tolist(), unknown)
    return Balance(
        noun, basis, _shortened(found.shares, noun), unknown, _name_sentence(noun, found.shares, unknown)
    )


def _balance(
    aspect: str,
    basis: str,
    names: Sequence[str],
    hours: Sequence[float],
    unknown: float,
    *,
    of: str = "the usable hours",
) -> Balance:
    total = sum(hours)
    shares = tuple(
        Share(name, amount, amount / total if total else 0.0, _standing(amount, total, len(names)))
        for name, amount in zip(names, hours, strict=True)
    )
    return Balance(aspect, basis, shares, unknown, _sentence(aspect, shares, unknown, of))


def _standing(hours: float, total: float, kinds: int) -> str:
    if not total or kinds < 2:
        return ""
    even = total / kinds
    # With two or three kinds twice an even share is nearly all: four fifths say as much.
    if hours >= min(_OVER * even, 0.8 * total):
        return "over"
    return "under" if hours < _UNDER * even else ""


def _sentence(aspect: str, shares: Sequence[Share], unknown: float, of: str) -> str:
    if not sum(share.hours for share in shares):
        return f"Nothing is known of the {aspect}."
    most = max(shares, key=lambda share: share.hours)
    least = min(shares, key=lambda share: share.hours)
    missing = [share.name for share in shares if not share.hours]
    rest = f"none is {_either(missing)}" if missing else f"{least.name} has {duration(least.hours)}"
    among = f"{of} of which the {aspect} is known" if unknown else of
    text = f"{percent(most.share)} of {among} are {most.name}; {rest}."
    return text + (f" It is not known for {duration(unknown)}." if unknown else "")


def _either(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _name_sentence(noun: str, shares: Sequence[Share], unknown: float) -> str:
    if not shares:
        return f"No {noun} is named."
    ending = f" {duration(unknown)} name no {noun}." if unknown > 0 else ""
    if len(shares) == 1:
        return f"All of it is of one {noun}, {shares[0].name}.{ending}"
    half = int(np.searchsorted(np.cumsum([share.share for share in shares]), 0.5 - 1e-9)) + 1
    who = f"one {noun}, {shares[0].name}, has" if half == 1 else f"{half} of them have"
    held = percent(sum(share.share for share in shares[:half]))
    return f"Of {len(shares)} {noun}s, {who} {held} of the usable hours.{ending}"


def _shortened(shares: Sequence[Share], noun: str) -> tuple[Share, ...]:
    if len(shares) <= _SHOWN:
        return tuple(shares)
    rest = shares[_SHOWN - 1 :]
    name = f"{len(rest)} other {noun}s"
    return (
        *shares[: _SHOWN - 1],
        Share(name, sum(share.hours for share in rest), sum(share.share for share in rest), ""),
    )
