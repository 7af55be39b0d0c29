"""What a DO_WHILE shows: the outputs of its tasks, iteration by iteration; and what a JOIN shows while it waits.

They lie in the records of those tasks and are put together when somebody reads them: a loop that wrote them down anew after each
iteration would cost the square of its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from batuta_core.model.execution import TaskExecution, TaskStatus
from batuta_core.model.frozen import dataclass

if TYPE_CHECKING:
    from batuta_core.decider.compile import Graph, Node

_ALL = 2**31  # iterations
OWN_KEYS = frozenset({"iteration", "loopIndex", "loopItem"})  # what a loop writes of itself


@dataclass(frozen=True, slots=True)
class LoopOutput:
    """Payloads in it may be references."""

    own: Any
    rounds: Mapping[int, Mapping[str, Any]]  # iteration -> reference name without its number -> output

    def resolved(self, resolve: Callable[[Any], Any]) -> dict[str, Any]:
        """The JSON value. ``resolve`` turns references to payloads into payloads."""

        def value(item: Any) -> Any:
            return resolved(item, resolve)

        shown = {str(number): {ref: value(item) for ref, item in self.rounds[number].items()} for number in sorted(self.rounds)}
        return {**shown, **(resolve(self.own) or {})}


@dataclass(frozen=True, slots=True)
class JoinOutput:
    """The outputs that an open join has by now; values may be references."""

    parts: Mapping[str, Any]

    def __bool__(self) -> bool:
        return bool(self.parts)

    def resolved(self, resolve: Callable[[Any], Any]) -> dict[str, Any]:
        """The JSON value."""
        found = {ref: item.resolved(resolve) if isinstance(item, LoopOutput) else resolve(item) for ref, item in self.parts.items()}
        return {ref: output for ref, output in found.items() if output}


def resolved(output: Any, resolve: Callable[[Any], Any]) -> Any:
    """A task's output as JSON, {} for none; ``resolve`` turns references to payloads into payloads."""
    return output.resolved(resolve) if isinstance(output, LoopOutput | JoinOutput) else resolve(output) or {}


def compose(tasks: dict[int, TaskExecution], graph: Graph) -> None:
    """Gives the loops and the open joins among ``tasks`` (by number) their whole outputs, and removes the tasks of iterations that
    loops do not keep."""
    for ref in graph.waiting:
        node = graph.node(ref)
        if node.type.name == "JOIN":
            for join in [task for task in tasks.values() if not task.status.is_terminal and graph.find(task.ref) is node]:
                names = join.input.get("joinOn", ()) if isinstance(join.input, dict) else ()
                ended = {task.ref: task.output for task in tasks.values() if task.status.is_terminal}
                join.output = JoinOutput({name: ended[name] for name in names if name in ended})
        if node.type.is_loop:
            for loop in [task for task in tasks.values() if graph.find(task.ref) is node]:
                _compose(loop, node, tasks, graph)


def forgets_rounds(graph: Graph) -> bool:
    """Whether a loop of the definition keeps its last iterations only."""
    return any(graph.node(ref).type.is_loop and _kept(graph.node(ref)) < _ALL for ref in graph.waiting)


def drop_old_rounds(tasks: dict[int, TaskExecution], graph: Graph) -> None:
    """Removes what ``compose`` would in the end, while ``tasks`` are gathered."""
    for ref in graph.waiting:
        node = graph.node(ref)
        if node.type.is_loop and _kept(node) < _ALL:
            for loop in [task for task in tasks.values() if graph.find(task.ref) is node]:
                kept_from = loop.iteration - _kept(node) + 1
                for task, _child in list(_inside(loop, node, tasks.values(), graph)):
                    if task.iteration < kept_from:
                        del tasks[task.number]


def _compose(loop: TaskExecution, node: Node, tasks: dict[int, TaskExecution], graph: Graph) -> None:
    inside = list(_inside(loop, node, tasks.values(), graph))
    kept_from = loop.iteration - _kept(node) + 1
    rounds: dict[int, dict[str, Any]] = {}
    for task, child in inside:
        if task.iteration < kept_from:
            del tasks[task.number]
        elif task.status is TaskStatus.CANCELED or _is_what_ended_it(task, child, loop) or not (task.status.is_terminal or task.output):
            rounds.get(task.iteration, {}).pop(child.ref, None)  # nor what an attempt before it gave
        else:
            rounds.setdefault(task.iteration, {})[child.ref] = {} if child.type.name == "TERMINATE" else task.output
    loop.output = LoopOutput(loop.output, {number: outputs for number, outputs in rounds.items() if outputs})


def _inside(loop: TaskExecution, node: Node, tasks: Iterable[TaskExecution], graph: Graph) -> Iterable[tuple[TaskExecution, Node]]:
    """The tasks that ran in ``loop``. Where it ran several times, in another one, those of its last run."""
    for task in sorted(tasks, key=lambda task: task.number):
        child = graph.find(task.ref)
        if task.number > loop.number and child is not None and graph.is_inside(child.ref, node):
            yield task, child


def _is_what_ended_it(task: TaskExecution, child: Node, loop: TaskExecution) -> bool:
    """The failure that ends the execution comes before Conductor looks at the loop again (recorded)."""
    is_bad = task.status.is_terminal and not task.status.is_successful and not task.is_retried
    return is_bad and loop.status is TaskStatus.CANCELED and not child.type.is_loop


def _kept(node: Node) -> int:
    """How many iterations are kept: all, unless the inputs say otherwise with a number (an expression counts for nothing)."""
    wanted = node.task["inputParameters"].get("keepLastN")
    return wanted if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted > 0 else _ALL
