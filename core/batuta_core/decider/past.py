"""How an execution stood at an earlier point of its journal: what a retry or a rerun goes back to.

A running head says it all. Of a record that ended the execution, and of the middle of a record, the head of the record before it
and the changes since do. So a look back reads a few records, however long the journal is; only a rerun beside whose task others ran
reads on until those had ended (``rewind``).
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from batuta_core.decider import view
from batuta_core.model import ids
from batuta_core.model.execution import TaskStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.operation_event import WorkflowRerun, WorkflowRestarted, WorkflowRetried
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Ended, Head, OpenTask, Tolerated

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step
    from batuta_core.model.operation_event import Revival
    from batuta_core.model.record import Record, TaskChange


@dataclass(slots=True)
class PastTask:
    """A task as the changes up to that point say; of its deadlines and deliveries they say nothing."""

    task: OpenTask
    is_retried: bool = False
    ended_record: int = 0  # 0: it was open

    @property
    def ref(self) -> str:
        return self.task.ref

    @property
    def number(self) -> int:
        return self.task.number

    @property
    def place(self) -> TaskPlace:
        return self.task.place

    @property
    def status(self) -> TaskStatus:
        return self.task.status

    @property
    def ended(self) -> Ended:
        return Ended.at(self.number, self.place, self.ended_record, self.task.output_record or self.ended_record)

    def move(self, place: TaskPlace) -> None:
        """A rerun made it begin anew."""
        self.task = replace(self.task, place=place, output_record=place.rerun)

    def apply(self, change: TaskChange, seq: int, task_count: int) -> None:
        """``task_count``: how many tasks there were before the change."""
        task, fields = self.task, change.fields
        if "iteration" in fields:  # a loop begins a round
            task = replace(task, rounds=fields["iteration"], since=task_count, is_over=False)
        if change.output is not None or change.output_event >= 0 or not task.output_record:
            task = replace(task, output_record=seq)
        if "status" in fields:
            task = replace(task, status=fields["status"], attempt=fields.get("attempt", task.attempt))
            self.ended_record = seq if task.status.is_terminal else 0
        self.is_retried = bool(fields.get("is_retried", self.is_retried))
        self.task = task


@dataclass(slots=True)
class Standing:
    """``open`` and ``bad`` (ended without success, and last of their reference name) are by reference name. ``forks``: the dynamic forks
    that were under way. ``anew``: what a rerun was about to begin anew, by number."""

    open: dict[str, PastTask] = field(default_factory=dict)
    bad: dict[str, PastTask] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)
    last_task: Ended | None = None
    passed: tuple[str, ...] = ()
    forks: set[TaskPlace] = field(default_factory=set)
    anew: dict[int, PastTask] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """The task that a rerun begins at."""

    task: PastTask
    rerun: int  # the rerun before this one that made it begin anew, 0 when none did


def revival_in(record: Record) -> Revival | None:
    """The operation that began a life with this record."""
    return next((event for event in record.events if isinstance(event, WorkflowRetried | WorkflowRestarted | WorkflowRerun)), None)


def standing_after(step: Step, seq: int) -> Standing:
    """How it stood after record ``seq``."""
    if seq == 0:
        return Standing()
    record = step.known_record(seq)
    if not record.head.status.is_terminal:
        return _of_head(record.head)
    standing = base(step, record)
    apply(standing, step, record, None)
    return standing


def target(step: Step, place: TaskPlace) -> Target | None:
    """The task of that id, None when there is none in the present view: restarts and reruns take tasks out of it."""
    if not 0 < place.record <= step.before_seq:
        return None
    task = scheduled(step, place)
    if task is None:
        return None
    rerun = 0
    life = step.before.life
    while life > place.record:
        record = step.known_record(life)
        revival = revival_in(record)
        if isinstance(revival, WorkflowRestarted):
            return None
        if isinstance(revival, WorkflowRerun):
            begun = scheduled(step, revival.place) if revival.place else None
            if begun is None or begun.number < task.number:
                return None
            if begun.number == task.number and not rerun:
                rerun = life
        life = step.known_record(life - 1).head.life
    return Target(task, rerun)


def tolerated_task(step: Step, tolerated: Tolerated) -> PastTask | None:
    """The permissive task that failed."""
    key = ids.parse_task_id(tolerated.task_id)
    return scheduled(step, TaskPlace(key.record, key.nth, tolerated.rerun)) if key else None


def follower(step: Step, node: Node) -> str | None:
    """What the flow goes on with behind ``node``."""
    found = node.next
    while found in step.skipped:
        found = step.graph.node(found).next
    return found


def node_of(step: Step, ref: str, standing: Standing) -> Node | None:
    """The node of a task; None where the dynamic fork that made it is over."""
    for fork in sorted(standing.forks, reverse=True):
        if ref in step.graph.nodes or ref in step.forked:
            break
        step.add_forked(fork)
    return step.node(ref) if ref in step.graph.nodes or ref in step.forked else None


def scheduled(step: Step, place: TaskPlace) -> PastTask | None:
    """The task at ``place`` as it was scheduled."""
    record = step.known_record(place.record)
    try:
        change = view.scheduling_change(record, place.nth)
    except IndexError:
        return None
    return _of_change(change, place, record.at_ms)


def scheduled_ref(step: Step, place: TaskPlace) -> str:
    """The reference name of the task at ``place``."""
    record = step.known_record(place.record)
    return str(view.scheduling_change(record, place.nth).fields["ref"])


def _of_change(change: TaskChange, place: TaskPlace, at_ms: int) -> PastTask:
    fields = change.fields
    output_record = place.rerun or place.record
    task = OpenTask(
        ref=fields["ref"],
        number=change.number,
        place=place,
        status=fields["status"],
        attempt=fields.get("attempt", 1),
        scheduled_ms=fields.get("scheduled_ms", at_ms),
        started_ms=fields.get("started_ms", 0),
        iteration=fields.get("iteration", 0),
        output_record=output_record,
    )
    return PastTask(task, ended_record=output_record if task.status.is_terminal else 0)


def base(step: Step, record: Record) -> Standing:
    """What ``record`` changed."""
    from batuta_core.decider.rewind import rewind  # it looks back farther

    match revival_in(record):
        case WorkflowRestarted():
            return Standing()
        case WorkflowRerun(place=place):
            begun = scheduled(step, place) if place else None
            return rewind(step, begun, record.seq - 1).standing if begun else Standing()
        case _:
            standing = standing_after(step, record.seq - 1)
            if record.head.life == record.seq:  # a retry, or a child that was
                standing.passed = (*standing.passed, *passed(step, step.known_record(record.seq - 1).head.tolerated))
            return standing


def passed(step: Step, tolerated: tuple[Tolerated, ...]) -> list[str]:
    """What follows the permissive tasks that a retry begins again, and is under way or over without them."""
    nodes = [step.node(item.ref) for item in tolerated if item.ref in step.graph.nodes or item.ref in step.forked]
    return [ref for node in nodes if (ref := follower(step, node)) is not None]


def _of_head(head: Head) -> Standing:
    standing = Standing(ended=dict(head.ended), last_task=head.last_task, passed=head.passed)
    standing.open = {task.ref: PastTask(task) for task in head.open.values()}
    for held in head.held:
        task = replace(held.task, place=held.ended.place, status=held.status, output_record=held.ended.output_record)
        standing.bad[task.ref] = PastTask(task, ended_record=held.ended.ended_record)
    forks = (*(task.fork for task in head.open.values()), *(held.task.fork for held in head.held), *(begin.fork for begin in head.todo))
    standing.forks = {fork for fork in forks if fork is not None}
    return standing


def apply(standing: Standing, step: Step, record: Record, until: int | None) -> int:
    """Adds the changes of ``record``, up to the one that schedules the task of number ``until``; the index of that one."""
    seq, nth, index = record.seq, 0, 0
    tasks = {task.number: task for task in (*standing.open.values(), *standing.bad.values())}
    count = step.known_record(seq - 1).head.task_count if seq > 1 else 0
    for index, change in enumerate(record.changes):  # noqa: B007 (the last one counts)
        if change.is_new:
            if change.number == until:
                break
            tasks[change.number] = _of_change(change, TaskPlace(seq, nth), record.at_ms)
            nth += 1
            count = change.number
        elif change.number in standing.anew and is_begun_anew(change):
            task = standing.anew.pop(change.number)
            fields = {"ref": task.ref, "attempt": task.task.attempt, **change.fields}
            tasks[change.number] = _of_change(replace(change, fields=fields), TaskPlace(*task.place.named, seq), record.at_ms)
        elif change.number in tasks:
            tasks[change.number].apply(change, seq, count)
    _sort(standing, step, tasks)
    return index


def is_begun_anew(change: TaskChange) -> bool:
    """Whether a rerun made the task begin anew here."""
    return not change.is_new and "scheduled_ms" in change.fields


def _sort(standing: Standing, step: Step, tasks: dict[int, PastTask]) -> None:
    for number in sorted(tasks):
        task = tasks[number]
        standing.open.pop(task.ref, None)
        standing.bad.pop(task.ref, None)
        if not task.status.is_terminal:
            standing.open[task.ref] = task
            continue
        standing.ended[task.ref] = task.ended
        if task.ref in step.graph.nodes and step.graph.nodes[task.ref].type.name == "FORK_JOIN_DYNAMIC":
            standing.forks.add(task.place)
        is_shown = step.graph.segment(task.ref) is None
        if is_shown and (standing.last_task is None or number > standing.last_task.number):
            standing.last_task = task.ended
        if not task.status.is_successful and not task.is_retried:
            standing.bad[task.ref] = task
