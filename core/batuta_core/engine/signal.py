"""A signal finds what waits for it, in an execution or in the children that run for its tasks."""

from __future__ import annotations

from batuta_core.decider.lives import child_id
from batuta_core.decider.tasks.task_type import TaskType
from batuta_core.engine import operate
from batuta_core.engine.fetch import graph_of
from batuta_core.engine.ports import Ports
from batuta_core.model.error import WorkflowNotFound
from batuta_core.model.names import ExecutionId


def signal(ports: Ports, execution: ExecutionId, report: operate.TaskReport, kind: TaskType) -> str | None:
    """Reports on the first open task of type ``kind``, else on that of the first child which has one: its id, or None. Raises
    WorkflowNotFound."""
    newest = operate.require_newest(ports, execution)
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    found = operate.signal(ports, execution, report, lambda ref: graph.node(ref).type is kind)
    if found is not None:
        return found
    for task in sorted(newest.head.open.values(), key=lambda task: task.number):
        if task.child and graph.node(task.ref).type.runs_child:
            child = ExecutionId(execution.namespace, child_id(execution.workflow_id, task.place))
            try:
                found = signal(ports, child, report, kind)
            except WorkflowNotFound:  # it has not begun yet, or was removed
                continue
            if found is not None:
                return found
    return None
