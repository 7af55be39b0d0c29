"""The roots that the expressions of these tests read, and any JSON with expressions in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from batuta_core.decider.expression.scope import Need, Scope
from batuta_core.decider.expression.template import Template
from batuta_core.decider.expression.template_parser import compile_template

INPUT: dict[str, Any] = {
    "a": 1,
    "b": {"k": "v"},
    "c": "a",
    "d": [1, 2],
    "x": {"a": 77},
    "n": None,
    "e": "${workflow.input.a}",
    "g": "$${a}",
    "f": 1.0,
    "t": True,
    "w": "workflow",
    "i": 1,
    "items": [{"id": 1, "p": 5}, {"id": 2, "p": 15}, {"id": 3, "p": 25}],
}

ROOTS: dict[str, dict[str, Any]] = {
    "workflow": {"input": INPUT, "status": "RUNNING", "workflowId": "wf-1"},
    "charge_ref": {"output": {"r": "x/y", "l": ["q", "r"], "k": {"j": 3}}, "status": "COMPLETED"},
}

# fmt: off
PIECES = [
    "${", "}", "{", "$", "$${", " ", "a", ".", "\n", "[", "]", "workflow.input.", "charge_ref", "${workflow.input.a}",
    "${workflow.input.c}", "${charge_ref.output.l[*]}", "${workflow.secrets.", "${workflow.env.", "CPEWF_TASK_ID", "${}",
    "[?(@.p > $.charge_ref.output.k.j)]", "..", "'",
]
# fmt: on
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)


class Values:
    """A Scope over plain maps."""

    def __init__(self, roots: Mapping[str, Mapping[str, Any]], task_id: str | None = None) -> None:
        self.roots = roots
        self._task_id = task_id

    def field(self, root: str, name: str, key: str | None = None) -> Any:
        return self.roots.get(root, {}).get(name)

    def document(self, root: str) -> Mapping[str, Any] | None:
        return self.roots.get(root)

    def task_id(self) -> str | None:
        return self._task_id


class Watched(Values):
    """Fails a test that reads what its template did not say it needs."""

    def __init__(self, roots: Mapping[str, Mapping[str, Any]], template: Template) -> None:
        super().__init__(roots)
        self.template = template

    def _expect(self, *needs: Need) -> None:
        assert self.template.is_dynamic or self.template.needs.intersection(needs), needs

    def field(self, root: str, name: str, key: str | None = None) -> Any:
        self._expect((root, name), (root, None))
        return super().field(root, name)

    def document(self, root: str) -> Mapping[str, Any] | None:
        self._expect((root, None))
        return super().document(root)


def resolve(value: Any, scope: Scope | None = None) -> Any:
    return compile_template(value).resolve(scope or Values(ROOTS))


def same(left: Any, right: Any) -> bool:
    """Equal in type, too: 1 is not 1.0 and not true."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
