"""The page: what is best, what is escaped, and that it needs nothing but itself."""

from __future__ import annotations

import re

import numpy as np

from catseye.pretrain.evaluation.outcomes import StillOutcome
from catseye.pretrain.evaluation.page import Pictures, render_page
from catseye.pretrain.evaluation.page_pictures import draw_outcome, picture_of
from catseye.pretrain.evaluation.summary import Evaluation, Machine, ObjectGroup, Row, table_of
from catseye.pretrain.labels import LabelledImage

EVIL = "<script>alert('x')</script>"


def row(name: str, **figures: float) -> Row:
    group = ObjectGroup(reader="probe", aspect="height", name=EVIL, objects=4, recall=0.25, false=2)
    return Row(
        name=name,
        kind="pretrain",
        run=f"runs/{name}",
        encoder=EVIL,
        width=96,
        height=64,
        figures=figures,
        objects=(group,),
    )


def evaluation(*rows: Row, **blind: float) -> Evaluation:
    return Evaluation(
        dataset=EVIL,
        dataset_fingerprint=EVIL,
        split=EVIL,
        seed=0,
        machine=Machine(processor=EVIL, threads=1),
        blind=blind,
        rows=rows,
        code_version="0",
    )


def test_the_better_value_is_bold_whichever_way_is_better() -> None:
    found = evaluation(
        row("a", linear_ap=0.5, depth_absrel=0.25, feature_rank=9.0, encoder_gflops=1.0),
        row("b", linear_ap=0.625, depth_absrel=0.375, feature_rank=8.0, encoder_gflops=1.0),
        linear_ap=0.125,
    )
    page = render_page(found, Pictures([], [], {}, {}))
    table = page[page.index("<table") : page.index("</table>")]
    assert re.findall(r"<td><b>([^<]*)</b></td>", table) == ["0.625", "0.250"]
    assert "<td class='blind'>0.125</td>" in table
    header, lines = table_of(found)
    assert header == ("figure", "a", "b", "blind guess")
    assert ("Depth: AbsRel, median-scaled", "0.250", "0.375", "–") in lines


def test_nothing_from_outside_is_markup_and_nothing_is_fetched() -> None:
    picture = picture_of(np.zeros((8, 8, 3), dtype=np.uint8), EVIL, mark=EVIL)
    sheet = [[picture, picture]]
    page = render_page(evaluation(row(EVIL)), Pictures(sheet, sheet, {EVIL: sheet}, {EVIL: [picture]}))
    assert "<script" not in page and "alert(&#x27;x&#x27;)" in page
    sources = re.findall(r"""(?:src|href)=['"]([^'"]*)""", page)
    assert len(sources) == 7 and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "url(" not in page and "@import" not in page
    assert "width:25.0%" in page and "of 4, 2 false" in page


def test_boxes_are_coloured_by_what_became_of_them() -> None:
    boxes = np.array([[2, 2, 10, 10], [20, 2, 30, 10]], dtype=np.float32)
    label = LabelledImage("a", 48, 32, boxes, np.zeros(2, np.int32), np.zeros(2, dtype=bool))
    false = np.array([[2, 20, 10, 28]], dtype=np.float32)
    outcome = StillOutcome(np.ones(2, dtype=bool), np.array([True, False]), false)
    drawn = draw_outcome(np.zeros((32, 48, 3), dtype=np.uint8), outcome, label).astype(int)
    found, missed, wrong = drawn[2, 5], drawn[2, 25], drawn[20, 5]
    assert found.argmax() == 1 and missed.argmax() == 0 and missed[1] < 100 < wrong[1] < wrong[0]
