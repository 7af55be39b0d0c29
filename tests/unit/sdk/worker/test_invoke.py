"""What becomes of whatever a function does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from batuta import Fatal, InProgress, RetryLater, TaskContext, current_task, task
from batuta.binding import Binding
from batuta.context import LOG_LINE_MAX_CHARS
from batuta.task_function import task_function
from batuta.worker.invoke import Outcome, call, call_async
from batuta_core.model.execution import TaskStatus


@dataclass
class Receipt:
    number: int
    amount: Decimal


def outcome(function: Callable[..., Any], task_input: Any = None, context: TaskContext | None = None) -> Outcome:
    marked = task_function(task("t")(function))
    binding = Binding(function, marked.shown_name)
    arguments = (marked, binding, {} if task_input is None else task_input, context or TaskContext())
    return asyncio.run(call_async(*arguments)) if marked.is_async else call(*arguments)


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (None, {}),
        ({"a": Decimal("1.5")}, {"a": "1.5"}),
        (Receipt(1, Decimal(2)), {"number": 1, "amount": "2"}),
        ([1, 2], {"result": [1, 2]}),
        ("text", {"result": "text"}),
        (False, {"result": False}),
    ],
)
def test_results(value: Any, output: dict[str, Any]) -> None:
    def plain() -> Any:
        return value

    async def coroutine() -> Any:
        return value

    for function in (plain, coroutine):
        found = outcome(function)
        assert (found.status, found.output, found.reason, found.log) == (TaskStatus.COMPLETED, output, None, ())
        assert found.output_bytes > 0


def raising(error: BaseException) -> Callable[[], Any]:
    def function() -> None:
        raise error

    return function


def test_exceptions_are_failed_attempts_with_type_message_and_traceback() -> None:
    found = outcome(raising(ValueError("card expired")))
    assert (found.status, found.reason) == (TaskStatus.FAILED, "ValueError: card expired")
    assert "in function" in found.log[0].text
    assert "batuta/worker/invoke.py" not in found.log[0].text
    assert outcome(raising(KeyError())).reason == "KeyError"


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError("inner"), MemoryError()])
def test_nothing_that_a_function_raises_gets_past(error: BaseException) -> None:
    async def coroutine() -> None:
        raise error

    for function in (raising(error), coroutine):
        found = outcome(function)
        assert found.status is TaskStatus.FAILED
        assert (found.reason or "").startswith(type(error).__name__)


def test_stop_iteration_does_not_break_the_call() -> None:
    assert (outcome(raising(StopIteration(5))).reason or "").startswith("StopIteration")


def test_outcomes_that_are_raised() -> None:
    found = outcome(raising(Fatal("stolen card", {"a": 1})))
    assert (found.status, found.reason, found.output) == (TaskStatus.FAILED_WITH_TERMINAL_ERROR, "stolen card", {"a": 1})
    found = outcome(raising(RetryLater("busy")))
    assert (found.status, found.reason, found.callback_after_s) == (TaskStatus.FAILED, "busy", None)
    assert outcome(raising(RetryLater())).reason == "to be retried"
    found = outcome(raising(RetryLater("busy", delay_s=30)))
    assert (found.status, found.reason, found.callback_after_s) == (TaskStatus.IN_PROGRESS, "busy", 30)
    for function in (raising(InProgress(5, {"page": 3})), lambda: InProgress(5, {"page": 3})):
        found = outcome(function)
        assert (found.status, found.callback_after_s, found.output, found.reason) == (TaskStatus.IN_PROGRESS, 5, {"page": 3}, None)


def test_an_input_that_does_not_fit_is_not_retried_and_names_the_field() -> None:
    def charge(order_id: str, amount: Decimal) -> None:
        raise AssertionError("called")

    found = outcome(charge, {"order_id": 5})
    assert found.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
    assert found.reason is not None
    assert found.reason.endswith("charge: order_id: must be text, not 5; amount: is missing")


def test_a_result_that_cannot_be_sent_fails_this_task_and_is_not_retried() -> None:
    for value in (float("nan"), {"x": object()}, {1, object()}):
        found = outcome(lambda value=value: value)
        assert found.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
        assert "cannot be sent" in (found.reason or "")
    for error in (Fatal("no", object()), InProgress(1, object())):
        assert "cannot be sent" in (outcome(raising(error)).reason or "")


def test_a_coroutine_from_a_plain_function_is_no_result() -> None:
    async def inner() -> int:
        return 1

    made: list[Any] = []

    def forgot() -> Any:
        made.append(inner())
        return made[0]

    found = outcome(forgot)
    assert "coroutine has no JSON form" in (found.reason or "")
    made[0].close()


def test_reasons_and_traces_are_cut() -> None:
    found = outcome(raising(ValueError("x" * 100_000)))
    assert len(found.reason or "") == 500
    assert len(found.log[0].text) == LOG_LINE_MAX_CHARS
    assert len(outcome(raising(Fatal("y" * 1000))).reason or "") == 500


def test_exceptions_that_cannot_be_shown_are_failures_all_the_same() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    found = outcome(raising(Broken()))
    assert found.status is TaskStatus.FAILED
    assert "cannot be shown" in (found.reason or "")


def test_the_current_task_is_known_inside_and_only_there() -> None:
    context = TaskContext(ref="pay")

    async def coroutine() -> str:
        await asyncio.sleep(0)
        return current_task().ref

    assert outcome(lambda: current_task().ref, context=context).output == {"result": "pay"}
    assert outcome(coroutine, context=context).output == {"result": "pay"}
    with pytest.raises(LookupError, match="outside a task"):
        current_task()
