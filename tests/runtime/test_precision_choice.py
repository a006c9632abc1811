"""Which precision a machine runs."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from catseye.runtime.precision_choice import choose


@dataclass(frozen=True)
class Verdict:
    accepted: bool = True
    reason: str = "within budget"


ALL = {"fp32": Verdict(), "fp16": Verdict(), "int8": Verdict()}


def test_the_fastest_is_taken() -> None:
    choice = choose(ALL, {"fp32": 9.0, "fp16": 5.0, "int8": 3.5})
    assert choice.precision == "int8"
    assert choice.reason == "int8 takes 3.5 ms; fp32 takes 9 ms; fp16 takes 5 ms"


@pytest.mark.parametrize("int8", [5.5, 5.0, 4.95])
def test_int8_that_is_not_faster_than_fp16_is_not(int8: float) -> None:
    choice = choose(ALL, {"fp32": 9.0, "fp16": 5.0, "int8": int8})
    assert choice.precision == "fp16"
    assert f"int8 is not faster with {int8:.3g} ms" in choice.reason


def test_fp16_that_is_slower_is_passed_over() -> None:
    assert choose(ALL, {"fp32": 9.0, "fp16": 11.0, "int8": 8.0}).precision == "int8"
    assert choose(ALL, {"fp32": 9.0, "fp16": 11.0, "int8": 10.0}).precision == "fp32"


def test_what_the_gate_refused_is_never_taken() -> None:
    verdicts = {**ALL, "int8": Verdict(False, "over budget: AP50 -3.1 points")}
    choice = choose(verdicts, {"fp32": 9.0, "fp16": 5.0, "int8": 1.0})
    assert choice.precision == "fp16"
    assert "int8 is left out: over budget: AP50 -3.1 points" in choice.reason


def test_what_was_not_measured_is_not_taken() -> None:
    choice = choose(ALL, {"fp32": 9.0, "fp16": 5.0})
    assert choice.precision == "fp16"
    assert "int8 was not measured" in choice.reason


def test_without_latencies_it_is_the_exact_one() -> None:
    assert choose(ALL, {}).precision == "fp32"
    assert choose({"int8": Verdict()}, {}).reason == "fp32: no latency was measured"


def test_the_exact_one_needs_no_verdict() -> None:
    verdicts = {"int8": Verdict()}
    assert choose(verdicts, {"fp32": 9.0, "int8": 3.0}).precision == "int8"
    assert choose({}, {"fp32": 9.0, "fp16": 1.0}).precision == "fp32"
