"""The text of a path becomes a JsonPath."""

from __future__ import annotations

import re
from functools import lru_cache

from batuta_core.decider.expression.cursor import STRING, InvalidPath
from batuta_core.decider.expression.filter_parser import MAX_NESTING, FilterParser
from batuta_core.decider.expression.literal import Literal, json_value, unescaped
from batuta_core.decider.expression.path import JsonPath
from batuta_core.decider.expression.reading import Operand
from batuta_core.decider.expression.steps import Call, Filter, Index, Indexes, Key, Keys, PathStep, Pick, Scan, Slice, Wildcard

MAX_PATH_CHARS = 4096  # the longest of 5,800 expressions in public definitions has 73

_NAME = re.compile(r"[^ .\[(]*")
_KEYS = re.compile(rf" *({STRING.pattern})(?: *, *({STRING.pattern}))* *\]", re.DOTALL)
_NUMBERS = re.compile(r"[-0-9:, ]*\]")
_STAR = re.compile(r" *\* *\]")


@lru_cache(maxsize=1024)  # paths that are put together at run time are few, too
def compile_path(text: str) -> JsonPath:
    """A path as it stands inside ``${...}``, with ``$.`` or ``@.`` before it or without. Raises InvalidPath."""
    return _compile(text, 0)


def _compile(text: str, depth: int) -> JsonPath:
    if not text or len(text) > MAX_PATH_CHARS:
        raise InvalidPath(f"a path has from 1 to {MAX_PATH_CHARS} characters")
    source = (text if text[0] in "$@" else "$." + text).rstrip(" ")
    return _PathParser(source, depth).path()


class _PathParser(FilterParser):
    """Reads one path from left to right."""

    def __init__(self, text: str, depth: int) -> None:
        super().__init__(text, 1)  # behind the `$` or `@`
        self.depth = depth
        self.references: list[JsonPath] = []

    def path(self) -> JsonPath:
        steps: list[PathStep] = []
        if len(self.text) > 1:
            if self.text[1] not in ".[":
                raise self.wrong("'.' or '['")
            if self.text.endswith("."):
                raise InvalidPath("a path must not end with '.'")
            steps.append(self.step())
            while self.at < len(self.text) - 1:  # Jayway, too, does not look at a single last character: `a[0]x`
                steps.append(self.step())
            steps[-1] = _as_last(steps[-1])
        return JsonPath(tuple(steps), self.text[0] == "@", tuple(self.references))

    def step(self) -> PathStep:
        dots = 2 if self.text.startswith("..", self.at) else 1 if self.text.startswith(".", self.at) else 0
        self.at += dots
        if self.here() == "[":
            step = self.bracket()
        elif self.here() == "*":
            self.at += 1
            step = Wildcard()
        else:
            step = self.name()
        return Scan(step) if dots == 2 else step

    def name(self) -> PathStep:
        name = self.match(_NAME, "a name")
        if self.here() == "(":
            return Call(name[0], self.arguments())
        if self.here() == " " or not name[0]:
            raise self.wrong("a name (one with blanks or dots stands in brackets and quotes)")
        return Key(name[0])

    def bracket(self) -> PathStep:
        self.at += 1
        following = self.text[self.at :].lstrip(" ")[:1]
        if following in ("'", '"'):
            names = [unescaped(name[1:-1]) for name in STRING.findall(self.match(_KEYS, "names in quotes, then ']'")[0])]
            return Key(names[0]) if len(names) == 1 else Keys(tuple(names))
        if following == "*":
            self.match(_STAR, "'*]'")
            return Wildcard()
        if following == "?":
            return Filter(self.filter())
        return _numbered(self.match(_NUMBERS, "a name in quotes, indexes, a slice, '*' or '?'")[0][:-1].strip(" "))

    def arguments(self) -> tuple[Operand, ...]:
        """Paths, numbers, maps and texts in double quotes; Jayway leaves out anything else without a word, and so do we."""
        found: list[Operand] = []
        for text in self.pieces():
            if text[:1] in ("$", "@"):
                found.append(self.inner(text))
            elif text[:1] and text[0] in '{"-0123456789':
                found.append(Literal(json_value(text)))
        return tuple(found)

    def inner(self, text: str) -> JsonPath:
        if self.depth >= MAX_NESTING:
            raise InvalidPath(f"filters and functions nest deeper than {MAX_NESTING}")
        path = _compile(text, self.depth + 1)
        self.references += path.references
        if not path.is_relative:
            self.references.append(path)
        return path


def _as_last(step: PathStep) -> PathStep:
    if isinstance(step, Scan):
        return Scan(_as_last(step.step))
    return Pick(step.names) if isinstance(step, Keys) else step


def _numbered(text: str) -> PathStep:
    """``0``, ``-1``, ``0, 2``, ``1:``, ``:-1``, ``0:2``; a third part of a slice is ignored, as by Jayway."""
    try:
        if ":" not in text:
            numbers = tuple(_int32(number.strip(" ")) for number in text.split(","))
            return Index(numbers) if len(numbers) == 1 else Indexes(numbers)
        start, end = (_int32(part) if part else None for part in text.split(":")[:2])
    except ValueError:
        raise InvalidPath(f"[{text}] is neither indexes nor a slice") from None
    if (start is None and end is None) or "," in text or " " in text:
        raise InvalidPath(f"[{text}] is no slice")
    return Slice(start, end)


def _int32(text: str) -> int:
    number = int(text)
    if not -(2**31) <= number < 2**31:
        raise ValueError(text)
    return number
