"""What a decision may have to know beyond the head, and how it asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, NamedTuple

from batuta_core.model.frozen import dataclass
from batuta_core.model.ids import short_hash
from batuta_core.model.payload import PayloadRef
from batuta_core.model.record import Record


class DefinitionName(NamedTuple):
    """A workflow definition by name; version None is the latest."""

    name: str
    version: int | None

    @property
    def key(self) -> str:
        """Names it in a command."""
        return f"{self.name}:{'' if self.version is None else self.version}"


class InlineDefinition(NamedTuple):
    """A workflow definition that came with the wish to start it, as JSON."""

    text: str

    @property
    def key(self) -> str:
        return short_hash(self.text)


Wanted = DefinitionName | InlineDefinition


class FoundDefinition(NamedTuple):
    """A definition as it can be started now: frozen and stored under its content hash."""

    name: str
    version: int
    hash: str


class NotStartable(NamedTuple):
    """Why a definition cannot be started: there is none, or this version cannot run it."""

    reason: str


class PolledQueue(NamedTuple):
    """Tasks of a type in a domain."""

    task_type: str
    domain: str


class Language(StrEnum):
    """What users write scripts in. The value of a jq script is the list of all that it gives out."""

    JAVASCRIPT = "javascript"
    JQ = "jq"


class Script(NamedTuple):
    """A user's script and all that it sees, so that its value is the same whenever it is run: a replay runs it again."""

    language: Language
    source: str
    input: str  # JSON
    now_ms: int  # what its clock says
    seed: str  # where its random numbers come from


class ScriptResult(NamedTuple):
    """``error`` says why there is no value; ``is_late``: because it took longer than a script may."""

    value: Any = None
    error: str | None = None
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the engine has fetched so far. Records and payloads never change, so they may come from a cache."""

    records: Mapping[int, Record] = field(default_factory=dict)
    payloads: Mapping[str, Any] = field(default_factory=dict)
    definitions: Mapping[Wanted, FoundDefinition | NotStartable] = field(default_factory=dict)
    scripts: Mapping[Script, ScriptResult] = field(default_factory=dict)
    task_definitions: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)  # by name; None: there is none
    polls: Mapping[PolledQueue, int] = field(default_factory=dict)  # when somebody last asked for such tasks; 0: never


@dataclass(frozen=True, slots=True)
class Needs:
    """The answer of a decision that lacks something: fetch this, and decide again."""

    records: frozenset[int] = frozenset()
    payloads: frozenset[PayloadRef] = frozenset()
    definitions: frozenset[Wanted] = frozenset()
    scripts: frozenset[Script] = frozenset()
    task_definitions: frozenset[str] = frozenset()
    polls: frozenset[PolledQueue] = frozenset()


class Missing(Exception):
    """Raised from inside a decision where something is lacking; ``decide`` turns it into Needs."""

    def __init__(self, needs: Needs) -> None:
        super().__init__("the decision needs more than it was given")
        self.needs = needs
