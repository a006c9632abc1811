"""Which detectors are taught with which few stills, that each is taught once, and what the table says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catseye.errors import InputError, UsageError
from catseye.pretrain.checkpoint import CheckpointInfo
from catseye.pretrain.detection_training import DivergedError
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.evaluation import few_labels
from catseye.pretrain.evaluation.few_label_page import few_label_part
from catseye.pretrain.evaluation.few_label_table import cells_of, few_label_rows
from catseye.pretrain.evaluation.few_labels import (
    FOLDER,
    FewLabelOptions,
    FewLabelPlan,
    measure_few_labels,
    plan_few_labels,
)
from catseye.pretrain.evaluation.labelled_stills import StillsOptions
from catseye.pretrain.evaluation.subjects import Subject
from catseye.pretrain.evaluation.summary import FewLabelCase, FewLabels
from catseye.pretrain.finetuning import FinetuneConfig
from catseye.progress import silent

TINY = {"steps": 3, "width": 96, "height": 64}
EVIL = "<script>alert('x')</script>"


@pytest.fixture
def labels(tmp_path: Path) -> StillsOptions:
    """Forty stills to learn from, the first ten without an object, and two to measure on."""
    folder = tmp_path / "labelled"
    names = [f"{number:02}.jpg" for number in range(42)]
    coco = {
        "categories": [{"id": 1, "name": "car"}],
        "images": [{"id": n, "file_name": name, "width": 96, "height": 64} for n, name in enumerate(names)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 9, 9]} for n in range(10, 42)
        ],
    }
    (folder / "images").mkdir(parents=True)
    for name in names:
        (folder / "images" / name).write_bytes(b"")
    (folder / "labels.json").write_text(json.dumps(coco))
    (folder / "test.txt").write_text("\n".join(names[40:]))
    return StillsOptions(folder / "labels.json", folder / "test.txt", width=96, height=64)


@pytest.fixture
def runs(tmp_path: Path) -> list[Subject]:
    """Two pretraining runs beside what no detector begins with."""
    encoder = Encoder("test_byobnet")
    subjects = [Subject("untrained", "untrained", None, 96, 64, encoder)]
    for name, kind in (("one", "pretrain"), ("two", "pretrain"), ("tuned", "finetune")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.safetensors").write_text(name)
        subjects.append(Subject(name, kind, folder, 96, 64, encoder))  # type: ignore[arg-type]  # a str
    return subjects


@dataclass
class Taught:
    """Stands in for fine-tuning: notes what it is asked for, and is killed at the call ``killed_at``."""

    killed_at: int = -1
    diverges_at: int = -1
    calls: list[tuple[str, int, int]] = field(default_factory=list)

    def __call__(
        self, start: Path | None, run: Path, *, train_list: Path, config: FinetuneConfig, **others: Any
    ) -> CheckpointInfo:
        stills = train_list.read_text().split()
        self.calls.append(("scratch" if start is None else start.name, len(stills), config.seed))
        (run / "trainer.ckpt").write_text("")
        others["progress"]("finetune", 2, config.steps)
        if len(self.calls) == self.killed_at:
            raise KeyboardInterrupt
        if len(self.calls) == self.diverges_at:
            raise DivergedError("the gradient of step 2 is not finite")
        figures = {"ap50": len(self.calls) / 100, "loss/total": 1.0}
        return CheckpointInfo(kind="finetune", encoder=config.encoder, width=96, height=64, metrics=figures)


def options(*, shares: tuple[float, ...] = (50, 100), seeds: int = 1, **config: Any) -> FewLabelOptions:
    return FewLabelOptions(shares=shares, seeds=seeds, config=FinetuneConfig(**{**TINY, **config}))


def plan(runs: list[Subject], labels: StillsOptions, **changes: Any) -> FewLabelPlan:
    return plan_few_labels(runs, labels, options(**changes), seed=7)


def test_every_start_learns_from_the_same_stills_and_more_hold_the_fewer(
    runs: list[Subject], labels: StillsOptions
) -> None:
    cases = plan(runs, labels, shares=(100, 10, 50), seeds=2).cases
    assert len(cases) == 3 * 3 * 2
    assert [case.start.name for case in cases[:3]] == ["from scratch", "one", "two"]
    drawn = {}
    for case in cases:
        drawn.setdefault((case.config.seed, len(case.stills)), set()).add(case.stills)
    assert set(drawn) == {(seed, count) for seed in (7, 8) for count in (4, 20, 40)}
    assert all(len(stills) == 1 for stills in drawn.values())
    for seed in (7, 8):
        few, some, everything = (next(iter(drawn[seed, count])) for count in (4, 20, 40))
        assert few == some[:4] and some == everything[:20] and not {"40.jpg", "41.jpg"} & set(everything)
    assert drawn[7, 4] != drawn[8, 4]


def test_shares_that_come_to_the_same_stills_are_one(runs: list[Subject], labels: StillsOptions) -> None:
    cases = plan(runs, labels, shares=(10, 100, 99.9, 10.1)).cases
    assert [len(case.stills) for case in cases] == [4] * 3 + [40] * 3


def test_what_decides_the_figures_decides_the_key(
    runs: list[Subject], labels: StillsOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys(**changes: Any) -> list[str]:
        return [case.key for case in plan(runs, labels, shares=(50,), **changes).cases]

    first = keys()
    assert len(set(first)) == 3 and keys(log_every=1, save_every=1) == first
    assert not set(keys(steps=4)) & set(first) and keys(seeds=2)[:3] == first
    assert runs[2].run is not None
    (runs[2].run / "model.safetensors").write_text("trained again")
    assert [now == then for now, then in zip(keys(), first, strict=True)] == [True, True, False]
    monkeypatch.setattr(few_labels, "__version__", "newer")
    assert not set(keys()) & set(first)


def test_what_cannot_be_is_refused_before_anything_is_trained(
    runs: list[Subject], labels: StillsOptions
) -> None:
    with pytest.raises(UsageError, match="need a pretraining run"):
        plan([runs[0], runs[3]], labels)
    for seed in range(40):  # a quarter of the stills show nothing: one of these seeds draws such a one first
        drawn = np.random.default_rng(seed).permutation(40)[0]
        if drawn < 10:
            with pytest.raises(InputError, match=rf"seed {seed} draws for 1 % \(1 of 40\)"):
                plan_few_labels(runs, labels, options(shares=(1, 100)), seed=seed)
            break
    (labels.folder / "17.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of 40 labelled images are not in .*17\.jpg"):
        plan(runs, labels)
    for wrong in ({"shares": ()}, {"shares": (0.0,)}, {"seeds": 0}):
        with pytest.raises(UsageError, match="few-label"):
            FewLabelOptions(**wrong)  # type: ignore[arg-type]  # on purpose


def test_what_is_finished_is_kept_and_what_was_stopped_goes_on(
    runs: list[Subject], labels: StillsOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = plan(runs, labels, shares=(50,), seeds=2)
    told: list[tuple[str, int, int]] = []
    stopped = Taught(killed_at=3)
    monkeypatch.setattr(few_labels, "finetune", stopped)
    with pytest.raises(KeyboardInterrupt):
        list(measure_few_labels(wanted, tmp_path, progress=lambda *what: told.append(what)))
    assert stopped.calls == [("scratch", 20, 7), ("one", 20, 7), ("two", 20, 7)]
    assert told[-1] == ("few labels, steps", 2 * 3 + 2, 6 * 3)
    begun = [path for path in (tmp_path / FOLDER).iterdir() if path.is_dir()]
    assert len(begun) == 1 and (begun[0] / "trainer.ckpt").exists()  # the finished ones' are gone

    goes_on = Taught()
    monkeypatch.setattr(few_labels, "finetune", goes_on)
    cases = list(measure_few_labels(wanted, tmp_path, progress=silent))
    assert goes_on.calls == [("two", 20, 7), ("scratch", 20, 8), ("one", 20, 8), ("two", 20, 8)]
    assert [case.figures for case in cases] == [{"ap50": n / 100} for n in (1, 2, 1, 2, 3, 4)]
    assert [(case.start, case.pretrained, case.seed) for case in cases[1:4]] == [
        ("one", True, 7),
        ("two", True, 7),
        ("from scratch", False, 8),
    ]
    assert not [path for path in (tmp_path / FOLDER).iterdir() if path.is_dir()]
    another = Taught()
    monkeypatch.setattr(few_labels, "finetune", another)
    assert list(measure_few_labels(wanted, tmp_path, progress=silent)) == cases and not another.calls


def test_a_detector_that_diverges_is_told_of_and_the_others_go_on(
    runs: list[Subject], labels: StillsOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = plan(runs, labels, shares=(50,))
    monkeypatch.setattr(few_labels, "finetune", Taught(diverges_at=2))
    cases = list(measure_few_labels(wanted, tmp_path, progress=silent))
    assert [case.failed for case in cases] == ["", "the gradient of step 2 is not finite", ""]
    assert [case.figures for case in cases] == [{"ap50": 0.01}, {}, {"ap50": 0.03}]
    again = Taught()
    monkeypatch.setattr(few_labels, "finetune", again)
    assert list(measure_few_labels(wanted, tmp_path, progress=silent)) == cases and not again.calls
    few = table(*cases)
    assert set(cells_of(few, "ap50")) == {"from scratch", "two"}
    assert few_label_rows(few)[1][-1] == ("failed: one", "1")
    assert "one, 20 stills, seed 7: the gradient of step 2 is not finite" in few_label_part(few)
    assert "not finite" in few_label_part(table(cases[1]))


def test_a_new_option_changes_no_key_at_its_default(
    runs: list[Subject], labels: StillsOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys(**changes: Any) -> list[str]:
        return [case.key for case in plan(runs, labels, shares=(50,), **changes).cases]

    first = keys()
    assert not set(keys(layer_decay=0.5)) & set(first)
    known = FinetuneConfig.document
    monkeypatch.setattr(FinetuneConfig, "document", lambda config: known(config) | {"a_new_option": 1})
    assert keys() == first


def test_one_folder_serves_one_evaluation_at_a_time(
    runs: list[Subject], labels: StillsOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(few_labels, "finetune", Taught())
    first = measure_few_labels(plan(runs, labels), tmp_path, progress=silent)
    next(first)
    with pytest.raises(UsageError, match="another evaluation is at work there"):
        next(measure_few_labels(plan(runs, labels), tmp_path, progress=silent))
    first.close()
    next(measure_few_labels(plan(runs, labels), tmp_path, progress=silent))


def case(start: str, stills: int, seed: int, value: float) -> FewLabelCase:
    return FewLabelCase(
        start=start,
        encoder="net",
        pretrained=start != "from scratch",
        share=100 * stills / 80,
        stills=stills,
        seed=seed,
        figures={"ap50": value},
    )


def table(*cases: FewLabelCase, planned: int = 0) -> FewLabels:
    planned = planned or len(cases)
    return FewLabels(steps=10, batch=8, lr=1e-3, width=96, height=64, stills=80, planned=planned, cases=cases)


def test_gains_are_over_scratch_with_the_same_stills_and_seed() -> None:
    few = table(
        case("from scratch", 8, 0, 0.25),
        case("run", 8, 0, 0.5),
        case("from scratch", 8, 1, 0.5),
        case("run", 8, 1, 0.375),
        case("run", 8, 2, 0.75),  # scratch is not done yet
        case("run", 80, 0, 0.75),
    )
    cell = cells_of(few, "ap50")["run"][8]
    assert cell.mean == pytest.approx((0.5 + 0.375 + 0.75) / 3) and cell.spread == pytest.approx(
        0.19094, abs=1e-5
    )
    assert cell.gain == "1.17 ×, +0.062, better in 1 of 2"
    assert cells_of(few, "ap50")["from scratch"][8].gain == "" == cells_of(few, "ap50")["run"][80].gain
    assert cells_of(few, "ap50_h10") == {}
    header, lines = few_label_rows(few)
    assert header == ("few labels", "8 stills", "80 stills")
    assert lines[0] == ("AP50, all: from scratch", "0.375 ± 0.177", "–") and lines[1][2] == "0.750"


def test_the_page_shows_curves_and_tables_and_says_what_is_missing() -> None:
    few = table(case("from scratch", 8, 0, 0.25), case(EVIL, 8, 0, 0.5), case(EVIL, 80, 0, 0.75), planned=4)
    page = few_label_part(few)
    assert "1 of 4 cases are still to be measured" in page and "<script" not in page
    assert re.findall(r"<td><b>([^<]*)</b>", page) == ["0.500", "0.750"]
    # On a logarithmic axis the middle of 8 and 80 is 25.3.
    ticks = re.findall(r">(8|25\.3|80)</text>", page)
    assert page.count("<polyline") == 2 and ticks == ["8", "25.3", "80"]
    assert few_label_part(table(planned=4)) == ""
    assert "<svg" not in few_label_part(table(case("run", 8, 0, 0.5)))
