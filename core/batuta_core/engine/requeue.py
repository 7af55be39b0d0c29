"""Queue sizes, and sending again what queues have lost: of a task type, or of an execution."""

from __future__ import annotations

from batuta_core.engine.catalog import make_queues, worker_types
from batuta_core.engine.dispatch import dispatch, open_commands
from batuta_core.engine.fetch import graph_of, open_nodes
from batuta_core.engine.ports import Ports, QueueMissing, QueueSize
from batuta_core.engine.search import Search, find
from batuta_core.engine.segments import open_below
from batuta_core.model.command import EnqueueTask
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.names import ExecutionId, priority_queue_name, task_queue_name

_EXECUTIONS_MAX = 1000  # looked through by one call, newest first


def waiting(ports: Ports, namespace: str, task_type: str, domain: str = "") -> int:
    """How many tasks a worker would find, now or after their delay; 0 for a type without a queue."""
    queue = task_queue_name(ports.stage, namespace, task_type, domain)
    sizes = [_size(ports, queue), _size(ports, priority_queue_name(queue))]
    return sum(size.waiting + size.delayed for size in sizes if size)


def queue_types(ports: Ports, namespace: str) -> list[str]:
    """The task types that have a queue: the registered ones, and those of registered workflows."""
    names = set(ports.definitions.tasks(namespace))
    for definition in ports.definitions.workflows(namespace):
        names.update(worker_types(definition))
    return sorted(names)


def requeue(ports: Ports, namespace: str, task_type: str) -> int:
    """Conductor pushes again what is pending. Here a task does not lose its message, and a second one would make a worker
    run it twice; so only a queue that is empty altogether, after somebody purged it and its priority queue, is filled again. Returns how
    many tasks are on the queue then."""
    queue = task_queue_name(ports.stage, namespace, task_type)
    size, urgent = _size(ports, queue), _size(ports, priority_queue_name(queue))
    if size is None:
        return 0
    if size.total or (urgent and urgent.total):
        return size.waiting + size.delayed + (urgent.waiting + urgent.delayed if urgent else 0)
    names = tuple(definition["name"] for definition in ports.definitions.workflows(namespace) if task_type in worker_types(definition))
    if not names:
        return 0
    count = 0
    wanted = Search(names=tuple(dict.fromkeys(names)), statuses=(WorkflowStatus.RUNNING.value,))
    for summary in find(ports, namespace, wanted, 0, _EXECUTIONS_MAX)[1]:
        root = ports.journal.newest(summary.execution)
        if root is None:
            continue
        for execution, newest in ((summary.execution, root), *open_below(ports, summary.execution, root)):
            graph = graph_of(ports, namespace, newest.head.definition)
            wanted_tasks = [command for command in open_commands(newest.head) if isinstance(command, EnqueueTask)]
            nodes = open_nodes(ports, execution, newest, graph, [newest.head.open[command.ref] for command in wanted_tasks])
            tasks = [command for command in wanted_tasks if nodes[command.ref].wire_type == task_type]
            dispatch(ports, execution, newest, tasks, is_again=True)
            count += len(tasks)
    return count


def send_again(ports: Ports, execution: ExecutionId) -> bool:
    """Sends again whatever the execution relies on, timers included, and makes the queues that it needs: for one whose messages are gone
    with their queues, as when a stage was destroyed and came back to its retained tables. Returns whether there is such an execution.

    Where nothing was lost this is harmless, but workers may run a task twice that waits. A task that a worker has in progress is not
    sent again: its response timeout is.
    """
    newest = ports.journal.newest(execution)
    if newest is None or newest.head.status is WorkflowStatus.REMOVED:
        return False
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    if not newest.head.status.is_terminal:
        named_late = open_nodes(ports, execution, newest, graph, newest.head.open.values()).values()
        nodes = [*(node for node in graph.nodes.values() if not node.type.is_named_late), *named_late]
        make_queues(ports, execution.namespace, [node.queue for node in nodes if node.type.is_worker])
    dispatch(ports, execution, newest, open_commands(newest.head), is_again=True)
    for segment, below in open_below(ports, execution, newest):
        dispatch(ports, segment, below, open_commands(below.head), is_again=True)
    return True


def _size(ports: Ports, queue: str) -> QueueSize | None:
    try:
        return ports.queues.size(queue)
    except QueueMissing:
        return None
