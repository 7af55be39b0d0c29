"""Who answers for the tasks of a workflow under test: functions by task type, given answers by reference name."""

from __future__ import annotations

import asyncio
import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import Enum
from http import HTTPStatus
from typing import Any

from batuta.binding import Binding
from batuta.context import TaskContext, now_ms
from batuta.serializer import to_json
from batuta.task_function import TaskFunction, task_function
from batuta.worker.invoke import Outcome, call, call_async
from batuta.worker.worker import Worker
from batuta_core.model.event import TaskStarted, TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.simulator.rehearsal import Asked

WORKER_ID = "testing"

Workers = Worker | Mapping[str, Callable[..., Any]] | Iterable[Callable[..., Any]]


class Unanswered(Exception):
    """A task is to be run, and the test says nothing of it."""


class Reply(Enum):
    """Answers that are no result. ``HOLD``: nobody does anything, until the test says ``complete`` or ``fail``. ``SILENCE``: a worker takes
    the task and is never heard of again, so that its time-outs decide."""

    HOLD = "hold"
    SILENCE = "silence"


HOLD = Reply.HOLD
SILENCE = Reply.SILENCE


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server answered to an HTTP task. A status of 400 or more fails the attempt, as it does for real."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def outcome(self, task_input: Mapping[str, Any]) -> Outcome:
        phrase = HTTPStatus(self.status).phrase
        body = to_json(self.body)
        if self.status >= 400:
            request = task_input.get("http_request") or task_input
            asked = f'{request.get("method", "GET")} request for "{request.get("uri")}"'
            text = f'java.lang.Exception: {self.status} {phrase} on {asked}: "{body}"'
            return Outcome(status=TaskStatus.FAILED, output={"response": text}, reason=f"Failed to invoke HTTP task due to: {text}")
        headers = {name: list(values) for name, values in self.headers.items()}
        response = {"body": body, "headers": headers, "reasonPhrase": phrase, "statusCode": self.status}
        is_async = task_input.get("asyncComplete") is True
        return Outcome(status=TaskStatus.IN_PROGRESS if is_async else TaskStatus.COMPLETED, output={"response": response})


class Answers:
    """``given`` by reference name: an output, an exception, a function of the task's input, an HttpAnswer, HOLD or SILENCE for every call;
    a list has one for each call. In loops ``pack`` means all iterations, ``pack__2`` the second; ``ship/pack`` is a task of the
    sub-workflow that ``ship`` runs."""

    def __init__(self, workers: Workers, given: Mapping[str, Any]) -> None:
        self.functions = {function.task_type: function for function in functions_of(workers)}
        self._bindings = {name: Binding(function.function, function.shown_name) for name, function in self.functions.items()}
        self._given = given
        self._calls: dict[str, int] = defaultdict(int)
        self._done: set[str] = set()  # tasks that are no work and were answered: each once
        self._held: set[str] = set()
        self._ops = 0

    def check(self, refs: Iterable[str]) -> None:
        """Raises ValueError for an answer whose name is none of ``refs``."""
        known = sorted(refs)
        for name in self._given:
            ref = name.rpartition("/")[2]
            if ref not in known and ref.rpartition("__")[0] not in known:
                close = difflib.get_close_matches(ref, known, 1)
                hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(known)}."
                raise ValueError(f"answers names '{name}', which no task has as its reference name: {hint}")

    def is_held(self, asked: Asked) -> bool:
        """Whether only the test can go on with it."""
        if asked.is_work:
            return asked.message.task_id in self._held
        return not asked.due_ms and not asked.has_child

    def give(self, asked: Asked, task_input: Any, at_ms: int) -> TaskUpdated | TaskStarted | None:
        """None: nothing happens to it now. Raises Unanswered."""
        if (asked.is_work and asked.due_ms > at_ms) or asked.message.task_id in self._done | self._held:
            return None
        name = next((name for name in asked.names if name in self._given), None)
        if name is None and asked.message.task_type not in self.functions:
            if asked.is_work:
                raise Unanswered(_unanswered(asked))
            return None
        if name is None:
            function = self.functions[asked.message.task_type]
            outcome = _run(function, self._bindings[function.task_type], task_input, asked)
        else:
            answer = self._next(name, asked)
            if answer is HOLD:
                self._held.add(asked.message.task_id)
                return None
            if answer is SILENCE:
                return self._taken(asked)
            outcome = _outcome_of(answer, task_input, asked)
        if not asked.is_work:
            self._done.add(asked.message.task_id)
        return self._updated(asked, outcome, at_ms)

    def _next(self, name: str, asked: Asked) -> Any:
        answer = self._given[name]
        if not isinstance(answer, list):
            return answer
        self._calls[name] += 1
        if self._calls[name] > len(answer):
            raise Unanswered(
                f"answers['{name}'] has {len(answer)} answers, and attempt {asked.message.attempt} of task '{asked.message.ref}' is call "
                f"{self._calls[name]}: add one, or give a single answer (no list) for all calls."
            )
        return answer[self._calls[name] - 1]

    def _op(self) -> str:
        self._ops += 1
        return f"answer{self._ops}"

    def _taken(self, asked: Asked) -> TaskStarted:
        return TaskStarted(place=asked.message.place, op=self._op(), worker_id=WORKER_ID, is_leased=True)

    def _updated(self, asked: Asked, outcome: Outcome, at_ms: int) -> TaskUpdated:
        return TaskUpdated(
            place=asked.message.place,
            status=outcome.status,
            op=self._op(),
            output=outcome.output or {},
            reason=outcome.reason,
            worker_id=WORKER_ID if asked.kind.is_worker else None,
            callback_after_s=outcome.callback_after_s,
            started_ms=at_ms if asked.is_work else 0,
            call=asked.message.call,
            logs=tuple({"log": line.text, "createdTime": at_ms} for line in outcome.log),
        )


def functions_of(workers: Workers) -> list[TaskFunction]:
    """Raises TypeError for a function without @task that has no type beside it."""
    if isinstance(workers, Worker):
        return [offer.function for offer in workers._offers]
    if isinstance(workers, Mapping):
        return [_typed(task_type, function) for task_type, function in workers.items()]
    return [task_function(function) for function in workers]


def _typed(task_type: str, function: Callable[..., Any]) -> TaskFunction:
    try:
        return replace(task_function(function), task_type=task_type)
    except TypeError:
        return TaskFunction(function=function, task_type=task_type)


def _unanswered(asked: Asked) -> str:
    message = asked.message
    ref = "/".join((*asked.parents, message.ref))
    kind = f"of type {message.task_type}" if asked.kind.is_worker else f"({asked.kind.name})"
    function = f"a function in workers=[...] that serves '{message.task_type}', or " if asked.kind.is_worker else ""
    return (
        f"nobody answers task '{ref}' {kind} of workflow '{message.workflow_name}': give {function}answers={{'{asked.base_ref}': ...}}, "
        f"where testing.HOLD leaves it open. Its input is {message.input}"
    )


def _outcome_of(answer: Any, task_input: Any, asked: Asked) -> Outcome:
    if isinstance(answer, HttpAnswer):
        return answer.outcome(task_input)
    is_error = isinstance(answer, BaseException) or (isinstance(answer, type) and issubclass(answer, BaseException))
    if callable(answer) and not is_error:
        function = _typed(asked.message.task_type, answer)
    else:
        function = _typed(asked.message.task_type, _raising(answer) if is_error else lambda: answer)
    return _run(function, Binding(function.function, function.shown_name), task_input, asked)


def _raising(error: BaseException | type[BaseException]) -> Callable[[], None]:
    def function() -> None:
        raise error

    return function


def _run(function: TaskFunction, binding: Binding, task_input: Any, asked: Asked) -> Outcome:
    """The function's outcome, called as a worker calls it. Its clock is the real one."""
    message = asked.message
    deadline_ms = now_ms() + message.timeout_s * 1000 if message.timeout_s else 0
    context = TaskContext.from_message(message, worker_id=WORKER_ID, deadline_ms=deadline_ms)
    outcome = _called(function, binding, task_input, context)
    return replace(outcome, log=(*context.take_lines(), *outcome.log))


def _called(function: TaskFunction, binding: Binding, task_input: Any, context: TaskContext) -> Outcome:
    if not function.is_async:
        return call(function, binding, task_input, context)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(call_async(function, binding, task_input, context))
    with ThreadPoolExecutor(1) as thread:  # the test itself is a coroutine
        return thread.submit(lambda: asyncio.run(call_async(function, binding, task_input, context))).result()
