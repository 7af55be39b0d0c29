"""Wide forks run as segments: child executions of some of the branches, each with a journal of its own (docs/adr/0022).

The fork opens one internal task for each segment, so its execution's head grows with those and not with the branches; a segment that
still is too wide forks again. A segment runs the fork and its JOIN on its share of the list (``names.segment_definition``), under the
same names, and tells what its JOIN gathered. Users see none of this: the branches look like tasks of the execution that forks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from batuta_core.decider import view
from batuta_core.decider.expression.scope import Need
from batuta_core.decider.expression.template_parser import compile_template
from batuta_core.model.payload import holes_of, is_larger

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step
    from batuta_core.decider.tasks.task_type import WorkflowTask
    from batuta_core.model.place import TaskPlace

# What a branch costs, journal and payloads, one result at a time: in the head of a fork of 150 some 1.2 times what a line's task costs with
# all that belongs to it, in a segment of 50 1.1 times (measured 2026-11-22, docs/adr/0022).
WIDE = 150  # a fork of more branches runs as segments
WIDTH = 50  # the branches of a segment that runs them itself
SEGMENTS_MAX = 200  # of one fork; each of them may fork again
BRANCHES_MAX = 100_000

PLAN = "forkedSegments"  # in the fork's input, beside what Conductor shows there
FORMER_RERUN = "formerRerun"  # in the input of a segment's task: which rerun had made the retried one begin anew
_OUTSIDE_MAX_BYTES = 256 * 1024  # each segment gets a copy

# A branch of a segment is one task, and what it does concerns nobody but itself.
_NOT_ALONE = frozenset(
    {"FORK_JOIN", "FORK_JOIN_DYNAMIC", "DO_WHILE", "JOIN", "EXCLUSIVE_JOIN", "SWITCH", "DECISION", "SET_VARIABLE", "TERMINATE"}
)

Json = dict[str, Any]


class Share(NamedTuple):
    """The branches of one segment, by their index in the list of the fork that opens it."""

    begin: int
    end: int


def shares(width: int) -> list[Share]:
    """How a fork of ``width`` branches is divided."""
    count = min(-(-width // WIDTH), SEGMENTS_MAX)
    return [Share(width * index // count, width * (index + 1) // count) for index in range(count)]


def segment_ref(fork: str, index: int) -> str:
    """The reference name of the internal task that stands for a segment."""
    return f"{fork}#{index}"


def parse_ref(ref: str) -> tuple[str, int] | None:
    """The fork and the index in the reference name of a segment's task; None for the form of any other."""
    fork, mark, index = ref.rpartition("#")
    return (fork, int(index)) if mark and index.isascii() and index.isdecimal() and len(index) < 6 else None


# --- the list of branches, in one of the three shapes (reference section 4.5)


def listed(fork: WorkflowTask, task_input: Mapping[str, Any]) -> Sequence[Any] | None:
    """The list from which the fork makes its branches; None where there is none."""
    found = task_input.get("forkTaskInputs")
    if not isinstance(found, list):
        found = task_input.get(_param(fork))
        found = found.get("dynamicTasks") if isinstance(found, dict) else found
    return found if isinstance(found, list) else None


def _param(fork: WorkflowTask) -> str:
    return str(fork.get("dynamicForkTasksParam") or fork.get("dynamicForkJoinTasksParam") or "")


def with_list(fork: WorkflowTask, task_input: Mapping[str, Any], part: Sequence[Any]) -> Json:
    """The fork's input as it would be if it listed ``part`` only."""
    if isinstance(task_input.get("forkTaskInputs"), list):
        return {**{key: value for key, value in task_input.items() if key.startswith("forkTask")}, "forkTaskInputs": list(part)}
    param = _param(fork)
    if "dynamicForkTasksParam" not in fork:
        return {param: {"dynamicTasks": list(part)}}
    inputs = str(fork.get("dynamicForkTasksInputParamName", ""))
    own = task_input[inputs]
    return {param: list(part), inputs: {ref: own[ref] for task in part if (ref := str(task["taskReferenceName"])) in own}}


def begin_of_names(fork: WorkflowTask, task_input: Mapping[str, Any], *, has_forked: bool) -> str:
    """How the reference names of branches begin that are made of a list of inputs."""
    ref = fork["taskReferenceName"]
    kind = str(task_input.get("forkTaskType") or "SIMPLE")
    name = task_input.get("forkTaskName") or (ref if kind == "SIMPLE" else kind)
    return f"_{ref}_{name}" if has_forked else f"_{name}"


def names(fork: WorkflowTask, task_input: Mapping[str, Any], *, has_forked: bool, first: int = 0) -> list[str]:
    """The reference names of the branches, of which the first has that index in the whole list. Raises KeyError where one has none."""
    found = listed(fork, task_input) or ()
    if isinstance(task_input.get("forkTaskInputs"), list):
        begin = begin_of_names(fork, task_input, has_forked=has_forked)
        return [f"{begin}_{index}" for index in range(first, first + len(found))]
    key = "taskReferenceName" if "dynamicForkTasksParam" in fork else "referenceName"
    return [str(task[key]) for task in found]


# --- the execution that forks


def plan(step: Step, node: Node, task_input: Mapping[str, Any], hidden: frozenset[str]) -> Json | None:
    """What the fork's input says of its segments; None where it cannot have any: a branch is no task that stands alone, or what the
    branches read is each other, too large, or cannot be foreseen. What is wrong with the list is said by whoever runs it."""
    found = listed(node.task, task_input)
    if found is None or not _is_alone(node.task, task_input, found):
        return None
    try:
        refs = names(node.task, task_input, has_forked=step.has_forked)
    except (KeyError, TypeError):
        return None
    given = given_to(step)  # in a segment, which forks again
    taken = {*step.graph.nodes, *step.open}
    own = set(refs)
    if len(own) < len(refs) or not taken.isdisjoint(refs) or any(step.graph.segment(ref) for ref in refs):
        return None
    if any(segment_ref(node.ref, index) in step.graph.nodes for index in range(len(shares(len(found))))):
        return None
    read_by = compile_template([found, task_input.get(node.task.get("dynamicForkTasksInputParamName", ""))])
    if read_by.is_dynamic or any(root in own for root, _field in read_by.needs):
        return None
    outside = _outside(step, read_by.needs, hidden | {node.ref})
    if outside is None:
        return None
    made: Json = {"width": len(found), "count": len(shares(len(found))), "first": given["first"] if given else 0}
    is_named = given["named"] if given else step.has_forked
    return {**made, "named": is_named, "outside": outside, "former": given["former"] if given else {}}


def _is_alone(fork: WorkflowTask, task_input: Mapping[str, Any], found: Sequence[Any]) -> bool:
    if isinstance(task_input.get("forkTaskInputs"), list):
        kind = task_input.get("forkTaskType")
        return str(kind) not in _NOT_ALONE and not any(isinstance(own, dict) and own.get("permissive") for own in found)
    if "dynamicForkTasksParam" in fork and not isinstance(task_input.get(fork.get("dynamicForkTasksInputParamName", "")), dict):
        return False
    return all(isinstance(task, dict) and str(task.get("type")) not in _NOT_ALONE and not task.get("permissive") for task in found)


def _outside(step: Step, needs: Iterable[Need], hidden: frozenset[str]) -> Json | None:
    """What the branches read of the execution that forks, as it stands now: by root, then by field."""
    found: Json = {}
    for root, name in sorted(needs, key=str):
        if root not in hidden:
            seen = step.seen(root, name)
            found.setdefault(root, {}).update(seen)
    has_parts = step.reader.has_parts and next(holes_of(found), None) is not None
    return None if has_parts or is_larger(found, _OUTSIDE_MAX_BYTES) else found


# --- the segment


def given_to(step: Step) -> Mapping[str, Any] | None:
    """What the segment was started with; None in an execution that is none.

    ``fork``: the fork's input with the segment's share of the list, ``first``: the index of its first branch in the whole list,
    ``named``: the names of the branches hold the fork's, ``outside``: what they may read, ``former``: how the branches stood, by index,
    in the attempt before this one.
    """
    if not step.graph.is_segment:
        return None
    found: Mapping[str, Any] = step.reader.payload(view.input_in(step.reader.record(1))) or {}
    return found


def share_for(fork: WorkflowTask, fork_input: Mapping[str, Any], share: Share, former: Mapping[str, Any]) -> Json:
    """What the segment of ``share`` is started with. ``fork_input``: of the fork that opens it, ``former``: beside what the fork knows of
    an earlier attempt."""
    made = fork_input[PLAN]
    part = (listed(fork, fork_input) or ())[share.begin : share.end]
    first = made["first"] + share.begin
    indexes = range(first, first + len(part))
    known = {**made["former"], **former}
    return {
        "fork": with_list(fork, fork_input, part),
        "first": first,
        "named": made["named"],
        "outside": made["outside"],
        "former": {str(index): known[str(index)] for index in indexes if str(index) in known},
    }


# --- what a segment tells


def told(outputs: Mapping[str, Any], errors: str) -> Json:
    """What the JOIN of a segment has gathered. ``errors`` names the branches that completed with errors."""
    return {"outputs": dict(outputs), "errors": errors}


def told_failure(refs: Sequence[str], task_id: str | None) -> Json:
    """Which branches of a segment have failed, and the one that ended it."""
    return {"failed": list(refs), "task": task_id}


def gathered(outputs: Sequence[Mapping[str, Any]]) -> tuple[Json, str]:
    """The outputs and the errors that the segments of a fork told, in the order of the list."""
    found: Json = {}
    for output in outputs:
        found.update(output.get("outputs", {}))
    return found, "".join(output.get("errors", "") for output in outputs)


def ended_refs(step: Step, fork: str, place: TaskPlace) -> Iterator[tuple[int, str]]:
    """The ended segments of the ``fork`` at ``place``, with their indexes, in that order. In a loop those of earlier rounds are others."""
    refs = ((parsed[1], ref) for ref in step.ended if (parsed := parse_ref(ref)) and parsed[0] == fork and ref not in step.graph.nodes)
    return ((index, ref) for index, ref in sorted(refs) if step.ended[ref].record >= (place.rerun or place.record))
