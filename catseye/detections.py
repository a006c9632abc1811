"""What was found in one picture, and the same for the libraries that others use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catseye.errors import CatseyeError

if TYPE_CHECKING:
    import pandas
    import supervision


class Detection(NamedTuple):
    """One row of ``Detections``.

    Args:
        box_xyxy: corners in the picture's own pixels.
        name: of the class.
        id: of the track; None where nothing was tracked.
        distance_m, sigma_m: None where unknown.
    """

    box_xyxy: tuple[float, float, float, float]
    score: float
    name: str
    id: int | None = None
    distance_m: float | None = None
    sigma_m: float | None = None


@dataclass(frozen=True)
class Detections:
    """What was found in one picture: best score first, or by id where it was tracked.

    ``found[found.scores > 0.5]``, ``found[:3]`` and ``found[0]`` are Detections of those rows; iteration
    yields a ``Detection`` a row.

    Args:
        boxes_xyxy: (N, 4) float32 corners in the picture's own pixels.
        scores: (N,) float32 in [0, 1].
        classes: (N,) int32 indices into ``names``.
        names: of the model's classes.
        ids: (N,) int64 of the tracks; None where nothing was tracked.
        distances_m, sigmas_m: (N,) float32 along the optical axis and their standard deviation, NaN where
            unknown; None where nothing was tracked.
        frame: of a video, from 0.
        time_s: of a video's frame on the video's own clock.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]
    names: tuple[str, ...]
    ids: NDArray[np.int64] | None = None
    distances_m: NDArray[np.float32] | None = None
    sigmas_m: NDArray[np.float32] | None = None
    frame: int | None = None
    time_s: float | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: int | slice | NDArray[Any] | list[int]) -> Detections:
        if isinstance(rows, int | np.integer):
            rows = np.arange(len(self))[[rows]]
        columns = {name: getattr(self, name) for name in _COLUMNS}
        return replace(self, **{name: each[rows] for name, each in columns.items() if each is not None})

    def __iter__(self) -> Iterator[Detection]:
        for row in range(len(self)):
            yield Detection(
                box_xyxy=tuple(self.boxes_xyxy[row].tolist()),
                score=float(self.scores[row]),
                name=self.names[self.classes[row]],
                id=None if self.ids is None else int(self.ids[row]),
                distance_m=_known(self.distances_m, row),
                sigma_m=_known(self.sigmas_m, row),
            )

    @property
    def class_names(self) -> list[str]:
        """Of each row."""
        return [self.names[index] for index in self.classes]

    def to_supervision(self) -> supervision.Detections:
        """As ``supervision.Detections``: class names, distances and their errors are in its ``data``.

        Raises:
            CatseyeError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError:
            raise CatseyeError("to_supervision needs supervision; run: pip install supervision") from None
        data: dict[str, Any] = {"class_name": np.array(self.class_names, dtype=str)}
        more = {"distance_m": self.distances_m, "sigma_m": self.sigmas_m}
        return supervision.Detections(
            xyxy=self.boxes_xyxy,
            confidence=self.scores,
            class_id=self.classes.astype(int),
            tracker_id=None if self.ids is None else self.ids.astype(int),
            data=data | {name: column for name, column in more.items() if column is not None},
        )

    def to_pandas(self) -> pandas.DataFrame:
        """As a ``pandas.DataFrame``, a row a box; ``pandas.concat`` joins those of a video.

        Columns: ``x1 y1 x2 y2 score class name``, of tracks ``id distance_m sigma_m``, of a video before them
        ``frame time_s``.

        Raises:
            CatseyeError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise CatseyeError("to_pandas needs pandas; run: pip install pandas") from None
        columns: dict[str, Any] = {"frame": self.frame, "time_s": self.time_s}
        columns |= dict(zip(("x1", "y1", "x2", "y2"), self.boxes_xyxy.T, strict=True))
        columns |= {"score": self.scores, "class": self.classes, "name": self.class_names}
        columns |= {"id": self.ids, "distance_m": self.distances_m, "sigma_m": self.sigmas_m}
        known = {name: column for name, column in columns.items() if column is not None}
        return pandas.DataFrame(known, index=range(len(self)))


_COLUMNS = ("boxes_xyxy", "scores", "classes", "ids", "distances_m", "sigmas_m")


def _known(column: NDArray[np.float32] | None, row: int) -> float | None:
    return None if column is None or np.isnan(column[row]) else float(column[row])
