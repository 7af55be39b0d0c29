"""Tells the decider: an event, with the task's token, to its queue; what is too large for that, over HTTP.

A result is sent before its message is deleted, and again until it is acknowledged. Repeats are harmless: the queue drops
equal texts, the decider every result after an attempt's first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from batuta import backoff, calls
from batuta.context import LogLine
from batuta.http import Call
from batuta.serializer import size_bytes
from batuta.worker.batcher import Batcher, Refused
from batuta.worker.invoke import Outcome, failed
from batuta.worker.queues import Outgoing
from batuta.worker.timing import Timing
from batuta_core.model.error import BatutaError, TaskNotFound, WorkflowNotFound
from batuta_core.model.event import TaskHandedBack, TaskHeartbeat, TaskStarted, TaskUpdated
from batuta_core.model.ids import short_hash
from batuta_core.model.message import MESSAGE_MAX_BYTES, RESULT_OUTPUT_MAX_BYTES, InboxMessage, TaskEnvelope, TaskMessage
from batuta_core.model.payload import EXTERNAL_MAX_BYTES

logger = logging.getLogger("batuta.worker")

T = TypeVar("T")

LOG_MAX_BYTES = 32 * 1024  # beside an output of 192 KB it leaves a message's limit of 256 KB some room

WorkerEvent = TaskStarted | TaskUpdated | TaskHeartbeat | TaskHandedBack

# Carries out a call in a namespace, from a thread of its own; None: the worker knows no URL.
Http = Callable[[str, Call[Any]], Any]


class Reporter:
    def __init__(self, batcher: Batcher[Outgoing], timing: Timing, worker_id: str, ask: Callable[[str, Call[Any]], Any] | None) -> None:
        self._batcher = batcher
        self._timing = timing
        self._worker_id = worker_id
        self._ask = ask

    async def send(self, message: TaskMessage | TaskEnvelope, event: WorkerEvent) -> None:
        """Returns when the queue has it. Raises Refused."""
        text = InboxMessage(execution=message.execution, event=event, token=message.token, attempt=message.attempt).to_text()
        await self._batcher.put(_outgoing(message, text))

    async def finish(self, message: TaskMessage, outcome: Outcome, started_ms: int) -> None:
        """Reports an outcome, for as long as it takes. Raises Refused when not even its failure can be reported."""
        outcome = replace(outcome, log=_shortened(outcome.log))
        text = self._text(message, outcome, started_ms)
        if outcome.output_bytes > RESULT_OUTPUT_MAX_BYTES or size_bytes(text) > MESSAGE_MAX_BYTES:
            refused = await self._post(message, outcome)
            if refused is None:
                return
            text = self._text(message, replace(refused, log=outcome.log), started_ms)
        try:
            await self._batcher.put(_outgoing(message, text))
        except Refused as refusal:
            logger.error("the result of task %s was refused by the queue: %s", message.task_id, refusal)
            text = self._text(message, failed(f"its result was refused by the queue: {refusal}", is_final=True), started_ms)
            await self._batcher.put(_outgoing(message, text))

    def _text(self, message: TaskMessage, outcome: Outcome, started_ms: int) -> str:
        event = TaskUpdated(
            place=message.place,
            status=outcome.status,
            output=outcome.output,
            reason=outcome.reason,
            worker_id=self._worker_id,
            callback_after_s=outcome.callback_after_s,
            started_ms=started_ms,
            call=message.call,
            logs=tuple({"log": line.text, "createdTime": line.at_ms} for line in outcome.log),
        )
        return InboxMessage(execution=message.execution, event=event, token=message.token, attempt=message.attempt).to_text()

    # --- over HTTP

    async def _post(self, message: TaskMessage, outcome: Outcome) -> Outcome | None:
        """None when the server has it; else what is to be reported in its place."""
        size = outcome.output_bytes
        if size > EXTERNAL_MAX_BYTES:
            reason = f"its output has {size} bytes, the limit is {EXTERNAL_MAX_BYTES}: store it elsewhere and return a reference"
            return failed(reason, is_final=True)
        if self._ask is None:
            return failed(
                f"its output has {size} bytes, more than a queue takes, and the worker knows no URL to post it to: "
                "set BATUTA_URL for the worker, or return less",
                is_final=True,
            )
        try:
            await self.ask(message.execution.namespace, calls.report_task(self._task_result(message, outcome), output_bytes=size))
        except (TaskNotFound, WorkflowNotFound):
            logger.info("task %s is gone, and with it the need for its result", message.task_id)
        except BatutaError as error:
            return failed(f"its output of {size} bytes was refused by the server: {error.message} {error.remedy}", is_final=True)
        return None

    async def ask(self, namespace: str, call: Call[T]) -> T:
        """A call to the server, again until it is answered. Raises what is no passing trouble."""
        if self._ask is None:
            raise ValueError("the worker knows no URL")
        failures = 0
        while True:
            try:
                found: T = await self._ask(namespace, call)
                return found
            except BatutaError as error:
                if not error.retryable and error.facts.get("http_status") not in (429, 502, 503, 504):
                    raise
                failures += 1
                logger.warning("the server cannot be asked (try %d): %s", failures, error.message)
            await asyncio.sleep(backoff.delay_s(failures, first_s=self._timing.send_retry_first_s, max_s=self._timing.send_retry_max_s))

    def _task_result(self, message: TaskMessage, outcome: Outcome) -> dict[str, Any]:
        found: dict[str, Any] = {
            "workflowInstanceId": message.execution.workflow_id,
            "taskId": message.task_id,
            "status": outcome.status.value,
            "outputData": outcome.output or {},
            "callbackAfterSeconds": outcome.callback_after_s or 0,
            "workerId": self._worker_id,
            "logs": [{"log": line.text, "taskId": message.task_id, "createdTime": line.at_ms} for line in outcome.log],
        }
        if outcome.reason is not None:
            found["reasonForIncompletion"] = outcome.reason
        return found


def _outgoing(message: TaskMessage | TaskEnvelope, text: str) -> Outgoing:
    return Outgoing(text, group=str(message.execution), dedup=short_hash(message.task_id, text))


def _shortened(lines: tuple[LogLine, ...]) -> tuple[LogLine, ...]:
    """The last lines that fit: what went wrong stands at the end."""
    left_bytes = LOG_MAX_BYTES
    kept: list[LogLine] = []
    for line in reversed(lines):
        left_bytes -= size_bytes(line.text)
        if left_bytes < 0:
            break
        kept.append(line)
    return tuple(reversed(kept))
