"""What a decision may have to know beyond the head, and how it asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from batuta_core.model.payload import PayloadRef
from batuta_core.model.record import Record


class DefinitionName(NamedTuple):
    """A workflow definition by name; version None is the latest."""

    name: str
    version: int | None


class FoundDefinition(NamedTuple):
    """A definition as it can be started now: frozen and stored under its content hash."""

    name: str
    version: int
    hash: str


class NotStartable(NamedTuple):
    """Why a definition cannot be started: there is none, or this version cannot run it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """What the engine has fetched so far. Records and payloads never change, so they may come from a cache."""

    records: Mapping[int, Record] = field(default_factory=dict)
    payloads: Mapping[str, Any] = field(default_factory=dict)
    definitions: Mapping[DefinitionName, FoundDefinition | NotStartable] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Needs:
    """The answer of a decision that lacks something: fetch this, and decide again."""

    records: frozenset[int] = frozenset()
    payloads: frozenset[PayloadRef] = frozenset()
    definitions: frozenset[DefinitionName] = frozenset()


class Missing(Exception):
    """Raised from inside a decision where something is lacking; ``decide`` turns it into Needs."""

    def __init__(self, needs: Needs) -> None:
        super().__init__("the decision needs more than it was given")
        self.needs = needs
