"""Which plan serves after the software under it has changed."""

from __future__ import annotations

import pytest

from catseye.runtime.device import Device
from catseye.runtime.plan_cache import PlanEntry, PlanKey
from catseye.runtime.plan_choice import PlanChoice, plan_for

BEFORE = Device(
    gpu="Orin", compute_capability="8.7", backend="tensorrt", tensorrt="10.3.0", driver="540.3.0 12060",
    cuda="12060", l4t="36.3.0",
)  # fmt: skip
UPGRADED = BEFORE.model_copy(update={"driver": "540.4.0 12060", "l4t": "36.4.0"})
"""JetPack 6.1 to 6.2: another driver, the same TensorRT."""


def plan(device: Device = BEFORE, **more: object) -> PlanEntry:
    fault = more.pop("fault", "")
    made = PlanKey(**{
        "device": device, "bundle_sha256": "a", "precision": "fp16", "workspace_mib": 1024, **more,
    })  # fmt: skip
    return PlanEntry(key=made, created="", plan_sha256="" if fault else "b", fault=fault)


def test_the_exact_plan_serves() -> None:
    assert plan_for(plan().key, [plan(UPGRADED), plan()]) == PlanChoice("serve", plan())


def test_a_new_jetpack_serves_the_old_plan_and_builds_again() -> None:
    assert plan_for(plan(UPGRADED).key, [plan()]) == PlanChoice("serve-and-rebuild", plan())


def test_the_most_recently_used_of_several_old_plans_serves() -> None:
    older = plan(BEFORE.model_copy(update={"driver": "1"}))
    assert plan_for(plan(UPGRADED).key, [plan(), older]).entry == plan()


def test_the_workspace_changes_the_plan_and_not_the_network() -> None:
    assert plan_for(plan().key, [plan(workspace_mib=64)]).do == "serve-and-rebuild"


@pytest.mark.parametrize(
    "known",
    [
        [],
        [plan(BEFORE.model_copy(update={"tensorrt": "10.7.0"}))],
        [plan(BEFORE.model_copy(update={"gpu": "Thor"}))],
        [plan(BEFORE.model_copy(update={"compute_capability": "11.0"}))],
        [plan(BEFORE.model_copy(update={"backend": "tensorrt-rtx"}))],
        [plan(bundle_sha256="other")],
        [plan(precision="int8")],
        [plan(dla=0)],
        [plan(fault="differs from its proof in boxes")],
    ],
)
def test_what_is_another_network_or_does_not_load_is_built_first(known: list[PlanEntry]) -> None:
    assert plan_for(plan(UPGRADED).key, known) == PlanChoice("build")


def test_a_plan_that_failed_its_proof_here_is_refused_even_beside_an_old_one() -> None:
    failed = plan(UPGRADED, fault="differs from its proof in boxes")
    assert plan_for(failed.key, [plan(), failed]) == PlanChoice("refuse", failed)
