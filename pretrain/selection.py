"""Which frames to label: those that many others are like, that the detector doubts, and of all kinds."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from catseye.capture.dataset import Dataset
from catseye.capture.geometry import Image
from catseye.capture.inspection.balance import DUSK_BELOW, NIGHT_BELOW
from catseye.capture.inspection.columns import KMH_PER_MPS, SPEED_STEPS_KMH
from catseye.contract import Contract
from catseye.errors import InputError, UsageError
from catseye.files import write_text
from catseye.picture_files import read_rgb
from catseye.pretrain.facility_location import Choice, Crowd, Known, choose
from catseye.pretrain.frame_features import Looks, load_eye, look_at, standardised
from catseye.pretrain.frame_pool import (
    ClipPool,
    FramePool,
    PictureForm,
    PoolFrame,
    StillsPool,
    Written,
)
from catseye.pretrain.label_formats import images_folder
from catseye.pretrain.labels import Labels, read_image_list
from catseye.pretrain.selection_page import render_page
from catseye.progress import Progress, silent

_log = logging.getLogger(__name__)

SELECTION_FILE, TABLE_FILE, PAGE_FILE = "selection.json", "selection.csv", "selection.html"
NAMES_FILE, PICTURES_FOLDER = "names.txt", "images"

TWINS_FROM = 0.985
"""Correlation of two pictures' thumbnails from which on they show the same."""

_SLOT_S = 60
_LIGHTS = ("night", "dusk", "daylight")


class Picked(BaseModel):
    """One frame that was chosen.

    Args:
        file_name: of its picture, below ``images/``.
        source, source_sha256: the video or still that it is of; no hash for a still.
        clip_id, frame, pts, time_base, time_s: where it is in a video; None or empty for a still.
        drive, vehicle, camera, captured, tags: what the dataset says of it.
        taken_from: what its picture was made of; a ``shard`` has fewer pixels than the footage had.
        width, height: of the picture.
        kinds: what it counts as of each aspect, see ``Selection.aspects``; empty where that is not known.
        figures: what decided, see ``why``.
        why: the same in words.
    """

    model_config = ConfigDict(frozen=True)

    file_name: str
    source: str
    source_sha256: str = ""
    clip_id: str = ""
    frame: int | None = None
    pts: int | None = None
    time_base: str = ""
    time_s: float | None = None
    drive: str = ""
    vehicle: str = ""
    camera: str = ""
    captured: str = ""
    tags: tuple[str, ...] = ()
    taken_from: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    kinds: dict[str, str]
    figures: dict[str, float]
    why: str


class Selection(Contract):
    """The contract ``selection.json``.

    Args:
        pool: the dataset's URL, or the folder of stills.
        dataset_fingerprint: empty for stills.
        run: whose network looked at the frames.
        options: of the selection.
        looked_at: frames that could be read.
        unreadable: frames that could not.
        labelled: pictures that were labelled before, and counted as chosen.
        aspects: in which the choice is even, of those that ``Picked.kinds`` has.
        pictures: what was chosen, the most useful first.
    """

    VERSION: ClassVar[str] = "1.0"
    REMEDY: ClassVar[str] = "make it with: catseye select"

    pool: str
    dataset_fingerprint: str = ""
    run: str
    options: dict[str, Any]
    looked_at: int = Field(ge=0)
    unreadable: int = Field(ge=0)
    labelled: int = Field(ge=0)
    aspects: tuple[str, ...]
    pictures: tuple[Picked, ...]


@dataclass(frozen=True, kw_only=True)
class SelectOptions:
    """How frames are chosen.

    Args:
        budget: how many.
        split: of a dataset's clips; ``all`` takes every one.
        every_s: seconds between the frames of a clip that are looked at.
        doubt_weight: how many times as much as the surest frame the most doubtful one is worth, less one; of
            use with a fine-tuning run only.
        picture_form: of pictures made from video, ``png`` or ``jpg``; stills are copied as they are.
        seed: which frames of a clip are looked at, and which of two equals is taken.

    Raises:
        UsageError: an option cannot be.
    """

    budget: int
    split: str = "train"
    every_s: float = 1.0
    doubt_weight: float = 1.0
    picture_form: PictureForm = "png"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise UsageError(f"--budget {self.budget}: choose at least one frame")
        if not (self.doubt_weight >= 0 and np.isfinite(self.doubt_weight)):
            raise UsageError(f"--doubt-weight {self.doubt_weight}: takes 0 or more")
        if self.picture_form not in ("png", "jpg"):
            raise UsageError(f"--pictures {self.picture_form}: takes png or jpg")


def select(
    pool: Dataset | Path,
    run: Path,
    out: Path,
    options: SelectOptions,
    *,
    names_list: Path | None = None,
    labels: Labels | None = None,
    images: Path | None = None,
    progress: Progress = silent,
) -> Selection:
    """Choose frames to label, and leave their pictures and the reasons in the folder ``out``.

    It gets ``images/``, ``names.txt`` with their names, ``selection.json``, the same as ``selection.csv``,
    and the page ``selection.html``.

    Args:
        pool: a dataset, of which set-aside clips are never looked at, or a folder of stills.
        run: a finished pretraining or fine-tuning run; only the latter has doubts.
        names_list: of a folder of stills, those to choose from, one a line.
        labels: of pictures that are labelled already: they are not chosen again, nor what looks like them.
        images: folder of those pictures; by default what ``images_folder`` says.

    Raises:
        InputError: pool, run, labels or their pictures are not what they must be, or ``out`` holds a
            selection already.
        UsageError: an option cannot be.
    """
    if (out / SELECTION_FILE).exists():
        raise InputError(out, "holds a selection already", "name another --out")
    done = labels.pictures(images or images_folder(labels.path)) if labels is not None else ()
    frames = _pool_of(pool, options, names_list=names_list, done=done)
    eye = load_eye(run)
    readable: list[int] = []

    def pictures() -> Iterator[Image]:
        for index, picture in frames.pictures():
            readable.append(index)
            yield picture
            progress("look at frames", index + 1, len(frames.frames))

    looks = look_at(eye, pictures())
    if not readable:
        raise InputError(_url(pool), "has no frame that can be read", "ingest the footage again")
    known = None
    if done:
        seen = look_at(eye, _labelled(done, progress))
        known = Known(standardised(seen, by=looks), seen.views)
    kinds = [_kinds(frames.frames[index], level) for index, level in zip(readable, looks.levels, strict=True)]
    aspects = _aspects(kinds)
    doubts = np.array([doubt.boxes for doubt in looks.doubts]) if looks.doubts else None
    ranks = None if doubts is None else _ranks(doubts)
    crowd = Crowd(
        features=standardised(looks, by=looks),
        worth=np.ones(len(looks)) if ranks is None else 1 + options.doubt_weight * ranks,
        kinds=list(aspects.values()),
        views=looks.views,
        twin_from=TWINS_FROM,
    )
    chosen = choose(crowd, options.budget, known=known, seed=options.seed)
    if not chosen:
        raise InputError(_url(pool), "has no frame that is unlike the labelled ones", "ingest other footage")
    if len(chosen) < options.budget:
        rest = len(looks) - len(chosen)
        others = (
            f"the other {rest} look like one of these, or like a labelled one"
            if rest
            else "there are no more"
        )
        _log.warning("%d frames are chosen, not %d: %s", len(chosen), options.budget, others)
    picked = []
    for number, choice in enumerate(chosen):
        index = readable[choice.index]
        written = frames.write(index, out / PICTURES_FOLDER)
        figures = _figures(choice, looks, ranks)
        nearest = frames.frames[readable[choice.nearest]].name if choice.nearest >= 0 else ""
        turns = {
            f"{aspect} {kinds[choice.index][aspect]}": turn
            for aspect, turn in zip(aspects, choice.turn, strict=True)
            if kinds[choice.index][aspect]
        }
        why = _why(figures, turns, looked_at=len(looks), nearest=nearest)
        picked.append(_picked(frames.frames[index], written, kinds[choice.index], figures, why))
        progress("write pictures", number + 1, len(chosen))
    selection = Selection(
        pool=_url(pool),
        dataset_fingerprint="" if isinstance(pool, Path) else pool.fingerprint,
        run=str(run),
        options=vars(options),
        looked_at=len(looks),
        unreadable=len(frames.frames) - len(looks),
        labelled=len(done),
        aspects=tuple(aspects),
        pictures=tuple(picked),
    )
    _write(selection, out)
    return selection


def _pool_of(
    pool: Dataset | Path, options: SelectOptions, *, names_list: Path | None, done: Sequence[Path]
) -> FramePool:
    if isinstance(pool, Path):
        names = read_image_list(names_list) if names_list is not None else None
        return StillsPool(pool, names=names, without=done)
    if names_list is not None:
        raise UsageError(f"--list {names_list}: names stills, but {pool.url} is a dataset")
    split = None if options.split == "all" else options.split
    return ClipPool(pool, split=split, every_s=options.every_s, seed=options.seed, form=options.picture_form)


def _url(pool: Dataset | Path) -> str:
    return str(pool.resolve()) if isinstance(pool, Path) else pool.url


def _labelled(paths: Sequence[Path], progress: Progress) -> Iterator[Image]:
    for number, path in enumerate(paths):
        rgb = read_rgb(path)
        if rgb is None:
            raise InputError(path, "is not a readable picture", "copy it again, or take it out of the labels")
        yield rgb
        progress("look at labelled pictures", number + 1, len(paths))


def _kinds(frame: PoolFrame, level: float) -> dict[str, str]:
    """What a frame counts as of each aspect; empty where it is not known."""
    light = _LIGHTS[int(np.digitize(level, (NIGHT_BELOW, DUSK_BELOW)))]
    clip = frame.clip
    if clip is None:
        return {"folder": str(Path(frame.name).parent), "light": light}
    drive = clip.drive or clip.source
    captured, speed = frame.captured, float(clip.speed_mps[frame.frame])
    return {
        "drive": drive,
        "time": f"minute {int((frame.time_s or 0) // _SLOT_S)} of {drive}",
        "hour": f"{captured:%H} h UTC" if captured is not None else "",
        "light": light,
        "speed": _speed(speed) if np.isfinite(speed) else "",
        "tags": ", ".join(sorted(clip.tags)),
    }


def _speed(mps: float) -> str:
    step = int(np.digitize(mps * KMH_PER_MPS, SPEED_STEPS_KMH[1:]))
    return f"over {SPEED_STEPS_KMH[step]} km/h"


def _aspects(kinds: Sequence[Mapping[str, str]]) -> dict[str, NDArray[np.int64]]:
    """Numbers (N,) for the kinds of each aspect that tells frames apart, in another way than those before it:
    one hour a drive is no reason to count drives twice."""
    found: dict[str, NDArray[np.int64]] = {}
    for aspect in kinds[0]:
        order = {name: number for number, name in enumerate(dict.fromkeys(kind[aspect] for kind in kinds))}
        numbers = np.array([order[kind[aspect]] for kind in kinds], dtype=np.int64)
        if len(order) > 1 and not any((numbers == other).all() for other in found.values()):
            found[aspect] = numbers
    return found


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the others that each exceeds, 0 … 1; of equals that of the first."""
    return np.searchsorted(np.sort(values), values) / max(len(values) - 1, 1)


def _figures(choice: Choice, looks: Looks, ranks: NDArray[np.float64] | None) -> dict[str, float]:
    figures = {
        "gain": choice.gain,
        "stands_for": choice.stands_for,
        "likeness": choice.likeness,
        "level": float(looks.levels[choice.index]),
    }
    if ranks is not None:
        doubt = looks.doubts[choice.index]
        figures |= {
            "doubt": doubt.boxes,
            "doubt_unsure": doubt.unsure,
            "doubt_two_heads": doubt.two_heads,
            "doubt_mirrored": doubt.mirrored,
            "doubt_rank": float(ranks[choice.index]),
        }
    return {name: round(value, 4) for name, value in figures.items()}


def _why(figures: Mapping[str, float], turns: Mapping[str, int], *, looked_at: int, nearest: str) -> str:
    """The reasons in words.

    Args:
        turns: for each kind that the frame is of, how many of it were chosen before.
        nearest: name of the chosen frame that it is most like; empty where that is none, or a labelled one.
    """
    like = (
        "is like nothing chosen before"
        if figures["likeness"] <= 0
        else f"is {figures['likeness']:.2f} alike to {nearest or 'a labelled picture'}, the nearest before it"
    )
    said = [f"stands for {figures['stands_for']:.0f} of {looked_at} frames and {like}"]
    if "doubt" in figures:
        said.append(
            f"{figures['doubt']:.1f} boxes in doubt, more than in {100 * figures['doubt_rank']:.0f} % of "
            f"frames ({figures['doubt_unsure']:.1f} by their scores, {figures['doubt_two_heads']:.1f} "
            f"between the two heads, {figures['doubt_mirrored']:.1f} when mirrored)"
        )
    if turns:
        said.append(", ".join(f"no. {turn + 1} of {kind}" for kind, turn in turns.items()))
    return "; ".join(said)


def _picked(
    frame: PoolFrame, written: Written, kinds: dict[str, str], figures: dict[str, float], why: str
) -> Picked:
    known: dict[str, Any] = {}
    if frame.clip is not None:
        clip = frame.clip
        known = {
            "source_sha256": clip.source_sha256,
            "clip_id": clip.clip_id,
            "frame": frame.frame,
            "pts": frame.pts,
            "time_base": str(clip.time_base),
            "time_s": frame.time_s,
            "drive": clip.drive,
            "vehicle": clip.vehicle,
            "camera": clip.camera,
            "captured": frame.captured.isoformat() if frame.captured else "",
            "tags": tuple(sorted(clip.tags)),
        }
    return Picked(
        file_name=frame.name,
        source=frame.source,
        **known,
        taken_from=written.taken_from,
        width=written.width,
        height=written.height,
        kinds=kinds,
        figures=figures,
        why=why,
    )


def _write(selection: Selection, out: Path) -> None:
    """The document last: it is what makes the folder a selection."""
    write_text(out / NAMES_FILE, "".join(f"{picked.file_name}\n" for picked in selection.pictures))
    write_text(out / TABLE_FILE, _table(selection))
    write_text(out / PAGE_FILE, render_page(selection, out / PICTURES_FOLDER))
    selection.save(out / SELECTION_FILE)


def _table(selection: Selection) -> str:
    """A row a frame; a column for every figure that any has."""
    rows = []
    for picked in selection.pictures:
        row = picked.model_dump(exclude={"figures", "kinds", "tags"})
        rows.append({**row, "tags": " ".join(picked.tags), **picked.figures})
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
