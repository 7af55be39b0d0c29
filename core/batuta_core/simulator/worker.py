"""Workers in the simulation: one that takes tasks from the queues as the SDK does, one that polls over HTTP."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from batuta_core.engine import operate, poll
from batuta_core.engine.ports import Incoming, Outgoing
from batuta_core.model import ids
from batuta_core.model.error import BatutaError
from batuta_core.model.event import Event, TaskHandedBack, TaskStarted, TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import SCHEMA, InboxMessage, NotOurs, TaskEnvelope, TaskMessage
from batuta_core.model.names import OWN_FIRST_OF, priority_queue_name, task_queue_name
from batuta_core.simulator.world import Action, World

_POLL_COUNT = 5  # those of one execution are taken in one record
WORKER_LIFE_MS = 24 * 3600 * 1000  # a worker is no function: nobody kills it after half a minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a worker's function makes of one call."""

    status: TaskStatus = TaskStatus.COMPLETED
    output: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    callback_after_s: int = 0
    is_lost: bool = False  # the worker dies over it and reports nothing
    is_handed_back: bool = False  # the worker is shut down and gives it back
    is_slow: bool = False  # long enough to report that it has begun


Behaviour = Callable[[TaskMessage], Outcome]


@dataclass(frozen=True, slots=True)
class Report:
    """A result that was taken in: its sender was told so."""

    task_id: str
    status: TaskStatus
    output: Mapping[str, Any]


class SdkWorker:
    """Takes task messages straight from the queues and sends results to the decider queue, then deletes the message."""

    def __init__(self, world: World, behaviour: Behaviour, name: str = "sdk", *, schema: int = SCHEMA) -> None:
        """``schema``: the newest that it can read."""
        self._world = world
        self._behaviour = behaviour
        self._name = name
        self._schema = schema
        self.reports: list[Report] = []
        self._overtaken: Counter[str] = Counter()  # how often in a row a priority queue came before the queue
        world.sources.append(self._ready)

    def _ready(self) -> list[Action]:
        queues = self._world.queues
        ready = [queue for queue in queues.task_queues() if queues.is_ready(queue)]
        for queue in list(ready):
            if (priority := priority_queue_name(queue)) in ready:  # one of the two has to wait
                ready.remove(priority if self._overtaken[queue] >= OWN_FIRST_OF - 1 else queue)
        return [Action(self._name, functools.partial(self._turn, queue), WORKER_LIFE_MS) for queue in ready]

    def _turn(self, queue: str) -> None:
        world = self._world
        self._overtaken[queue] = 0
        self._overtaken.update(other for other in world.queues.task_queues() if priority_queue_name(other) == queue)
        for received in world.io("queues.receive", world.queues.receive, queue, 1, 0):
            try:
                envelope = TaskEnvelope.parse(received.text)
            except NotOurs:
                continue  # it is left alone until the queue gives it up
            if envelope.schema > self._schema:
                self._let_wait(queue, received, envelope)
                continue
            message = TaskMessage.parse(received.text)
            if message.is_rated and received.receives > 1:
                op = f"back-{received.receipt}"
                self._send(message, TaskHandedBack(place=message.place, op=op, send=message.send, is_gone=True))
                world.io("queues.delete", world.queues.delete, queue, [received.receipt])
                continue
            outcome = self._behaviour(message)
            if outcome.is_slow:
                self._send(
                    message, TaskStarted(place=message.place, op=f"start-{received.receipt}", worker_id=self._name, call=message.call)
                )
            if outcome.is_lost:
                return
            if outcome.is_handed_back:
                self._send(message, TaskHandedBack(place=message.place, op=f"back-{received.receipt}", send=message.send))
                world.io("queues.release", world.queues.release, queue, [received.receipt])
                return
            self._finish(queue, received, message, outcome)

    def _let_wait(self, queue: str, received: Incoming, envelope: TaskEnvelope) -> None:
        self._send(envelope, TaskHandedBack(place=envelope.place, op=f"back-{received.receipt}", send=envelope.send))
        wait_s = envelope.wait_s(self._world.now_ms)
        self._world.io("queues.release", self._world.queues.extend, queue, [received.receipt], wait_s)

    def _finish(self, queue: str, received: Incoming, message: TaskMessage, outcome: Outcome) -> None:
        world = self._world
        self._send(
            message,
            TaskUpdated(
                place=message.place,
                status=outcome.status,
                output=dict(outcome.output),
                reason=outcome.reason,
                worker_id=self._name,
                callback_after_s=outcome.callback_after_s,
                started_ms=world.now_ms,
                call=message.call,
            ),
        )
        self.reports.append(Report(message.task_id, outcome.status, outcome.output))
        world.io("queues.delete", world.queues.delete, queue, [received.receipt])

    def _send(self, message: TaskMessage | TaskEnvelope, event: Event) -> None:
        text = InboxMessage(execution=message.execution, event=event, token=message.token, attempt=message.attempt).to_text()
        outgoing = Outgoing(text, group=str(message.execution), dedup=ids.short_hash(message.task_id, text))
        self._world.io("queues.send", self._world.queues.send, self._world.queues.inbox, [outgoing])


class SystemWorker:
    """A function of ours that runs tasks, fed by ``queue``: it reports as an SDK worker does, but is given no message twice. One that
    is_lost is killed in the middle."""

    def __init__(self, world: World, queue: str, behaviour: Behaviour) -> None:
        self._world = world
        self._queue = queue
        self._behaviour = behaviour
        self.calls: list[str] = []  # the ids of the tasks that were run, repeats included
        self.reports: list[Report] = []
        world.sources.append(self._ready)

    def _ready(self) -> list[Action]:
        return [Action("system", self._turn)] if self._world.queues.is_ready(self._queue) else []

    def _turn(self) -> None:
        world = self._world
        for received in world.io("queues.receive", world.queues.receive, self._queue, 10, 0):
            message = TaskMessage.parse(received.text)
            self.calls.append(message.task_id)
            outcome = self._behaviour(message)
            if outcome.is_lost:
                return
            event = TaskUpdated(
                place=message.place,
                status=outcome.status,
                output=dict(outcome.output),
                reason=outcome.reason,
                started_ms=world.now_ms,
                call=message.call,
            )
            text = InboxMessage(execution=message.execution, event=event, token=message.token, attempt=message.attempt).to_text()
            outgoing = Outgoing(text, group=str(message.execution), dedup=ids.short_hash(message.task_id, text))
            world.io("queues.send", world.queues.send, world.queues.inbox, [outgoing])
            self.reports.append(Report(message.task_id, outcome.status, outcome.output))
            world.io("queues.delete", world.queues.delete, self._queue, [received.receipt])


class HttpWorker:
    """Polls and reports through the API's engine functions, as Conductor's clients do."""

    def __init__(self, world: World, behaviour: Callable[[Mapping[str, Any]], Outcome], types: Callable[[], list[tuple[str, str]]]) -> None:
        self._world = world
        self._behaviour = behaviour
        self._types = types  # (namespace, task type) of those to poll
        self.reports: list[Report] = []
        self._held: list[tuple[str, Mapping[str, Any]]] = []
        world.sources.append(self._ready)
        world.wakers.append(self._wakes)

    def _ready(self) -> list[Action]:
        queues = self._world.queues
        found = [
            Action("poll", functools.partial(self._poll, namespace, task_type))
            for namespace, task_type, queue in self._queues()
            if queues.is_ready(queue) or 0 < self._looks_ms(queue) <= self._world.now_ms
        ]
        return found + [Action("report", functools.partial(self._report, *held)) for held in self._held[:1]]

    def _looks_ms(self, queue: str) -> int:
        """From when on a poll finds what lies on the priority queue; before, the API may think that there is none. 0: nothing lies
        there."""
        name = priority_queue_name(queue)
        if name not in self._world.queues.names() or not self._world.queues.is_ready(name):
            return 0
        return (self._world.plain.cache.priority_queues.get(name) or 1) + self._world.skew_ms

    def _wakes(self) -> list[int]:
        return [self._looks_ms(queue) for _namespace, _type, queue in self._queues()]

    def _queues(self) -> list[tuple[str, str, str]]:
        known = set(self._world.queues.task_queues())
        named = [(namespace, task_type, task_queue_name("sim", namespace, task_type)) for namespace, task_type in self._types()]
        return [item for item in named if item[2] in known]

    def _poll(self, namespace: str, task_type: str) -> None:
        for task in poll.poll(self._world.ports, namespace, task_type, worker_id="http", count=_POLL_COUNT, timeout_ms=0):
            self._held.append((namespace, task))

    def _report(self, namespace: str, task: Mapping[str, Any]) -> None:
        self._held.remove((namespace, task))
        outcome = self._behaviour(task)
        if outcome.is_lost or outcome.is_handed_back:
            return
        report = operate.TaskReport(
            status=outcome.status,
            output=outcome.output,
            reason=outcome.reason,
            worker_id="http",
            callback_after_s=outcome.callback_after_s,
        )
        try:
            operate.update_task(self._world.ports, namespace, task["workflowInstanceId"], task["taskId"], report)
        except BatutaError as error:
            if error.retryable:
                self._held.append((namespace, task))  # the client sends it again
            return
        self.reports.append(Report(task["taskId"], outcome.status, outcome.output))
