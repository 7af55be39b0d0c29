"""Faults built into the protocol on purpose, each of which some schedule must catch.

A mutant replaces one piece of source text, which must be there exactly once, while its module is imported. So it changes the
code that really runs, and a mutant whose text is gone fails instead of testing nothing.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

from tests.simulation.mutants import again, around, decider, engine, events, families, limits, segments
from tests.simulation.mutants.mutant import Mutant

_PARTS = (decider, engine, families, again, segments, limits, events, around)
ALL = {name: mutant for part in _PARTS for name, mutant in part.MUTANTS.items()}


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, mutant: Mutant, fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        self._mutant = mutant

    def get_data(self, path: str) -> bytes:
        source = super().get_data(path)
        if not path.endswith(".py"):
            raise OSError("no compiled files for a mutant")
        text = source.decode()
        if text.count(self._mutant.old) != 1:
            raise RuntimeError(f"mutant {self._mutant.name}: its text is there {text.count(self._mutant.old)} times in {path}")
        return text.replace(self._mutant.old, self._mutant.new).encode()


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.origin is None:
            return None
        return importlib.util.spec_from_file_location(fullname, spec.origin, loader=_Loader(self._mutant, fullname, spec.origin))


def install(name: str) -> None:
    """Builds the mutant into its module, which must not be loaded yet."""
    mutant = ALL[name]
    loaded = [module for module in sys.modules if module == mutant.module]
    if loaded:
        for module in [module for module in sys.modules if module.startswith(("batuta_core", "tests.simulation."))]:
            del sys.modules[module]
    sys.meta_path.insert(0, _Finder(mutant))
