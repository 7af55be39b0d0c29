"""The port ``Scripts``: the real processes, asked here, and asked through the function and Lambda's API."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from batuta_core.decider.known import Language, Script
from batuta_core.engine.ports import Scripts
from batuta_server.aws.scripts import LambdaScripts
from batuta_server.aws.transport import Transport
from batuta_server.sandbox.handler import make_handler
from batuta_server.sandbox.runner import Sandbox
from tests.simulation.scripts import ENDLESS, MEMO
from tests.unit.functions.aws.scripted import CREDENTIALS, Deed, Request, ScriptedServer


def script(source: str, given: object = None, language: Language = Language.JAVASCRIPT, now_ms: int = 0, seed: str = "") -> Script:
    return Script(language, source, json.dumps(given), now_ms, seed)


@pytest.fixture(params=["here", "in the function", "in the simulation"])
def scripts(request: pytest.FixtureRequest) -> Iterator[Scripts]:
    sandbox = Sandbox()
    if request.param == "here":
        yield sandbox
    elif request.param == "in the simulation":
        yield MEMO
    else:
        handler = make_handler(sandbox)

        def invoke(called: Request) -> Deed:
            return 200, json.loads(json.dumps(handler(called.body, None)))

        with ScriptedServer(invoke) as server:
            transport = Transport("eu-west-1", CREDENTIALS, {"lambda": server.url})
            yield LambdaScripts(transport, "batuta-test--sandbox")
            transport.close()
    sandbox.close()


def test_a_result_for_each_in_order(scripts: Scripts) -> None:
    asked = [script("$.n + 1", {"n": 1}), script("nope"), script(".n", {"n": 2}, Language.JQ), script(".[", None, Language.JQ), script("3")]
    found = scripts.run(asked)
    assert [result.value for result in found] == [2, None, [2], None, 3]
    assert [result.error is None for result in found] == [True, False, True, False, True]
    assert not any(result.is_late for result in found)
    assert scripts.run([]) == []


def test_values_come_through_unchanged(scripts: Scripts) -> None:
    value = {"a": [1, 1.5, None, True, "ä😀\ud83d", "", -7], "": {}, "__proto__": [], "deep": [[[[]]]], "large": 9007199254740992}
    (result,) = scripts.run([script("$", value)])
    assert result.value == value
    kept = {**value, "a": value["a"][:4], "long": 9007199254740993}  # type: ignore[index]
    assert scripts.run([script(".", kept, Language.JQ)])[0].value == [kept]


def test_the_same_script_has_the_same_value(scripts: Scripts) -> None:
    asked = script("[Date.now(), Math.random()]", now_ms=1_764_000_000_000, seed="a")
    (first,), (second,) = scripts.run([asked]), scripts.run([asked])
    assert first == second
    assert first.value[0] == 1_764_000_000_000


def test_one_that_takes_too_long_is_late_and_the_next_one_is_not(scripts: Scripts) -> None:
    late, fine = scripts.run([script(ENDLESS), script("1")])
    assert (late.is_late, late.error) == (True, "Script not evaluated within 4 seconds, interrupted.")
    assert fine.value == 1
