"""HTTP workers' polls: Conductor clients of any language take tasks through the API.

The poll receives from the same queue as the SDK does, records that the worker holds the task, deletes the message, and
only then answers. A task that was handed out comes back when its response timeout, or the lease where it has none, is
over. A task that an SDK worker has begun is taken all the same: its message is here, so that worker has lost its lease or
handed it back, and the news may still be on its way.

The message would bring a crashed poll back, but not surely to another poll: an SDK worker on the same queue may
finish the task and delete it. So a timer that the poll arms has a guard, as with every API call (found by the simulator).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batuta_core.decider import view
from batuta_core.decider.known import Known
from batuta_core.engine import operate, priority, timers, wire
from batuta_core.engine.fetch import graph_of, open_nodes, read_records
from batuta_core.engine.fold import begun
from batuta_core.engine.ports import Incoming, Outgoing, PollData, Ports, QueueMissing
from batuta_core.engine.query import ANSWER_MAX_BYTES
from batuta_core.engine.resolver import Resolver
from batuta_core.model.error import BatutaError, NewerSchema, RecordTooLarge, Unavailable, WorkflowNotFound
from batuta_core.model.event import Event, TaskHandedBack, TaskStarted
from batuta_core.model.ids import short_hash
from batuta_core.model.message import InboxMessage, NotOurs, TaskEnvelope, TaskMessage
from batuta_core.model.names import ExecutionId, is_priority_queue, task_queue_name
from batuta_core.model.payload import PayloadRef
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import OpenTask, Record

_Group = list[tuple[Incoming, TaskMessage]]  # of one execution

SQS_BATCH_MAX = 10  # quota "messages per receive"
SQS_WAIT_MAX_S = 20  # quota "long poll"


def poll(
    ports: Ports, namespace: str, task_type: str, *, worker_id: str, domain: str = "", count: int = 1, timeout_ms: int = 100
) -> list[dict[str, Any]]:
    """Up to ``count`` tasks in Conductor's JSON. Waits up to ``timeout_ms`` for the first and does not hold back a batch
    that is partly filled. A task type that nobody registered has no tasks."""
    queue = task_queue_name(ports.stage, namespace, task_type, domain)
    ports.definitions.note_poll(namespace, PollData(task_type, domain, worker_id, ports.clock.now_ms()))
    end_ms = ports.clock.now_ms() + timeout_ms
    taken: list[dict[str, Any]] = []
    room = ANSWER_MAX_BYTES
    while len(taken) < count:
        left_ms = 0 if taken else max(end_ms - ports.clock.now_ms(), 0)
        try:
            wait_s = min(round(left_ms / 1000), SQS_WAIT_MAX_S)
            received = priority.receive(ports, queue, min(count - len(taken), SQS_BATCH_MAX), wait_s)
        except QueueMissing:
            return taken
        except Unavailable:
            if not taken:
                raise
            return taken  # these are committed as this worker's
        before = len(taken)
        fitting = _fitting(received, room, is_first=not taken)
        room -= sum(_input_bytes(message) for _source, message in fitting)
        for (source, _execution), group in _by_execution(ports, fitting).items():
            try:
                taken += _take(ports, source, group, worker_id)
            except Exception as error:
                if not taken:
                    raise
                # What is taken is committed as this worker's; this comes again.
                ports.log.failed("task_not_taken", error, queue=source, message_id=group[0][0].message_id)
                ports.queues.release(source, [item.receipt for item, _message in group])
        if len(fitting) < len(received):
            _release(ports, received[len(fitting) :])
            return taken
        is_over = ports.clock.now_ms() >= end_ms
        if not received and (taken or is_over or left_ms < 1000):
            break
        if is_over and len(taken) == before:  # a backlog of what has ended since: the next poll goes on with it
            break
    return taken


def _fitting(received: Sequence[tuple[str, Incoming]], room: int, *, is_first: bool) -> Sequence[tuple[str, Incoming]]:
    """The first messages, with which the answer can still be sent: what is taken must be handed out. One always fits into an empty one."""
    for place, (_source, message) in enumerate(received):
        room -= _input_bytes(message)
        if room < 0 and (place or not is_first):
            return received[:place]
    return received


def _release(ports: Ports, received: Sequence[tuple[str, Incoming]]) -> None:
    for queue in dict.fromkeys(queue for queue, _message in received):
        ports.queues.release(queue, [message.receipt for source, message in received if source == queue])


def _input_bytes(received: Incoming) -> int:
    """About how much the task takes in the answer; what is no task takes nothing."""
    try:
        found = TaskMessage.parse(received.text).input
    except (NotOurs, NewerSchema):
        return 0
    return found.size_bytes if isinstance(found, PayloadRef) else len(received.text.encode())


def _by_execution(ports: Ports, received: Sequence[tuple[str, Incoming]]) -> dict[tuple[str, ExecutionId], _Group]:
    """The tasks among the messages, by the queue that they came from, too; the others are dealt with."""
    groups: dict[tuple[str, ExecutionId], _Group] = {}
    for queue, item in received:
        try:
            message = TaskMessage.parse(item.text)
        except NewerSchema:
            _let_wait(ports, item)
        except NotOurs as error:
            ports.log.warning("message_not_ours", queue=queue, message_id=item.message_id, error=str(error))
            ports.queues.delete(queue, [item.receipt])
        else:
            groups.setdefault((queue, message.execution), []).append((item, message))
    return groups


def _take(ports: Ports, queue: str, group: _Group, worker_id: str) -> list[dict[str, Any]]:
    """Records that ``worker_id`` holds the tasks, all of one execution, in one record, and gives their JSON. Messages that have nothing to
    run bring none."""
    execution, receipts = group[0][1].execution, [received.receipt for received, _message in group]
    if any(message.priority for _received, message in group) and not is_priority_queue(queue):
        priority.note(ports, queue)
    op = ports.ids.op()

    def make(newest: Record) -> list[Event]:
        open_ = {task.place: task for task in newest.head.open.values()}
        events: dict[TaskPlace, Event] = {}  # one for each task: SQS may give a message out twice at once
        for received, message in group:
            event = _begin(open_.get(message.place), received, message, op, worker_id)
            if event is not None:
                events.setdefault(message.place, event)
        return list(events.values())

    try:
        newest = operate.operate_together(ports, execution, make)
    except WorkflowNotFound:
        ports.queues.delete(queue, receipts)
        return []
    except RecordTooLarge:
        if len(group) == 1:
            raise
        return [task for item in group for task in _take(ports, queue, [item], worker_id)]
    except BatutaError as error:
        if not error.retryable:
            raise
        ports.queues.release(queue, receipts)
        return []
    begun = [event.place for event in newest.events if isinstance(event, TaskStarted) and event.op == op]
    held = {task.place: task for task in newest.head.open.values()}
    tasks = _shown(ports, execution, newest, [held[place] for place in begun])
    ports.queues.delete(queue, receipts)
    return tasks


def _begin(task: OpenTask | None, received: Incoming, message: TaskMessage, op: str, worker_id: str) -> Event | None:
    if task is None or task.calls != message.call or task.is_leased:
        return None
    if message.is_rated and received.receives > 1:  # another start needs another permit
        return TaskHandedBack(place=message.place, op=op, send=message.send, is_gone=True)
    return TaskStarted(place=message.place, op=op, worker_id=worker_id, is_leased=True)


def _let_wait(ports: Ports, received: Incoming) -> None:
    """A message that this code is too old for comes back when its visibility ends. The receive is told as a hand-back, or five of
    them would look like workers that died."""
    try:
        found = TaskEnvelope.parse(received.text)
    except NotOurs:
        return
    event = TaskHandedBack(place=found.place, op=ports.ids.op(), send=found.send)
    text = InboxMessage(execution=found.execution, event=event, token=found.token, attempt=found.attempt).to_text()
    try:
        ports.queues.send(timers.inbox_queue(ports), [Outgoing(text, group=str(found.execution), dedup=short_hash(text))])
    except BatutaError as error:
        ports.log.warning("message_waits", queue="tasks", message_id=received.message_id, error=str(error))


def _shown(ports: Ports, execution: ExecutionId, newest: Record, held: Sequence[OpenTask]) -> list[dict[str, Any]]:
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    wanted = {1, *(number for task in held for number in (task.place.record, task.place.rerun, task.output_record))} - {0}
    records = {newest.seq: newest, **read_records(ports, execution, wanted - {newest.seq})}
    workflow = begun(execution, records[1], graph)
    workflow.correlation_id = newest.head.about.correlation_id
    reader, resolver = view.Reader(Known(records=records)), Resolver(ports, execution)
    nodes = open_nodes(ports, execution, newest, graph, held)
    return [wire.task_json(view.open_task(task, reader, execution, graph), workflow, nodes[task.ref], resolver) for task in held]
