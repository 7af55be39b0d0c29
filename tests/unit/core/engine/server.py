"""The production engine on the simulator's ports: register, start, take, report, look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batuta_core.engine import catalog, query
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.ports import Incoming, Log, Outgoing, Ports
from batuta_core.engine.start import StartRequest, start
from batuta_core.model import ids
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import InboxMessage, TaskMessage
from batuta_core.model.names import ExecutionId, task_queue_name
from batuta_core.model.record import Record
from batuta_core.simulator.world import World

Json = dict[str, Any]
NAMESPACE = "shop"


def simple(ref: str, **fields: Any) -> Json:
    """A worker's task; its task definition is called like it."""
    return {"name": ref, "taskReferenceName": ref, "type": "SIMPLE", **fields}


class KeptLog(Log):
    """Keeps the names of what was logged."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event: str, **facts: Any) -> None:
        self.events.append(event)

    def warning(self, event: str, **facts: Any) -> None:
        self.events.append(event)

    def failed(self, event: str, error: Exception, **facts: Any) -> None:
        self.events.append(event)


class Server:
    """A stage with one namespace. Nothing happens by itself: ``settle`` lets the functions do what lies before them."""

    def __init__(self, *, retention_s: int = 0) -> None:
        self.log = KeptLog()
        self.world = World(1, retention_s=retention_s, log=self.log)
        self.ports: Ports = self.world.ports

    def register(self, *tasks: Json, name: str = "w", task_definitions: Sequence[Json] = (), **fields: Any) -> None:
        if task_definitions:
            catalog.register_tasks(self.ports, NAMESPACE, task_definitions)
        catalog.register_workflows(self.ports, NAMESPACE, [{"name": name, "tasks": list(tasks), **fields}], no_javascript)

    def start(self, name: str = "w", **fields: Any) -> ExecutionId:
        return ExecutionId(NAMESPACE, start(StartRequest(**{"namespace": NAMESPACE, "name": name, **fields}), self.ports, no_javascript))

    def settle(self, for_ms: int = 0) -> None:
        """The decider and its like go on for so long, workers do not."""
        self.world.run(limit_ms=for_ms)

    # --- workers

    def queue(self, task_type: str) -> str:
        return task_queue_name(self.ports.stage, NAMESPACE, task_type)

    def take(self, task_type: str) -> TaskMessage | None:
        """A message of the type's queue, which is gone with that."""
        for received in self.world.queues.receive(self.queue(task_type), 1, 0):
            self.world.queues.delete(self.queue(task_type), [received.receipt])
            return TaskMessage.parse(received.text)
        return None

    def taken(self, task_type: str) -> TaskMessage:
        message = self.take(task_type)
        assert message is not None, f"no task of type {task_type}"
        return message

    def report(self, message: TaskMessage, status: TaskStatus = TaskStatus.COMPLETED, output: Any = None, **fields: Any) -> None:
        """A worker's result arrives, and is decided on."""
        event = TaskUpdated(place=message.place, status=status, output=output, **fields)
        self.send(InboxMessage(execution=message.execution, event=event, token=message.token, attempt=message.attempt))
        self.settle()

    def send(self, message: InboxMessage, *, is_ours: bool = False) -> None:
        text = message.to_text(self.ports.signer if is_ours else None)
        self.send_text(text, group=str(message.execution))

    def send_text(self, text: str, group: str = "group") -> None:
        self.world.queues.send(self.world.queues.inbox, [Outgoing(text, group=group, dedup=ids.short_hash(text))])

    def taken_in(self) -> Sequence[Incoming]:
        """What lies on the decider queue, which is empty with that."""
        found = self.world.queues.receive(self.world.queues.inbox, 10, 0)
        self.world.queues.delete(self.world.queues.inbox, [received.receipt for received in found])
        return found

    def run_task(self, task_type: str, output: Any = None) -> None:
        self.report(self.taken(task_type), output=output)

    # --- how it stands

    def newest(self, execution: ExecutionId) -> Record:
        found = self.world.journal.newest(execution)
        assert found is not None
        return found

    def status(self, execution: ExecutionId) -> str:
        return self.newest(execution).head.status.value

    def show(self, execution: ExecutionId) -> Json:
        return query.workflow_json(self.ports, execution)

    def waiting(self, queue: str) -> int:
        """Messages of a queue that nobody holds, those with a delay too."""
        size = self.world.queues.size(queue)
        return size.waiting + size.delayed
