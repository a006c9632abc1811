"""Where the vehicles were: tracks from the dataset's telemetry, thinned to what a page can show."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catseye.capture.dataset import TELEMETRY_NAME, Dataset
from catseye.capture.earth import EARTH_RADIUS_M, great_circle_m
from catseye.errors import InputError

Floats = NDArray[np.float64]

MOST_SAMPLES = 200_000
"""Samples read of all tracks together; of more, every second, third, … is taken."""

BREAK_S = 20.0
_FAR_M = 50_000.0
_COLUMNS = ("source_sha256", "time_s", "speed_mps", "latitude_deg", "longitude_deg")


@dataclass(frozen=True, eq=False)
class Track:
    """One source's way. Arrays have length N.

    Args:
        time_s: seconds on the video's clock, rising.
        latitude_deg, longitude_deg: WGS 84; no NaN.
        speed_mps: NaN where unknown.
    """

    time_s: Floats
    latitude_deg: Floats
    longitude_deg: Floats
    speed_mps: Floats


def read_tracks(dataset: Dataset) -> tuple[Track, ...]:
    """The tracks of a dataset at any fsspec URL; nothing where no position is known.

    Raises:
        InputError: the table of telemetry cannot be read.
    """
    filesystem, folder = fsspec.core.url_to_fs(dataset.url)
    try:
        stream = io.BytesIO(filesystem.cat_file(f"{folder}/{TELEMETRY_NAME}"))
        table = pq.ParquetFile(stream)
        if not set(_COLUMNS) <= set(table.schema_arrow.names):
            return ()
        step = -(-table.metadata.num_rows // MOST_SAMPLES) or 1
        parts = [
            batch.take(np.arange(0, batch.num_rows, step))
            for batch in table.iter_batches(columns=list(_COLUMNS))
        ]
    except FileNotFoundError:
        return ()
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{dataset.url}/{TELEMETRY_NAME}", f"is no table of telemetry ({error})", "run the ingest again"
        ) from None
    return _tracks(pa.Table.from_batches(parts)) if parts else ()


def split_by_place(tracks: Sequence[Track]) -> list[list[Track]]:
    """Tracks that are within 50 km of each other's first one, the group with most samples first."""
    groups: list[list[Track]] = []
    for track in sorted(tracks, key=lambda track: -len(track.time_s)):
        for group in groups:
            if _distance_m(group[0], track) < _FAR_M:
                group.append(track)
                break
        else:
            groups.append([track])
    return sorted(groups, key=lambda group: -sum(len(track.time_s) for track in group))


def project(tracks: Sequence[Track]) -> list[Floats]:
    """Metres east and north of the middle of all tracks, (N, 2) each.

    Equirectangular, true to scale along the middle's parallel and all meridians. Longitudes are taken the
    short way round, so that the 180th meridian tears nothing.
    """
    longitude_0 = float(tracks[0].longitude_deg[0])
    east = [(track.longitude_deg - longitude_0 + 180) % 360 - 180 for track in tracks]
    latitude = np.concatenate([track.latitude_deg for track in tracks])
    latitude_0 = float(latitude.min() + latitude.max()) / 2
    all_east = np.concatenate(east)
    east_0 = float(all_east.min() + all_east.max()) / 2
    scale = np.radians(1) * EARTH_RADIUS_M
    return [
        np.stack(
            [
                (degrees - east_0) * np.cos(np.radians(latitude_0)) * scale,
                (track.latitude_deg - latitude_0) * scale,
            ],
            axis=1,
        )
        for degrees, track in zip(east, tracks, strict=True)
    ]


def _tracks(table: pa.Table) -> tuple[Track, ...]:
    numbers = [
        np.asarray(table[name].to_numpy(), dtype=np.float64)
        for name in ("time_s", "latitude_deg", "longitude_deg", "speed_mps")
    ]
    owners = np.asarray(table["source_sha256"].to_pylist(), dtype=np.str_)
    known = np.isfinite(numbers[1]) & np.isfinite(numbers[2]) & (np.abs(numbers[1]) <= 90)
    distinct, which = np.unique(owners[known], return_inverse=True)
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(distinct)))[:-1]
    columns = zip(*(np.split(values[known][order], ends) for values in numbers), strict=True)
    return tuple(Track(*arrays) for arrays in columns if len(arrays[0]))


def _distance_m(one: Track, other: Track) -> float:
    """Between their first samples, along the great circle."""
    return float(
        great_circle_m(
            (one.latitude_deg[0], other.latitude_deg[0]), (one.longitude_deg[0], other.longitude_deg[0])
        )
    )
