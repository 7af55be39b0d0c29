"""Nodes that no definition holds: the branches of dynamic forks, and DYNAMIC tasks under the name that their input said.

A dynamic fork writes its branches into its task's input, as Conductor shows them. Whoever meets one of their tasks finds its node there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batuta_core.decider.segments import PLAN, segment_ref
from batuta_core.decider.view import Reader, scheduling_change, task_input_in

if TYPE_CHECKING:
    from batuta_core.decider.compile import Graph, Node
    from batuta_core.model.place import TaskPlace
    from batuta_core.model.record import OpenTask

TASKS_INPUT = "forkedTaskDefs"  # Conductor's name


def forked_tasks(task_input: Any) -> Sequence[Mapping[str, Any]]:
    """The branches in the input of a dynamic fork's task; none in any other."""
    found = task_input.get(TASKS_INPUT) if isinstance(task_input, dict) else None
    return found if isinstance(found, list) else ()


class Branches(Mapping[str, "Node"]):
    """The nodes that a dynamic fork made, by reference name. A branch is compiled when somebody asks for it, with all that is inside of
    it: a decision on one branch of a thousand must not cost a thousand."""

    def __init__(self, tasks: Sequence[Mapping[str, Any]], graph: Graph, loop: str | None) -> None:
        self._graph = graph
        self._loop = loop
        self._left = {str(task["taskReferenceName"]): task for task in tasks}  # not compiled yet
        self._nodes: dict[str, Node] = {}

    def __getitem__(self, ref: str) -> Node:
        if ref not in self._nodes:
            if ref in self._left:
                self._compile(ref)
            else:  # it is inside of a branch
                self._compile_all()
        return self._nodes[ref]

    def __iter__(self) -> Iterator[str]:
        self._compile_all()
        return iter(self._nodes)

    def __len__(self) -> int:
        self._compile_all()
        return len(self._nodes)

    def branch(self, ref: str) -> Mapping[str, Node]:
        """The nodes of the branch that begins with ``ref``; all of the fork's where ``ref`` is inside of one."""
        if ref in self._left:
            return self._compile(ref)
        self._compile_all()
        return self._nodes

    def _compile(self, ref: str) -> Mapping[str, Node]:
        found = self._graph.compile_branches([self._left.pop(ref)], self._loop)
        self._nodes.update(found)
        return found

    def _compile_all(self) -> None:
        for ref in list(self._left):
            self._compile(ref)


class Segments(Mapping[str, "Node"]):
    """The nodes of the segments that a wide fork opened."""

    def __init__(self, fork: str, count: int, graph: Graph) -> None:
        self._graph = graph
        self._refs = [segment_ref(fork, index) for index in range(count)]

    def __getitem__(self, ref: str) -> Node:
        node = self._graph.segment(ref)
        if node is None:
            raise KeyError(ref)
        return node

    def __iter__(self) -> Iterator[str]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)

    def branch(self, ref: str) -> Mapping[str, Node]:
        """The node of that segment."""
        return {ref: self[ref]}


def branches(fork: TaskPlace, graph: Graph, reader: Reader) -> Branches | Segments:
    """The nodes that a dynamic fork made."""
    node = graph.node(str(scheduling_change(reader.record(fork.record), fork.nth).fields["ref"]))
    task_input = input_of(fork, reader)
    if PLAN in task_input:
        return Segments(node.ref, task_input[PLAN]["count"], graph)
    return Branches(forked_tasks(task_input), graph, node.loop)


def input_of(fork: TaskPlace, reader: Reader) -> Any:
    """The input of a dynamic fork's task."""
    number = scheduling_change(reader.record(fork.record), fork.nth).number
    return reader.payload(task_input_in(reader.record(fork.rerun or fork.record), number, fork))


class OpenNodes:
    """The nodes of the open tasks of one execution."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._forks: dict[TaskPlace, Branches | Segments] = {}

    def of(self, task: OpenTask, reader: Reader) -> Node:
        """Raises Missing where the record of its fork is lacking."""
        node = self._graph.nodes.get(task.ref) or self._graph.segment(task.ref)
        if node is None:
            if task.fork is None:
                raise KeyError(task.ref)
            if task.fork not in self._forks:
                self._forks[task.fork] = branches(task.fork, self._graph, reader)
            node = self._forks[task.fork][task.ref]
        return named(node, task.task_name) if task.task_name else node


def named(node: Node, task_name: str) -> Node:
    """The node of a DYNAMIC task whose input says ``task_name``."""
    return replace(node, task={**node.task, "name": task_name})


def roots_read(nodes: Mapping[str, Node]) -> tuple[str, ...]:
    """Whose fields the inputs of ``nodes`` read."""
    return tuple(sorted({root for node in nodes.values() for root, _name in node.inputs.needs} - {"workflow"}))
