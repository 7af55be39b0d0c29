"""Nodes that no definition holds: the branches of dynamic forks, and DYNAMIC tasks under the name that their input said.

A dynamic fork writes its branches into its task's input, as Conductor shows them. Whoever meets one of their tasks finds its node there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batuta_core.decider.view import Reader, scheduling_change, task_input_in

if TYPE_CHECKING:
    from batuta_core.decider.compile import Graph, Node
    from batuta_core.model.event import TaskPlace
    from batuta_core.model.record import OpenTask

TASKS_INPUT = "forkedTaskDefs"  # Conductor's name


def forked_tasks(task_input: Any) -> Sequence[Mapping[str, Any]]:
    """The branches in the input of a dynamic fork's task; none in any other."""
    found = task_input.get(TASKS_INPUT) if isinstance(task_input, dict) else None
    return found if isinstance(found, list) else ()


def branches(fork: TaskPlace, graph: Graph, reader: Reader) -> dict[str, Node]:
    """The nodes that a dynamic fork made, by reference name."""
    node = graph.node(str(scheduling_change(reader.record(fork.record), fork.nth).fields["ref"]))
    return graph.compile_branches(forked_tasks(input_of(fork, reader)), node.loop)


def input_of(fork: TaskPlace, reader: Reader) -> Any:
    """The input of a dynamic fork's task."""
    number = scheduling_change(reader.record(fork.record), fork.nth).number
    return reader.payload(task_input_in(reader.record(fork.rerun or fork.record), number, fork))


def node_of(task: OpenTask, graph: Graph, reader: Reader) -> Node:
    """The node of an open task. Raises Missing where the record of its fork is lacking."""
    node = graph.nodes.get(task.ref)
    if node is None:
        if task.fork is None:
            raise KeyError(task.ref)
        node = branches(task.fork, graph, reader)[task.ref]
    return named(node, task.task_name) if task.task_name else node


def named(node: Node, task_name: str) -> Node:
    """The node of a DYNAMIC task whose input says ``task_name``."""
    return replace(node, task={**node.task, "name": task_name})


def roots_read(nodes: Mapping[str, Node]) -> tuple[str, ...]:
    """Whose fields the inputs of ``nodes`` read."""
    return tuple(sorted({root for node in nodes.values() for root, _name in node.inputs.needs} - {"workflow"}))
