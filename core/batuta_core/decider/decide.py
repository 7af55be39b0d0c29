"""The decider's one entrance. Pure: equal arguments give an equal answer, on any machine, at any time.

Theory of operation. A decision takes the head, applies the events in order, lets the flow run
through everything that needs nobody's help (switches, variables ...) until only outside work is
left, then settles: ends the execution if nothing is open, and sees to it that one timer is armed
for the earliest deadline.

Rules that the rest of the system rests on:

* An event that no longer applies (its task has ended, its timer has been overtaken) changes nothing and is not written:
  repeats are harmless by what they name, not by luck.
* The firing of the timer that the head names always makes a record, so that whoever relied on that timer is refused and
  decides again. Any other timer only shows that time has passed.
* A deadline is looked at when a timer fires, never because some machine's clock says so; the timer proves its own time.
* A head whose mark is overdue by a quarter of an hour arms anew: the last resort.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, assert_never

from batuta_core.decider import lives, on_child, on_task, operations, outcome
from batuta_core.decider.compile import Graph, Node
from batuta_core.decider.known import Known, Missing, Needs
from batuta_core.decider.step import Step
from batuta_core.model.command import Command, WriteSummary
from batuta_core.model.error import PayloadTooLarge
from batuta_core.model.event import (
    NO_TIMER,
    Event,
    QueueMade,
    TaskDeadLettered,
    TaskHandedBack,
    TaskHeartbeat,
    TaskLimited,
    TaskStarted,
    TaskUndeliverable,
    TaskUpdated,
    TimerFired,
    WorkflowBroken,
    WorkflowRemoved,
    WorkflowStarted,
    WorkflowTerminated,
)
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.family_event import ChildBegan, ChildEnded, ChildRevived, StoppedByParent
from batuta_core.model.frozen import dataclass
from batuta_core.model.names import ExecutionId
from batuta_core.model.operation_event import (
    CallbacksReset,
    TaskSkipped,
    VariablesUpdated,
    WorkflowPaused,
    WorkflowRerun,
    WorkflowRestarted,
    WorkflowResumed,
    WorkflowRetried,
)
from batuta_core.model.payload import assembled
from batuta_core.model.record import About, Ended, Head, Mark, Record

MARK_OVERDUE_MS = 15 * 60 * 1000

# Lambda cuts loops through SQS after 16 hops unless told not to (we tell it); this cuts a loop of our own making. What workers
# and users send is no loop, however much it is. One execution's messages are decided one batch after the other, some 20 ms
# each, so a loop reaches 3,000 a minute.
OWN_RECORDS_PER_MINUTE_MAX = 2000
_OWN_EVENTS = (TimerFired, TaskUndeliverable, TaskDeadLettered, QueueMade)


@dataclass(frozen=True, slots=True)
class Decision:
    """``record`` is what the journal will hold next, None when nothing changed. Its commands are to be carried out
    once it is committed."""

    record: Record | None


def decide(
    graph: Graph, execution: ExecutionId, head: Head | None, seq: int, events: Sequence[Event], known: Known, now_ms: int
) -> Decision | Needs:
    """What ``events`` mean for the execution that stands at ``head`` (None: not begun) after record ``seq``."""
    try:
        return _decide(graph, execution, head, seq, events, known, now_ms)
    except Missing as missing:
        return missing.needs


def _decide(
    graph: Graph, execution: ExecutionId, head: Head | None, seq: int, events: Sequence[Event], known: Known, now_ms: int
) -> Decision:
    now_ms = max([now_ms, *(event.due_ms for event in events if isinstance(event, TimerFired))])
    if head is None:
        events = _from_its_start(events)
        step = _begin(graph, execution, events, seq, known, now_ms)
        events = events[1:]
    else:
        step = Step(graph, execution, head, seq + 1, known, now_ms)
    for event in events:
        step.draft.events.append(event)  # before it is applied: its output may be read at once
        if not _apply(step, event):
            step.draft.events.pop()
            continue
        _run(step)
    if not step.draft.events:
        return Decision(None)
    return Decision(_settle(step))


def _from_its_start(events: Sequence[Event]) -> Sequence[Event]:
    """A stop that comes before the start stands in for it."""
    first = events[0]
    if not isinstance(first, StoppedByParent):
        return events
    started = WorkflowStarted(
        op=first.op,
        definition=first.definition,
        name=first.name,
        version=first.version,
        input={},
        correlation_id=first.correlation_id,
        trigger="SUB_WORKFLOW",
        retention_s=first.retention_s,
        parent=first.parent,
    )
    return (started, *events)


def _begin(graph: Graph, execution: ExecutionId, events: Sequence[Event], seq: int, known: Known, now_ms: int) -> Step:
    event = events[0]
    if not isinstance(event, WorkflowStarted):
        raise ValueError(f"an execution begins with {type(event).__name__}")
    about = About(
        correlation_id=event.correlation_id,
        request_id=event.request_id,
        trigger=event.trigger,
        priority=event.priority,
        task_to_domain=event.task_to_domain,
        failed_workflow_id=event.failed_workflow_id,
        retention_s=event.retention_s,
        parent=event.parent,
        depth=event.depth,
        root=event.root,
        above=event.above,
        iteration=event.iteration,
    )
    head = Head(status=WorkflowStatus.RUNNING, definition=graph.hash, created_ms=now_ms, about=about)
    step = Step(graph, execution, head, seq + 1, known, now_ms)
    step.draft.events.append(replace(event, input=assembled(_with_template(step, event))))
    if not any(isinstance(other, StoppedByParent | WorkflowBroken) for other in events[1:]):  # else it ends before it runs
        step.go_to(graph.first)
        _run(step)
    return step


def _with_template(step: Step, event: WorkflowStarted) -> Any:
    """The definition's inputTemplate fills what is absent or null; an empty input stays empty (Conductor, recorded)."""
    template = step.graph.definition["inputTemplate"]
    if not template:
        return event.input
    given = step.reader.payload(event.input)
    if not given:
        return event.input
    return {**given, **{key: value for key, value in template.items() if given.get(key) is None}}


def _apply(step: Step, event: Event) -> bool:
    """Whether the event did something, and so belongs into the record."""
    match event:
        case TimerFired():
            return _on_timer(step, event)
        case WorkflowRemoved():
            if step.status is WorkflowStatus.REMOVED:
                return False
            outcome.remove(step)
            return True
        case WorkflowTerminated():
            return _on_terminated(step, event)
        case WorkflowStarted():
            return False  # a repeat: this execution has begun
        case WorkflowBroken():
            if not step.is_running:
                return False
            outcome.finish(step, WorkflowStatus.FAILED, event.reason, output={}, is_shown=False)  # evaluating these may be what breaks
            return True
        case ChildBegan() | ChildEnded() | ChildRevived():
            return on_child.apply(step, event, len(step.draft.events) - 1)
        case StoppedByParent():
            return on_child.stopped(step, event)
        case TaskStarted() | TaskUpdated() | TaskHeartbeat() | TaskHandedBack() | TaskDeadLettered():
            return step.is_running and on_task.apply(step, event, len(step.draft.events) - 1)
        case TaskUndeliverable() | QueueMade() | TaskLimited():
            return step.is_running and on_task.apply(step, event, len(step.draft.events) - 1)
        case WorkflowPaused() | WorkflowResumed() | WorkflowRetried() | WorkflowRestarted() | WorkflowRerun():
            return operations.apply(step, event)
        case TaskSkipped() | VariablesUpdated() | CallbacksReset():
            return operations.apply(step, event)
        case _:
            assert_never(event)


def _on_terminated(step: Step, event: WorkflowTerminated) -> bool:
    """FAILED and TIMED_OUT executions become TERMINATED too, as in Conductor; the engine refuses the rest at the door."""
    if step.status in (WorkflowStatus.COMPLETED, WorkflowStatus.TERMINATED, WorkflowStatus.REMOVED):
        return False
    outcome.finish(step, WorkflowStatus.TERMINATED, event.reason, is_failure_handled=event.is_failure_workflow_wanted)
    return True


def _on_timer(step: Step, event: TimerFired) -> bool:
    mark = step.before.mark
    is_mark = mark is not None and mark.timer == event.timer
    did = lives.stop_again(step)
    if not step.is_running:
        if is_mark and 0 < _end_of_keeping(step) <= step.now_ms:
            (outcome.purge if step.status is WorkflowStatus.REMOVED else outcome.remove)(step)
        elif did and step.status is WorkflowStatus.REMOVED:
            outcome.bury_again(step)
        return is_mark or did
    if step.is_paused:  # nothing is missed in a pause: its end arms a timer for what is due by then
        return is_mark or did
    did = _miss_workflow_deadline(step) or did
    is_asked = event.timer == NO_TIMER
    for ref in [task.ref for task in step.open.values() if task.deadline_ms and (is_asked or task.deadline_ms <= step.now_ms)]:
        did = (step.is_running and ref in step.open and on_task.miss(step, step.open[ref], is_asked=is_asked)) or did
        _run(step)
    return did or is_mark


def _workflow_deadline(step: Step) -> int:
    if not step.graph.timeout_ms or not step.graph.is_timeout_fatal:
        return 0
    return (step.before.last_retried_ms or step.before.created_ms) + step.graph.timeout_ms


def _miss_workflow_deadline(step: Step) -> bool:
    deadline = _workflow_deadline(step)
    if not deadline or deadline > step.now_ms:
        return False
    configured = step.graph.timeout_ms // 1000
    late = (step.now_ms - deadline) // 1000 + configured
    outcome.finish(
        step,
        WorkflowStatus.TIMED_OUT,
        f"Workflow timed out after {late} seconds. Timeout configured as {configured} seconds. Timeout policy configured to TIME_OUT_WF",
    )
    return True


def _run(step: Step) -> None:
    """Lets the flow go on until only outside work is left, or the next decision has to take over."""
    while step.status is WorkflowStatus.RUNNING and step.may_run_scripts:
        if not step.todo:
            if not _look(step):
                return
            continue
        outcome.begin_next(step)


def _look(step: Step) -> bool:
    """Has the joins and loops look at what has ended since they did: whether one of them went on. Where nothing else is open
    they are asked once more, since what they wait for cannot come any more."""
    if not step.has_news or not step.graph.waiting:
        return False
    step.has_news = False
    waiting = [step.graph.node(ref) for ref in step.graph.waiting if ref in step.open]
    chances = (False, True) if len(waiting) == len(step.open) else (False,)
    return any(_look_at(step, node, is_last_chance=last) for last in chances for node in waiting)


def _look_at(step: Step, node: Node, *, is_last_chance: bool) -> bool:
    task = step.open[node.ref]
    try:
        return node.type.look(step, node, task, is_last_chance=is_last_chance)
    except PayloadTooLarge as error:  # what its condition or its list reads
        outcome.task_failed(step, node, task, TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason=error.message)
        return True


def _is_left(step: Step) -> bool:
    """Whether the next decision has to take over: this one had run as many scripts as one may."""
    has_news = step.has_news and any(ref in step.open for ref in step.graph.waiting)
    return step.status is WorkflowStatus.RUNNING and (bool(step.todo) or has_news)


def _burst(step: Step) -> tuple[int, int]:
    minute = step.now_ms // 60_000
    count = step.before.burst[1] if step.before.burst[0] == minute else 0
    count += all(isinstance(event, _OWN_EVENTS) for event in step.draft.events)
    return (minute, count) if count else (0, 0)


def _settle(step: Step) -> Record:
    if step.status is WorkflowStatus.RUNNING and not step.open and not step.todo:
        outcome.complete(step)
    burst = _burst(step)
    if step.is_running and burst[1] > OWN_RECORDS_PER_MINUTE_MAX:
        reason = f"more than {OWN_RECORDS_PER_MINUTE_MAX} decisions in a minute that nobody outside asked for: stopped as a runaway"
        outcome.finish(step, WorkflowStatus.FAILED, reason)
    mark = _mark(step)
    head = replace(
        step.before,
        status=step.status,
        ended_ms=step.ended_ms,
        task_count=step.task_count,
        open=step.open,
        ended=_live(step),
        last_task=step.last_task,
        variables_record=step.draft.seq if step.variables is not None else step.variables_record,
        output_record=step.draft.seq if step.output is not None else step.before.output_record,
        mark=mark,
        reason=step.reason,
        failed_refs=tuple(step.failed_refs),
        tolerated=tuple(step.tolerated),
        last=step.last,
        stops=step.stops,
        stops_ms=step.stops_ms if step.stops else 0,
        burst=burst,
        has_forked=step.has_forked,
        skipped=step.skipped,
        passed=tuple(step.passed),
        todo=tuple(step.todo),
        has_news=_is_left(step) and step.has_news,
        held=tuple(step.held),
        returned=tuple(step.returned),
    )
    commands: tuple[Command, ...] = (WriteSummary(),) if step.draft.seq == 1 else ()
    if step.last is not step.before.last:
        commands = step.last
    return Record(
        seq=step.draft.seq,
        at_ms=step.now_ms,
        events=tuple(step.draft.events),
        changes=tuple(step.draft.changes),
        commands=(*step.draft.commands, *commands),
        head=head,
        variables=step.variables,
        output=step.output,
    )


def _live(step: Step) -> dict[str, Ended]:
    """Of the ended tasks, those that something still ahead may read."""
    if not step.is_running:
        return {}
    if any(begin.fork for begin in step.todo):  # whose branches may read anything
        return step.ended
    ahead = (*step.open, *(begin.ref for begin in step.todo), *(held.task.ref for held in step.held))
    front = min((step.graph.nodes[ref].position for ref in ahead if ref in step.graph.nodes), default=len(step.graph.nodes))
    joins = [task for task in step.open.values() if task.fork and task.ref in step.graph.nodes]  # of dynamic forks
    read = {root for join in joins for root in join.reads}
    return {
        ref: ended
        for ref, ended in step.ended.items()
        if step.graph.is_live(ref, front) or ref in read or (joins and ref not in step.graph.nodes)
    }


def _mark(step: Step) -> Mark | None:
    """The armed timer after this record: the one that stands, unless something is due before it."""
    mark = step.before.mark
    fired = {event.timer for event in step.draft.events if isinstance(event, TimerFired)}
    if mark is not None and (mark.timer in fired or mark.due_ms + MARK_OVERDUE_MS < step.now_ms):
        mark = None
    due_ms = _next_due(step)
    if due_ms and (mark is None or due_ms < mark.due_ms):
        mark = Mark(step.draft.seq, due_ms)
        step.arm(due_ms)
    return mark if step.is_running or due_ms else None


def _next_due(step: Step) -> int:
    """Epoch ms of the earliest deadline of the execution; 0 when there is none."""
    dues = [lives.stops_due_ms(step)]
    if step.is_running and not step.is_paused:
        dues += [_workflow_deadline(step), *(task.deadline_ms for task in step.open.values())]
        if _is_left(step):
            dues.append(step.now_ms)
    elif not step.is_running:
        dues.append(_end_of_keeping(step))
    return min(filter(None, dues), default=0)


def _end_of_keeping(step: Step) -> int:
    """When an ended execution is to be removed, or a removed one to be purged; 0 when neither."""
    if step.status is WorkflowStatus.REMOVED:
        return outcome.purge_due_ms(step)
    if step.graph.is_segment and step.task_count:  # it goes when the execution that forks does
        return 0
    keep_s = step.before.about.retention_s
    return step.ended_ms + keep_s * 1000 if keep_s else 0
