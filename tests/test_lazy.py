"""Every stage gives its public names, also after the submodules that hold them have been imported."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import pytest

STAGES = ("catseye", "catseye.capture", "catseye.pretrain", "catseye.export", "catseye.runtime")


@pytest.mark.parametrize("package", STAGES)
def test_public_names_are_what_they_say(package: str) -> None:
    module = import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        if callable(value):
            assert value.__name__ == name


@pytest.mark.parametrize("package", STAGES)
def test_no_submodule_has_a_public_name_for_its_own(package: str) -> None:
    module = import_module(package)
    assert not set(module.__all__) & {found.name for found in iter_modules(module.__path__)}


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'catseye\.runtime' has no attribute 'nothing'"):
        import_module("catseye.runtime").nothing  # noqa: B018
