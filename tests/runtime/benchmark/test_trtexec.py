from __future__ import annotations

import json
from pathlib import Path

import pytest

from catseye.errors import InputError
from catseye.runtime.benchmark.trtexec import read_trtexec

TIMES = """[
  { "startEnqMs" : 0.2, "endEnqMs" : 0.3, "startH2dMs" : 100, "endH2dMs" : 100.5, "startComputeMs" : 100.5,\
 "endComputeMs" : 103.5, "startD2hMs" : 103.5, "endD2hMs" : 103.75, "h2dMs" : 0.5, "computeMs" : 3,\
 "d2hMs" : 0.25, "latencyMs" : 3.75 }
, { "startEnqMs" : 4.2, "endEnqMs" : 4.3, "startH2dMs" : 104, "endH2dMs" : 104.5, "startComputeMs" : 104.5,\
 "endComputeMs" : 109.5, "startD2hMs" : 109.5, "endD2hMs" : 110, "h2dMs" : 0.5, "computeMs" : 5,\
 "d2hMs" : 0.5, "latencyMs" : 6 }
]
"""
"""As ``exportJSONTrace`` of TensorRT 8.6 to 10 lays it out."""

PROFILE = """[
  { "count" : 204 }
, { "name" : "Conv_0 + Relu_1", "timeMs" : 20.4, "averageMs" : 0.1, "medianMs" : 0.09, "percentage" : 25 }
, { "name" : "Conv_2", "timeMs" : 61.2, "averageMs" : 0.3, "medianMs" : 0.3, "percentage" : 75 }
]
"""


def test_times_of_each_query(tmp_path: Path) -> None:
    (tmp_path / "times.json").write_text(TIMES)
    (tmp_path / "profile.json").write_text(PROFILE)
    found = read_trtexec(tmp_path / "times.json", tmp_path / "profile.json")
    assert (found.latency.p50_ms, found.latency.max_ms, found.latency.count) == (3.75, 6.0, 2)
    assert (found.copy_in.mean_ms, found.compute.mean_ms, found.copy_out.mean_ms) == (0.5, 4.0, 0.375)
    assert found.queries_per_s == pytest.approx(2 / 0.010)
    assert [(layer.name, layer.mean_ms, layer.share) for layer in found.layers] == [
        ("Conv_2", 0.3, 0.75),
        ("Conv_0 + Relu_1", 0.1, 0.25),
    ]


def test_names_of_older_releases(tmp_path: Path) -> None:
    row = {"startInMs": 0, "inMs": 0.5, "computeMs": 3.0, "outMs": 0.25, "latencyMs": 3.75, "endToEndMs": 9}
    (tmp_path / "times.json").write_text(json.dumps([row]))
    found = read_trtexec(tmp_path / "times.json")
    assert (found.copy_in.p50_ms, found.copy_out.p50_ms, found.latency.p50_ms) == (0.5, 0.25, 3.75)
    assert found.queries_per_s is None and found.layers == ()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{}", "is no list of queries"),
        ("[]", "is no list of queries"),
        ("[1]", "is no list of queries"),
        ("[", "is not JSON"),
        ('[{"latencyMs": 3}]', "has a query without 'inMs'"),
        ('[{"latencyMs": "x", "h2dMs": 1, "computeMs": 1, "d2hMs": 1}]', "has a time that is no number"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: str, fault: str) -> None:
    (tmp_path / "times.json").write_text(content)
    with pytest.raises(InputError, match=fault):
        read_trtexec(tmp_path / "times.json")
    (tmp_path / "times.json").write_text(TIMES)
    with pytest.raises(InputError, match=r"layer without|is no list|is not JSON"):
        (tmp_path / "profile.json").write_text('[{"name": "a"}]')
        read_trtexec(tmp_path / "times.json", tmp_path / "profile.json")
