"""Tokens: what registration looks at."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from tests.unit.core.decider.expression.roots import TEXTS

from batuta_core.decider.expression.tokens import Token, tokens


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("no expression", []),
        ("${}", [Token("", False, "")]),
        ("${ }", [Token(" ", False, " ")]),
        ("$${a}", []),
        ("$$${a}", []),
        ("${workflow.input.a", []),
        ("${ workflow.input.a }", [Token(" workflow.input.a ", False, " workflow")]),
        ("${workflow.input.x.${workflow.input.c}}", [Token("workflow.input.c", True, "workflow")]),
        ("${workflow.input.items[?(@.p > 10)].id}", [Token("workflow.input.items[?(@.p > 10)].id", True, "workflow")]),
        ("${workflow.input.m['k 1']}", [Token("workflow.input.m['k 1']", True, "workflow")]),
        ("${workflow.input.nums.length()}", [Token("workflow.input.nums.length()", True, "workflow")]),
        ("${a__2.output.n}", [Token("a__2.output.n", True, "a__2")]),
        ("${CPEWF_TASK_ID}", [Token("CPEWF_TASK_ID", True, None)]),
        ("${HOME}", [Token("HOME", True, None)]),
        ("${HOME.output}", [Token("HOME.output", True, "HOME")]),
        ("${workflow.secrets.x}", [Token("workflow.secrets.x", True, "workflow")]),
        ("${workflow.env.x}", [Token("workflow.env.x", True, "workflow")]),
        ("${workflow.input.x[}", [Token("workflow.input.x[", True, "workflow")]),
        ("${workflow.input[?(]}", [Token("workflow.input[?(]", False, "workflow")]),
        ("text ${zzz.output.x} and ${b[}.", [Token("zzz.output.x", True, "zzz"), Token("b[", True, "b[")]),
        ("${$.workflow.input.x}", [Token("$.workflow.input.x", True, "$")]),
    ],
)
def test_tokens_are_what_registration_was_seen_to_judge(value: str, expected: list[Token]) -> None:
    assert tokens(value) == expected


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_any_text_has_tokens(text: str) -> None:
    for token in tokens(text):
        assert "${" + token.text + "}" in text
