"""A signal finds what waits for it, in an execution or in the children that run for its tasks."""

from __future__ import annotations

from collections.abc import Iterator

from batuta_core.decider.lives import child_id
from batuta_core.engine import operate
from batuta_core.engine.fetch import graph_of, open_nodes
from batuta_core.engine.ports import Ports
from batuta_core.model.error import WorkflowNotFound
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record


def signal(ports: Ports, execution: ExecutionId, report: operate.TaskReport) -> str | None:
    """Reports on the first open WAIT, else on that of the first child which has one: its id, or None. Raises WorkflowNotFound."""
    newest = operate.require_newest(ports, execution)
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    found = None if graph.is_segment else operate.signal(ports, execution, report, graph.is_wait)  # below a segment something may wait
    if found is not None:
        return found
    for child in open_children(ports, execution, newest):
        try:
            found = signal(ports, child, report)
        except WorkflowNotFound:  # it has not begun yet, or was removed
            continue
        if found is not None:
            return found
    return None


def open_children(ports: Ports, execution: ExecutionId, newest: Record) -> Iterator[ExecutionId]:
    """The executions that run for open tasks, in the order of the tasks. Some may not have begun."""
    started = sorted((task for task in newest.head.open.values() if task.child), key=lambda task: task.number)
    if not started:
        return
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    nodes = open_nodes(ports, execution, newest, graph, started)
    for task in started:
        if nodes[task.ref].type.runs_child:
            yield ExecutionId(execution.namespace, child_id(execution.workflow_id, task.place))
