"""One bundle on two machines: what its engine gives for the golden frames, what a clip's frames become, and
whole runs on the clip.

    python scripts/compare_machines.py replay BUNDLE CLIP OUT       # on each machine
    catseye run BUNDLE CLIP --jsonl OUT/tracks.jsonl                # on each machine
    python scripts/compare_machines.py compare BUNDLE HERE THERE    # two such folders

Bounds: engines agree within the bundle's tolerances; the network is given the same bytes; runs show the same
ids and classes in the same frames, each box with an IoU of at least 0.98. Exits 1 when one is missed.
``check_aarch64.sh`` does all of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from catseye.capture.sources import VideoFile
from catseye.runtime.association import iou
from catseye.runtime.bundle import open_bundle
from catseye.runtime.engines.base import EngineOutput, Inputs
from catseye.runtime.engines.load import load_engine
from catseye.runtime.manifest import Network
from catseye.runtime.network_input import network_input, stacked
from catseye.runtime.proof import Check, compare_outputs, replay

LEAST_IOU = 0.98
OUTPUTS, INPUTS, TRACKS = "outputs.npz", "inputs.npz", "tracks.jsonl"
FRAMES = 20

Record = Mapping[str, Any]


@dataclass(frozen=True)
class RunComparison:
    """Two runs on one clip.

    Args:
        frames: compared, which are those that either has.
        boxes: compared, one for each track and frame that both have.
        unlike_frames: frames that only one has, or whose ids, classes or times differ.
        least_iou: of two boxes of one track in one frame; 1 where there is none.
        farthest_m: largest difference of two distances in metres, or None where there is none.
    """

    frames: int
    boxes: int
    unlike_frames: tuple[int, ...]
    least_iou: float
    farthest_m: float | None


def compare_runs(here: Sequence[Record], there: Sequence[Record]) -> RunComparison:
    """Compare records of ``catseye run --jsonl``, frame by frame and track by track."""
    ours, theirs = ({record["frame"]: record for record in run} for run in (here, there))
    unlike, overlaps, apart = [], [], []
    for frame in sorted(ours | theirs):
        one, other = ours.get(frame), theirs.get(frame)
        if one is None or other is None or _identity(one) != _identity(other):
            unlike.append(frame)
        pairs = _pairs(one, other) if one and other else []
        for a, b in pairs:
            boxes = (np.array([track["box_xyxy"]], dtype=np.float64) for track in (a, b))
            overlaps.append(float(iou(*boxes)[0, 0]))
            if a["distance_m"] is not None and b["distance_m"] is not None:
                apart.append(abs(a["distance_m"] - b["distance_m"]))
    return RunComparison(
        frames=len(ours | theirs),
        boxes=len(overlaps),
        unlike_frames=tuple(unlike),
        least_iou=min(overlaps, default=1.0),
        farthest_m=max(apart, default=None),
    )


def _identity(record: Record) -> tuple[object, ...]:
    return (record["pts"], record["time_base"], sorted((t["id"], t["class"]) for t in record["tracks"]))


def _pairs(one: Record, other: Record) -> list[tuple[Record, Record]]:
    theirs = {track["id"]: track for track in other["tracks"]}
    return [(track, theirs[track["id"]]) for track in one["tracks"] if track["id"] in theirs]


def run_checks(comparison: RunComparison) -> list[Check]:
    """The bounds on a run. One that shows nothing proves nothing."""
    return [
        Check("frames whose ids, classes or times differ", float(len(comparison.unlike_frames)), 0.0),
        Check("1 - least IoU", round(1 - comparison.least_iou, 6), round(1 - LEAST_IOU, 6)),
        Check("runs without any box", float(comparison.boxes == 0), 0.0),
    ]


def input_checks(here: Inputs, there: Inputs) -> list[Check]:
    """The bound on what two machines gave their networks of one clip: every byte alike."""
    if {name: levels.shape for name, levels in here.items()} != {name: a.shape for name, a in there.items()}:
        return [Check("inputs of other shapes", 1.0, 0.0)]
    unlike = sum(int(np.count_nonzero(levels != there[name])) for name, levels in here.items())
    return [Check("levels of the input that differ", float(unlike), 0.0)]


def clip_input(clip: Path, network: Network) -> Inputs:
    """The network's input for the first ``FRAMES`` frames of a clip."""
    with closing(VideoFile(clip)) as video:
        return stacked([network_input(frame.planes, network) for frame in islice(video.frames(), FRAMES)])


def write_replay(bundle_path: Path, clip: Path, out: Path) -> None:
    """Write what this machine makes of a clip's frames, and what its engine gives for the golden ones."""
    from catseye.runtime.verification import golden_inputs

    bundle = open_bundle(bundle_path)
    engine = load_engine(bundle, threads=1)
    network = bundle.manifest.network
    found = replay(engine, golden_inputs(bundle), batch=network.batch)
    np.savez(out / OUTPUTS, **found.arrays())
    np.savez(out / INPUTS, **clip_input(clip, network))


def compare(bundle_path: Path, here: Path, there: Path) -> list[tuple[str, Check]]:
    """Every figure and its bound, with what it is of."""
    tolerances = open_bundle(bundle_path).manifest.tolerances
    engines = [EngineOutput(**np.load(folder / OUTPUTS)) for folder in (here, there)]
    runs = [
        [json.loads(line) for line in (folder / TRACKS).read_text().splitlines()] for folder in (here, there)
    ]
    given = [dict(np.load(folder / INPUTS)) for folder in (here, there)]
    comparison = compare_runs(*runs)
    what = f"run, {comparison.frames} frames, {comparison.boxes} boxes"
    return [
        *(("engine", check) for check in compare_outputs(engines[0], engines[1], tolerances)),
        *((f"input, {FRAMES} frames at most", check) for check in input_checks(*given)),
        *((what, check) for check in run_checks(comparison)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    replaying = verbs.add_parser("replay")
    for name in ("bundle", "clip", "out"):
        replaying.add_argument(name, type=Path)
    replaying.set_defaults(verb="replay")
    comparing = verbs.add_parser("compare")
    for name in ("bundle", "here", "there"):
        comparing.add_argument(name, type=Path)
    comparing.set_defaults(verb="compare")
    options = parser.parse_args()
    if options.verb == "replay":
        write_replay(options.bundle, options.clip, options.out)
        return
    rows = compare(options.bundle, options.here, options.there)
    for what, check in rows:
        verdict = "ok" if check else "MISSED"
        print(f"{what:36}{check.name:44}{check.value:12.4g}{check.limit:12.4g}  {verdict}")
    sys.exit(not all(check for _, check in rows))


if __name__ == "__main__":
    main()
