"""JOIN: waits for the tasks that it names, and shows their outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batuta_core.decider import outcome, segments, view
from batuta_core.decider.forked import Branches, Segments, input_of, roots_read
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.execution import TaskExecution, TaskStatus
from batuta_core.model.payload import PayloadPart

if TYPE_CHECKING:
    from batuta_core.decider.compile import Graph, Node
    from batuta_core.decider.step import Step
    from batuta_core.model.place import TaskPlace
    from batuta_core.model.record import OpenTask


# A join of more shows nothing when it is cut short: an execution's end must not cost what the join would have.
SHOWN_MAX = 200


class Join(TaskType):
    name = "JOIN"
    is_retried = False
    has_input_template = False
    is_waiting = True

    def looks_at(self, task: WorkflowTask) -> Iterator[str]:
        yield from task["joinOn"]

    def shown_name(self, task: WorkflowTask) -> str:
        return self.name

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        refs: Sequence[str] = node.task["joinOn"]
        about: dict[str, Any] = {}
        if step.joining is not None:
            nodes = step.forked_by(step.joining)
            refs = _shown_refs(step, node, step.joining, nodes)
            about = {"fork": step.joining, "reads": roots_read(nodes)}
        task = step.new_task(node, status=TaskStatus.IN_PROGRESS, started_ms=step.now_ms, updated_ms=step.now_ms, **about)
        step.open_task(node, task, {**node.task["inputParameters"], "joinOn": list(refs)})
        step.has_news = True  # what it waits for may have ended long ago

    def look(self, step: Step, node: Node, task: OpenTask, *, is_last_chance: bool) -> bool:
        if task.fork is not None:
            return _look_at_branches(step, node, task, task.fork)
        refs: Sequence[str] = node.task["joinOn"]
        if not is_last_chance and any(ref in step.open for ref in refs):
            return False
        over = [ref for ref in refs if has_ended(step, node, ref)]
        if len(over) < len(refs) and not is_last_chance and any(may_come(step, node, ref) for ref in refs if ref not in over):
            return False
        _finish(step, node, task, step.tasks(over))
        return True

    def cut_short(self, step: Step, node: Node, task: OpenTask) -> dict[str, Any]:
        """The outputs that it had seen when the last record was written: with a sub-workflow's task, also that of an open one."""
        if task.place.record == step.draft.seq or (task.fork is not None and _has_segments(step, node, task.fork)):
            return {}
        refs: Sequence[str] = node.task["joinOn"] if task.fork is None else _forked_refs(step, task.fork)
        if len(refs) > SHOWN_MAX:
            return {}
        places = {ref: place for ref in refs if (place := _output_before(step, task, ref))}
        step.reader.require(frozenset(record for _number, record, _shown in places.values()))
        found = {shown: view.output_in(step.reader.record(record), number) for number, record, shown in places.values()}
        return {shown: whole for shown, output in found.items() if (whole := step.reader.part(output))}


def _output_before(step: Step, join: OpenTask, ref: str) -> tuple[int, int, str] | None:
    """The number, the record and the name of what ``ref`` had reported before this record; in a loop, in the join's iteration."""
    shown = f"{ref}__{join.iteration}" if join.iteration else ref
    if open_ := step.before.open.get(ref):
        return (open_.number, open_.output_record, shown) if open_.output_record and open_.iteration == join.iteration else None
    ended = step.before.ended.get(ref)
    is_of_now = ended is not None and ended.number > _loop_began(step, join)
    return (ended.number, ended.output_record, shown) if ended is not None and is_of_now and ended.output_record else None


def _loop_began(step: Step, join: OpenTask) -> int:
    """How many tasks there were before the iteration of the loop around ``join``; 0 where there is none."""
    loop = step.node_of(join).loop
    return step.before.open[loop].since if loop and loop in step.before.open else 0


def _look_at_branches(step: Step, node: Node, task: OpenTask, fork: TaskPlace) -> bool:
    """Of a dynamic fork: all that it made is over when nothing of it is open."""
    if any(other.fork == fork and other.ref != node.ref for other in step.open.values()):
        return False
    if _has_segments(step, node, fork):
        _gather(step, node, task, fork)
    else:
        _finish(step, node, task, step.tasks([ref for ref in _forked_refs(step, fork) if ref in step.ended]))
    return True


def _has_segments(step: Step, node: Node, fork: TaskPlace) -> bool:
    """Whether the dynamic fork before this join has opened segments."""
    is_open = any(other.fork == fork and step.graph.segment(other.ref) for other in step.open.values())
    return is_open or any(True for _ in segments.ended_refs(step, node.fork or "", fork))


def _gather(step: Step, node: Node, task: OpenTask, fork: TaskPlace) -> None:
    """Of segments: what their joins had gathered."""
    ended = list(segments.ended_refs(step, node.fork or "", fork))
    outputs: list[Mapping[str, Any]] = []
    for (index, _ref), found in zip(ended, step.tasks([ref for _index, ref in ended]), strict=True):
        told: Any = found.output
        outputs.append(_parts(step, node, fork, index, told) if type(told) is PayloadPart else told)
    output, errors = segments.gathered(outputs)
    _close(step, node, task, output, errors)


def _parts(step: Step, node: Node, fork: TaskPlace, index: int, told: PayloadPart) -> dict[str, Any]:
    """What a segment told that is too large to be looked into: the outputs are parts of it."""
    refs = _names_in_segments(step, node, fork)
    share = segments.shares(len(refs))[index]
    return segments.told({ref: PayloadPart(told.ref, (*told.keys, "outputs", ref)) for ref in refs[share.begin : share.end]}, "")


def _shown_refs(step: Step, node: Node, fork: TaskPlace, nodes: Branches | Segments) -> list[str]:
    """The names of a dynamic fork's branches, as Conductor shows them."""
    if isinstance(nodes, Branches):
        return [step.shown_ref(nodes[ref]) for ref in _forked_refs(step, fork)]
    if step.graph.is_segment:
        return []  # nobody sees it
    return _names_in_segments(step, node, fork)


def _names_in_segments(step: Step, node: Node, fork: TaskPlace) -> list[str]:
    """The names of the branches of a dynamic fork that run in segments."""
    task_input = input_of(fork, step.reader)
    plan, forking = task_input[segments.PLAN], step.graph.node(node.fork or "").task
    refs = segments.names(forking, task_input, has_forked=plan["named"], first=plan["first"])
    iteration = step.iteration_of(node)
    return [f"{ref}__{iteration}" for ref in refs] if iteration else refs


def _forked_refs(step: Step, fork: TaskPlace) -> Sequence[str]:
    """The branches of a dynamic fork."""
    found: Sequence[str] = input_of(fork, step.reader)["forkedTasks"]
    return found


def has_ended(step: Step, node: Node, ref: str) -> bool:
    """Whether the task ``ref`` has ended; in a loop, in this iteration."""
    ended = step.ended.get(ref)
    if ended is None or ref in step.open:
        return False
    is_beside = node.loop is not None and step.graph.is_inside(ref, step.graph.node(node.loop))
    return not is_beside or ended.number > step.open[node.loop or ""].since


def may_come(step: Step, node: Node, ref: str) -> bool:
    """Whether ``ref``, which was not scheduled, may be yet while ``node`` waits: it lies in a branch beside that of ``node`` in which
    something is open."""
    for fork in step.graph.nodes.values():
        if fork.type.is_fork and step.graph.is_inside(ref, fork) and (node.fork == fork.ref or step.graph.is_inside(node.ref, fork)):
            begin, end = _branch(step.graph, fork, step.graph.node(ref).position)
            if not begin <= node.position < end:
                # A branch that a dynamic fork made is in no definition, but its join is, and waits beside it.
                return any(begin <= step.graph.nodes[open_].position < end for open_ in step.open if open_ in step.graph.nodes)
    return False


def _branch(graph: Graph, fork: Node, position: int) -> tuple[int, int]:
    """Where the branch of ``fork`` begins and ends in which ``position`` lies."""
    begins = [graph.node(branch[0]["taskReferenceName"]).position for branch in fork.task["forkTasks"] if branch]
    return max(place for place in begins if place <= position), min((place for place in begins if place > position), default=fork.end)


def _finish(step: Step, node: Node, task: OpenTask, joined: Sequence[TaskExecution]) -> None:
    output: dict[str, Any] = {}
    bad: list[TaskExecution] = []
    for found in joined:
        if found.output and not bad:  # what comes behind the first that failed is not shown (recorded)
            output[found.ref] = found.output
        if not found.status.is_successful:
            bad.append(found)
    if bad:
        status = TaskStatus.CANCELED if all(found.status is TaskStatus.CANCELED for found in bad) else TaskStatus.FAILED
        reason = " ".join(found.reason or "null" for found in bad)
        outcome.task_failed(step, node, task, status, reason=reason, output=output)
        return
    tolerated = [f"{found.name}/{found.task_id} " for found in joined if found.status is TaskStatus.COMPLETED_WITH_ERRORS]
    _close(step, node, task, output, "".join(tolerated))


def _close(step: Step, node: Node, task: OpenTask, output: dict[str, Any], errors: str) -> None:
    if step.graph.is_segment:
        step.told = segments.told(output, errors)
        output, errors = {}, ""
    if errors:
        step.close_task(task, TaskStatus.COMPLETED_WITH_ERRORS, output=output, reason=f"{errors}completed with errors")
    else:
        step.close_task(task, TaskStatus.COMPLETED, output=output)
    outcome.task_succeeded(step, node)
