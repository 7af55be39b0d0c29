"""Our subset of Jayway's JSONPath 2.9, the language inside ``${...}``: a path is compiled once and read many times.

A path is a tuple of steps. Reading takes a list of nodes from step to step, so that nothing recurses over a
document; how deep filters and functions nest is bounded when they are compiled. A definite path has one value, None
where it is missing; an indefinite one (``..``, ``*``, filter, slice, union) always has a list. What Jayway throws
while it reads (the sum of nothing, a filter on a number) is None, as Conductor makes of it.

Every node visited is paid from a Budget: no path, however written, keeps the decider from its work.

Meant otherwise than in Jayway: regular expressions in filters (``=~``) are refused, since a pattern can run for ever;
``max()`` of negative numbers, ``last()`` of one element, ``first().id`` and ``..*.id`` give what one expects;
``append()`` leaves the document alone; ``&&`` needs no blanks around it.

One long file, because a path holds filters, filters hold paths and functions, and functions hold paths.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from itertools import takewhile
from typing import Any, ClassVar

from batuta_core.model.error import PayloadTooLarge

MAX_PATH_CHARS = 4096  # the longest of 5,800 expressions in public definitions has 73
MAX_NESTING = 16  # of filters, their brackets and functions in one path
BUDGET = 1_000_000  # half a second at most (2-core VM, 2026-11); a deep scan of 5 MB of JSON visits some 500,000 nodes


class InvalidPath(ValueError):
    """The text is no path; the message says why."""


class _Failure(Exception):
    """What Jayway throws while it reads: the value of the whole path is None."""


class _NoMatch(_Failure):
    """The same, but a filter around it takes it as "does not match"."""


class _NotFound(_NoMatch):
    """The same, and where a filter asks whether something exists, it does not."""


class Budget:
    """What may still be read and written: a unit for a node, a unit for 64 characters of text."""

    __slots__ = ("left",)

    def __init__(self, left: int = BUDGET) -> None:
        self.left = left

    def spend(self, units: int) -> None:
        """PayloadTooLarge, not a silent None, once it is used up: no workflow should go on with half of its data."""
        self.left -= units
        if self.left < 0:
            raise PayloadTooLarge(f"The expressions of one input read or write more than {BUDGET} values.")


@dataclass(slots=True)
class _Reading:
    document: Any  # what `$` means inside filters and arguments
    budget: Budget
    is_strict: bool = False  # a filter asks whether something exists: what is missing raises _NotFound

    def absent(self, is_sure: bool) -> Sequence[Any]:
        if self.is_strict and is_sure:
            raise _NotFound
        return ()


# --- The steps of a path ----------------------------------------------------------------------------------------------


class _Step:
    __slots__ = ()
    is_definite: ClassVar[bool] = False

    def of(self, node: Any, reading: _Reading, is_sure: bool) -> Sequence[Any]:
        """The nodes this step leads to. ``is_sure``: all steps before it are definite; Jayway forgives less then."""
        raise NotImplementedError

    def wants(self, node: Any, reading: _Reading) -> bool:
        """Whether a deep scan takes this step from ``node``, a map or a list that it passes."""
        return True


@dataclass(frozen=True, slots=True)
class _Key(_Step):
    is_definite = True
    name: str

    def of(self, node: Any, reading: _Reading, is_sure: bool) -> Sequence[Any]:
        if not isinstance(node, dict):
            return reading.absent(is_sure)
        return (node[self.name],) if self.name in node else reading.absent(True)

    def wants(self, node: Any, reading: _Reading) -> bool:
        return isinstance(node, dict) and self.name in node


@dataclass(frozen=True, slots=True)
class _Keys(_Step):
    """``['a','b']`` with steps behind it: each value by itself."""

    names: tuple[str, ...]

    def of(self, node: Any, reading: _Reading, is_sure: bool) -> Sequence[Any]:
        return [value for name in self.names for value in _Key(name).of(node, reading, is_sure)]


@dataclass(frozen=True, slots=True)
class _Pick(_Step):
    """``['a','b']`` at the end: one map of those that are there."""

    is_definite = True
    names: tuple[str, ...]

    def of(self, node: Any, reading: _Reading, is_sure: bool) -> Sequence[Any]:
        if not isinstance(node, dict):
            return reading.absent(is_sure)
        found = {name: node[name] for name in self.names if name in node}
        return (found,) if len(found) == len(set(self.names)) or not reading.is_strict else reading.absent(True)

    def wants(self, node: Any, reading: _Reading) -> bool:
        return isinstance(node, dict) and all(name in node for name in self.names)


@dataclass(frozen=True, slots=True)
class _Indexes(_Step):
    numbers: tuple[int, ...]

    def of(self, node: Any, reading: _Reading, is_sure: bool) -> Sequence[Any]:
        if not isinstance(node, list):
            return reading.absent(is_sure)
        return [node[number] for number in self.numbers if -len(node) <= number < len(node)]


@dataclass(frozen=True, slots=True)
class _Index(_Indexes):
    is_definite = True


@dataclass(frozen=True, slots=True)
class _Slice(_Step):
    start: int | None
    end: int | None

    def of(self, node: Any, reading: _Reading, is_sure: bool) -> Sequence[Any]:
        if not isinstance(node, list):
            return reading.absent(is_sure)
        if self.start is None or self.end is None:
            return node[self.start : self.end]
        # Given both, Jayway counts from one to the other before it looks at the sign: [0:-1] is empty, [-2:1] wraps around.
        return [node[number] for number in range(max(self.start, -len(node)), min(self.end, len(node)))]


@dataclass(frozen=True, slots=True)
class _Wildcard(_Step):
    def of(self, node: Any, reading: _Reading, is_sure: bool) -> Sequence[Any]:
        return _children(node)


@dataclass(frozen=True, slots=True)
class _Scan(_Step):
    """``..``: the step behind it, taken from the node and from all below it."""

    step: _Step

    def of(self, node: Any, reading: _Reading, is_sure: bool) -> Sequence[Any]:
        found: list[Any] = []
        still = [node]
        while still:
            current = still.pop()
            children = _children(current)
            reading.budget.spend(len(children))
            if isinstance(current, (dict, list)) and self.step.wants(current, reading):
                found += self.step.of(current, reading, False)
            still.extend(reversed(children))
        return found


@dataclass(frozen=True, slots=True)
class _Filter(_Step):
    condition: Condition

    def of(self, node: Any, reading: _Reading, is_sure: bool) -> Sequence[Any]:
        if isinstance(node, dict):
            return (node,) if self.wants(node, reading) else ()
        if isinstance(node, list):
            return [item for item in node if self.wants(item, reading)]
        if is_sure:
            raise _NoMatch
        return ()

    def wants(self, node: Any, reading: _Reading) -> bool:
        reading.budget.spend(1)
        try:
            return self.condition(node, reading)
        except _NoMatch:
            return False


@dataclass(frozen=True, slots=True)
class _Call(_Step):
    is_definite = True
    name: str
    arguments: tuple[Operand, ...]

    def of(self, node: Any, reading: _Reading, is_sure: bool) -> Sequence[Any]:
        function = _FUNCTIONS.get(self.name)
        if function is None:  # Jayway, too, notices only now
            raise _NoMatch
        values = [argument.evaluate(reading.document, reading) for argument in self.arguments]
        return (function(node, values, reading.budget),)

    def wants(self, node: Any, reading: _Reading) -> bool:
        return False


def _children(node: Any) -> Sequence[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else ()


# --- A path -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A compiled path, immutable. ``keys`` are the plain names it begins with: two for ``$.a['b'][0].c``."""

    steps: tuple[_Step, ...]
    is_relative: bool = False  # it begins with `@`
    references: tuple[JsonPath, ...] = ()  # the other paths that begin at the document: in filters and arguments
    is_definite: bool = field(init=False)
    keys: tuple[str, ...] = field(init=False)
    _sure: int = field(init=False)  # how many steps are definite before the first that is not

    def __post_init__(self) -> None:
        sure = sum(1 for _ in takewhile(lambda step: step.is_definite, self.steps))
        object.__setattr__(self, "_sure", sure)
        object.__setattr__(self, "is_definite", sure == len(self.steps))
        object.__setattr__(self, "keys", tuple(_names(self.steps)))

    @property
    def is_plain(self) -> bool:
        """Nothing but ``keys``."""
        return len(self.keys) == len(self.steps)

    @property
    def is_call(self) -> bool:
        """A function of its arguments alone: ``concat($.a, $.b)``."""
        return bool(self.steps) and isinstance(self.steps[0], _Call)

    def after(self, count: int) -> JsonPath:
        """The path without its first ``count`` steps."""
        return JsonPath(self.steps[count:], self.is_relative, self.references)

    def read(self, start: Any, document: Any = None, budget: Budget | None = None) -> Any:
        """The value at the path from ``start``; ``document`` is what ``$`` means further inside, ``start`` if None.

        Parts of the data are shared, not copied. Raises nothing but the PayloadTooLarge of the budget.
        """
        try:
            return self._result(self._nodes(start, _Reading(start if document is None else document, budget or Budget())))
        except _Failure:
            return None

    def evaluate(self, item: Any, reading: _Reading) -> Any:
        """Its value inside a filter or as an argument."""
        lenient = _Reading(reading.document, reading.budget)
        return self._result(self._nodes(item if self.is_relative else reading.document, lenient))

    def is_there(self, item: Any, reading: _Reading) -> bool:
        """What a filter asks that names a path and nothing else. A null is there, and so is an empty list."""
        strict = _Reading(reading.document, reading.budget, is_strict=True)
        try:
            nodes = self._nodes(item if self.is_relative else reading.document, strict)
        except _NotFound:
            return False
        return bool(nodes) or not self.is_definite

    def _nodes(self, start: Any, reading: _Reading) -> list[Any]:
        nodes = [start]
        for number, step in enumerate(self.steps):
            found: list[Any] = []
            for node in nodes:
                reached = step.of(node, reading, number <= self._sure)
                reading.budget.spend(1 + len(reached))
                found += reached
            nodes = found
        return nodes

    def _result(self, nodes: list[Any]) -> Any:
        if not self.is_definite:
            return nodes
        return nodes[-1] if nodes else None


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written out in a filter or as an argument."""

    literal: Any

    def evaluate(self, item: Any, reading: _Reading) -> Any:
        return self.literal


Operand = JsonPath | Literal
Condition = Callable[[Any, _Reading], bool]


def _names(steps: Sequence[_Step]) -> Iterator[str]:
    for step in steps:
        if not isinstance(step, _Key):
            return
        yield step.name


# --- Comparisons ------------------------------------------------------------------------------------------------------


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    if _is_number(value):
        return "number"
    return "json" if isinstance(value, (dict, list)) else type(value).__name__


def _number_in(text: str) -> int | float | None:
    """None where the text is no number, or one of absurd length."""
    if not _NUMBER.fullmatch(text) or len(text) > 400:
        return None
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _is_equal(left: Any, right: Any, budget: Budget) -> bool:
    """Jayway's ``==``: a number equals a text that spells it; inside of maps and lists types must agree."""
    budget.spend(1)
    if isinstance(left, (dict, list)):
        return _is_same(left, right, budget)
    if _is_number(left):
        return bool(left == (_number_in(right) if isinstance(right, str) else right)) and not isinstance(right, bool)
    if isinstance(left, str):
        return left == (java_text(right, budget) if _is_number(right) else right)
    return left is right  # true, false and null


def _is_same(left: Any, right: Any, budget: Budget) -> bool:
    still = [(left, right)]
    while still:
        one, other = still.pop()
        budget.spend(1)
        if type(one) is not type(other):
            return False
        if isinstance(one, dict):
            if one.keys() != other.keys():
                return False
            still.extend((one[key], other[key]) for key in one)
        elif isinstance(one, list):
            if len(one) != len(other):
                return False
            still.extend(zip(one, other, strict=True))
        elif one != other:
            return False
    return True


def _is_like(left: Any, right: Any, budget: Budget) -> bool:
    return _kind(left) == _kind(right) and _is_equal(left, right, budget)


def _ordered(compare: Callable[[Any, Any], bool]) -> Comparison:
    return lambda left, right, budget: _kind(left) == _kind(right) in ("number", "str") and compare(left, right)


def _not(compare: Comparison) -> Comparison:
    return lambda left, right, budget: not compare(left, right, budget)


def _items(value: Any) -> list[Any]:
    if not isinstance(value, (dict, list)):
        raise _NoMatch
    return value if isinstance(value, list) else []


def _is_in(left: Any, right: Any, budget: Budget) -> bool:
    return any(_is_equal(left, item, budget) for item in _items(right))


def _has(left: Any, right: Any, budget: Budget) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        budget.spend(len(left) // 64)
        return right in left
    return isinstance(left, list) and _is_in(right, left, budget)


def _has_any(left: Any, right: Any, budget: Budget) -> bool:
    wanted = _items(right)
    return any(_is_in(item, wanted, budget) for item in _items(left))


def _has_all(left: Any, right: Any, budget: Budget) -> bool:
    found = _items(left)
    return all(_is_in(item, found, budget) for item in _items(right))


def _has_size(left: Any, right: Any, budget: Budget) -> bool:
    return isinstance(left, (str, list)) and _is_number(right) and len(left) == int(right)


def _is_empty(left: Any, right: Any, budget: Budget) -> bool:
    return isinstance(left, (str, dict, list)) and isinstance(right, bool) and (not left) is right


Comparison = Callable[[Any, Any, Budget], bool]
_OPERATORS: dict[str, Comparison] = {
    "==": _is_equal,
    "!=": _not(_is_equal),
    "===": _is_like,
    "!==": _not(_is_like),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "IN": _is_in,
    "NIN": _not(_is_in),
    "CONTAINS": _has,
    "ALL": _has_all,
    "ANYOF": _has_any,
    "NONEOF": _not(_has_any),
    "SUBSETOF": lambda left, right, budget: _has_all(right, left, budget),
    "SIZE": _has_size,
    "EMPTY": _is_empty,
}


# --- Functions --------------------------------------------------------------------------------------------------------


Arguments = Sequence[Any]


def _numbers(node: Any, arguments: Arguments) -> list[float]:
    lists = [value if isinstance(value, list) else [value] for value in arguments]
    if isinstance(node, list):
        lists.insert(0, node)
    try:
        found = [float(item) for items in lists for item in items if _is_number(item)]
    except OverflowError:
        raise _Failure from None
    if not found:
        raise _Failure
    return found


def _of_numbers(aggregate: Callable[[list[float]], float]) -> Function:
    """Always a double, as in Java: the sum of 1 and 2 is 3.0. What overflows is no JSON and counts as a failure."""

    def function(node: Any, arguments: Arguments, budget: Budget) -> float:
        found = aggregate(_numbers(node, arguments))
        if not math.isfinite(found):
            raise _Failure
        return found

    return function


def _sum(numbers: list[float]) -> float:
    return reduce(operator.add, numbers, 0.0)  # Python 3.12's own sum() rounds otherwise than 3.11's, and than Java


def _deviation(numbers: list[float]) -> float:
    count, total = len(numbers), _sum(numbers)
    return math.sqrt(max(_sum([number * number for number in numbers]) / count - total * total / count / count, 0.0))


def _length(node: Any, arguments: Arguments, budget: Budget) -> int | None:
    if arguments:
        return len(arguments[0]) if isinstance(arguments[0], (dict, list)) else 0
    return len(node) if isinstance(node, (dict, list)) else None


def _keys(node: Any, arguments: Arguments, budget: Budget) -> list[str] | None:
    return list(node) if isinstance(node, dict) else None


def _item(node: Any, number: int) -> Any:
    if not isinstance(node, list) or not -len(node) <= number < len(node):
        raise _Failure
    return node[number]


def _concat(node: Any, arguments: Arguments, budget: Budget) -> str:
    """The texts of a list, and every argument as Java prints it."""
    texts = [item for item in node if isinstance(item, str)] if isinstance(node, list) else []
    for value in arguments:
        texts += [java_text(item, budget) for item in (value if isinstance(value, list) else [value]) if item is not None]
    budget.spend(sum(len(text) for text in texts) // 64)
    return "".join(texts)


def _append(node: Any, arguments: Arguments, budget: Budget) -> Any:
    return [*node, *arguments] if isinstance(node, list) else node


Function = Callable[[Any, Arguments, Budget], Any]
_FUNCTIONS: dict[str, Function] = {
    "length": _length,
    "size": _length,
    "keys": _keys,
    "sum": _of_numbers(_sum),
    "avg": _of_numbers(lambda numbers: _sum(numbers) / len(numbers)),
    "min": _of_numbers(min),
    "max": _of_numbers(max),
    "stddev": _of_numbers(_deviation),
    "first": lambda node, arguments, budget: _item(node, 0),
    "last": lambda node, arguments, budget: _item(node, -1),
    "index": lambda node, arguments, budget: _item(node, int(_numbers(None, arguments)[0])),
    "concat": _concat,
    "append": _append,
}


# --- Values as text ---------------------------------------------------------------------------------------------------


_TO_ESCAPE = re.compile(r'["\\/\x00-\x1f\x7f-\x9f\u2000-\u20ff]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def java_text(value: Any, budget: Budget, *, as_json: bool = False) -> str:
    """As Java's String.valueOf prints a map or a list, ``{k=v, l=[1, null]}``; a text stands for itself.

    ``as_json`` prints ``{"k":"v","l":[1,null]}`` with the escapes of json-smart: what Jayway makes of
    the list of an indefinite path.
    """
    if isinstance(value, str) and not as_json:
        return value
    equals, comma = (":", ",") if as_json else ("=", ", ")
    pieces: list[str] = []
    still: list[tuple[bool, Any]] = [(False, value)]  # in reverse: (True, a piece) or (False, a value)
    while still:
        is_piece, part = still.pop()
        budget.spend(1)
        if is_piece:
            pieces.append(part)
            budget.spend(len(part) // 64)
        elif isinstance(part, dict):
            still.append((True, "}"))
            for number, key in reversed(list(enumerate(part))):
                name = _quoted(key) if as_json else key
                still += ((False, part[key]), (True, f"{comma if number else '{'}{name}{equals}"))
            if not part:
                still.append((True, "{"))
        elif isinstance(part, list):
            still.append((True, "]"))
            for number in range(len(part) - 1, -1, -1):
                still += ((False, part[number]), (True, comma if number else "["))
            if not part:
                still.append((True, "["))
        else:
            pieces.append(_scalar_text(part, as_json))
            budget.spend(len(pieces[-1]) // 64)
    return "".join(pieces)


def _scalar_text(value: Any, as_json: bool) -> str:
    if isinstance(value, str):
        return _quoted(value) if as_json else value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _double_text(value) if isinstance(value, float) else str(value)


def _double_text(value: float) -> str:
    """Java's Double.toString (since JDK 19): plain from 0.001 to 10 million, else ``1.0E10``."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    size = abs(value)
    digits = repr(size).partition("e")[0].replace(".", "").strip("0")
    mantissa, exponent = f"{size:.{1 if len(digits) == 1 else 16}e}".split("e")
    if len(digits) > 1:  # else Java looks for the nearest of two digits: 4.9E-324
        mantissa = f"{digits[0]}.{digits[1:]}"
    return f"{'-' if value < 0 else ''}{mantissa}E{int(exponent)}"


def _quoted(text: str) -> str:
    return '"' + _TO_ESCAPE.sub(lambda found: _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04X}", text) + '"'


# --- Compiling --------------------------------------------------------------------------------------------------------


_STRING = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NUMBER_RUN = re.compile(r"[-0-9.eE]*")
_NAME = re.compile(r"[^ .\[(]*")
_KEYS = re.compile(rf" *({_STRING.pattern})(?: *, *({_STRING.pattern}))* *\]", re.DOTALL)
_NUMBERS = re.compile(r"[-0-9:, ]*\]")
_STAR = re.compile(r" *\* *\]")
_FILTER = re.compile(r" *\? *(?=\()")
_FILTER_END = re.compile(r" *\]")
_OPERATOR = re.compile(r" *([<>=~!]+|[^ ]+)")
_WORD = re.compile(r"true|false|null")
_WORDS = {"true": True, "false": False, "null": None}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_UNESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}
_ENDS = {"(": ")", "[": "]", "{": "}"}


@lru_cache(maxsize=1024)  # paths that are put together at run time are few, too
def compile_path(text: str) -> JsonPath:
    """A path as it stands inside ``${...}``, with ``$.`` or ``@.`` before it or without. Raises InvalidPath."""
    return _compile(text, 0)


def _compile(text: str, depth: int) -> JsonPath:
    if not text or len(text) > MAX_PATH_CHARS:
        raise InvalidPath(f"a path has from 1 to {MAX_PATH_CHARS} characters")
    source = (text if text[0] in "$@" else "$." + text).rstrip(" ")
    return _Parser(source, depth).path()


class _Parser:
    """Reads one path from left to right; ``at`` is the next character."""

    def __init__(self, text: str, depth: int) -> None:
        self.text = text
        self.at = 1  # behind the `$` or `@`
        self.depth = depth
        self.references: list[JsonPath] = []

    def path(self) -> JsonPath:
        steps: list[_Step] = []
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

    def step(self) -> _Step:
        dots = 2 if self.text.startswith("..", self.at) else 1 if self.text.startswith(".", self.at) else 0
        self.at += dots
        if self.here() == "[":
            step = self.bracket()
        elif self.here() == "*":
            self.at += 1
            step = _Wildcard()
        else:
            step = self.name()
        return _Scan(step) if dots == 2 else step

    def name(self) -> _Step:
        name = self.match(_NAME, "a name")
        if self.here() == "(":
            return _Call(name[0], self.arguments())
        if self.here() == " " or not name[0]:
            raise self.wrong("a name (one with blanks or dots stands in brackets and quotes)")
        return _Key(name[0])

    def bracket(self) -> _Step:
        self.at += 1
        following = self.text[self.at :].lstrip(" ")[:1]
        if following in ("'", '"'):
            names = [_unescaped(name[1:-1]) for name in _STRING.findall(self.match(_KEYS, "names in quotes, then ']'")[0])]
            return _Key(names[0]) if len(names) == 1 else _Keys(tuple(names))
        if following == "*":
            self.match(_STAR, "'*]'")
            return _Wildcard()
        if following == "?":
            return self.filter()
        return _numbered(self.match(_NUMBERS, "a name in quotes, indexes, a slice, '*' or '?'")[0][:-1].strip(" "))

    def arguments(self) -> tuple[Operand, ...]:
        """Paths, numbers, maps and texts in double quotes; Jayway leaves out anything else without a word, and so do we."""
        found: list[Operand] = []
        for text in self.pieces():
            if text[:1] in ("$", "@"):
                found.append(self.inner(text))
            elif text[:1] and text[0] in '{"-0123456789':
                found.append(Literal(_parsed(text)))
        return tuple(found)

    def pieces(self) -> list[str]:
        """What stands between the brackets that open here, parted at its commas."""
        inside = self.enclosed()[1:-1]
        parts, level, start, at = [], 0, 0, 0
        while at < len(inside):
            quoted = _STRING.match(inside, at)
            if quoted:
                at = quoted.end()
                continue
            level += (inside[at] in "([{") - (inside[at] in ")]}")
            if inside[at] == "," and level == 0:
                parts.append(inside[start:at])
                start = at + 1
            at += 1
        return [part.strip() for part in (*parts, inside[start:])]

    def enclosed(self) -> str:
        """The text up to the bracket that closes the one here."""
        start, expected = self.at, []
        while self.at < len(self.text):
            quoted = _STRING.match(self.text, self.at)
            if quoted:
                self.at = quoted.end()
                continue
            char = self.here()
            self.at += 1
            if char in _ENDS:
                expected.append(_ENDS[char])
            elif char in ")]}" and expected.pop() != char:
                break
            if not expected:
                return self.text[start : self.at]
        raise InvalidPath(f"the bracket at {start} is not closed")

    def filter(self) -> _Step:
        self.match(_FILTER, "'?('")
        condition = self.any_of()
        self.match(_FILTER_END, "']' behind the filter")
        return _Filter(condition)

    def any_of(self) -> Condition:
        terms = [self.all_of()]
        while self.take("||"):
            terms.append(self.all_of())
        return terms[0] if len(terms) == 1 else lambda item, reading: any(term(item, reading) for term in terms)

    def all_of(self) -> Condition:
        terms = [self.term()]
        while self.take("&&"):
            terms.append(self.term())
        return terms[0] if len(terms) == 1 else lambda item, reading: all(term(item, reading) for term in terms)

    def term(self) -> Condition:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise InvalidPath(f"filters and functions nest deeper than {MAX_NESTING}")
        is_negated = self.take("!")
        if is_negated and self.here() not in ("$", "@"):
            inner = self.term()
            condition: Condition = lambda item, reading: not inner(item, reading)  # noqa: E731
        elif self.take("("):
            condition = self.any_of()
            if not self.take(")"):
                raise self.wrong("')'")
        else:
            condition = self.comparison(is_negated)
        self.depth -= 1
        return condition

    def comparison(self, is_negated: bool) -> Condition:
        left = self.operand()
        found = _OPERATOR.match(self.text, self.at)
        compare = _OPERATORS.get(found[1].upper()) if found else None
        if found and found[1] == "=~":
            raise InvalidPath("regular expressions (=~) are left out")
        if found and compare:
            self.at = found.end()
            right = self.operand()
            return lambda item, reading: compare(left.evaluate(item, reading), right.evaluate(item, reading), reading.budget)
        if not isinstance(left, JsonPath):
            raise self.wrong("a comparison")
        return lambda item, reading: left.is_there(item, reading) is not is_negated

    def operand(self) -> Operand:
        self.skip()
        if self.here() in ("$", "@"):
            return self.inner(self.path_text())
        if self.here() in ("'", '"'):
            return Literal(_unescaped(self.match(_STRING, "a text with its closing quote")[0][1:-1]))
        if self.here() in ("[", "{"):
            return Literal(_parsed(self.enclosed()))
        word = _WORD.match(self.text, self.at)
        if word:
            self.at = word.end()
            return Literal(_WORDS[word[0]])
        number = _number_in(self.match(_NUMBER_RUN, "a number")[0])
        if number is None:
            raise self.wrong("a value")
        return Literal(number)

    def path_text(self) -> str:
        """The path that begins here inside a filter: up to a blank, an operator or the end of a bracket."""
        start = self.at
        while self.here() and self.here() not in " <>=~!)" and self.text[self.at : self.at + 2] not in ("&&", "||"):
            if self.here() in ("[", "("):
                self.enclosed()
            else:
                self.at += 1
        return self.text[start : self.at]

    def inner(self, text: str) -> JsonPath:
        if self.depth >= MAX_NESTING:
            raise InvalidPath(f"filters and functions nest deeper than {MAX_NESTING}")
        path = _compile(text, self.depth + 1)
        self.references += path.references
        if not path.is_relative:
            self.references.append(path)
        return path

    def here(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip(self) -> None:
        while self.here() == " ":
            self.at += 1

    def take(self, token: str) -> bool:
        self.skip()
        if not self.text.startswith(token, self.at):
            return False
        self.at += len(token)
        self.skip()
        return True

    def match(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if not found:
            raise self.wrong(expected)
        self.at = found.end()
        return found

    def wrong(self, expected: str) -> InvalidPath:
        return InvalidPath(f"expected {expected} at {self.at}, found {self.text[self.at : self.at + 10]!r}")


def _as_last(step: _Step) -> _Step:
    if isinstance(step, _Scan):
        return _Scan(_as_last(step.step))
    return _Pick(step.names) if isinstance(step, _Keys) else step


def _numbered(text: str) -> _Step:
    """``0``, ``-1``, ``0, 2``, ``1:``, ``:-1``, ``0:2``; a third part of a slice is ignored, as by Jayway."""
    try:
        if ":" not in text:
            numbers = tuple(_int32(number.strip(" ")) for number in text.split(","))
            return _Index(numbers) if len(numbers) == 1 else _Indexes(numbers)
        start, end = (_int32(part) if part else None for part in text.split(":")[:2])
    except ValueError:
        raise InvalidPath(f"[{text}] is neither indexes nor a slice") from None
    if (start is None and end is None) or "," in text or " " in text:
        raise InvalidPath(f"[{text}] is no slice")
    return _Slice(start, end)


def _int32(text: str) -> int:
    number = int(text)
    if not -(2**31) <= number < 2**31:
        raise ValueError(text)
    return number


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(lambda found: chr(int(found[1][1:], 16)) if len(found[1]) > 1 else _UNESCAPES.get(found[1], found[1]), text)
    return str(json.loads(json.dumps(plain)))  # joins the two halves of a character beyond U+FFFF


def _parsed(text: str) -> Any:
    """JSON in which texts may stand in single quotes, too."""
    try:
        plain = _STRING.sub(lambda found: json.dumps(_unescaped(found[0][1:-1])), text)
        return json.loads(plain, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        raise InvalidPath(f"{text[:20]!r} is no JSON") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
