"""``track`` of Ultralytics on a video: a line of JSON a frame, as ``catseye run --jsonl`` writes.

    python scripts/bench/ultralytics_track.py MODEL.onnx VIDEO OUT.jsonl THREADS

It has no option for the threads of ONNX Runtime, and starts one a core of the machine whatever it may use:
that would slow it down, so the number is set here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnxruntime

model, video, out, threads = sys.argv[1:]


class Session(onnxruntime.InferenceSession):
    def __init__(self, path: str, options: onnxruntime.SessionOptions | None = None, **named: object) -> None:
        options = options or onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(threads)
        super().__init__(path, options, **named)


onnxruntime.InferenceSession = Session

from ultralytics import YOLO  # noqa: E402 - it takes the class that it finds then

found = YOLO(model, task="detect").track(
    video, stream=True, tracker="bytetrack.yaml", device="cpu", verbose=False, save=False
)
with Path(out).open("w", buffering=1) as lines:
    for index, frame in enumerate(found):
        boxes = frame.boxes
        record = {
            "frame": index,
            "ids": [] if boxes.id is None else boxes.id.tolist(),
            "classes": boxes.cls.tolist(),
            "scores": boxes.conf.tolist(),
            "boxes_xyxy": boxes.xyxy.tolist(),
        }
        lines.write(json.dumps(record) + "\n")
