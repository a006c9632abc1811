"""Detectors taught by few labels: from each pretrained encoder and from scratch, on the same stills.

A finished case is a small file, so that an evaluation that was stopped goes on where it was, and one with
another run or another seed beside measures only what is new. A case that was stopped in the middle goes on
from its last saved step.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from catseye.contract import Contract
from catseye.errors import InputError, UsageError
from catseye.files import exclusive, sha256_of, write_text
from catseye.pretrain.checkpoint import MODEL_FILE
from catseye.pretrain.detection_training import DivergedError
from catseye.pretrain.evaluation.labelled_stills import StillsOptions
from catseye.pretrain.evaluation.subjects import Subject
from catseye.pretrain.evaluation.summary import FewLabelCase, FewLabels
from catseye.pretrain.finetune_config import FinetuneConfig
from catseye.pretrain.finetuning import finetune
from catseye.pretrain.labels import LabelledImage, Labels, split_labels
from catseye.progress import Progress
from catseye.version import __version__

FOLDER = "few_labels"
SCRATCH = "from scratch"

_LOG = logging.getLogger(__name__)
_PROGRESS = "few labels, steps"
_FIGURES = ("ap", "ap50", "ap50_h10", "ap50_h20")
_INDIFFERENT = ("log_every",)


@dataclass(frozen=True)
class FewLabelOptions:
    """How many labels, and how detectors are taught with them.

    Args:
        shares: percentages of the stills that there are to learn from.
        seeds: how many; each draws its own stills, the same for all encoders, and is that of the training.
        config: of every fine-tuning but for its encoder and its seed.

    Raises:
        UsageError: an option has a value that cannot be.
    """

    shares: tuple[float, ...] = (1, 5, 10, 100)
    seeds: int = 1
    config: FinetuneConfig = field(default_factory=lambda: FinetuneConfig(steps=1000, width=448, height=256))

    def __post_init__(self) -> None:
        if not self.shares:
            raise UsageError("few-label shares: name at least one percentage, such as 10")
        for share in self.shares:
            if not 0 < share <= 100:
                raise UsageError(f"few-label share {share:g}: is a percentage above 0 and up to 100")
        if self.seeds < 1:
            raise UsageError(f"few-label seeds {self.seeds}: must be at least 1")


class FewLabelResult(Contract):
    """The contract of a finished case, ``few_labels/NAME.json``.

    Args:
        key: hash of everything that decides the figures.
        config: every option of its fine-tuning.
        stills: file names that it learned from.
        failed: why it came to no figures, or empty.
    """

    VERSION: ClassVar[str] = "1.1"
    REMEDY: ClassVar[str] = "delete it, and evaluate again"

    key: str
    start: str
    seed: int
    stills: tuple[str, ...]
    config: dict[str, Any]
    figures: dict[str, float]
    failed: str = ""


@dataclass(frozen=True)
class _Start:
    """An encoder to begin with: a pretraining run's, or a fresh one of that timm name."""

    name: str
    encoder: str
    run: Path | None
    sha256: str


@dataclass(frozen=True)
class _Case:
    start: _Start
    share: float
    stills: tuple[str, ...]
    config: FinetuneConfig
    key: str

    @property
    def name(self) -> str:
        return f"{len(self.stills)}-stills-seed-{self.config.seed}-{self.key[:16]}"

    def __str__(self) -> str:
        return f"{self.start.name}, {len(self.stills)} stills, seed {self.config.seed}"

    def described(self, result: FewLabelResult) -> FewLabelCase:
        return FewLabelCase(
            start=self.start.name,
            encoder=self.start.encoder,
            pretrained=self.start.run is not None,
            share=self.share,
            stills=len(self.stills),
            seed=self.config.seed,
            figures=result.figures,
            failed=result.failed,
        )


@dataclass(frozen=True)
class FewLabelPlan:
    """Every case that is to be measured, seed by seed, so that what is done first can be compared."""

    cases: tuple[_Case, ...]
    labels: StillsOptions
    options: FewLabelOptions
    of: int

    def described(self, measured: Sequence[FewLabelCase]) -> FewLabels:
        config = self.options.config
        return FewLabels(
            steps=config.steps,
            batch=config.batch,
            lr=config.lr,
            width=config.width,
            height=config.height,
            stills=self.of,
            planned=len(self.cases),
            cases=tuple(measured),
        )


def plan_few_labels(
    subjects: Sequence[Subject], labels: StillsOptions, options: FewLabelOptions, *, seed: int
) -> FewLabelPlan:
    """Decide on every case, and refuse what cannot be before any is begun.

    Args:
        seed: the first one; the others follow it.

    Raises:
        UsageError: no subject is a pretraining run.
        InputError: labels or lists are not what they must be, a picture is absent, or stills were drawn that
            show no object.
    """
    starts = _starts(subjects)
    everything = labels.read()
    train, test = split_labels(everything, labels.train_list, labels.test_list)
    for part in (train, test):
        part.pictures(labels.folder)
    measured_on = [image.file_name for image in test.images]
    content = everything.digest()
    cases = []
    for drawn_by in range(seed, seed + options.seeds):
        order = np.random.default_rng(drawn_by).permutation(len(train.images))
        shuffled = [train.images[index] for index in order]
        for share, count in _counts(options.shares, len(shuffled)).items():
            chosen = shuffled[:count]
            _require_objects(chosen, train, share=share, seed=drawn_by, source=labels.train_list)
            names = tuple(image.file_name for image in chosen)
            for start in starts:
                config = replace(options.config, encoder=start.encoder, seed=drawn_by)
                key = _key(start, config, content, names, measured_on)
                cases.append(_Case(start, share, names, config, key))
    return FewLabelPlan(tuple(cases), labels, options, len(train.images))


def measure_few_labels(plan: FewLabelPlan, out: Path, *, progress: Progress) -> Iterator[FewLabelCase]:
    """Yield every case, after training those whose result is not yet in ``out / FOLDER``.

    The folder of a case's training is removed once its result is written. One whose training diverges is
    done too: its result says why, and the others go on.

    Raises:
        UsageError: another evaluation is at work in that folder.
        InputError: a picture or a result is not what it must be.
    """
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    steps = plan.options.config.steps
    busy = UsageError(f"{folder}: another evaluation is at work there; wait for it, or name another --out")
    with exclusive(folder / ".lock", busy=busy):
        for number, case in enumerate(plan.cases):
            before, total = number * steps, len(plan.cases) * steps
            result = _finished(folder, case)
            if result is None:
                result = _train(case, folder, plan.labels, _of_all(progress, before=before, steps=total))
                _LOG.info("few labels: %s: %s", case, _told(result))
            progress(_PROGRESS, before + steps, total)
            yield case.described(result)


def _train(case: _Case, folder: Path, labels: StillsOptions, progress: Progress) -> FewLabelResult:
    run, names = folder / case.name, folder / case.name / "train.txt"
    write_text(names, "".join(f"{name}\n" for name in case.stills))
    options, figures, failed = case.config.document(), dict[str, float](), ""
    try:
        info = finetune(
            case.start.run,
            run,
            labels=labels.labels,
            images=labels.folder,
            train_list=names,
            test_list=labels.test_list,
            config=case.config,
            progress=progress,
        )
        options = info.config
        figures = {name: info.metrics[name] for name in _FIGURES if name in info.metrics}
    except DivergedError as error:
        failed = str(error)
    result = FewLabelResult(
        key=case.key,
        start=case.start.name,
        seed=case.config.seed,
        stills=case.stills,
        config=options,
        figures=figures,
        failed=failed,
    )
    result.save(folder / f"{case.name}.json")
    shutil.rmtree(run)
    return result


def _of_all(progress: Progress, *, before: int, steps: int) -> Progress:
    """Count one training's steps among those of all; what else it does is short."""

    def advance(label: str, done: int, total: int) -> None:
        if label == "finetune":
            progress(_PROGRESS, before + done, steps)

    return advance


def _finished(folder: Path, case: _Case) -> FewLabelResult | None:
    path = folder / f"{case.name}.json"
    if not path.exists():
        return None
    shutil.rmtree(folder / case.name, ignore_errors=True)  # killed between the result and this
    return FewLabelResult.load(path)


def _starts(subjects: Sequence[Subject]) -> list[_Start]:
    pretrained = [
        _Start(subject.name, subject.encoder.name, subject.run, sha256_of(subject.run / MODEL_FILE))
        for subject in subjects
        if subject.kind == "pretrain" and subject.run is not None
    ]
    if not pretrained:
        raise UsageError("few labels: need a pretraining run to begin with; name one among the runs")
    encoders = list(dict.fromkeys(start.encoder for start in pretrained))
    scratch = [SCRATCH if len(encoders) == 1 else f"{SCRATCH}, {encoder}" for encoder in encoders]
    return [
        *(_Start(name, encoder, None, "") for name, encoder in zip(scratch, encoders, strict=True)),
        *pretrained,
    ]


def _counts(shares: Sequence[float], total: int) -> dict[float, int]:
    """Stills by share, the fewest first; of shares that round to as many stills, one."""
    counts = {max(1, round(share / 100 * total)): share for share in sorted(shares, reverse=True)}
    return {share: count for count, share in sorted(counts.items())}


def _require_objects(
    chosen: Sequence[LabelledImage], train: Labels, *, share: float, seed: int, source: Path | None
) -> None:
    if not any((~image.crowd).any() for image in chosen):
        drawn = f"the stills that seed {seed} draws for {share:g} % ({len(chosen)} of {len(train.images)})"
        fault = f"has no labelled object on {drawn}"
        raise InputError(source or train.path, fault, "choose larger shares")


def _key(
    start: _Start, config: FinetuneConfig, labels: str, stills: Sequence[str], measured_on: Sequence[str]
) -> str:
    defaults = FinetuneConfig().document()
    # Only what differs from the defaults, so that a new option voids no figure that is there.
    options = {
        name: value
        for name, value in config.document().items()
        if name not in _INDIFFERENT and value != defaults[name]
    }
    parts = [__version__, start.sha256, options, labels, list(stills), list(measured_on)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _told(result: FewLabelResult) -> str:
    if result.failed:
        return f"failed: {result.failed}"
    return (
        ", ".join(f"{name} {value:.3f}" for name, value in result.figures.items()) or "nothing to measure on"
    )
