"""A value with ``${...}`` in its texts becomes a Template."""

from __future__ import annotations

import re
from typing import Any

from batuta_core.decider.expression.lookup import NULL, SECRETS, Constant, TemplateNode, compile_lookup, foreseen_needs
from batuta_core.decider.expression.scope import NO_NEEDS, Need
from batuta_core.decider.expression.template import Computed, Join, List, Map, Template
from batuta_core.model.error import InvalidInput

MAX_DEPTH = 100  # containers in containers; the inputs of 563 public definitions have 5 at most
MAX_INNER = 16  # expressions in expressions; what is nested deeper is null


def compile_template(value: Any) -> Template:
    """Any text compiles: an expression that is no path is null, as in Conductor. InvalidInput for too many levels."""
    compiler = _Compiler()
    node = compiler.node(value, 0)
    return Template(frozenset(compiler.needs), compiler.is_dynamic, node)


class _Compiler:
    def __init__(self) -> None:
        self.needs: set[Need] = set()
        self.is_dynamic = False

    def node(self, value: Any, depth: int) -> TemplateNode:
        if isinstance(value, str):
            return self.text(value)
        if depth > MAX_DEPTH:
            raise InvalidInput(f"A value is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(value, dict):
            return self.map(value, depth)
        if isinstance(value, list):
            items = tuple(self.node(item, depth + 1) for item in value)
            is_fixed = depth > 0 and all(isinstance(item, Constant) for item in items)
            return Constant([item.constant for item in items if isinstance(item, Constant)]) if is_fixed else List(items)
        return Constant(value)

    def map(self, value: dict[str, Any], depth: int) -> TemplateNode:
        fixed: dict[str, Any] = {}
        changing: list[tuple[str, TemplateNode]] = []
        for key, item in value.items():
            node = self.node(item, depth + 1)
            if isinstance(node, Constant):
                fixed[key] = node.constant
            else:
                fixed[key] = None
                changing.append((key, node))
        return Map(fixed, tuple(changing)) if changing or depth == 0 else Constant(fixed)

    def text(self, text: str) -> TemplateNode:
        spans = _spans(text)
        if spans == [(0, len(text))]:
            return self.expression(text, 1)
        return self.join(text, spans, 1) if spans else Constant(text.replace("$${", "${"))

    def join(self, text: str, spans: list[tuple[int, int]], depth: int) -> Join:
        parts: list[str | TemplateNode] = []
        at = 0
        for start, end in spans:
            parts += (text[at:start], self.expression(text[start:end], depth))
            at = end
        return Join((*parts, text[at:]))

    def expression(self, raw: str, depth: int) -> TemplateNode:
        inner = raw[2:-1]
        spans = _spans(inner)
        if not spans:
            node, needs = compile_lookup(inner.replace("$${", "${"), raw)
            self.needs |= needs
            return node
        if depth == MAX_INNER:
            return NULL
        if inner.startswith(SECRETS):
            return Constant(raw)
        join = self.join(inner, spans, depth + 1)
        foreseen = foreseen_needs([part for part in join.parts if isinstance(part, str)])
        self.needs |= foreseen or NO_NEEDS
        self.is_dynamic |= foreseen is None
        return Computed(join, raw, foreseen)


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
