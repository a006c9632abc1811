"""Moments as whole nanoseconds since 1970 and as datetimes, UTC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def utc_of(ns: int) -> datetime:
    """The moment, to the microsecond below."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


def ns_of(moment: datetime) -> int:
    """Nanoseconds of a moment with its time zone, to the microsecond."""
    return round(moment.timestamp() * 1e6) * 1000
