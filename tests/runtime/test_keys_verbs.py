"""`catseye keys`, as a fleet and its vehicle use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Command


def test_a_vehicle_is_told_how_to_trust_and_then_does(
    catseye: Command, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = catseye("keys", "show")
    (tmp_path / "fleet.pub").write_text(shown.out)
    monkeypatch.setenv("CATSEYE_HOME", str(tmp_path / "vehicle"))
    own = catseye("keys", "new").out.split()[-1]
    refused = catseye("verify", tiny_bundle)
    assert refused.code == 1
    assert "not trusted on this machine" in refused.line and "catseye keys trust" in refused.line
    trusted = catseye("keys", "trust", tmp_path / "fleet.pub", "--only")
    fleet = trusted.out.split()[1]
    assert "and no other" in trusted.out
    assert catseye("verify", tiny_bundle).code == 0
    listed = json.loads(catseye("keys", "list", "--json").out)
    assert sorted(listed, key=lambda key: key["id"] != own) == [
        {"id": own, "trusted": False, "signs": True},
        {"id": fleet, "trusted": True, "signs": False},
    ]
    assert catseye("keys", "show", fleet).out == shown.out
    assert catseye("keys", "remove", fleet).code == 0
    assert catseye("verify", tiny_bundle).code == 1
    assert f"key '{fleet}'" in catseye("keys", "remove", fleet).line
    assert catseye("keys", "trust", tmp_path / "gone.pub").code == 1
