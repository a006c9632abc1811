"""A trained model in Python: a run predicts with torch, a bundle with the engine of a vehicle.

model = catseye.load("run/finetune")            # or a pretrained run, or NAME.catseye
found = model.predict("street.jpg")             # Detections
frames = model.predict("drive.mp4", save=True)  # Detections of each frame; a bundle tracks them
better = model.finetune(labels="labels.json", out="run/better")
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast, overload

import numpy as np

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Image, planes_to_rgb
from catseye.capture.sources import VIDEO_SUFFIXES, Frame, VideoFile
from catseye.capture.writer import VideoWriter
from catseye.detections import Detections
from catseye.errors import UsageError
from catseye.picture_files import write_rgb
from catseye.pictures import check_rgb, draw_detections, read_picture
from catseye.progress import Progress, silent

if TYPE_CHECKING:
    from catseye.pretrain.checkpoint import CheckpointInfo
    from catseye.pretrain.detector import Detector
    from catseye.runtime.engines.base import Engine
    from catseye.runtime.manifest import Manifest
    from catseye.runtime.results import FrameResult

Source: TypeAlias = Image | str | Path
"""An RGB picture (H, W, 3) uint8, or the path of a picture or of a video."""

SAVED = Path("predictions")
_PICTURES = frozenset({".jpg", ".jpeg", ".png"})


class Model(ABC):
    """What ``catseye.load`` gives.

    Args:
        names: of the classes, by class index; none after pretraining.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    @overload
    def predict(
        self, source: Image, *, threshold: float | None = None, save: bool = False, out: str | Path = SAVED
    ) -> Detections: ...
    @overload
    def predict(
        self,
        source: str | Path | Sequence[Source],
        *,
        threshold: float | None = None,
        save: bool = False,
        out: str | Path = SAVED,
        calibration: str | Path | None = None,
        stream: bool = False,
        progress: Progress = silent,
    ) -> Any: ...
    def predict(
        self,
        source: Source | Sequence[Source],
        *,
        threshold: float | None = None,
        save: bool = False,
        out: str | Path = SAVED,
        calibration: str | Path | None = None,
        stream: bool = False,
        progress: Progress = silent,
    ) -> Any:
        """Detect, and in a video on a bundle also track and measure distance, as ``catseye run`` does.

        Args:
            source: an RGB picture (H, W, 3) uint8, the path of a picture or of a video, or several of these.
            threshold: least score; None takes the bundle's or run's own. In a tracked video, the score from
                which a detection counts as sure of itself.
            save: write the picture or video with what was found drawn on it, and of a tracked video the
                records as JSON Lines, to the folder ``out``.
            calibration: the camera's ``calibration.json``, for distances in a tracked video.
            stream: of a video or of several sources, give an iterator in place of a list.
            progress: told of each frame of a video.

        Returns:
            Detections of a picture; a list of one for each frame of a video, or for each of several sources.

        Raises:
            InputError: a source or the calibration cannot be read.
            UsageError: an option has a value that cannot be, or the run has learned no detection.
        """
        if threshold is not None and not 0 <= threshold <= 1:
            raise UsageError(f"threshold is {threshold}: give a score from 0 to 1")
        folder = Path(out) if save else None
        if isinstance(source, str | Path):
            path = Path(source)
            if path.suffix.lower() in VIDEO_SUFFIXES:
                frames = self._video(path, threshold, folder, calibration, progress)
                return frames if stream else list(frames)
            return self._saved(read_picture(path), threshold, folder, path)
        if isinstance(source, Sequence):
            options: dict[str, Any] = {"save": save, "out": out, "calibration": calibration}
            options |= {"threshold": threshold, "progress": progress}
            several: Iterator[Any] = (self.predict(cast(Any, one), **options) for one in source)
            return several if stream else list(several)
        return self._saved(check_rgb(source), threshold, folder, Path("picture.jpg"))

    def finetune(
        self,
        *,
        labels: str | Path,
        out: str | Path,
        images: str | Path | None = None,
        train_list: str | Path | None = None,
        test_list: str | Path | None = None,
        progress: Progress = silent,
        **options: Any,
    ) -> Model:
        """Teach a detector from this run, as ``catseye finetune`` does, and load it.

        Args:
            labels: file with the boxes; ``images``, ``train_list`` and ``test_list`` as for
                ``catseye.pretrain.finetune``.
            out: folder of the new run.
            options: of ``catseye.pretrain.FinetuneConfig``, such as ``steps``, ``batch``, ``lr``, ``width``.

        Raises:
            UsageError: there is no such option, or this is a bundle.
            InputError: labels, pictures or this run are not what they must be.
        """
        folder, sizes = self._start()  # a bundle refuses before torch, which a vehicle has not, is wanted
        from catseye.pretrain.finetuning import FinetuneConfig, finetune

        own = {each.name for each in fields(FinetuneConfig)}
        others = set(inspect.signature(finetune).parameters) - {"pretrained", "run", "config"}
        for name in options:
            if name not in own | others:
                raise UsageError(f"finetune has no option {name!r}: it has {', '.join(sorted(own | others))}")
        config = FinetuneConfig(**sizes | {k: v for k, v in options.items() if k in own})
        lists = {"images": images, "train_list": train_list, "test_list": test_list}
        finetune(
            folder,
            Path(out),
            labels=Path(labels),
            **{name: Path(path) for name, path in lists.items() if path is not None},
            **{name: value for name, value in options.items() if name not in own},
            config=config,
            progress=progress,
        )
        return load(out)

    def _saved(self, rgb: Image, threshold: float | None, folder: Path | None, path: Path) -> Detections:
        found = self._picture(rgb, threshold)
        if folder is not None:
            suffix = path.suffix if path.suffix.lower() in _PICTURES else ".jpg"
            write_rgb(_beside(folder, path, suffix), draw_detections(rgb, found))
        return found

    @abstractmethod
    def _start(self) -> tuple[Path, dict[str, Any]]:
        """The run that is fine-tuned, and the options that go with it where nothing else is asked for."""

    @abstractmethod
    def _picture(self, rgb: Image, threshold: float | None) -> Detections:
        """Detect in one picture; see ``predict``."""

    @abstractmethod
    def _video(
        self,
        path: Path,
        threshold: float | None,
        folder: Path | None,
        calibration: str | Path | None,
        progress: Progress,
    ) -> Iterator[Detections]:
        """Each frame of a video, one after the other; see ``predict``."""


class RunModel(Model):
    """A run that pretraining or fine-tuning left in a folder; only the latter can predict."""

    def __init__(self, folder: Path, info: CheckpointInfo, detector: Detector | None) -> None:
        super().__init__(info.classes)
        self._folder, self._info, self._detector = folder, info, detector

    def _picture(self, rgb: Image, threshold: float | None) -> Detections:
        from catseye.pretrain.prediction import predict

        if self._detector is None:
            raise UsageError(f"{self._folder} has learned no detection yet: finetune it with labels first")
        found = predict(self._detector, rgb, width=self._info.width, height=self._info.height)
        kept = found.scores >= (self._info.score_threshold if threshold is None else threshold)
        return Detections(found.boxes[kept], found.scores[kept], found.classes[kept], self.names)

    def _video(
        self,
        path: Path,
        threshold: float | None,
        folder: Path | None,
        calibration: str | Path | None,
        progress: Progress,
    ) -> Iterator[Detections]:
        if calibration is not None:
            raise UsageError("calibration is for a bundle, which tracks and measures: export the run to one")
        with ExitStack() as stack:
            file = stack.enter_context(VideoFile(path))
            writer: VideoWriter | None = None
            last = None
            for frame in file.frames():
                if last is not None and frame.pts <= last:
                    continue
                last = frame.pts
                rgb = planes_to_rgb(frame.planes)
                found = replace(self._picture(rgb, threshold), frame=frame.index, time_s=frame.time_s)
                if folder is not None:
                    drawn = draw_detections(rgb, found)[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2]
                    if writer is None:
                        size = {"width": drawn.shape[1], "height": drawn.shape[0]}
                        saved = _beside(folder, path, ".mp4")
                        writer = stack.enter_context(VideoWriter(saved, **size, time_base=frame.time_base))
                    writer.write_rgb(np.ascontiguousarray(drawn), pts=frame.pts)
                yield found
                into = float((frame.pts - file.info.start_pts) * frame.time_base)
                progress("predict", round(1e3 * into), round(1e3 * max(into, file.info.duration_s)))

    def _start(self) -> tuple[Path, dict[str, Any]]:
        if self._detector is None:
            return self._folder, {"width": 448, "height": 256}
        kept = {name: self._info.config.get(name) for name in ("embedding_dim", "neck_channels")}
        sizes = {"width": self._info.width, "height": self._info.height}
        return self._folder, sizes | {name: value for name, value in kept.items() if value is not None}


class BundleModel(Model):
    """An exported bundle on an engine of this machine."""

    def __init__(self, engine: Engine, manifest: Manifest) -> None:
        super().__init__(manifest.classes)
        self._engine, self._manifest = engine, manifest

    def _start(self) -> tuple[Path, dict[str, Any]]:
        raise UsageError("a bundle cannot be fine-tuned: load the run that it was exported from")

    def _picture(self, rgb: Image, threshold: float | None) -> Detections:
        from catseye.runtime.network_input import filled, picture_input, stacked
        from catseye.runtime.suppression import chosen

        network = self._manifest.network
        box = network.letterbox(rgb.shape[1], rgb.shape[0])
        found = self._engine.infer(filled(stacked([picture_input(rgb, network)]), network.batch))
        boxes, scores, classes = found.boxes[0], found.scores[0], found.classes[0]
        least = self._manifest.score_threshold if threshold is None else threshold
        kept = chosen(boxes, scores, classes, least=least, nms_iou=self._manifest.nms_iou)
        return Detections(box.boxes_to_source(boxes[kept]), scores[kept], classes[kept], self.names)

    def _video(
        self,
        path: Path,
        threshold: float | None,
        folder: Path | None,
        calibration: str | Path | None,
        progress: Progress,
    ) -> Iterator[Detections]:
        from catseye.runtime.annotated import AnnotatedVideo
        from catseye.runtime.pipeline import tracked_frames
        from catseye.runtime.results import JsonLinesWriter

        camera = None if calibration is None else Calibration.load(calibration)
        with ExitStack() as stack:
            file = stack.enter_context(VideoFile(path))
            results = tracked_frames(
                self._engine,
                self._manifest,
                file,
                calibration=camera,
                threshold=self._manifest.score_threshold if threshold is None else threshold,
                progress=progress,
            )
            stack.enter_context(closing(results))
            sinks: list[Callable[[Frame, FrameResult], None]] = []
            if folder is not None:
                video = stack.enter_context(AnnotatedVideo(_beside(folder, path, ".mp4")))
                lines = stack.enter_context(JsonLinesWriter(folder / f"{path.stem}.jsonl"))
                sinks = [video.write, lambda _, result: lines.write(result.record())]
            for frame, result in results:
                for sink in sinks:
                    sink(frame, result)
                yield _detections(result, time_s=frame.time_s)


def load(run_or_bundle: str | Path, *, precision: str = "auto") -> Model:
    """Load the folder of a pretraining or fine-tuning run, or a bundle.

    Args:
        precision: which of a bundle's graphs, see ``load_engine``; a run has one only.

    Raises:
        InputError: it is neither, or is damaged, or the bundle is not signed by a trusted key.
        UsageError: there is no such precision.
    """
    path = Path(run_or_bundle)
    if path.is_dir():
        from catseye.pretrain.checkpoint import INFO_FILE, CheckpointInfo
        from catseye.pretrain.detector import load_detector

        info = CheckpointInfo.load(path / INFO_FILE)
        return RunModel(path, info, None if info.kind == "pretrain" else load_detector(path)[0])
    from catseye.runtime import load_engine, open_bundle

    bundle = open_bundle(path)
    return BundleModel(load_engine(bundle, precision=precision), bundle.manifest)


def _detections(result: FrameResult, *, time_s: float) -> Detections:
    """The tracks of a frame."""
    tracks, distances = result.tracks, result.distances
    return Detections(
        boxes_xyxy=tracks.boxes_xyxy,
        scores=tracks.scores,
        classes=tracks.classes,
        names=result.classes,
        ids=tracks.ids,
        distances_m=distances.metres,
        sigmas_m=distances.sigma_m,
        frame=result.frame,
        time_s=time_s,
    )


def _beside(folder: Path, source: Path, suffix: str) -> Path:
    """The file in ``folder`` that is named after a source, which it must not be.

    Raises:
        UsageError: it is.
    """
    path = folder / f"{source.stem}{suffix}"
    if path.resolve() == source.resolve():
        raise UsageError(f"out is {folder}: {path} is the source, which would be lost")
    return path
