"""jq in the sandbox."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.functions.sandbox.scripts import NOW_MS, jq, run

from batuta_server.sandbox.limits import DEPTH_MAX
from batuta_server.sandbox.runner import Sandbox


@pytest.mark.parametrize(
    ("query", "given", "values"),
    [
        (".a", {"a": 1}, [1]),
        (".a", {}, [None]),
        ("empty", {}, []),
        (".[]", [1, "x\ny", None], [1, "x\ny", None]),
        ("keys", {"b": 1, "a": 2}, [["a", "b"]]),
        ('{i: (7/2|floor), s: ("a,b"|split(",")), t: "id \\(.l[0])"}', {"l": [1]}, [{"i": 3, "s": ["a", "b"], "t": "id 1"}]),
        (".a", {"a": 9007199254740993}, [9007199254740993]),  # no number in JavaScript, and a long in Java
        (".a", {"a": 2.5}, [2.5]),
        ("nan", None, [None]),
        (".t", {"t": "ä😀"}, ["ä😀"]),
        ("now", None, [NOW_MS / 1000]),
        ('"\\(now)"', None, ["1764000000"]),
        ("now | todate", None, ["2025-11-24T16:00:00Z"]),
        ("def now: 5; now", None, [5]),
        ("env, $ENV", None, [{}, {}]),
        ("debug, stderr", 1, [1, 1]),
        (". # a comment", 1, [1]),
        ("def f: 1; f, 2", 1, [1, 2]),
        ("1, 2 | . + 1", 1, [2, 3]),
        (". as $x | $x", 1, [1]),
        ('try error("x") catch .', 1, ["x"]),
        ("1 # a comment that goes on \\", 1, [1]),
        ("1e1000, -1e1000", None, [sys.float_info.max, -sys.float_info.max]),  # as jq says of ``infinite``: JSON has no infinity
        ("infinite", None, [sys.float_info.max]),
        ("1" + "0" * 350 + ", -1" + "0" * 500, None, [sys.float_info.max, -sys.float_info.max]),
    ],
)
def test_values(sandbox: Sandbox, query: str, given: Any, values: list[Any]) -> None:
    assert run(sandbox, jq(query, given)) == (values, None, False)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (".l + 1", "array ([1]) and number (1) cannot be added"),
        ('error("mine")', "mine"),
        (".[ |", "syntax error, unexpected '|' at <top-level>, line 1, column 4:\n    .[ |\n       ^"),
        ("now | .[ |", "syntax error, unexpected '|' at <top-level>, line 1, column 10:\n    now | .[ |\n             ^"),
    ],
)
def test_errors(sandbox: Sandbox, query: str, error: str) -> None:
    assert run(sandbox, jq(query, {"l": [1]})) == (None, error, False)


def nested(levels: int) -> str:
    return f"reduce range({levels}) as $level (1; [.])"


def test_a_value_may_be_as_deep_as_a_payload_and_no_deeper(sandbox: Sandbox) -> None:
    """The list of all values is a level, too. Beyond that, code of ours that recurses would fail, and nobody would know why."""
    assert run(sandbox, jq(nested(DEPTH_MAX - 1))).error is None
    for levels in (DEPTH_MAX, 500, 900, 3000, 20_000):
        result = run(sandbox, jq(nested(levels)))
        assert (result.value, result.error) == (None, f"the value is nested deeper than {DEPTH_MAX} levels")
    assert run(sandbox, jq('"[" * 300, ["{"]')).error is None  # in a text they nest nothing


def test_no_file_can_be_read(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"secret": 1}')
    (tmp_path / "b.jq").write_text("def secret: 1;")
    for query in (f'import "a" as $a {{search: "{tmp_path}"}}; $a', f'include "b" {{search: "{tmp_path}"}}; secret'):
        result = run(sandbox, jq(query))
        assert (result.value, "secret" in (result.error or "")) == (None, False)
        assert result.error
