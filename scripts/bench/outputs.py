#!/usr/bin/env python3
"""What each output of ``run`` costs a frame, and how much of that is its own.

    python scripts/bench/outputs.py [--frames N] [--tracks N] [--json]

Each output takes the same 1280x720 frames with tracks, in turns with its bare parts: the record or the
messages made and encoded (for pictures: scaled, converted and compressed by the same functions), and what it
is written by, called by nothing but a loop on bytes that are ready: a plain file, a plain ``mcap`` writer
with the same chunks, a plain ``paho`` client on the same broker. Processor time of this process is counted,
its threads' too; the broker (``mosquitto``; without it its row is missing) is another. Of all turns, each of
a hundred frames, so that each closes a chunk, the least counts.

Bound: MCAP, with and without pictures, at most 1.15 times its bare parts together. Exits 1 when it is missed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import process_time

import cv2
import numpy as np
from mcap.writer import CompressionType, Writer
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Planes
from catseye.capture.sources import Frame
from catseye.console import print_table
from catseye.runtime.distance import Distances
from catseye.runtime.outputs.foxglove import (
    compressed_image,
    encoded,
    image_annotations,
    jpeg,
    picture_size,
    scene_update,
    time_ns,
)
from catseye.runtime.outputs.foxglove_schemas import RECORD, schema_text
from catseye.runtime.outputs.mcap_log import McapLog
from catseye.runtime.outputs.mqtt import MqttOutput
from catseye.runtime.outputs.mqtt_address import MqttAddress
from catseye.runtime.results import FrameResult, JsonLinesWriter, line_of
from catseye.runtime.tracker import Tracks

BOUND = 1.15
TURN, DIFFERENT = 100, 25
WIDTH, HEIGHT, WIDEST = 1280, 720, 960
CAMERA = Calibration(width=WIDTH, height=HEIGHT, K=((1000, 0, 640), (0, 1000, 360), (0, 0, 1)))
TOPICS = {
    "picture": "foxglove.CompressedImage",
    "annotations": "foxglove.ImageAnnotations",
    "scene": "foxglove.SceneUpdate",
    "record": RECORD,
}

Sight = tuple[Frame, FrameResult]
Messages = dict[str, bytes]


@dataclass
class Way:
    """Something that is timed.

    Args:
        take: takes a turn's frames.
        parts: names of the ways that it is made of.
    """

    take: Callable[[list[Sight]], object]
    parts: tuple[str, ...] = ()
    bound: float | None = None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--tracks", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    sights = [a_sight(number, options.tracks) for number in range(DIFFERENT)] * (TURN // DIFFERENT)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ways = ways_to(folder, sights, stack)
        least = dict.fromkeys(ways, float("inf"))
        for turn in range(-1, options.frames // TURN):
            for place in range(len(ways)):
                name = list(ways)[(turn + place) % len(ways)]
                before = process_time()
                ways[name].take(sights)
                if turn >= 0:
                    least[name] = min(least[name], 1e3 * (process_time() - before) / TURN)
    ratios = {
        name: least[name] / sum(least[part] for part in way.parts) for name, way in ways.items() if way.parts
    }
    missed = [name for name, ratio in ratios.items() if ratio > (ways[name].bound or float("inf"))]
    if options.json:
        print(json.dumps({"ms": least, "ratio": ratios, "missed": missed}, indent=2))
    else:
        rows = [
            (
                name,
                f"{least[name]:.3f} ms",
                f"{ratios[name]:.2f}" if way.parts else "",
                " + ".join(way.parts),
                "MISSED" if name in missed else (f"at most {way.bound}" if way.bound else ""),
            )
            for name, way in ways.items()
        ]
        title = f"{WIDTH}x{HEIGHT}, {options.tracks} tracks, pictures {WIDEST} pixels wide"
        print_table(title, ("", "processor time a frame", "ratio", "to", "bound"), rows)
    return 1 if missed else 0


def ways_to(folder: Path, sights: list[Sight], stack: ExitStack) -> dict[str, Way]:
    """Each output, and the bare parts of it."""
    lines = stack.enter_context(JsonLinesWriter(folder / "ours.jsonl"))
    file = stack.enter_context((folder / "bare.jsonl").open("wb", buffering=0))
    logs = {
        widest: stack.enter_context(
            McapLog(folder / f"{widest}.mcap", endless=False, calibrations={"front": CAMERA}, widest=widest)
        )
        for widest in (0, WIDEST)
    }
    ready = [line_of(result.record()) for _, result in sights]
    of_all = [messages_of(*sight, widest=WIDEST) for sight in sights]
    without = [{name: data for name, data in each.items() if name != "picture"} for each in of_all]
    bare, bare_without = (bare_writer(folder / name, stack) for name in ("a.mcap", "b.mcap"))
    ways = {
        "record as JSON": Way(lambda given: [line_of(result.record()) for _, result in given]),
        "plain file": Way(lambda _: [file.write(line) for line in ready]),
        "JSON Lines": Way(
            lambda given: [lines.write(result.record()) for _, result in given],
            ("record as JSON", "plain file"),
        ),
        "JPEG alone": Way(
            lambda given: [
                jpeg(frame.planes, picture_size(result, frame.planes, WIDEST)) for frame, result in given
            ]
        ),
        "messages": Way(lambda given: [messages_of(*sight, widest=0) for sight in given]),
        "messages with JPEG": Way(lambda given: [messages_of(*sight, widest=WIDEST) for sight in given]),
        "plain mcap": Way(lambda _: [bare_without(each) for each in without]),
        "plain mcap of pictures": Way(lambda _: [bare(each) for each in of_all]),
        "MCAP without pictures": Way(
            lambda given: [logs[0].write(*sight) for sight in given], ("messages", "plain mcap"), BOUND
        ),
        "MCAP": Way(
            lambda given: [logs[WIDEST].write(*sight) for sight in given],
            ("messages with JPEG", "plain mcap of pictures"),
            BOUND,
        ),
    }
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        print("mosquitto is not installed, so MQTT is not measured", file=sys.stderr)
        return ways
    port = stack.enter_context(broker(program, folder))
    plain = stack.enter_context(plain_client(port))
    output = stack.enter_context(MqttOutput(MqttAddress("127.0.0.1", port, "bench")))
    while not output.delivery().connections:
        time.sleep(0.01)

    def publish_plainly(_: list[Sight]) -> None:
        told = [plain.publish("bench/front", line[:-1]) for line in ready]
        for each in told:
            each.wait_for_publish()

    def publish(given: list[Sight]) -> None:
        before = output.delivery().sent
        for sight in given:
            output.write(*sight)
        while output.delivery().sent < before + len(given):
            time.sleep(0.001)
        assert not output.delivery().dropped

    ways["plain paho"] = Way(publish_plainly)
    ways["MQTT"] = Way(publish, ("record as JSON", "plain paho"))
    return ways


def messages_of(frame: Frame, result: FrameResult, *, widest: int) -> Messages:
    """What MCAP takes of a frame, encoded."""
    at_ns = time_ns(result)
    size = picture_size(result, frame.planes, widest) if widest else (result.width, result.height)
    messages = {
        "annotations": encoded(image_annotations(result, size, at_ns=at_ns)),
        "scene": encoded(scene_update(result, CAMERA, at_ns=at_ns, frame_id="front")),
        "record": encoded(result.record()),
    }
    if widest:
        messages["picture"] = compressed_image(jpeg(frame.planes, size), at_ns=at_ns, frame_id="front")
    return messages


def bare_writer(path: Path, stack: ExitStack) -> Callable[[Messages], None]:
    """The library's writer as it comes, with our chunks."""
    writer = Writer(
        stack.enter_context(path.open("wb")), chunk_size=1 << 20, compression=CompressionType.ZSTD
    )
    writer.start()
    channels = {
        name: writer.register_channel(
            name, "json", writer.register_schema(schema, "jsonschema", schema_text(schema))
        )
        for name, schema in TOPICS.items()
    }

    def write(messages: Messages) -> None:
        for name, data in messages.items():
            writer.add_message(channels[name], 0, data, 0)

    return write


@contextmanager
def broker(program: str, folder: Path) -> Iterator[int]:
    """Mosquitto on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    settings = folder / "mosquitto.conf"
    settings.write_text(f"user root\npersistence false\nlistener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen([program, "-c", settings], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def plain_client(port: int) -> Iterator[Client]:
    client = Client(CallbackAPIVersion.VERSION2)
    for _ in range(100):
        try:
            client.connect("127.0.0.1", port)
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    client.loop_start()
    while not client.is_connected():
        time.sleep(0.01)
    yield client
    client.disconnect()
    client.loop_stop()


def a_sight(number: int, tracks: int) -> Sight:
    """A picture with as much in it as a street's, and tracks with all that is ever known of them."""
    draw = np.random.default_rng(number)

    def plane(width: int, height: int) -> np.ndarray:
        coarse = draw.integers(0, 256, (height // 8, width // 8), dtype=np.uint8)
        grain = draw.integers(0, 12, (height, width), dtype=np.uint8)
        return cv2.add(cv2.resize(coarse, (width, height)) // 2, grain)

    planes = Planes(plane(WIDTH, HEIGHT), plane(WIDTH // 2, HEIGHT // 2), plane(WIDTH // 2, HEIGHT // 2))
    corners = draw.uniform(0, 500, (tracks, 2))
    some = draw.uniform(1, 50, tracks).astype(np.float32)
    result = FrameResult(
        stream="front",
        frame=number,
        pts=40 * number,
        time_base=Fraction(1, 1000),
        width=WIDTH,
        height=HEIGHT,
        output_age_s=0.01,
        classes=("car", "truck"),
        tracks=Tracks(
            ids=np.arange(1, tracks + 1),
            boxes_xyxy=np.concatenate([corners, corners + 90], axis=1).astype(np.float32),
            scores=draw.uniform(0, 1, tracks).astype(np.float32),
            classes=draw.integers(0, 2, tracks).astype(np.int32),
            detection_index=np.arange(tracks, dtype=np.int32),
            ages_s=some,
        ),
        distances=Distances(*[some] * 7),
    )
    return Frame(index=number, pts=40 * number, time_base=Fraction(1, 1000), planes=planes, key=False), result


if __name__ == "__main__":
    sys.exit(main())
