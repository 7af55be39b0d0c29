"""Each mutant still has a text to replace; `make mutants` shows that each is caught."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.simulation.mutants.build_in import ALL
from tests.simulation.mutants.mutant import Mutant


@pytest.mark.parametrize("mutant", ALL.values(), ids=lambda mutant: mutant.name)
def test_text_is_there_once(mutant: Mutant) -> None:
    spec = importlib.util.find_spec(mutant.module)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).read_text().count(mutant.old) == 1
