"""The http function: HTTP tasks in, their requests made side by side, a report for each as soon as it is answered.

It has no rights of the engine: like a worker it shows the token that came with a task. A message is given to it once: on AWS, where
it is invoked asynchronously, Lambda tries no event again; on a laptop, the queue gives a message up that comes back. What it did not
report then is a dead letter, and the attempt fails: nobody knows whether the request was made, so the retry policy decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from batuta_core.engine.ports import Incoming, Log, Outgoing, Queues
from batuta_core.model import ids
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import TASK_INPUT_MAX_BYTES, InboxMessage, NotOurs, TaskMessage
from batuta_core.model.payload import PayloadRef
from batuta_server.http.egress import Egress
from batuta_server.http.outcome import Outcome, outcome_of
from batuta_server.incoming import incoming_of

Answer = dict[str, list[dict[str, str]]]
_BATCH_MAX = 10


class NotReported(Exception):
    """Results that could not be sent, or messages that could not be read: they are for the dead letters."""


def make_handler(queues: Queues, inbox: str, egress: Egress, log: Log) -> Callable[[Mapping[str, Any], Any], Answer]:
    """``inbox`` is the decider queue."""

    def run(received: Incoming) -> bool:
        """Whether the message is dealt with."""
        try:
            message = TaskMessage.parse(received.text)
        except NotOurs as error:
            log.warning("message_not_ours", queue="http", message_id=received.message_id, error=str(error))
            return True
        except Exception as error:  # of a newer version: an upgrade is under way
            log.failed("message_waits", error, queue="http", message_id=received.message_id)
            return False
        began_ms = time.time_ns() // 1_000_000
        outcome = _outcome(message, egress, log)
        facts = {"namespace": message.execution.namespace, "workflow_id": message.execution.workflow_id, "task_id": message.task_id}
        try:
            queues.send(inbox, [_report(message, outcome, began_ms)])
        except Exception as error:
            log.failed("result_not_sent", error, **facts)
            return False
        log.info("http", **facts, status=outcome.status.value, ms=time.time_ns() // 1_000_000 - began_ms)
        return True

    def handler(event: Mapping[str, Any], context: Any) -> Answer:
        incoming = incoming_of(event)
        with ThreadPoolExecutor(max_workers=_BATCH_MAX, thread_name_prefix="http") as threads:
            failed = [received.message_id for received, is_done in zip(incoming, threads.map(run, incoming), strict=True) if not is_done]
        if failed:  # raised, since nobody reads what an asynchronous invocation answers
            raise NotReported(f"{len(failed)} of {len(incoming)} messages: {', '.join(failed)}")
        return {"batchItemFailures": []}

    return handler


def _outcome(message: TaskMessage, egress: Egress, log: Log) -> Outcome:
    if isinstance(message.input, PayloadRef):
        reason = f"the input has {message.input.size_bytes} bytes, an HTTP task takes {TASK_INPUT_MAX_BYTES} at most"
        return Outcome(TaskStatus.FAILED_WITH_TERMINAL_ERROR, {}, reason)
    try:
        return outcome_of(message.input if isinstance(message.input, Mapping) else {}, egress)
    except Exception as error:  # of ours: the task must hear of it all the same
        log.failed("http_task_broken", error, task_id=message.task_id)
        return Outcome(TaskStatus.FAILED, {}, f"the request could not be made: {error!r}")


def _report(message: TaskMessage, outcome: Outcome, began_ms: int) -> Outgoing:
    event = TaskUpdated(
        place=message.place,
        status=outcome.status,
        output=dict(outcome.output),
        reason=outcome.reason,
        started_ms=began_ms,
        call=message.call,
    )
    text = InboxMessage(execution=message.execution, event=event, token=message.token, attempt=message.attempt).to_text()
    return Outgoing(text, group=str(message.execution), dedup=ids.short_hash(message.task_id, text))
