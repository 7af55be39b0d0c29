"""The events function's end: EVENT tasks in, their events out to sinks and handlers, and a report of each.

The report comes last: a run that dies before is followed by another, which publishes the same event under the same id. Handlers drop
the repeat (``engine.handle``); what listens to a sink outside gets that id and must do the same, as with any queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from batuta_core.decider.expression.reading import Budget
from batuta_core.decider.expression.text import java_text
from batuta_core.engine import child, timers
from batuta_core.engine.event_ports import SinkRefused, Sinks
from batuta_core.engine.fetch import dump_json, read_payload
from batuta_core.engine.handle import Published, handle
from batuta_core.engine.ports import Incoming, Ports
from batuta_core.model.error import NewerSchema
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.json_text import strict_json
from batuta_core.model.lenient import is_too_deep
from batuta_core.model.message import NotOurs, TaskMessage

CONDUCTOR = "conductor"  # the sink whose events are for handlers
PROVIDERS = ("sqs", "sns", "eventbridge")  # of the sinks outside


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: TaskStatus
    output: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None


def publish_batch(ports: Ports, sinks: Sinks, incoming: Sequence[Incoming]) -> list[str]:
    """Returns the ids of the messages that must come again."""
    return [received.message_id for received in incoming if not publish(ports, sinks, received)]


def publish(ports: Ports, sinks: Sinks, received: Incoming) -> bool:
    """Runs the EVENT task of a message. Whether the message is dealt with."""
    try:
        message = TaskMessage.parse(received.text)
    except NotOurs as error:
        ports.log.warning("message_not_ours", queue="events", message_id=received.message_id, error=str(error))
        return True
    except NewerSchema as error:
        ports.log.warning("message_waits", queue="events", message_id=received.message_id, error=str(error))
        return False
    facts = {"namespace": message.execution.namespace, "workflow_id": message.execution.workflow_id, "task_id": message.task_id}
    try:
        if not ports.signer.is_task_token(message.token, message.execution, message.place, message.attempt):
            ports.log.warning("message_refused", queue="events", message_id=received.message_id, error="no valid token")
            return True
        began_ms = ports.clock.now_ms()
        outcome = _outcome(ports, sinks, message)
        _report(ports, message, outcome, began_ms)
    except Exception as error:  # whatever it is, the event must come again: nothing may be swallowed here
        ports.log.failed("event_not_published", error, **facts)
        return False
    ports.log.info("event", **facts, status=outcome.status.value, sink=outcome.output.get("event_produced"))
    return True


def handle_outside(ports: Ports, namespace: str, event: str, received: Incoming) -> bool:
    """Gives a message of somebody else's queue to the handlers of ``event``. Whether it is dealt with."""
    try:
        payload = strict_json(received.text)
        payload = received.text if is_too_deep(payload) else payload
    except (ValueError, RecursionError):
        payload = received.text
    published = Published(namespace=namespace, name=event, message_id=received.message_id, payload=payload, at_ms=ports.clock.now_ms())
    try:
        handle(ports, published)
    except Exception as error:
        ports.log.failed("event_not_handled", error, namespace=namespace, handler_event=event, message_id=received.message_id)
        return False
    return True


def message_id_of(message: TaskMessage) -> str:
    """What names the event of an EVENT task: the task's id, as in Conductor, and of a rerun, which keeps that, the record that began it."""
    return f"{message.task_id}.{message.place.rerun}" if message.place.rerun else message.task_id


def _outcome(ports: Ports, sinks: Sinks, message: TaskMessage) -> _Outcome:
    task_input = read_payload(ports, message.execution, message.input)
    output = {
        **(task_input if isinstance(task_input, Mapping) else {}),
        "workflowInstanceId": message.execution.workflow_id,
        "workflowType": message.workflow_name,
        "workflowVersion": message.workflow_version,
        "correlationId": message.correlation_id,
        "taskToDomain": dict(message.task_to_domain),
    }
    given = output.get("sink")
    sink = "" if given is None else java_text(given, Budget())
    name = _produced(sink, message)
    if name is None:
        return _Outcome(TaskStatus.FAILED, output, f"Invalid / Unsupported sink specified: {sink}")
    output["event_produced"] = name
    provider, colon, _rest = name.partition(":")
    if provider == CONDUCTOR:
        handle(
            ports,
            Published(
                namespace=message.execution.namespace,
                name=name,
                message_id=message_id_of(message),
                payload=output,
                at_ms=message.scheduled_ms,
            ),
        )
    elif provider not in PROVIDERS or not colon:
        why = f"Unknown queue type {provider}" if colon else f"Illegal event {name}"
        return _Outcome(TaskStatus.FAILED, output, f"Error loading queue:{name}, for task:{message.task_id}, error: {why}")
    else:
        try:
            sinks.publish(name, message_id_of(message), dump_json(output).decode())
        except SinkRefused as error:
            return _Outcome(TaskStatus.FAILED, output, str(error))
    is_async = output.get("asyncComplete") is True
    return _Outcome(TaskStatus.IN_PROGRESS if is_async else TaskStatus.COMPLETED, output)


def _produced(sink: str, message: TaskMessage) -> str | None:
    """The event's name (reference section 4.15); None for a sink that is none."""
    if sink == CONDUCTOR:
        return f"{CONDUCTOR}:{message.workflow_name}:{message.ref}"
    if sink.startswith(f"{CONDUCTOR}:"):
        return f"{CONDUCTOR}:{message.workflow_name}:{sink.replace(f'{CONDUCTOR}:', '')}"
    return None if sink.startswith(CONDUCTOR) or not sink else sink


def _report(ports: Ports, message: TaskMessage, outcome: _Outcome, began_ms: int) -> None:
    """Signed as our own: so the output may go by reference."""

    def updated(output: Any) -> TaskUpdated:
        return TaskUpdated(
            place=message.place,
            status=outcome.status,
            output=output,
            reason=outcome.reason,
            started_ms=began_ms,
            call=message.call,
        )

    outgoing = child.with_payload(ports, message.execution, dict(outcome.output), updated)
    ports.queues.send(timers.inbox_queue(ports), [outgoing])
