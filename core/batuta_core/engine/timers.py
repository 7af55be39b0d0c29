"""Deadlines and guards: how a moment in the future becomes an event.

Due within 15 minutes: a delayed message on the timers queue. Later: an entry in the bucket of its
minute; once a minute ``move_far_timers`` turns the next 14 minutes' entries into delayed messages,
so that an outage of 13 minutes makes nothing late.

The mover's cursor is the first minute that a writer may still write to. A writer chooses the
bucket when it dispatches and only when the moment is more than 15 minutes away, so a bucket
that is nearer than that by more than a writer's life and the clocks' skew is closed. Buckets
between the cursor and the horizon are read at every run; what was sent is deleted, so that
the next run finds only what came since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from batuta_core.engine.ports import FarTimer, Incoming, Outgoing, Ports
from batuta_core.engine.to_gates import to_gate
from batuta_core.model.error import BatutaError, NewerSchema
from batuta_core.model.event import QueueMade, TimerFired
from batuta_core.model.gate import GateDue, GateId
from batuta_core.model.message import GuardFired, Inbound, InboxMessage, NotOurs, TimerMessage, WantedQueue
from batuta_core.model.names import ExecutionId, priority_queue_name, resource_name, task_queue_name

SQS_DELAY_MAX_S = 900  # quota "message delay"
HORIZON_MINUTES = 14  # what is due within it, is moved
# A writer may take as long as a Lambda lives (60 s) after it chose the bucket; clocks differ by seconds.
WRITER_MINUTES = 2

# An API call ends within 30 s (API Gateway's integration timeout) and refuses to commit later than that after its guard was
# sent, so a guard that is due after 60 s finds either the record or a writer that will never write it.
GUARD_DELAY_S = 60
WRITER_LIFE_MS = 40_000


def timers_queue(ports: Ports) -> str:
    return resource_name(ports.stage, "timers")


def inbox_queue(ports: Ports) -> str:
    return resource_name(ports.stage, "decider.fifo")


def arm(ports: Ports, execution: ExecutionId, record: int, due_ms: int) -> None:
    """Has TimerFired sent to the execution at ``due_ms``, or up to a second later. A repeat fires twice, which is harmless."""
    wait_ms = due_ms - ports.clock.now_ms()
    if wait_ms > SQS_DELAY_MAX_S * 1000:
        if not ports.cache.is_cursor_begun:  # before the first far timer ever, so that the mover begins early enough
            ports.far_timers.begin_cursor(ports.clock.now_ms() // 60_000)
            ports.cache.is_cursor_begun = True
        ports.far_timers.put(FarTimer(due_ms, execution, record))
    else:
        _send(ports, [(TimerMessage(execution=execution, record=record, due_ms=due_ms), _delay_s(wait_ms))])


def send_guard(ports: Ports, execution: ExecutionId, record: int) -> None:
    """Before an API call commits ``record``: in a minute somebody looks whether its commands were carried out."""
    _send(ports, [(TimerMessage(execution=execution, record=record), GUARD_DELAY_S)])


def want_queues(ports: Ports, execution: ExecutionId, record: int, wanted: Sequence[WantedQueue]) -> None:
    """Tasks of types that nobody knew before have no queue: has one made, and each of them sent again. Or has a priority queue made."""
    _send(ports, [(TimerMessage(execution=execution, record=record, wanted=one), 0) for one in wanted])


def wake_gate(ports: Ports, gate: GateId, due_ms: int) -> None:
    """Has the gate told to look at ``due_ms``, in 15 minutes at the latest (0: as a guard)."""
    message = TimerMessage(execution=ExecutionId(gate.namespace, ""), record=0, due_ms=due_ms, gate=gate.name)
    _send(ports, [(message, _delay_s(due_ms - ports.clock.now_ms()) if due_ms else GUARD_DELAY_S)])


def _delay_s(wait_ms: int) -> int:
    return min(max(-(-wait_ms // 1000), 0), SQS_DELAY_MAX_S)


def _send(ports: Ports, messages: Sequence[tuple[TimerMessage, int]]) -> None:
    if messages:
        ports.queues.send(timers_queue(ports), [Outgoing(message.to_text(), delay_s=delay_s) for message, delay_s in messages])


def fire(ports: Ports, incoming: Sequence[Incoming], note: Callable[[TimerMessage], None] = lambda _message: None) -> list[str]:
    """Passes what came due to the decider. Returns the message ids that could not be dealt with and must come again. ``note`` is
    told what could be read."""
    failed: list[str] = []
    outgoing: list[Outgoing] = []
    for received in incoming:
        try:
            message = TimerMessage.parse(received.text)
        except NotOurs as error:
            ports.log.warning("message_not_ours", queue="timers", message_id=received.message_id, error=str(error))
            continue
        except NewerSchema:
            failed.append(received.message_id)
            continue
        note(message)
        event: Inbound
        if message.wanted:
            queue = task_queue_name(ports.stage, message.execution.namespace, message.wanted.task_type, message.wanted.domain)
            if message.wanted.is_priority:
                ports.queues.ensure_task_queue(priority_queue_name(queue))
                continue
            ports.queues.ensure_task_queue(queue)
            event = QueueMade(place=message.wanted.place, op=received.message_id, send=message.wanted.send)
        elif message.gate:
            due = GateDue(gate=message.gate, due_ms=message.due_ms)
            outgoing.append(to_gate(ports, message.execution, due, received.message_id))
            continue
        elif message.due_ms:
            event = TimerFired(timer=message.record, due_ms=message.due_ms)
        elif _is_dispatched(ports, message):
            continue
        else:
            event = GuardFired(message.record)
        text = InboxMessage(execution=message.execution, event=event).to_text(ports.signer)
        # Named by this very message: a timer that is armed twice for the same moment must be able to fire twice.
        outgoing.append(Outgoing(text, group=str(message.execution), dedup=received.message_id))
    if outgoing:
        ports.queues.send(inbox_queue(ports), outgoing)
    return failed


def _is_dispatched(ports: Ports, guard: TimerMessage) -> bool:
    """Whether the API call that the guard watches over noted that it came to its end, as nearly every one does: the decider, which
    asks the same again, need not be woken for it. That would be a quarter of what a start costs."""
    try:
        summary = ports.summaries.get(guard.execution)
    except BatutaError as error:  # asking only saves money
        ports.log.info("guard_unknown", namespace=guard.execution.namespace, workflow_id=guard.execution.workflow_id, error=repr(error))
        return False
    return summary is not None and summary.dispatched >= guard.record


def move_far_timers(ports: Ports) -> int:
    """Sends off what is due within the horizon; to be called once a minute. Returns how many it moved."""
    cursor = ports.far_timers.cursor()
    if not cursor:
        return 0
    horizon = ports.clock.now_ms() // 60_000 + HORIZON_MINUTES
    closed = horizon - WRITER_MINUTES
    moved = looks = 0
    for minute in range(cursor, horizon + 1):
        for page in ports.far_timers.in_minute(minute):
            for chunk in _chunks(page):  # what is dealt with is gone, however many are behind it and whenever the function dies
                needed = [timer for timer in chunk if looks >= _LOOKS_MAX or _is_needed(ports, timer)]
                looks += len(chunk)
                now_ms = ports.clock.now_ms()
                _send(
                    ports,
                    [(TimerMessage(execution=t.execution, record=t.record, due_ms=t.due_ms), _delay_s(t.due_ms - now_ms)) for t in needed],
                )
                ports.far_timers.delete(chunk)
                moved += len(needed)
        if minute < closed:
            ports.far_timers.set_cursor(minute + 1)
    return moved


def _chunks(page: Sequence[FarTimer]) -> Iterator[Sequence[FarTimer]]:
    return (page[begin : begin + _CHUNK] for begin in range(0, len(page), _CHUNK))


_CHUNK = 100
# A look at the head costs a read and a few ms; beyond so many in one run the decider finds out by itself.
_LOOKS_MAX = 1000


def _is_needed(ports: Ports, timer: FarTimer) -> bool:
    """Most far timers outlive what they watch. One that the head does not name would do nothing when it fires: it is armed
    after its record is committed, so a head that names another has overtaken it."""
    newest = ports.journal.newest(timer.execution)
    return newest is not None and newest.head.mark is not None and newest.head.mark.timer == timer.record
