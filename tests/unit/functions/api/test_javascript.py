"""Scripts are looked at by a parser and never run."""

from __future__ import annotations

import threading

import pytest

from batuta_server.api.javascript import SCRIPT_MAX_BYTES, syntax_error


@pytest.mark.parametrize(
    "source",
    [
        "",
        "1 + 1",
        "return 1;",
        "(function () { return $.value > 1; })()",
        "const {a, ...rest} = $; `${a}`",
        "/* ünï 😀 */ 'ü'",
        "while (true) {}",
        "a?.b ?? c",
    ],
)
def test_scripts_that_parse(source: str) -> None:
    assert syntax_error(source) is None


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("function (", "line 1"),
        ("var a = 1;\nif (a {\n}", "line 2"),
        ("return 'open", "line 1"),
        ("a b c", "line 1"),
        ("if (a { b }", "is missing"),
        ("x = \ud800;", "SyntaxError"),
    ],
)
def test_scripts_that_do_not_parse_are_told_where(source: str, where: str) -> None:
    found = syntax_error(source)
    assert found is not None
    assert found.startswith("SyntaxError: line ")
    assert where in found


def test_script_may_have_so_many_bytes() -> None:
    assert syntax_error("//" + "x" * (SCRIPT_MAX_BYTES - 2)) is None
    assert (
        syntax_error("//" + "ü" * (SCRIPT_MAX_BYTES // 2))
        == f"the script has {SCRIPT_MAX_BYTES + 2} bytes, the limit is {SCRIPT_MAX_BYTES}"
    )


def test_deep_nesting_does_not_end_the_process() -> None:
    assert syntax_error("(" * 50_000) is not None


def test_threads_have_parsers_of_their_own() -> None:
    wrong: list[object] = []

    def parse(place: int) -> None:
        for _ in range(50):
            found = syntax_error("a b" if place % 2 else "a + b")
            if (found is None) == bool(place % 2):
                wrong.append(found)

    threads = [threading.Thread(target=parse, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
