"""What a rerun from a task goes back to: the moment at which that task was scheduled.

What was scheduled before it stays, with its result; what was scheduled after it is gone, and comes again as the flow comes to it. So
where others ran beside the task:

* One that has ended well since has ended, and the flow goes on behind it.
* One that ended otherwise begins anew, under its id.
* Joins and loops are open again as they were; they end when what they wait for has.
* What the same decision would have begun next (the other branches of a fork) is begun again.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from batuta_core.decider import past
from batuta_core.decider.known import Missing, Needs
from batuta_core.decider.past import PastTask, Standing
from batuta_core.model import ids
from batuta_core.model.frozen import dataclass
from batuta_core.model.operation_event import WorkflowRerun, WorkflowRestarted
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Begin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batuta_core.decider.compile import Graph, Node
    from batuta_core.decider.step import Step
    from batuta_core.model.record import Record, TaskChange

_CHUNK = 64  # records that are read at once, then twice as many, and so on


@dataclass(slots=True)
class Rewound:
    """``standing``: with joins and loops open, and ``anew`` what begins anew. ``done``: those behind which the flow goes on.
    ``attempts``: of ``begins``, those that a user's retry had begun."""

    standing: Standing
    done: list[PastTask] = field(default_factory=list)
    begins: list[Begin] = field(default_factory=list)
    attempts: dict[str, TaskChange] = field(default_factory=dict)


def rewind(step: Step, task: PastTask, seq: int) -> Rewound:
    """How the execution stands when it goes back, after record ``seq``, to when ``task`` was scheduled."""
    record = step.known_record(task.place.record)
    standing = past.base(step, record)
    index = past.apply(standing, step, record, task.number)
    for fork in sorted(standing.forks):  # whose branches may be called like those of an earlier or later run
        step.add_forked(fork)
    attempts: dict[str, TaskChange] = {}
    begins = list(_to_come(step, standing, record, index, task, attempts))
    beside = [other for other in standing.open.values() if not _node(step, standing, other.ref).type.is_waiting]
    beside.extend(standing.anew.values())
    beside.extend(_undecided(step, standing, record, index))
    _follow(step, {other.number: other for other in beside}, record.seq, index, seq)
    done = [other for other in beside if other.status.is_successful]
    standing.anew = {other.number: other for other in (task, *beside) if other not in done}
    standing.open = {other.ref: other for other in standing.open.values() if other not in beside}
    for other in done:
        standing.ended[other.ref] = other.ended
        if standing.last_task is None or other.number > standing.last_task.number:
            standing.last_task = other.ended
    return Rewound(standing, done, begins, attempts)


def _node(step: Step, standing: Standing, ref: str) -> Node:
    node = past.node_of(step, ref, standing)
    if node is None:
        raise KeyError(ref)
    return node


def _undecided(step: Step, standing: Standing, record: Record, index: int) -> Iterator[PastTask]:
    """Those that had failed in a pause, and of which the end of the pause had not decided yet: as if they were open still."""
    held = step.known_record(record.seq - 1).head.held if record.seq > 1 else ()
    decided = {change.number for change in record.changes[:index]}
    for task in [standing.bad[item.task.ref] for item in held if item.task.ref in standing.bad and item.task.number not in decided]:
        del standing.bad[task.ref]
        standing.ended.pop(task.ref, None)
        if standing.last_task is not None and standing.last_task.number == task.number:
            standing.last_task = standing.last_task._replace(number=task.number - 1)  # it will be again, with another end
        yield task


def _follow(step: Step, tasks: Mapping[int, PastTask], begin: int, index: int, end: int) -> None:
    """What became of ``tasks`` from the change ``index`` of record ``begin`` on, up to record ``end``. Nothing takes back that one has
    ended well."""
    seq, chunk = begin, _CHUNK
    while seq <= end and not all(task.status.is_successful for task in tasks.values()):
        wanted = range(seq, min(seq + chunk, end + 1))
        if missing := frozenset(wanted) - step.known.records.keys():
            raise Missing(Needs(records=missing))
        for seq in wanted:
            changes = step.known_record(seq).changes
            for change in changes[index:] if seq == begin else changes:
                if change.is_new or change.number not in tasks:
                    continue
                task = tasks[change.number]
                task.apply(change, seq, 0)
                if past.is_begun_anew(change):
                    task.move(TaskPlace(*task.place.named, seq))
        seq, chunk = wanted.stop, chunk * 2


# --- what the same decision would have begun next


def _to_come(
    step: Step, standing: Standing, record: Record, index: int, task: PastTask, attempts: dict[str, TaskChange]
) -> Iterator[Begin]:
    """Where the flow was to go on when ``task`` was scheduled: of what was begun after it, that which did not follow from it, nor from
    what happened after it."""
    later: dict[str, TaskChange] = {}
    ended = {task.ref}
    refs = {other.number: other.ref for other in (*standing.open.values(), task)}
    for change in record.changes[index + 1 :]:
        if change.is_new:
            refs[change.number] = change.fields["ref"]
            later.setdefault(change.fields["ref"], change)
        elif change.number in refs and ("iteration" in change.fields or _is_end(change)):
            ended.add(refs[change.number])
    is_retry = record.head.life == record.seq and not isinstance(past.revival_in(record), WorkflowRerun | WorkflowRestarted)
    waiting = {begin.ref: begin for begin in record.head.todo}
    followed = ended | later.keys() | waiting.keys()
    for ref in (*later, *(ref for ref in waiting if ref not in later)):
        is_attempt = ref in later and "retried_task_id" in later[ref].fields
        if is_attempt and not (is_retry and _is_of_earlier(later[ref], record)):
            continue  # the attempt after one that ended later
        node = past.node_of(step, ref, standing)
        if node is None or (not is_attempt and _causes(step, node) & followed):
            continue
        if is_attempt:
            attempts[ref] = later[ref]
        if ref in waiting:
            yield waiting[ref]
        else:
            yield Begin(ref, hidden_from(step.graph, node), fork_of(step, standing, ref))


def _is_of_earlier(change: TaskChange, record: Record) -> bool:
    """Whether the attempt follows one that an earlier record had scheduled: it was begun by the user's retry."""
    key = ids.parse_task_id(change.fields["retried_task_id"])
    return key is not None and key.record < record.seq


def _is_end(change: TaskChange) -> bool:
    return "status" in change.fields and bool(change.fields["status"].is_terminal)


def _causes(step: Step, node: Node) -> set[str]:
    """The tasks after which the flow may come to ``node``."""
    others = (*step.graph.nodes.values(), *(other for other, _fork in step.forked.values()))
    found = {other.ref for other in others if other.next == node.ref and not step.graph.is_inside(other.ref, node)}  # a loop's body
    if outer := container(step.graph, node):
        found.add(outer.ref)
    for ref in found & step.skipped.keys():
        found |= _causes(step, step.graph.node(ref))
    if not found and (fork := step.forked.get(node.ref)):  # the first of a branch
        found.add(past.scheduled_ref(step, fork[1]))
    return found


def container(graph: Graph, node: Node) -> Node | None:
    """The task whose list of tasks ``node`` begins, or the fork before a join."""
    if node.fork is not None:
        return graph.node(node.fork)
    outers = [other for other in graph.nodes.values() if graph.is_inside(node.ref, other)]
    for outer in sorted(outers, key=lambda other: -other.position):
        if any(tasks and tasks[0]["taskReferenceName"] == node.ref for _path, tasks in outer.type.children(outer.task)):
            return outer
    return None


def hidden_from(graph: Graph, node: Node) -> frozenset[str]:
    """What the input of ``node`` does not see, where it is the first of a branch."""
    outer = container(graph, node)
    if outer is None or outer.type.is_loop:
        return frozenset()
    return hidden_from(graph, outer) | {outer.ref}


def fork_of(step: Step, standing: Standing, ref: str) -> TaskPlace | None:
    """The dynamic fork that made the task, or that it joins."""
    if ref in step.forked:
        return step.forked[ref][1]
    node = step.graph.nodes[ref]
    if node.fork is None or step.graph.node(node.fork).type.name != "FORK_JOIN_DYNAMIC":
        return None
    if ref in standing.open and standing.open[ref].task.fork:
        return standing.open[ref].task.fork
    return standing.ended[node.fork].place if node.fork in standing.ended else None
