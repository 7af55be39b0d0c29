"""Templates compiled: what they say they read, and how deep they may nest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from tests.unit.core.decider.expression.roots import JSON, ROOTS, Watched, resolve

from batuta_core.decider.expression.scope import Need
from batuta_core.decider.expression.template_parser import MAX_DEPTH, MAX_INNER, compile_template
from batuta_core.model.error import InvalidInput


@pytest.mark.parametrize(
    ("value", "needs"),
    [
        ("plain", set()),
        ("$${a.output.x}", set()),
        ({"x": "${workflow.input.x}", "y": [{"z": "<${a.output.k.j}>"}]}, {("workflow", "input"), ("a", "output")}),
        ("${a.status}${a.output}", {("a", "status"), ("a", "output")}),
        ("${a}", {("a", None)}),
        ("${a..id}", {("a", None)}),
        ("${a['output','status']}", {("a", None)}),
        ("${a['output'].x[0]}", {("a", "output")}),
        ("${a.output..id}", {("a", "output")}),
        ("${a.output[?(@.x > $.b.output.y)].z}", {("a", "output"), ("b", "output")}),
        ("${concat($.a.output.x, $.b.status)}", {("a", "output"), ("b", "status")}),
        ("${workflow.input.x.${a.output.k}}", {("workflow", "input"), ("a", "output")}),
        ("${workflow.input[${a.output.k}]}", {("workflow", "input"), ("a", "output")}),
        ("${workflow.in${a.output.k}}", {("workflow", None), ("a", "output")}),
        ("${workflow.env.X}", {("workflow", "env")}),
        ("${workflow.secrets.X}${CPEWF_TASK_ID}${}${workflow.secrets.${a.output.k}}", set()),
        ("${$..id}", set()),
        ("${not [ a path}", set()),
    ],
)
def test_a_template_names_what_it_reads(value: Any, needs: set[Need]) -> None:
    template = compile_template(value)
    assert template.needs == needs
    assert not template.is_dynamic


@pytest.mark.parametrize(
    "text", ["${${a.output.k}.output.y}", "${a${a.output.k}.output}", "${a.output[?(@.x == ${a.output.k} && @.y == $.b.output.z)]}"]
)
def test_a_template_says_when_a_value_decides_what_it_reads(text: str) -> None:
    template = compile_template(text)
    assert template.is_dynamic
    assert ("a", "output") in template.needs


def test_a_value_cannot_make_an_expression_read_what_was_not_foreseen() -> None:
    roots: dict[str, dict[str, Any]] = {
        "workflow": {"input": {"l": [{"id": 1}], "f": "?(@.id < $.other.output.n)"}},
        "other": {"output": {"n": 5}},
    }
    template = compile_template("${workflow.input.l[${workflow.input.f}]}")
    assert template.needs == {("workflow", "input")}
    assert template.resolve(Watched(roots, template)) is None


@settings(max_examples=500, deadline=None)
@given(JSON)
def test_any_value_compiles_and_resolves_and_reads_only_what_it_names(value: Any) -> None:
    template = compile_template(value)
    template.resolve(Watched(ROOTS, template))


def test_containers_that_nest_too_deep_are_refused_and_those_below_the_limit_are_not() -> None:
    def nested(levels: int) -> Any:
        value: Any = "${workflow.input.a}"
        for level in range(levels):
            value = [value] if level % 2 else {"k": value}
        return value

    resolve(nested(MAX_DEPTH))
    with pytest.raises(InvalidInput, match="nested deeper"):
        compile_template(nested(MAX_DEPTH + 2))


def test_expressions_that_nest_too_deep_are_null() -> None:
    def nested(levels: int) -> str:
        return "${workflow.input.b." * levels + "k" + "}" * levels

    assert resolve("${workflow.input.${workflow.input.${workflow.input.${workflow.input.c}}}}") is None
    assert resolve(nested(MAX_INNER + 1)) is None
    assert resolve("${" * 20_000 + "}" * 20_000) is None
    assert resolve("${" * 20_000) == "${" * 20_000
