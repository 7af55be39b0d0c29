"""An HTTP task from its input to its result, in the shapes and words of Conductor (reference 4.18; recorded)."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batuta_core.model.execution import TaskStatus
from batuta_core.model.lenient import DEPTH_MAX, is_too_deep
from batuta_core.model.message import RESULT_OUTPUT_MAX_BYTES
from batuta_server.http.call import BODY_MAX_BYTES, CALL_MAX_S, Answer, CallFailed, perform
from batuta_server.http.egress import Egress
from batuta_server.http.request import BadRequest, request_of

_DEPTH_MAX = DEPTH_MAX - 10  # the body's own levels: the report, and what a workflow makes of it, put some around them
_ERROR_BODY_MAX_CHARS = 10_000  # of an error's body that are kept in its text
# A megabyte of small lists is 32 MB of objects until it is found too large; ten requests of a batch share 256 MB.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Outcome:
    status: TaskStatus
    output: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None


def outcome_of(task_input: Mapping[str, Any], egress: Egress, max_s: float = CALL_MAX_S) -> Outcome:
    """Makes the request. Whatever comes of it is an outcome."""
    try:
        request = request_of(task_input)
    except BadRequest as error:
        return Outcome(TaskStatus.FAILED, {}, str(error))
    try:
        answer = perform(request, egress, max_s)
    except CallFailed as error:
        return _failed(str(error), TaskStatus.FAILED_WITH_TERMINAL_ERROR if error.is_final else TaskStatus.FAILED)
    if answer.status >= 400:
        return _failed(_refusal(answer))
    if len(answer.body) > BODY_MAX_BYTES:
        return _too_large(answer)
    with _one_at_a_time:
        output = _output(answer)
    if output is None:
        return _too_large(answer)
    if not 200 <= answer.status < 300:
        shown = output["response"]["body"]
        return Outcome(TaskStatus.FAILED, output, "No response from the remote service" if shown is None else _as_text(shown))
    if task_input.get("asyncComplete") is True:
        return Outcome(TaskStatus.IN_PROGRESS, output)
    return Outcome(TaskStatus.COMPLETED, output)


def _output(answer: Answer) -> dict[str, Any] | None:
    """None: it is too large to be reported."""
    response = {
        "body": _body(answer),
        "headers": answer.headers,
        "reasonPhrase": answer.phrase,
        "statusCode": answer.status,
    }
    output = {"response": response}
    size = len(json.dumps(output, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return output if size <= RESULT_OUTPUT_MAX_BYTES else None


def _failed(text: str, status: TaskStatus = TaskStatus.FAILED) -> Outcome:
    text = f"java.lang.Exception: {text}"
    return Outcome(status, {"response": text}, f"Failed to invoke HTTP task due to: {text}")


def _too_large(answer: Answer) -> Outcome:
    """What was done was done, so it is not done again for the same answer."""
    text = f"the answer is larger than {RESULT_OUTPUT_MAX_BYTES} bytes, the most that an HTTP task takes"
    return _failed(f'{text}: {answer.method} request for "{answer.url.shown}"', TaskStatus.FAILED_WITH_TERMINAL_ERROR)


def _refusal(answer: Answer) -> str:
    """As Spring's client says it."""
    begin = _text_of(answer)[: 2 * _ERROR_BODY_MAX_CHARS + 2].replace("\r\n", "\n")
    text = "".join(char if char.isprintable() else "<EOL>" if char == "\n" else "?" for char in begin)
    cut = text if len(text) <= _ERROR_BODY_MAX_CHARS else f"{text[:_ERROR_BODY_MAX_CHARS]}..."
    shown = f'"{cut}"' if answer.body else "[no body]"
    return f'{answer.status} {answer.phrase} on {answer.method} request for "{answer.url.shown}": {shown}'


def _text_of(answer: Answer) -> str:
    try:
        return answer.body.decode("utf-8")
    except UnicodeDecodeError:
        return answer.body.decode("latin-1")


def _body(answer: Answer) -> Any:
    """JSON objects and arrays as such, a bare number as a double, what else is bare JSON as its text, anything else as it came."""
    if not answer.body:
        return None
    text = _text_of(answer)
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, (dict, list)):
        return text if is_too_deep(value, _DEPTH_MAX) else value
    return _as_text(value) if value is None or isinstance(value, (bool, str)) else _double(value, text)


def _double(value: float, text: str) -> float | str:
    try:
        return float(value)
    except OverflowError:
        return text


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _finite(text: str) -> float:
    value = float(text)
    return value if value - value == 0 else _refuse(text)  # infinity less itself is no number


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no number that journals hold")
