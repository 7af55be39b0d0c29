"""Limits of task types: who of those that wait gets the next permit.

    read the state -> admit -> write it -> send the tasks -> note that they are sent -> acknowledge

Theory of operation. All that is said to a gate comes over the decider queue in a group of the gate's own, so that as a rule one function
at a time works at it, on up to ten messages together. Correctness does not rest on that: the state is written on condition that nobody
else has written it, and whoever is refused begins anew.

* A delivery is admitted only if the newest head of its execution still wants it. What ended while it waited drains so, and nobody has
  to take it out of the line. A permit is given before the end of its delivery is heard, or not at all: the end is said after it was
  committed, and whoever heard it in between has refused this write.
* What was admitted stays in the state as unsent until it has been sent. Whoever finds it there sends it (again): its admitter died, or
  is slow. Workers drop nothing by that, and the first result of an attempt wins.
* A permit comes back because the record that ended the delivery commands it. The command stays in the head until it was carried out
  (``engine.returns``): so none is lost in a crash.
* Limits are those of the registered task definition at this moment. A change of them tells the gate.
* Nothing polls. Who waits is let in by a permit that comes back, or by the end of a window, for which one delayed message is armed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace

from batuta_core.decider import permits
from batuta_core.engine import timers
from batuta_core.engine.dispatch import send_tasks
from batuta_core.engine.ports import GateOvertaken, Incoming, Ports
from batuta_core.engine.together import Together
from batuta_core.model.definition import TaskDefinition
from batuta_core.model.error import Unavailable
from batuta_core.model.execution import TaskStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.gate import (
    NO_LIMITS,
    Entry,
    GateDue,
    GateId,
    GateMessage,
    GateState,
    Limits,
    PermitReturned,
    TaskEntered,
    permit_key,
)
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import OpenTask, Record

_TRIES = 10
_ADMIT_MAX = 25  # in one turn: each wants the head of its execution read, some 5 ms; the others follow in the next
_LOOK_MAX = 100  # entries looked at in one turn, most of them of what has ended since


@dataclass(slots=True)
class Turn:
    """What was said to one gate in a batch."""

    told: list[tuple[ExecutionId, GateMessage]] = field(default_factory=list)
    message_ids: list[str] = field(default_factory=list)
    is_redelivered: bool = False

    def add(self, execution: ExecutionId, message: GateMessage, received: Incoming) -> None:
        self.told.append((execution, message))
        self.message_ids.append(received.message_id)
        self.is_redelivered = self.is_redelivered or received.receives > 1


def take(ports: Ports, gate: GateId, turn: Turn) -> bool:
    """Whether the turn's messages are dealt with."""
    try:
        _take(ports, gate, turn)
    except Exception as error:  # whatever it is, they must come again
        ports.log.failed("gate_failed", error, namespace=gate.namespace, task_type=gate.name)
        return False
    return True


def _take(ports: Ports, gate: GateId, turn: Turn) -> None:
    for tries in range(_TRIES):
        before = ports.gates.read(gate)
        work = _Work(ports, gate, before, is_careful=turn.is_redelivered or tries > 0)
        state = work.decide(turn.told)
        if state != before:
            state = replace(state, version=before.version + 1)
            try:
                ports.gates.write(gate, state)
            except GateOvertaken:
                ports.clock.pause(tries)
                continue
        work.carry_out(state)
        return
    raise Unavailable(f"{gate}: {_TRIES} turns in a row were overtaken")


class _Work:
    """One try of a turn. ``is_careful``: an earlier one may have put something in line without noting it."""

    def __init__(self, ports: Ports, gate: GateId, before: GateState, *, is_careful: bool) -> None:
        self.ports = ports
        self.gate = gate
        self.before = before
        self.is_careful = is_careful
        self.limits = NO_LIMITS
        self.lined = list(before.unsent)  # admitted, and perhaps still in line
        self.gone: list[Entry] = []  # in line, and nobody's any more
        self.wanted: dict[Entry, Record] = {}  # the heads of what was looked at

    def decide(self, told: Sequence[tuple[ExecutionId, GateMessage]]) -> GateState:
        state = self.before
        now_ms = max([self.ports.clock.now_ms(), *(message.due_ms for _execution, message in told if isinstance(message, GateDue))])
        entered: dict[Entry, TaskEntered] = {}
        for execution, message in told:
            if isinstance(message, TaskEntered):
                entered[Entry(message.order_ms, execution, message.place, message.send)] = message
                state = replace(state, pinned=message.limits)
        limits = self.limits = self._limits(state.pinned)
        for execution, message in told:
            if isinstance(message, PermitReturned):
                permit = permit_key(execution, message.place, message.send)
                state = permits.returned(state, permit, message, limits, now_ms)
        lost = [entry for entry, message in entered.items() if message.is_again and entry.permit in state.held]
        state = replace(state, unsent=tuple(dict.fromkeys((*state.unsent, *lost))))
        new = [entry for entry in entered if entry.permit not in state.held and entry not in state.unsent]
        if self.is_careful:  # what another turn has admitted since, an earlier try may have put in line
            self.gone.extend(entry for entry in entered if entry.permit in state.held)
        return self._with_wake(self._admit(state, new, limits, now_ms), limits, now_ms)

    def _limits(self, pinned: Limits) -> Limits:
        found = self.ports.definitions.tasks(self.gate.namespace, [self.gate.name]).get(self.gate.name)
        return pinned if found is None else TaskDefinition.from_dict(found).limits

    def _admit(self, state: GateState, new: Sequence[Entry], limits: Limits, now_ms: int) -> GateState:
        room = permits.free(state, limits, now_ms)
        if not state.has_waiting and not (new and self.is_careful) and (room is None or len(new) <= room):
            return permits.admitted(state, [entry for entry in new if self._is_wanted(entry)], limits, now_ms)
        if new:
            self.ports.gates.wait(self.gate, new)
            state = replace(state, has_waiting=True)
        chosen: list[Entry] = []
        most, after, looked = min(_ADMIT_MAX if room is None else room, _ADMIT_MAX), "", 0
        while state.has_waiting and len(chosen) < most and looked < _LOOK_MAX:
            wanted = min(most - len(chosen), _LOOK_MAX - looked)
            page = self.ports.gates.waiting(self.gate, wanted, after)
            for entry in page:
                is_wanted = entry.permit not in state.held and self._is_wanted(entry)
                (chosen if is_wanted else self.gone).append(entry)
                after = entry.sort_key
            looked += len(page)
            state = replace(state, has_waiting=len(page) == wanted)
        self.lined.extend(chosen)
        return permits.admitted(state, chosen, limits, now_ms)

    def _is_wanted(self, entry: Entry) -> bool:
        newest = self.ports.journal.newest(entry.execution)
        if newest is None or _task(newest, entry, self.gate) is None:
            return False
        self.wanted[entry] = newest
        return True

    def _with_wake(self, state: GateState, limits: Limits, now_ms: int) -> GateState:
        """Arms a moment to look again, unless one is armed that comes no later."""
        if 0 < state.wake_ms <= now_ms:
            state = replace(state, wake_ms=0, is_wake_unsent=False)
        due_ms = min(permits.wake_due_ms(state, limits, now_ms), now_ms + permits.WAKE_MAX_MS)
        if due_ms and (not state.wake_ms or due_ms < state.wake_ms):
            state = replace(state, wake_ms=due_ms, is_wake_unsent=True)
        return state

    def carry_out(self, state: GateState) -> None:
        together = Together(self.ports)
        for entry in state.unsent:
            newest = self.wanted.get(entry) or self.ports.journal.newest(entry.execution)
            task = _task(newest, entry, self.gate) if newest else None
            if newest and task:
                together.execution = entry.execution
                send_tasks(together.ports, entry.execution, newest, [task], is_rated=self.limits.rate > 0)
        for error in together.flush().values():
            raise error
        if leaving := [*self.lined, *self.gone]:
            self.ports.gates.forget(self.gate, leaving)
        if state.is_wake_unsent:
            timers.wake_gate(self.ports, self.gate, state.wake_ms)
        if state.is_open:
            try:
                self.ports.gates.write(self.gate, replace(state, version=state.version + 1, unsent=(), is_wake_unsent=False))
            except GateOvertaken:  # somebody else has taken them over, and sends them once more
                pass


def _task(newest: Record, entry: Entry, gate: GateId) -> OpenTask | None:
    """The task that still wants this delivery."""
    for task in newest.head.open.values():
        is_it = task.place == entry.place and task.sends == entry.send and task.gate == gate.name
        if is_it and task.status is TaskStatus.SCHEDULED and task.sent_ms:
            return task
    return None
