"""The sandbox function as the decider sees it: what is the script's fault, and what may be tried again."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.functions.aws.scripted import CREDENTIALS, Deed, ScriptedServer

from batuta_core.decider.known import Language, Script, ScriptResult
from batuta_core.model.error import ResourceMissing, Unavailable
from batuta_server.aws import transport as transport_module
from batuta_server.aws.scripts import LambdaScripts
from batuta_server.aws.transport import Transport

SCRIPT = Script(Language.JQ, ".a", '{"a":"\\ud83d","b":[1.5,9007199254740993]}', 17, "task")
KILLED = (200, {"errorType": "Runtime.ExitError", "errorMessage": "RequestId: 1 Error: Runtime exited with error: signal: killed"})
DONE = (200, {"isDone": True, "value": [1]})


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "_PAUSE_S", 0.001)


def ask(*deeds: Deed, script: Script = SCRIPT) -> tuple[ScriptResult, list[Any]]:
    with ScriptedServer(list(deeds)) as server:
        transport = Transport("eu-west-1", CREDENTIALS, {"lambda": server.url})
        try:
            (result,) = LambdaScripts(transport, "batuta-test--sandbox").run([script])
        finally:
            transport.close()
        assert not any("invocation-type" in request.head.lower() for request in server.requests)  # the value is waited for
        return result, [request.body for request in server.requests]


def test_the_event_has_all_that_a_script_is() -> None:
    result, bodies = ask(DONE)
    assert result == ScriptResult([1])
    given = {"a": "\ud83d", "b": [1.5, 9007199254740993]}
    assert bodies == [{"language": "jq", "source": ".a", "input": given, "nowMs": 17, "seed": "task"}]


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({"isDone": True, "value": None}, ScriptResult(None)),
        ({"isDone": True, "json": '["\\ud83d"]'}, ScriptResult(["\ud83d"])),
        ({"isDone": True, "error": "no", "isLate": False}, ScriptResult(error="no")),
        ({"isDone": True, "error": "late", "isLate": True}, ScriptResult(error="late", is_late=True)),
        ({"errorType": "Function.ResponseSizeTooLarge"}, ScriptResult(error="the script's value has more than 6291456 bytes")),
    ],
)
def test_answers(answer: dict[str, Any], result: ScriptResult) -> None:
    assert ask((200, answer))[0] == result


@pytest.mark.parametrize("failure", [(500, {}), (429, {"message": "Rate Exceeded."}), None])
def test_what_passes_is_tried_again(failure: Deed) -> None:
    result, bodies = ask(failure, DONE)
    assert (result, len(bodies)) == (ScriptResult([1]), 2)


def test_a_function_that_was_killed_is_asked_once_more() -> None:
    assert ask(KILLED, DONE)[0] == ScriptResult([1])
    result, bodies = ask(KILLED, KILLED)
    assert (result.error or "").startswith("the script ended the function that ran it: Runtime.ExitError")
    assert len(bodies) == 2


def test_a_function_that_cannot_start_is_no_fault_of_the_scripts() -> None:
    with pytest.raises(Unavailable, match="ImportModuleError"):
        ask((200, {"errorType": "Runtime.ImportModuleError", "errorMessage": "no module"}))


@pytest.mark.parametrize("status", [403, 404])
def test_what_deploying_mends_is_named(status: int) -> None:
    with pytest.raises(ResourceMissing, match="batuta-test--sandbox"):
        ask((status, {"Message": "not there"}))


def test_what_lambda_does_not_take_is_refused() -> None:
    too_large = ScriptResult(error="the script and its input have more than 6291456 bytes")
    assert ask((413, {"message": "too large"}))[0] == too_large
    result, bodies = ask(DONE, script=SCRIPT._replace(input='"' + "x" * 6_300_000 + '"'))
    assert (result, bodies) == (too_large, [])
