"""JavaScript in the sandbox: values as Conductor gives them, errors as it words them, and always the same."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.functions.sandbox.scripts import NOW_MS, javascript, run

from batuta_server.sandbox.runner import Sandbox

GIVEN = {"a": 1, "m": {"k": [1, 2]}, "text": "ä😀"}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("$.a", 1),
        ("$.text", "ä😀"),
        ("$.m.k.length + Object.keys($.m).length", 3),
        ("$.nothing", None),
        ("null", None),
        ("(function(){})()", None),
        ("", None),
        ("$.a * 2.0", 2),
        ("$.a / 4", 0.25),
        ("-0", 0),
        ("4294967296", 4294967296),
        ("9007199254740992", 9007199254740992),
        ("1e20", 1e20),
        ("1e21", 1e21),
        ("0/0", "NaN"),
        ("[1/0, -1/0]", ["Infinity", "-Infinity"]),
        ("12345678901234567n", 12345678901234567),
        ("2n ** 64n", "18446744073709551616"),
        ("[1, , undefined, [3]]", [1, None, None, [3]]),
        ("({a: undefined, b: {c: 1}})", {"a": None, "b": {"c": 1}}),
        ("new Date(0)", {}),
        ("[new Map([[1, 2]]), function () {}, /x/, Promise.resolve(1)]", [{}, {}, {}, {}]),
        ("Symbol('x')", "Symbol(x)"),
        ("new String('x')", {"0": "x"}),
        ("'\\ud83d'", "\ud83d"),
        ("$.m.k = 5; $.m.k", 5),
        ("let x = 1; const f = y => `v=${y}`; f(x)", "v=1"),
        ("x = 5; x", 5),
        ("let r = {}; Promise.resolve(1).then(x => r.a = x); r", {"a": 1}),
        ("({__proto__: null, a: 1})", {"a": 1}),
        ("let s = ''; for (let i = 0; i < 1000; i++) s += 'x' + i; s.length", 3890),
        ("Array.from({length: 3000}, (_, i) => ({id: i}))", [{"id": n} for n in range(3000)]),
        ("'x'.repeat(500) + $.a + 'y'.repeat(500)", "x" * 500 + "1" + "y" * 500),
        ("JSON.parse('{\"__proto__\": 1}')", {"__proto__": 1}),
        ("Object.create({inherited: 1})", {}),
    ],
)
def test_values(sandbox: Sandbox, source: str, value: Any) -> None:
    result = run(sandbox, javascript(source, GIVEN))
    assert result.error is None
    assert (result.value, type(result.value)) == (value, type(value))


def test_a_key_of_the_input_may_be_called_anything(sandbox: Sandbox) -> None:
    given = {"__proto__": 1, "constructor": 2, "length": 3, "": 4}
    assert run(sandbox, javascript("$", given)).value == given


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("$.nope.x", "Error evaluating the script `TypeError: Cannot read property 'x' of undefined` at line 1"),
        ("\n\n$.nope.x", "Error evaluating the script `TypeError: Cannot read property 'x' of undefined` at line 3"),
        ('throw new Error("custom")', "Error evaluating the script `Error: custom`"),
        ("throw 'text'", "Error evaluating the script `text`"),
        ("var = 1", "Error evaluating the script `SyntaxError: variable name expected` at line 1"),
        ("nope()", "Error evaluating the script `ReferenceError: nope is not defined` at line 1"),
        ("(function f() { f() })()", "Error evaluating the script `RangeError: Maximum call stack size exceeded` at line 1"),
        ("({get a() { throw new Error('on the way out') }})", "Error evaluating the script `Error: on the way out`"),
    ],
)
def test_errors(sandbox: Sandbox, source: str, error: str) -> None:
    assert run(sandbox, javascript(source, GIVEN)) == (None, error, False)


@pytest.mark.parametrize("source", ["'\ud83d'", "\ud83d"])
def test_a_script_with_half_a_character_is_told_so_and_nothing_of_the_process(sandbox: Sandbox, source: str) -> None:
    """The binding's own words would name an address in its memory, another one each time."""
    assert run(sandbox, javascript(source)).error == "Error evaluating the script `it holds half a character (a lone surrogate)`"


def test_a_long_error_is_cut(sandbox: Sandbox) -> None:
    assert len(run(sandbox, javascript("throw new Error('x'.repeat(1e6))")).error or "") == 2000


@pytest.mark.parametrize("source", ["let a = {}; a.a = a; a", "let x = []; for (let i = 0; i < 1e5; i++) x = [x]; x"])
def test_a_value_in_itself_or_without_an_end_has_no_json(sandbox: Sandbox, source: str) -> None:
    assert "nested deeper than 200 levels" in (run(sandbox, javascript(source)).error or "")


# --- always the same

CLOCKS = [
    "Date.now()",
    "+new Date()",
    "new Date().getTime()",
    "new (new Date().constructor)().getTime()",
    "new Date().constructor.now()",
    "Date.parse(Date())",
    "class D extends Date {} +new D()",
    "Reflect.construct(Date, []).getTime()",
    "Object.getPrototypeOf(new Date()).constructor.now()",
]


@pytest.mark.parametrize("source", CLOCKS)
def test_the_clock_stands_where_it_was_put(sandbox: Sandbox, source: str) -> None:
    assert run(sandbox, javascript(source)).value == NOW_MS
    assert run(sandbox, javascript(source, now_ms=1_000_000_000_000)).value == 1_000_000_000_000


def test_other_moments_are_as_they_are(sandbox: Sandbox) -> None:
    assert run(sandbox, javascript("[new Date(2020, 1, 1).toISOString(), Date.UTC(1970, 0, 2), new Date(5) instanceof Date]")).value == [
        "2020-02-01T00:00:00.000Z",
        86_400_000,
        True,
    ]


def test_chance_comes_from_the_seed(sandbox: Sandbox) -> None:
    source = "Array.from({length: 100}, () => Math.random())"
    first, again, other = (run(sandbox, javascript(source, seed=seed)).value for seed in ("a", "a", "b"))
    assert first == again != other
    assert len(set(first)) == 100
    assert all(0 <= number < 1 for number in first)
    assert 0.3 < sum(first) / 100 < 0.7


def test_nothing_else_tells_one_run_from_another(sandbox: Sandbox) -> None:
    names = "['performance', 'WeakRef', 'FinalizationRegistry', 'Atomics', 'SharedArrayBuffer'].filter(name => name in globalThis)"
    assert run(sandbox, javascript(names)).value == []


# --- and for itself


def test_there_is_nothing_of_a_host(sandbox: Sandbox) -> None:
    names = [
        "console",
        "print",
        "process",
        "require",
        "std",
        "os",
        "load",
        "fetch",
        "setTimeout",
        "Java",
        "Polyglot",
        "scriptArgs",
        "bjson",
    ]
    assert run(sandbox, javascript("$.names.filter(name => name in globalThis)", {"names": names})).value == []


@pytest.mark.parametrize("source", ["import('os')", "import('/etc/passwd')"])
def test_there_are_no_modules(sandbox: Sandbox, source: str) -> None:
    caught = f"let said = {{}}; {source}.then(() => said.loaded = true, () => said.refused = true); said"
    assert "loaded" not in run(sandbox, javascript(caught)).value
    assert run(sandbox, javascript("import os from 'os'")).error is not None


@pytest.mark.parametrize(
    "trick",
    [
        "Object.prototype.polluted = 1",
        "Array.prototype.map = Array.prototype.toJSON = null",
        "JSON.stringify = JSON.parse = () => '666'",
        "Object.keys = Array.isArray = String = Error = eval = null",
        "Object.defineProperty(Object.prototype, 'length', {get() { throw 1 }})",
        "String.prototype.toString = Number.prototype.toString = () => 666",
        "globalThis.$ = 666; Date.now = () => 666; Math.random = () => 666",
        "Object.freeze(globalThis); Object.prototype.then = resolve => resolve(666)",
        "globalThis.__defineSetter__('$', () => { throw 1 })",
        "Error.prepareStackTrace = () => { throw 1 }; Error.stackTraceLimit = 0",
        "Object.setPrototypeOf(Array.prototype, new Proxy({}, {get() { throw 1 }}))",
    ],
)
def test_what_a_script_does_to_the_language_ends_with_it(sandbox: Sandbox, trick: str) -> None:
    pid = [process.pid for process in sandbox._idle]
    run(sandbox, javascript(f"{trick}; 1"))
    source = "[[1, 2].map(x => x * $.a), ({}).polluted, JSON.stringify({a: Object.keys($).length}), Date.now(), String(5)]"
    assert run(sandbox, javascript(source, GIVEN)).value == [[1, 2], None, '{"a":3}', NOW_MS, "5"]
    assert [process.pid for process in sandbox._idle] == pid


@pytest.mark.parametrize(
    ("trick", "value"),
    [
        ("Array.prototype.toJSON = Object.prototype.toJSON = () => 666; [1]", [1]),
        ("JSON.stringify = () => '666'; 'a'", "a"),
        ("Object.keys = () => ['x']; ({a: 1})", {"a": 1}),
        ("Array.isArray = () => true; ({a: 1})", {"a": 1}),
        ("String = () => '666'; 5", 5),
    ],
)
def test_what_a_script_does_to_the_language_does_not_change_how_its_value_is_read(sandbox: Sandbox, trick: str, value: Any) -> None:
    assert run(sandbox, javascript(trick)).value == value
