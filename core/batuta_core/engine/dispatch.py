"""Carries out the commands of a committed record: task messages, other executions, timers, the failure workflow, the summary, the purge.

At least once: a crash in between is followed by the same again. Receivers drop repeats by id.
The summary comes last: where an API call's guard watches over the record, the summary also says that this is done.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from batuta_core.decider import lives
from batuta_core.decider.compile import Graph, Node
from batuta_core.decider.view import task_input_in
from batuta_core.engine import child, limits, priority, segments, timers, to_gates
from batuta_core.engine.failure import started_by_failure
from batuta_core.engine.fetch import dump_json, graph_of, open_nodes, raw_of, read_payload, read_records
from batuta_core.engine.ports import Outgoing, Ports, QueueMissing, Summary
from batuta_core.model import ids
from batuta_core.model.command import (
    ArmTimer,
    ChildCommand,
    Command,
    EnqueueTask,
    Purge,
    ReturnPermit,
    StartChild,
    StartFailureWorkflow,
    WriteSummary,
)
from batuta_core.model.event import TaskUndeliverable
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.gate import TaskEntered, order_ms
from batuta_core.model.message import MESSAGE_MAX_BYTES, TASK_INPUT_MAX_BYTES, InboxMessage, TaskMessage, WantedQueue
from batuta_core.model.names import ExecutionId, is_segment, resource_name, task_queue_name
from batuta_core.model.payload import Assembled, PayloadRef
from batuta_core.model.record import Head, OpenTask, Record


def open_commands(head: Head) -> tuple[Command, ...]:
    """What ``head`` still relies on: dispatched again whenever it is not certain that it was."""
    tasks = [EnqueueTask(place=task.place, ref=task.ref, due_ms=task.due_ms) for task in head.open.values() if _is_queued(task)]
    children = [StartChild(place=task.place, ref=task.ref, definition=task.child) for task in head.open.values() if task.child]
    timer = [ArmTimer(timer=head.mark.timer, due_ms=head.mark.due_ms)] if head.mark else []
    last = head.last if head.last and head.status.is_terminal else (*head.last, WriteSummary())
    return (*tasks, *children, *head.stops, *lives.revival(head), *head.returned, *timer, *last)


def before_new_life(ports: Ports, execution: ExecutionId, newest: Record | None, record: Record) -> None:
    """The failure workflow of a life that has ended is started before ``record`` begins the next: whoever ended it may have died before,
    and it is told of the execution as it ended. The new head need not remember it."""
    if newest is not None and record.head.life == record.seq:
        dispatch(ports, execution, newest, [command for command in newest.head.last if isinstance(command, StartFailureWorkflow)])


def _is_queued(task: OpenTask) -> bool:
    return task.status is TaskStatus.SCHEDULED and task.sent_ms > 0


def dispatch(
    ports: Ports,
    execution: ExecutionId,
    newest: Record,
    commands: Iterable[Command],
    *,
    is_guarded: bool = False,
    is_again: bool = False,
) -> None:
    """Carries out ``commands`` for the execution that stands at ``newest``; those that it has overtaken are left out.

    ``is_guarded``: ``newest`` is the caller's own record and a guard watches over it, which is told at the end. ``is_again``: messages
    on the task queues are believed to be lost.
    """
    wanted = list(dict.fromkeys(commands))
    tasks = _still_queued(newest, [command for command in wanted if isinstance(command, EnqueueTask)])
    send_tasks(ports, execution, newest, [task for task in tasks if not task.gate])
    returned = [command for command in wanted if isinstance(command, ReturnPermit)]
    _tell_gates(ports, execution, newest, [task for task in tasks if task.gate], returned, is_again=is_again)
    child.send(ports, execution, newest, [command for command in wanted if isinstance(command, ChildCommand)])
    for command in wanted:
        if isinstance(command, ArmTimer) and newest.head.mark and newest.head.mark.timer == command.timer:
            timers.arm(ports, execution, command.timer, command.due_ms)
        elif isinstance(command, StartFailureWorkflow):
            _start_failure_workflow(ports, execution, newest, command)
        elif isinstance(command, Purge):
            _purge(ports, execution, newest)
    if newest.head.status is WorkflowStatus.REMOVED or is_segment(newest.head.definition):  # no segment has a summary
        return
    is_noted = False
    if WriteSummary() in wanted:
        graph = graph_of(ports, execution.namespace, newest.head.definition)
        dispatched = 1 if is_guarded and newest.seq == 1 else 0
        is_noted = ports.summaries.write(summary_of(execution, newest, graph, dispatched)) and dispatched > 0
    if is_guarded and not is_noted:
        ports.summaries.note_dispatched(execution, newest.seq, after=newest.head.guards[0])


# --- tasks


def _still_queued(newest: Record, commands: Sequence[EnqueueTask]) -> list[OpenTask]:
    open_ = newest.head.open
    tasks = [open_[command.ref] for command in commands if command.ref in open_ and open_[command.ref].place == command.place]
    return [task for task in tasks if _is_queued(task)]


def _tell_gates(
    ports: Ports, execution: ExecutionId, newest: Record, tasks: Sequence[OpenTask], returned: Sequence[ReturnPermit], *, is_again: bool
) -> None:
    """Tasks whose type has limits go to its gate, which sends them when it is their turn; and permits go back."""
    if not tasks and not returned:
        return
    outgoing = to_gates.returning(ports, execution, returned)
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    nodes = open_nodes(ports, execution, newest, graph, tasks)
    for task in tasks:
        entered = TaskEntered(
            gate=task.gate,
            place=task.place,
            send=task.sends,
            order_ms=order_ms(task.sent_ms, newest.head.about.priority),
            limits=nodes[task.ref].definition.limits,
            is_again=is_again,
        )
        outgoing.append(to_gates.to_gate(ports, execution, entered, ports.ids.op() if is_again else ""))
    ports.queues.send(timers.inbox_queue(ports), outgoing)
    if newest.head.returned and set(newest.head.returned) <= set(returned):
        ports.cache.returned.put((execution, newest.seq), True)


def send_tasks(ports: Ports, execution: ExecutionId, newest: Record, tasks: Sequence[OpenTask], *, is_rated: bool = False) -> None:
    """Puts tasks that are open and SCHEDULED in ``newest`` on their queues. ``is_rated``: their type has a limit on starts."""
    if not tasks:
        return
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    records = {newest.seq: newest}
    records.update(read_records(ports, execution, {task.place.rerun or task.place.record for task in tasks} - {newest.seq}))
    now_ms = ports.clock.now_ms()
    nodes = open_nodes(ports, execution, newest, graph, tasks)
    queues: dict[str, list[tuple[OpenTask, Outgoing]]] = defaultdict(list)
    limited = limits.limited_now(ports, execution.namespace, {nodes[task.ref].shown_name for task in tasks if not task.gate}, graph)
    if waiting := [(nodes[task.ref].shown_name, task) for task in tasks if not task.gate and nodes[task.ref].shown_name in limited]:
        limits.tell_limited(ports, execution, waiting)
        tasks = [task for task in tasks if task.gate or nodes[task.ref].shown_name not in limited]
    for task in tasks:
        node = nodes[task.ref]
        scheduled = records[task.place.rerun or task.place.record]
        message = task_message(ports, execution, newest.head, graph, node, task, scheduled)
        text = _fitting(ports, replace(message, is_rated=True) if is_rated else message)
        if node.type.system_queue:
            queues[resource_name(ports.stage, node.type.system_queue)].append((task, Outgoing(text)))  # it is due: see timeout.delay_max_ms
            continue
        queue = task_queue_name(ports.stage, execution.namespace, node.queue, task.domain)
        delay_s = min(max(-(-(task.due_ms - now_ms) // 1000), 0), timers.SQS_DELAY_MAX_S) if task.due_ms else 0
        queues[queue].append((task, Outgoing(text, delay_s=delay_s)))
    for queue, messages in queues.items():
        try:
            _send(ports, execution, newest, queue, nodes, messages)
        except QueueMissing as error:
            missing = [task for task, _outgoing in messages]
            if nodes[missing[0].ref].type.system_queue:
                _refuse(ports, execution, missing, f"no queue for this task type: {error.message}. {error.remedy}")
            else:  # nobody knew the type when the definition was registered, or its queue was deleted since
                timers.want_queues(ports, execution, newest.seq, [_wanted(nodes[task.ref], task) for task in missing])


def _send(
    ports: Ports,
    execution: ExecutionId,
    newest: Record,
    queue: str,
    nodes: Mapping[str, Node],
    messages: Sequence[tuple[OpenTask, Outgoing]],
) -> None:
    """By the execution's priority. Raises QueueMissing."""
    first, node = messages[0][0], nodes[messages[0][0].ref]
    outgoing = [outgoing for _task, outgoing in messages]
    if newest.head.about.priority > 0 and not node.type.system_queue:
        priority.send(ports, execution, newest.seq, queue, _wanted(node, first), outgoing)
    else:
        ports.queues.send(queue, outgoing)


def _wanted(node: Node, task: OpenTask) -> WantedQueue:
    return WantedQueue(node.queue, task.domain, task.place, task.sends)


def _fitting(ports: Ports, message: TaskMessage) -> str:
    """The message's text. What SQS wants escaped can take six times its size; such an input goes by reference."""
    text = message.to_text()
    if len(text) > MESSAGE_MAX_BYTES // 4 and len(text.encode()) > MESSAGE_MAX_BYTES:
        message = replace(message, input=ports.payloads.put(message.execution, dump_json(message.input)))
        text = message.to_text()
    return text


def _refuse(ports: Ports, execution: ExecutionId, tasks: Sequence[OpenTask], reason: str) -> None:
    """What can never be sent is an event of its own: the task fails with the reason."""
    outgoing = []
    for task in tasks:
        event = TaskUndeliverable(place=task.place, op=f"undeliverable-{task.attempt}", reason=reason)
        text = InboxMessage(execution=execution, event=event).to_text(ports.signer)
        outgoing.append(Outgoing(text, group=str(execution), dedup=ids.short_hash(text)))
    ports.queues.send(timers.inbox_queue(ports), outgoing)


def task_message(
    ports: Ports, execution: ExecutionId, head: Head, graph: Graph, node: Node, task: OpenTask, scheduled: Record
) -> TaskMessage:
    """What a worker gets to see of ``task``, which ``scheduled`` scheduled, or made to begin anew."""
    timeouts = node.timeouts
    task_input = task_input_in(scheduled, task.number, task.place)
    if type(task_input) is Assembled:
        task_input = PayloadRef("", len(raw_of(task_input)))  # the worker asks for it, and where the parts are
    elif isinstance(task_input, PayloadRef) and task_input.size_bytes <= TASK_INPUT_MAX_BYTES and not task_input.holes:
        task_input = read_payload(ports, execution, task_input)
    return TaskMessage(
        execution=execution,
        task_id=ids.task_id(execution.workflow_id, *task.place),
        place=task.place,
        token=ports.signer.task_token(execution, task.place, task.attempt),
        ref=task.shown_ref,
        task_type=node.wire_type,
        attempt=task.attempt,
        input={} if task_input is None else task_input,
        workflow_name=graph.name,
        workflow_version=graph.version,
        scheduled_ms=task.scheduled_ms,
        correlation_id=head.about.correlation_id,
        priority=head.about.priority,
        call=task.calls,
        send=task.sends,
        iteration=task.iteration,
        domain=task.domain or None,
        timeout_s=timeouts.task_ms // 1000,
        response_timeout_s=timeouts.response_ms // 1000,
        total_deadline_ms=task.first_scheduled_ms + timeouts.total_ms if timeouts.total_ms else 0,
        started_ms=task.started_ms,
        root=head.about.root,
        task_to_domain=head.about.task_to_domain if node.type.is_told_domains else {},
    )


# --- ended executions


def summary_of(execution: ExecutionId, newest: Record, graph: Graph, dispatched: int) -> Summary:
    head, about = newest.head, newest.head.about
    return Summary(
        execution=execution,
        record=newest.seq,
        dispatched=dispatched,
        status=head.status,
        name=graph.name,
        version=graph.version,
        started_ms=head.created_ms,
        updated_ms=newest.at_ms,
        ended_ms=head.ended_ms,
        correlation_id=about.correlation_id,
        request_id=about.request_id,
        parent_workflow_id=(about.above or about.parent.workflow_id) if about.parent else None,
        trigger=about.trigger,
        priority=about.priority,
        reason=head.reason,
        failed_refs=head.failed_refs,
    )


def _start_failure_workflow(ports: Ports, execution: ExecutionId, newest: Record, command: StartFailureWorkflow) -> None:
    """Sends the start to the decider, as the first event of an execution whose id is derived: a repeat finds it begun."""
    child = ExecutionId(execution.namespace, command.workflow_id)
    event = started_by_failure(ports, execution, newest, command, child)
    if event is None:
        return
    text = InboxMessage(execution=child, event=event).to_text(ports.signer)
    ports.queues.send(timers.inbox_queue(ports), [Outgoing(text, group=str(child), dedup=ids.short_hash(text))])


def _purge(ports: Ports, execution: ExecutionId, newest: Record) -> None:
    if newest.head.has_forked:
        segments.remove(ports, execution)
    ports.payloads.purge(execution)
    ports.logs.purge(execution)
    ports.summaries.delete(execution)
    ports.journal.purge(execution, newest.seq)
