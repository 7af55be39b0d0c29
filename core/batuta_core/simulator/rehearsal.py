"""An execution played with given answers: the whole engine in memory, on a clock that jumps, and somebody who answers for the outside.

Nothing is sent to anybody. Whenever the engine has come to rest, each open task that waits for the outside world (a worker, the
http function, a user, a child) is put to ``answer``, which gives the event that comes of it, or None for "nothing yet". Then it goes
on. Both ``batuta.testing`` and ``POST /workflow/test`` are this.

The messages of tasks are left on their queues: the head says what is open, and tells tasks of one type in different executions apart.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from batuta_core.decider.lives import child_id
from batuta_core.decider.tasks.task_type import TaskType
from batuta_core.engine import operate
from batuta_core.engine.dispatch import task_message
from batuta_core.engine.fetch import graph_of, open_nodes, read_records
from batuta_core.engine.ports import Ports
from batuta_core.model.event import Event, TaskStarted, TaskUpdated
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.message import TaskMessage
from batuta_core.model.names import ExecutionId, is_segment
from batuta_core.model.record import OpenTask, Record
from batuta_core.simulator.world import Action, World


@dataclass(frozen=True, slots=True)
class Asked:
    """An open task that waits for the outside."""

    message: TaskMessage  # what a worker would get to see of it, whatever its type
    kind: TaskType
    parents: tuple[str, ...]  # the reference names of the SUB_WORKFLOW tasks that it is inside of, the outermost first
    base_ref: str  # without the number of the iteration
    due_ms: int  # of work: when it may be begun, 0: at once; of others: when it ends by itself, 0: never
    has_child: bool  # another execution runs for it

    @property
    def execution(self) -> ExecutionId:
        return self.message.execution

    @property
    def is_work(self) -> bool:
        """Somebody must run it; else it may end by itself, or somebody may end it."""
        return self.kind.is_worker or bool(self.kind.system_queue)

    @property
    def names(self) -> Iterator[str]:
        """What answers may call it, the most special first: ``ship/pack__2``, ``ship/pack``, ``pack__2``, ``pack``."""
        for parents in (self.parents, ()) if self.parents else ((),):
            for ref in dict.fromkeys((self.message.ref, self.base_ref)):
                yield "/".join((*parents, ref))


_ENGINE = frozenset({"decider", "timers", "mover", "sweeper"})

Answer = Callable[[Asked], TaskUpdated | TaskStarted | None]


class _FailureLog:
    """A Log that keeps the first failure: what a stage would try again is a fault here."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def info(self, event: str, **facts: Any) -> None:
        pass

    def warning(self, event: str, **facts: Any) -> None:
        pass

    def failed(self, event: str, error: Exception, **facts: Any) -> None:
        self.error = self.error or error


class _Engine(World):
    """What the engine does by itself. What functions of ours do for tasks is answered."""

    def _ready(self) -> list[Action]:
        return [action for action in super()._ready() if action.name in _ENGINE]


class Rehearsal:
    """``ports`` takes the place of the simulator's own, by name. ``check`` is called after every action, and may raise to stop it."""

    def __init__(self, answer: Answer, *, now_ms: int = 0, check: Callable[[], None] | None = None, **ports: Any) -> None:
        self._log = _FailureLog()
        self.world = _Engine(log=self._log)
        self.world.now_ms = now_ms or self.world.now_ms
        self.world.on_step = check
        self.ports: Ports = replace(self.world.plain, **ports)
        self.world.ports = self.ports
        self._answer = answer
        self._parents: dict[ExecutionId, tuple[str, ...]] = {}

    def executions(self) -> list[ExecutionId]:
        """In the order in which they began."""
        return self.world.journal.executions()

    def newest(self, execution: ExecutionId) -> Record | None:
        return self.world.journal.newest(execution)

    def go_on(self) -> None:
        """Decides and asks for answers until at this moment there is nothing more to be done. Raises what went wrong inside."""
        self.run_to(self.world.now_ms)
        while self._ask_all():
            self.run_to(self.world.now_ms)

    def run_to(self, moment_ms: int) -> None:
        """Lets time pass, in which nobody is asked."""
        self.world.run_to(moment_ms)
        if self._log.error is not None:
            raise self._log.error

    def asked(self) -> Iterator[Asked]:
        """What is put to ``answer`` now, in the order of executions and of scheduling."""
        for execution in self.executions():
            newest = self.newest(execution)
            if newest is None or newest.head.status is not WorkflowStatus.RUNNING:
                continue
            for task in sorted(newest.head.open.values(), key=lambda task: task.number):
                if found := self._asked_of(execution, task):
                    yield found

    def _ask_all(self) -> bool:
        """Whether anything was answered."""
        has_answered = False
        for asked in self.asked():
            event = self._answer(asked)
            if event is not None:
                operate.operate(self.ports, asked.execution, functools.partial(_same, event), is_of_segment=True)
                has_answered = True
        return has_answered

    def _asked_of(self, execution: ExecutionId, listed: OpenTask) -> Asked | None:
        """None for what decides itself, for what somebody works on, and for what an answer has ended since it was listed."""
        newest = self.newest(execution)
        task = newest.head.open.get(listed.ref) if newest else None
        if newest is None or task is None or task.place != listed.place:
            return None
        graph = graph_of(self.ports, execution.namespace, newest.head.definition)
        node = open_nodes(self.ports, execution, newest, graph, [task])[task.ref]
        is_work = node.type.is_worker or node.type.system_queue
        if node.type.is_waiting or node.type.is_fork or (is_work and task.status is not TaskStatus.SCHEDULED):
            return None
        seq = task.place.rerun or task.place.record
        scheduled = newest if seq == newest.seq else read_records(self.ports, execution, [seq])[seq]
        message = task_message(self.ports, execution, newest.head, graph, node, task, scheduled)
        return Asked(message, node.type, self.parents_of(execution), task.ref, task.due_ms, bool(task.child))

    def parents_of(self, execution: ExecutionId) -> tuple[str, ...]:
        """The reference names of the SUB_WORKFLOW tasks that lead to an execution."""
        if execution not in self._parents:
            self._parents[execution] = self._find_parents(execution)
        return self._parents[execution]

    def _find_parents(self, execution: ExecutionId) -> tuple[str, ...]:
        newest = self.newest(execution)
        link = newest.head.about.parent if newest else None
        if link is None:
            return ()
        parent = ExecutionId(execution.namespace, link.workflow_id)
        newest_of_parent = self.newest(parent)
        for task in newest_of_parent.head.open.values() if newest_of_parent else ():
            if task.child and child_id(parent.workflow_id, task.place) == execution.workflow_id:
                above = self.parents_of(parent)
                return above if is_segment(task.child) else (*above, task.shown_ref)
        return ()  # it was answered in the child's place


def _same(event: Event, newest: Record) -> Event:
    return event
