"""Conductor's parameter expressions ``${...}``: compiled once with the definition, resolved whenever a task is made.

A text that is exactly one expression becomes the value itself, with its type; any other text is put together of the
values as Java prints them. Inside out: ``${workflow.input.${workflow.input.key}}`` is put together first, then
read. What an expression yields is never looked through for further expressions.

All JSON is taken as immutable, here and by our callers: results share their inner maps and lists with the scope and with
the template. Only the outermost container of a result is always new.

Meant otherwise than in Conductor: no variables of the operating system or of a JVM can be read, and a path that
begins with no root's name (``$..id``) reads nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from batuta_core.decider.jsonpath import MAX_PATH_CHARS, Budget, InvalidPath, JsonPath, compile_path, java_text
from batuta_core.model.error import InvalidInput

MAX_DEPTH = 100  # containers in containers; the inputs of 563 public definitions have 5 at most
MAX_INNER = 16  # expressions in expressions; what is nested deeper is null

Need = tuple[str, str | None]

_TASK_ID = "CPEWF_TASK_ID"
_NEVER_SET = ("NETFLIX_ENV", "NETFLIX_STACK")  # Conductor knows these names, but nobody sets them: the text stays
_SECRETS = "workflow.secrets."
_ENV = "workflow.env."
_ENV_NEED = ("workflow", "env")


class Scope(Protocol):
    """What expressions read. An exception of its own (the value is not at hand) passes through ``Template.resolve``."""

    def field(self, root: str, name: str) -> Any:
        """A field of a root, ``("workflow", "input")`` or ``("charge_ref", "status")``; None where there is none."""

    def document(self, root: str) -> Mapping[str, Any] | None:
        """All fields of a root, for the rare path that does not begin with a plain field."""

    def task_id(self) -> str | None:
        """The task being made; None where none is: ``${CPEWF_TASK_ID}`` then stays as it is."""


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled map of inputs, or any JSON value. Immutable, made to be used again."""

    needs: frozenset[Need]  # (root, field) that resolving reads; field None: the whole document of that root
    is_dynamic: bool  # the value of an expression names a root: anything may be read
    _node: _Node

    def resolve(self, scope: Scope) -> Any:
        """The JSON value. Raises what ``scope`` raises, and PayloadTooLarge for what would take or fill too much."""
        return self._node.value(scope, Budget())


def compile_template(value: Any) -> Template:
    """Any text compiles: an expression that is no path is null, as in Conductor. InvalidInput for too many levels."""
    compiler = _Compiler()
    node = compiler.node(value, 0)
    return Template(frozenset(compiler.needs), compiler.is_dynamic, node)


@dataclass(frozen=True, slots=True)
class Token:
    """One ``${...}`` of a text, in the eyes of Conductor's registration, which looks at the innermost ones only."""

    text: str  # between the braces
    is_valid: bool  # it is a JSONPath; else "key: K input parameter value: <text> is not valid"
    root: str | None  # the task that must be in the definition, or `workflow`; None: nothing to look up


def tokens(value: str) -> list[Token]:
    """The expressions of one text value of a task's inputParameters. An escaped ``$${`` is none, nor is an unclosed one."""
    if "${" not in value:
        return []
    pieces = (piece[2:-1] for piece in _REGISTRATION_SPLIT.split(value) if piece.startswith("${") and piece.endswith("}"))
    return [Token(text, _is_path(text), None if _ENVIRONMENT.fullmatch(text) else text.partition(".")[0]) for text in pieces]


_REGISTRATION_SPLIT = re.compile(r"(?=(?<!\$)\$\{)|(?<=\})")
# Conductor also lets pass the variables of its own process. We have none, but a definition with ${HOME} was
# accepted there and is accepted here: a bare name in capitals.
_ENVIRONMENT = re.compile(r"[A-Z][A-Z0-9_]*")


def _is_path(text: str) -> bool:
    try:
        compile_path(text)
    except InvalidPath:
        return False
    return True


# --- What a template is made of ---------------------------------------------------------------------------------------


class _Node:
    __slots__ = ()

    def value(self, scope: Scope, budget: Budget) -> Any:
        raise NotImplementedError

    def text(self, scope: Scope, budget: Budget) -> str:
        """The value inside of a longer text."""
        return java_text(self.value(scope, budget), budget)


@dataclass(frozen=True, slots=True)
class _Constant(_Node):
    constant: Any

    def value(self, scope: Scope, budget: Budget) -> Any:
        return self.constant


@dataclass(frozen=True, slots=True)
class _Map(_Node):
    fixed: dict[str, Any]  # all keys in their order, with the values that do not change
    changing: tuple[tuple[str, _Node], ...]

    def value(self, scope: Scope, budget: Budget) -> Any:
        found = self.fixed.copy()
        for key, node in self.changing:
            found[key] = node.value(scope, budget)
        return found


@dataclass(frozen=True, slots=True)
class _List(_Node):
    items: tuple[_Node, ...]

    def value(self, scope: Scope, budget: Budget) -> Any:
        return [node.value(scope, budget) for node in self.items]


@dataclass(frozen=True, slots=True)
class _Field(_Node):
    """``root.field.key.key``, which is what nearly all expressions are."""

    root: str
    field: str
    keys: tuple[str, ...]

    def value(self, scope: Scope, budget: Budget) -> Any:
        found = scope.field(self.root, self.field)
        for key in self.keys:
            if not isinstance(found, dict):
                return None
            found = found.get(key)
        return found


@dataclass(frozen=True, slots=True)
class _Path(_Node):
    """Any other path that begins with a root, or a function of such paths (``need`` None)."""

    need: Need | None
    rest: JsonPath  # behind root and field
    references: frozenset[Need]  # what the paths inside its filters and arguments read

    def value(self, scope: Scope, budget: Budget) -> Any:
        start = {} if self.need is None else _read(scope, self.need)
        if start is None:  # missing, not null: no filter complains
            return None if self.rest.is_definite else []
        return self.rest.read(start, _document(scope, self.references), budget)

    def text(self, scope: Scope, budget: Budget) -> str:
        return java_text(self.value(scope, budget), budget, as_json=not self.rest.is_definite)


@dataclass(frozen=True, slots=True)
class _Variable(_Node):
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
class _TaskId(_Node):
    raw: str  # stays where no task is being made

    def value(self, scope: Scope, budget: Budget) -> Any:
        return scope.task_id() or self.raw


@dataclass(frozen=True, slots=True)
class _Join(_Node):
    parts: tuple[str | _Node, ...]

    def value(self, scope: Scope, budget: Budget) -> str:
        pieces = [part if isinstance(part, str) else part.text(scope, budget) for part in self.parts]
        budget.spend(sum(map(len, pieces)) // 64)
        return "".join(pieces).replace("$${", "${")


@dataclass(frozen=True, slots=True)
class _Computed(_Node):
    """An expression with expressions inside. It can only read what was foreseen, unless anything was."""

    inner: _Join
    raw: str
    foreseen: frozenset[Need] | None

    def value(self, scope: Scope, budget: Budget) -> Any:
        return self._node(scope, budget).value(scope, budget)

    def text(self, scope: Scope, budget: Budget) -> str:
        return self._node(scope, budget).text(scope, budget)

    def _node(self, scope: Scope, budget: Budget) -> _Node:
        node, needs = _expression(self.inner.value(scope, budget), self.raw)
        if self.foreseen is None or all(need in self.foreseen or (need[0], None) in self.foreseen for need in needs):
            return node
        return _NULL


_NULL = _Constant(None)
_NOTHING: frozenset[Need] = frozenset()


def _read(scope: Scope, need: Need) -> Any:
    root, name = need
    if name is not None:
        return scope.field(root, name)
    document = scope.document(root)
    return None if document is None else dict(document)


def _document(scope: Scope, needs: Iterable[Need]) -> dict[str, Any]:
    """As much of the context document as the paths inside a path read."""
    found: dict[str, Any] = {}
    for need in needs:
        value = _read(scope, need)
        if value is not None:
            found.setdefault(need[0], {}).update(value if need[1] is None else {need[1]: value})
    return found


# --- Compiling --------------------------------------------------------------------------------------------------------


class _Compiler:
    def __init__(self) -> None:
        self.needs: set[Need] = set()
        self.is_dynamic = False

    def node(self, value: Any, depth: int) -> _Node:
        if isinstance(value, str):
            return self.text(value)
        if depth > MAX_DEPTH:
            raise InvalidInput(f"A value is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(value, dict):
            return self.map(value, depth)
        if isinstance(value, list):
            items = tuple(self.node(item, depth + 1) for item in value)
            is_fixed = depth > 0 and all(isinstance(item, _Constant) for item in items)
            return _Constant([item.constant for item in items if isinstance(item, _Constant)]) if is_fixed else _List(items)
        return _Constant(value)

    def map(self, value: dict[str, Any], depth: int) -> _Node:
        fixed: dict[str, Any] = {}
        changing: list[tuple[str, _Node]] = []
        for key, item in value.items():
            node = self.node(item, depth + 1)
            if isinstance(node, _Constant):
                fixed[key] = node.constant
            else:
                fixed[key] = None
                changing.append((key, node))
        return _Map(fixed, tuple(changing)) if changing or depth == 0 else _Constant(fixed)

    def text(self, text: str) -> _Node:
        spans = _spans(text)
        if spans == [(0, len(text))]:
            return self.expression(text, 1)
        return self.join(text, spans, 1) if spans else _Constant(text.replace("$${", "${"))

    def join(self, text: str, spans: list[tuple[int, int]], depth: int) -> _Join:
        parts: list[str | _Node] = []
        at = 0
        for start, end in spans:
            parts += (text[at:start], self.expression(text[start:end], depth))
            at = end
        return _Join((*parts, text[at:]))

    def expression(self, raw: str, depth: int) -> _Node:
        inner = raw[2:-1]
        spans = _spans(inner)
        if not spans:
            node, needs = _expression(inner.replace("$${", "${"), raw)
            self.needs |= needs
            return node
        if depth == MAX_INNER:
            return _NULL
        if inner.startswith(_SECRETS):
            return _Constant(raw)
        join = self.join(inner, spans, depth + 1)
        foreseen = _foreseen([part for part in join.parts if isinstance(part, str)])
        self.needs |= foreseen or _NOTHING
        self.is_dynamic |= foreseen is None
        return _Computed(join, raw, foreseen)


def _spans(text: str) -> list[tuple[int, int]]:
    """Where the outermost expressions are: ``${`` that is not escaped, up to the brace that closes it.

    The first one that nothing closes ends the search: Conductor's pattern finds nothing behind it (20,000 random texts).
    """
    found: list[tuple[int, int]] = []
    if "${" not in text:
        return found
    closing: dict[int, int] = {}
    opened: list[int] = []
    for brace in re.finditer(r"[{}]", text):
        if brace[0] == "{":
            opened.append(brace.start())
        elif opened:
            closing[opened.pop()] = brace.start()
    at = 0
    while (start := text.find("${", at)) >= 0:
        if start > 0 and text[start - 1] == "$":
            at = start + 1
        elif start + 1 in closing:
            at = closing[start + 1] + 1
            found.append((start, at))
        else:
            break
    return found


_FORESEEN = re.compile(r"(?:\$\.)?([^ .\[\](*@$]+)(?:\.([^ .\[\](*]+)(?=[.\[]))?[.\[]")


def _foreseen(known: list[str]) -> frozenset[Need] | None:
    """What a path can read of which only these parts are known, the first being its beginning; None: anything."""
    if known[0].startswith(_ENV):
        return frozenset({_ENV_NEED})
    found = _FORESEEN.match(known[0])
    has_reference = any("$" in part for part in (known[0].removeprefix("$."), *known[1:]))  # `$.b.output` in a filter
    return frozenset({(found[1], found[2])}) if found and not has_reference else None


def _expression(inner: str, raw: str) -> tuple[_Node, frozenset[Need]]:
    """The node for a text between braces, and what it reads. ``raw``: with its braces, before anything was put in."""
    if not inner.strip():
        return _Constant(""), _NOTHING
    if inner.startswith(_SECRETS) or inner in _NEVER_SET:
        return _Constant(raw), _NOTHING
    if inner == _TASK_ID:
        return _TaskId(raw), _NOTHING
    if len(inner) > MAX_PATH_CHARS:  # before the cache, which would keep it
        return _NULL, _NOTHING
    return _path(inner)


@lru_cache(maxsize=1024)
def _path(text: str) -> tuple[_Node, frozenset[Need]]:
    try:
        if text.startswith(_ENV):
            name, dot, rest = text[len(_ENV) :].partition(".")
            return _Variable(name, compile_path(rest) if dot else None), frozenset({_ENV_NEED})
        path = compile_path(text)
    except InvalidPath:
        return _NULL, _NOTHING
    need = _need(path)
    if path.is_plain and need and need[1] is not None:
        return _Field(need[0], need[1], path.keys[2:]), frozenset({need})
    if need is None and not path.is_call:
        return _Constant(None if path.is_definite else []), _NOTHING
    references = frozenset(inner for inner in map(_need, path.references) if inner)
    rest_of_path = path if need is None else path.after(1 if need[1] is None else 2)
    return _Path(need, rest_of_path, references), references | ({need} if need else _NOTHING)


def _need(path: JsonPath) -> Need | None:
    if not path.keys:
        return None
    return (path.keys[0], path.keys[1] if len(path.keys) > 1 else None)
