"""Calls a task's function and makes an outcome of whatever it does. Nothing that users' code raises gets past here."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

from batuta.binding import Binding
from batuta.context import LOG_LINE_MAX_CHARS, LogLine, TaskContext, now_ms, working_on
from batuta.outcomes import Fatal, InProgress, RetryLater
from batuta.plain_readers import InputMismatch
from batuta.serializer import NotEncodable, dump, size_bytes, to_output
from batuta.task_function import TaskFunction
from batuta_core.model.execution import REASON_MAX_CHARS, TaskStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is reported of one call. ``output`` is plain JSON."""

    status: TaskStatus
    output: dict[str, Any] | None = None
    output_bytes: int = 0
    reason: str | None = None
    callback_after_s: int | None = None
    log: tuple[LogLine, ...] = ()


def failed(reason: str, *, is_final: bool = False) -> Outcome:
    status = TaskStatus.FAILED_WITH_TERMINAL_ERROR if is_final else TaskStatus.FAILED
    return Outcome(status=status, reason=reason[:REASON_MAX_CHARS])


def call(function: TaskFunction, binding: Binding, task_input: Any, context: TaskContext) -> Outcome:
    """Blocks until the function has ended."""
    try:
        positional, named = binding.arguments(task_input, context)
        with working_on(context):
            return _returned(function, function.function(*positional, **named))
    except BaseException as error:  # SystemExit and KeyboardInterrupt, too: no task may end its worker
        return _raised(function, error)


async def call_async(function: TaskFunction, binding: Binding, task_input: Any, context: TaskContext) -> Outcome:
    try:
        positional, named = binding.arguments(task_input, context)
        with working_on(context):
            return _returned(function, await function.function(*positional, **named))
    except BaseException as error:  # CancelledError, too: whoever cancelled knows what the outcome is worth
        return _raised(function, error)


def _returned(function: TaskFunction, value: Any) -> Outcome:
    if isinstance(value, InProgress):
        raise value
    return _with_output(TaskStatus.COMPLETED, value)


def _raised(function: TaskFunction, error: BaseException) -> Outcome:
    try:
        match error:
            case InputMismatch():
                return failed(f"the input does not fit {function.shown_name}: {error}", is_final=True)
            case InProgress():
                return _with_output(TaskStatus.IN_PROGRESS, error.output, callback_after_s=error.callback_after_s)
            case RetryLater(delay_s=None):
                return failed(error.reason or "to be retried")
            case RetryLater():
                return _with_output(TaskStatus.IN_PROGRESS, None, reason=error.reason or None, callback_after_s=error.delay_s)
            case Fatal():
                return _with_output(TaskStatus.FAILED_WITH_TERMINAL_ERROR, error.output, reason=error.reason)
            case NotEncodable():
                return failed(f"the result of {function.shown_name} cannot be sent: {error}", is_final=True)
    except NotEncodable as refused:  # the output beside a reason
        return failed(f"the result of {function.shown_name} cannot be sent: {refused}", is_final=True)
    shown = f"{type(error).__qualname__}: {_text(error)}".removesuffix(": ")
    return Outcome(status=TaskStatus.FAILED, reason=shown[:REASON_MAX_CHARS], log=(_trace(error),))


def _with_output(status: TaskStatus, value: Any, reason: str | None = None, callback_after_s: int | None = None) -> Outcome:
    """Encoded here and now, so that a value that cannot be is this task's failure and nobody else's. Raises NotEncodable."""
    output = to_output(value)
    return Outcome(
        status=status,
        output=output,
        output_bytes=size_bytes(dump(output)),
        reason=None if reason is None else reason[:REASON_MAX_CHARS],
        callback_after_s=callback_after_s,
    )


def _trace(error: BaseException) -> LogLine:
    """From the function's own frame on; the end of it where it is too long."""
    own = error.__traceback__.tb_next if error.__traceback__ is not None else None
    try:
        text = "".join(traceback.format_exception(type(error), error, own))
    except Exception as broken:  # an exception whose __str__ or __repr__ raises
        text = f"{type(error).__qualname__}, whose traceback cannot be shown: {type(broken).__name__}"
    return LogLine(text[-LOG_LINE_MAX_CHARS:], now_ms())


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"(its text cannot be shown: {type(broken).__name__})"
