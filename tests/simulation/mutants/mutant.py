"""What a mutant is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    name: str
    module: str
    old: str
    new: str
    why: str  # what it breaks


class Mutants(dict[str, Mutant]):
    """By name, in the order in which they were added."""

    def add(self, name: str, module: str, old: str, new: str, why: str) -> None:
        self[name] = Mutant(name, module, old, new, why)
