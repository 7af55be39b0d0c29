"""The leaves of a template: constants, and expressions that have no other inside."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from batuta_core.decider.expression.cursor import InvalidPath
from batuta_core.decider.expression.path import JsonPath
from batuta_core.decider.expression.path_parser import MAX_PATH_CHARS, compile_path
from batuta_core.decider.expression.reading import Budget
from batuta_core.decider.expression.scope import NO_NEEDS, Need, Scope, read_document, read_need
from batuta_core.decider.expression.text import java_text
from batuta_core.model.frozen import dataclass
from batuta_core.model.payload import Assembled, PayloadPart, holes_of, too_large

_TASK_ID = "CPEWF_TASK_ID"
_NEVER_SET = ("NETFLIX_ENV", "NETFLIX_STACK")  # Conductor knows these names, but nobody sets them: the text stays
SECRETS = "workflow.secrets."
_ENV = "workflow.env."
_ENV_NEED = ("workflow", "env")
_FORESEEN = re.compile(r"(?:\$\.)?([^ .\[\](*@$]+)(?:\.([^ .\[\](*]+)(?=[.\[]))?[.\[]")


class TemplateNode:
    """A part of a template that has a value of its own."""

    __slots__ = ()

    def value(self, scope: Scope, budget: Budget) -> Any:
        raise NotImplementedError

    def text(self, scope: Scope, budget: Budget) -> str:
        """The value inside of a longer text."""
        return java_text(self.value(scope, budget), budget)


@dataclass(frozen=True, slots=True)
class Constant(TemplateNode):
    constant: Any

    def value(self, scope: Scope, budget: Budget) -> Any:
        return self.constant


NULL = Constant(None)


@dataclass(frozen=True, slots=True)
class _Field(TemplateNode):
    """``root.field.key.key``, which is what nearly all expressions are."""

    root: str
    field: str
    keys: tuple[str, ...]

    def value(self, scope: Scope, budget: Budget) -> Any:
        found = scope.field(self.root, self.field, self.keys[0] if self.keys else None)
        for place, key in enumerate(self.keys):
            if not isinstance(found, dict):
                return PayloadPart(found.ref, (*found.keys, *self.keys[place:])) if type(found) is PayloadPart else None
            found = found.get(key)
        return found

    def text(self, scope: Scope, budget: Budget) -> str:
        return java_text(_looked_into(self.value(scope, budget)), budget)


def _looked_into(value: Any) -> Any:
    """``value``, if all of it is there."""
    if type(value) is PayloadPart or type(value) is Assembled:
        raise too_large(next(holes_of(value)).part, "an expression")
    return value


@dataclass(frozen=True, slots=True)
class _Path(TemplateNode):
    """Any other path that begins with a root, or a function of such paths (``need`` None)."""

    need: Need | None
    rest: JsonPath  # behind root and field
    references: frozenset[Need]  # what the paths inside its filters and arguments read

    def value(self, scope: Scope, budget: Budget) -> Any:
        start = {} if self.need is None else _looked_into(read_need(scope, self.need))
        if start is None:  # missing, not null: no filter complains
            return None if self.rest.is_definite else []
        document = read_document(scope, self.references)
        for root in document.values():
            for field in root.values():
                _looked_into(field)
        return self.rest.read(start, document, budget)

    def text(self, scope: Scope, budget: Budget) -> str:
        return java_text(self.value(scope, budget), budget, as_json=not self.rest.is_definite)


@dataclass(frozen=True, slots=True)
class _Variable(TemplateNode):
    """``workflow.env.NAME``, or ``workflow.env.NAME.path`` into a variable that holds JSON."""

    name: str
    rest: JsonPath | None

    def value(self, scope: Scope, budget: Budget) -> Any:
        variables = scope.field(*_ENV_NEED)
        found = variables.get(self.name) if isinstance(variables, Mapping) else None
        if found is None or self.rest is None:
            return found
        try:
            return self.rest.read(json.loads(found) if isinstance(found, str) else found, None, budget)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class _TaskId(TemplateNode):
    raw: str  # stays where no task is being made

    def value(self, scope: Scope, budget: Budget) -> Any:
        return scope.task_id() or self.raw


def compile_lookup(inner: str, raw: str) -> tuple[TemplateNode, frozenset[Need]]:
    """The node for a text between braces, and what it reads. ``raw``: with its braces, before anything was put in."""
    if not inner.strip():
        return Constant(""), NO_NEEDS
    if inner.startswith(SECRETS) or inner in _NEVER_SET:
        return Constant(raw), NO_NEEDS
    if inner == _TASK_ID:
        return _TaskId(raw), NO_NEEDS
    if len(inner) > MAX_PATH_CHARS:  # before the cache, which would keep it
        return NULL, NO_NEEDS
    return _path(inner)


@lru_cache(maxsize=1024)
def _path(text: str) -> tuple[TemplateNode, frozenset[Need]]:
    try:
        if text.startswith(_ENV):
            name, dot, rest = text[len(_ENV) :].partition(".")
            return _Variable(name, compile_path(rest) if dot else None), frozenset({_ENV_NEED})
        path = compile_path(text)
    except InvalidPath:
        return NULL, NO_NEEDS
    need = _need(path)
    if path.is_plain and need and need[1] is not None:
        return _Field(need[0], need[1], path.keys[2:]), frozenset({need})
    if need is None and not path.is_call:
        return Constant(None if path.is_definite else []), NO_NEEDS
    references = frozenset(inner for inner in map(_need, path.references) if inner)
    rest_of_path = path if need is None else path.after(1 if need[1] is None else 2)
    return _Path(need, rest_of_path, references), references | ({need} if need else NO_NEEDS)


def _need(path: JsonPath) -> Need | None:
    if not path.keys:
        return None
    return (path.keys[0], path.keys[1] if len(path.keys) > 1 else None)


def foreseen_needs(known: list[str]) -> frozenset[Need] | None:
    """What a path can read of which only these parts are known, the first being its beginning; None: anything."""
    if known[0].startswith(_ENV):
        return frozenset({_ENV_NEED})
    found = _FORESEEN.match(known[0])
    has_reference = any("$" in part for part in (known[0].removeprefix("$."), *known[1:]))  # `$.b.output` in a filter
    return frozenset({(found[1], found[2])}) if found and not has_reference else None
