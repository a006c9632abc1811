"""How much of the damage that flipped bytes leave in footage an ingest finds, and how often it is mistaken.

    python scripts/bench/corruption.py --video FILE… [--seconds N] [--trials N] [--json]

Each video's first seconds are encoded as H.264, HEVC, AV1, MPEG-2 and motion JPEG, 480 pixels wide; then 40
bytes in a row are inverted somewhere in the middle, once a trial, and the file is ingested. A frame is
visibly damaged where a pixel of its luma is more than 40 levels from what the sound file gives. Of the trials
with such frames:

    found      share in which damage was found at all: a clip is set aside, or a row says what is lost
    frames     share of the visibly damaged frames that are in no usable clip
    lost       share of the sound frames that are in no usable clip either: what caution costs
    false      share of the frames of the sound file itself that are set aside as damaged

Bound, for H.264 alone, which dashcams write: found 0.95 or more, and nothing false. Exits 1 when it is
missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec import codecs_available
from numpy.typing import NDArray

from catseye.capture.ingestion import ingest
from catseye.capture.quality import CORRUPT
from catseye.capture.sources import VideoFile
from catseye.errors import InputError

ENCODERS = {
    "h264": ("libx264", {"g": "50", "preset": "veryfast"}),
    "hevc": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=error:keyint=50"}),
    "av1": ("libsvtav1", {"preset": "12", "g": "50", "crf": "35"}),
    "mpeg2": ("mpeg2video", {"g": "15", "qmin": "3", "qmax": "6"}),
    "mjpeg": ("mjpeg", {"qmin": "3", "qmax": "6"}),
}
FLIPPED, VISIBLE, WIDTH = 40, 40, 480
EVENTS_BOUND = 0.95


def encode(source: Path, target: Path, codec: str, *, seconds: float) -> None:
    encoder, options = ENCODERS[codec]
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = made.add_stream(encoder, rate=25, options=options)
        size = given.streams.video[0].codec_context
        stream.width, stream.height = WIDTH, round(WIDTH * size.height / size.width / 2) * 2
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number, picture in enumerate(given.decode(video=0)):
            if number >= 25 * seconds:
                break
            small = picture.reformat(width=WIDTH, height=stream.height, format=stream.pix_fmt)
            small.pts, small.time_base = number, Fraction(1, 25)
            made.mux(stream.encode(small))
        made.mux(stream.encode(None))
    # SVT-AV1 gives a process of root's real-time priority, which would leave the others no core.
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def luma_of(path: Path) -> dict[int, NDArray[np.int16]]:
    try:
        with VideoFile(path, threads=1) as video:
            return {frame.pts: frame.planes.y.astype(np.int16) for frame in video.frames()}
    except InputError:
        return {}


def judged(path: Path, folder: Path) -> tuple[set[int], set[int], bool]:
    """Times of the frames that are used, of those set aside as damaged, and whether any damage was found."""
    try:
        dataset = ingest([path], folder, width=96, height=64, jobs=1)
    except InputError:
        return set(), set(), True
    used = {int(pts) for clip in dataset.select() for pts in clip.pts}
    corrupt = {int(pts) for clip in dataset.clips if CORRUPT in clip.tags for pts in clip.pts}
    told = any("unreadable" in clip.tags for clip in dataset.clips)
    return used, corrupt, told or bool(corrupt)


def measure(codec: str, videos: list[Path], folder: Path, *, seconds: float, trials: int) -> dict[str, float]:
    counts = dict.fromkeys(("events", "found", "visible", "unused", "sound", "lost", "all", "false"), 0)
    for index, source in enumerate(videos):
        path = folder / f"{codec}-{index}.mkv"
        encode(source, path, codec, seconds=seconds)
        sound = luma_of(path)
        _, corrupt, _ = judged(path, folder / f"{codec}-{index}")
        counts["all"] += len(sound)
        counts["false"] += len(corrupt)
        for trial in range(trials):
            content = bytearray(path.read_bytes())
            rng = np.random.default_rng([index, trial])
            at = int(rng.integers(len(content) // 10, len(content) * 9 // 10))
            content[at : at + FLIPPED] = bytes(255 - byte for byte in content[at : at + FLIPPED])
            damaged = folder / f"{codec}-{index}-{trial}.mkv"
            damaged.write_bytes(content)
            frames = luma_of(damaged)
            visible = {
                pts
                for pts, luma in frames.items()
                if pts in sound
                and (luma.shape != sound[pts].shape or np.abs(luma - sound[pts]).max() > VISIBLE)
            }
            if not visible:
                continue
            used, _, found = judged(damaged, folder / f"{codec}-{index}-{trial}")
            counts["events"] += 1
            counts["found"] += found
            counts["visible"] += len(visible)
            counts["unused"] += len(visible - used)
            counts["sound"] += len(sound) - len(visible)
            counts["lost"] += len(set(sound) - visible - used)
    share = {
        name: counts[part] / max(1, counts[whole])
        for name, part, whole in (
            ("found", "found", "events"),
            ("frames", "unused", "visible"),
            ("lost", "lost", "sound"),
            ("false", "false", "all"),
        )
    }
    return {"events": counts["events"], **share}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, action="append", required=True)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        table = {
            codec: measure(codec, options.video, Path(name), seconds=options.seconds, trials=options.trials)
            for codec, (encoder, _) in ENCODERS.items()
            if encoder in codecs_available
        }
    met = table["h264"]["found"] >= EVENTS_BOUND and table["h264"]["false"] == 0
    if options.json:
        print(json.dumps({"codecs": table, "met": met}))
    else:
        print(f"{'codec':<8}{'events':>8}{'found':>8}{'frames':>8}{'lost':>8}{'false':>8}")
        for codec, row in table.items():
            shares = "".join(f"{row[key]:>8.2f}" for key in ("found", "frames", "lost", "false"))
            print(f"{codec:<8}{row['events']:>8}{shares}")
        print("met" if met else "missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
