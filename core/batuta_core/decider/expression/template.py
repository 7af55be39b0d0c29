"""Conductor's parameter expressions ``${...}``: compiled once with the definition, resolved whenever a task is made.

A text that is exactly one expression becomes the value itself, with its type; any other text is put together of the
values as Java prints them. Inside out: ``${workflow.input.${workflow.input.key}}`` is put together first, then
read. What an expression yields is never looked through for further expressions.

All JSON is taken as immutable, here and by our callers: results share maps and lists with the scope and with the template.

Meant otherwise than in Conductor: no variables of the operating system or of a JVM can be read, and a path that
begins with no root's name (``$..id``) reads nothing.

A template is a tree. Its leaves are in ``lookup``, which compiles an expression without others inside; what holds other
nodes is here and asks ``lookup`` again when a value becomes part of a path; ``template_parser`` makes the whole tree.
"""

from __future__ import annotations

from typing import Any

from batuta_core.decider.expression.lookup import NULL, TemplateNode, compile_lookup
from batuta_core.decider.expression.reading import Budget
from batuta_core.decider.expression.scope import Need, Scope
from batuta_core.model.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled map of inputs, or any JSON value. Immutable, made to be used again."""

    needs: frozenset[Need]  # (root, field) that resolving reads; field None: the whole document of that root
    is_dynamic: bool  # the value of an expression names a root: anything may be read
    node: TemplateNode

    def resolve(self, scope: Scope) -> Any:
        """The JSON value. Raises what ``scope`` raises, and PayloadTooLarge for what would take or fill too much."""
        return self.node.value(scope, Budget())


@dataclass(frozen=True, slots=True)
class Map(TemplateNode):
    fixed: dict[str, Any]  # all keys in their order, with the values that do not change
    changing: tuple[tuple[str, TemplateNode], ...]

    def value(self, scope: Scope, budget: Budget) -> Any:
        found = self.fixed.copy()
        for key, node in self.changing:
            found[key] = node.value(scope, budget)
        return found


@dataclass(frozen=True, slots=True)
class List(TemplateNode):
    items: tuple[TemplateNode, ...]

    def value(self, scope: Scope, budget: Budget) -> Any:
        return [node.value(scope, budget) for node in self.items]


@dataclass(frozen=True, slots=True)
class Join(TemplateNode):
    parts: tuple[str | TemplateNode, ...]

    def value(self, scope: Scope, budget: Budget) -> str:
        pieces = [part if isinstance(part, str) else part.text(scope, budget) for part in self.parts]
        budget.spend(sum(map(len, pieces)) // 64)
        return "".join(pieces).replace("$${", "${")


@dataclass(frozen=True, slots=True)
class Computed(TemplateNode):
    """An expression with expressions inside. It can only read what was foreseen, unless anything was."""

    inner: Join
    raw: str
    foreseen: frozenset[Need] | None

    def value(self, scope: Scope, budget: Budget) -> Any:
        return self._node(scope, budget).value(scope, budget)

    def text(self, scope: Scope, budget: Budget) -> str:
        return self._node(scope, budget).text(scope, budget)

    def _node(self, scope: Scope, budget: Budget) -> TemplateNode:
        node, needs = compile_lookup(self.inner.value(scope, budget), self.raw)
        if self.foreseen is None or all(need in self.foreseen or (need[0], None) in self.foreseen for need in needs):
            return node
        return NULL
