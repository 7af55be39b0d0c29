"""Users' scripts, run by the sandbox function: one synchronous call of Lambda for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from batuta_core.decider.known import Script, ScriptResult
from batuta_core.model.error import ResourceMissing, Unavailable
from batuta_server.aws.errors import AwsError, to_batuta
from batuta_server.aws.transport import Transport
from batuta_server.sandbox.limits import TIME_S

# On top of what a script may take: a cold start of the function, and of the process in it.
_START_S = 2
_EVENT_MAX_BYTES = 6 * 1024 * 1024  # Lambda quota "invocation payload", synchronous: 6 MB, both ways
_TOO_LARGE = 413
_ANSWER_TOO_LARGE = "Function.ResponseSizeTooLarge"
# How the function ends when it is killed; not how it does when it was deployed wrongly.
_KILLED = frozenset({"Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.Timedout"})


class LambdaScripts:
    """A script that another try of the call runs again has the same value."""

    def __init__(self, transport: Transport, function: str) -> None:
        self._transport = transport
        self._function = function

    def run(self, scripts: Sequence[Script]) -> Sequence[ScriptResult]:
        return [self._run(script) for script in scripts]

    def _run(self, script: Script) -> ScriptResult:
        if len(script.source) + len(script.input) > _EVENT_MAX_BYTES:
            return _too_large("the script and its input have")
        event = {
            "language": script.language.value,
            "source": script.source,
            "input": json.loads(script.input),  # as text in a text it might have twice the size
            "nowMs": script.now_ms,
            "seed": script.seed,
        }
        try:
            answer = self._call(event)
            if answer.get("errorType") in _KILLED:
                answer = self._call(event)
        except AwsError as error:
            if error.http_status == _TOO_LARGE:
                return _too_large("the script and its input have")
            if error.http_status in (403, 404):  # deploying mends both
                raise ResourceMissing(f"running a script in {self._function}: {error}") from error
            raise to_batuta(error, f"running a script in {self._function}") from error
        return self._result(answer)

    def _call(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._transport.call("lambda", self._function, event, wait_s=TIME_S + _START_S)

    def _result(self, answer: Mapping[str, Any]) -> ScriptResult:
        if answer.get("isDone") is True:
            value = json.loads(answer["json"]) if "json" in answer else answer.get("value")
            return ScriptResult(value, answer.get("error"), answer.get("isLate") is True)
        kind, said = answer.get("errorType", ""), f"{answer.get('errorType', '')} {answer.get('errorMessage', '')}"
        if kind == _ANSWER_TOO_LARGE:
            return _too_large("the script's value has")
        if kind in _KILLED:  # twice: it is the script
            return ScriptResult(error=f"the script ended the function that ran it: {said}")
        raise Unavailable(f"{self._function} failed: {said}")


def _too_large(what: str) -> ScriptResult:
    return ScriptResult(error=f"{what} more than {_EVENT_MAX_BYTES} bytes")
