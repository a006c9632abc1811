"""``catseye bench`` as its users call it, on a real bundle of a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import Command


def test_reports_in_every_format_and_a_gate(
    catseye: Command, tiny_bundle: Path, lamps: Path, tmp_path: Path
) -> None:
    base = tmp_path / "before.json"
    quick = ("--queries", "30", "--scenario", "SingleStream", "--scenario", "Offline", "--threads", "1")
    outs = [part for suffix in ("md", "html") for part in ("--out", tmp_path / f"report.{suffix}")]
    called = catseye("bench", tiny_bundle, lamps, *quick, "--out", base, *outs)
    assert called.code == 0, called.err
    assert "SingleStream" in called.out and "Offline" in called.out
    assert "too few to bound" in called.err
    assert (tmp_path / "report.md").read_text().startswith("# onnxruntime")
    assert "<svg" in (tmp_path / "report.html").read_text()

    document = json.loads(base.read_text())
    alike = catseye("bench", tiny_bundle, lamps, *quick, "--against", base, "--tolerance", "0.99", "--json")
    assert json.loads(alike.out)["fingerprint"] == document["fingerprint"]
    for measured in document["measurements"]:
        measured["times_ms"] = [ms / 1000 for ms in measured["times_ms"]]
    base.write_text(json.dumps(document))
    slower = catseye("bench", tiny_bundle, lamps, *quick, "--against", base)
    assert slower.code == 1 and "slower than" in slower.line and "engine, SingleStream p50" in slower.line
    assert "Against the report of before" in slower.out

    document["fingerprint"]["cores"] = 999
    base.write_text(json.dumps(document))
    refused = catseye("bench", tiny_bundle, lamps, *quick, "--against", base)
    assert refused.code == 1 and "measured on something else: cores is" in refused.line


def test_mistakes_are_told_before_anything_is_measured(
    catseye: Command, tiny_bundle: Path, tmp_path: Path
) -> None:
    def line(*options: str | Path, code: int) -> str:
        called = catseye("bench", tiny_bundle, *options)
        assert called.code == code
        return called.line

    assert "its name must end in .json, .md, .html" in line("--out", "report.pdf", code=2)
    assert "scenario 'Burst': choose from SingleStream" in line("--scenario", "Burst", code=2)
    assert "give a share" in line("--tolerance", "5", code=2)
    assert "no such file; measure again" in line("--against", tmp_path / "gone.json", code=1)
    assert "no such file; give what trtexec" in line("--trtexec", tmp_path / "gone.json", code=1)
