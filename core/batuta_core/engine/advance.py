"""The decider queue's end: messages in, records out. The only routine that moves an execution on without a caller.

    load head -> decide -> commit -> dispatch -> acknowledge

Nothing starts that was not committed; nothing committed is lost. The message is acknowledged last, so a crash anywhere
brings it back, and then whatever the head still relies on is dispatched again: the crash may have come before the
dispatch. When a write is refused, the record there may be one's own whose reply was lost: an equal one is dispatched as
if the write had gone well. The same events in another record may be those of another delivery of this very message
which has died since: then, too, what is open is dispatched again. A record that somebody else wrote for other events
has a message or a guard of its own and is left to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field

from batuta_core.decider import lives
from batuta_core.engine import child, gates
from batuta_core.engine.dispatch import before_new_life, dispatch, open_commands
from batuta_core.engine.fetch import JournalGap, broken_by, decide_with, spill
from batuta_core.engine.ports import Incoming, Ports, Refused
from batuta_core.engine.together import Together
from batuta_core.model.command import ArmTimer, Command, EnqueueTask, ReturnPermit, StartChild, StopChild, TellRevival, WriteSummary
from batuta_core.model.error import BatutaError, RecordTooLarge, ResourceMissing, TokenRefused, Unavailable, WorkflowNotFound
from batuta_core.model.event import Event, WorkflowBroken, WorkflowStarted
from batuta_core.model.frozen import dataclass
from batuta_core.model.gate import GateId, GateMessage
from batuta_core.model.message import GuardFired, Inbound, InboxMessage, NotOurs
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record

# A decision may take 20 s (the scripts of ``decider.step``), and a function lives for 30: what has not begun by then comes again.
_BEGIN_WITHIN_MS = 8_000
_TRIES = 10  # lost races in a row; each means that another decision of the execution was committed


def advance(ports: Ports, execution: ExecutionId, inbound: Sequence[Inbound], *, is_redelivered: bool) -> Record | None:
    """Decides on what came in for one execution. Returns where it stands afterwards, None when there is no such execution.

    ``is_redelivered``: one of the messages was received before, so an earlier try may have died after its commit.
    """
    if len(inbound) > 1 and any(child.may_begin_life(item) for item in inbound):
        found = None
        for item in inbound:  # a new life is decided alone: it looks back at records, and what is decided with it is in none yet
            found = advance(ports, execution, [item], is_redelivered=is_redelivered)
        return found
    events = [item for item in inbound if not isinstance(item, GuardFired)]
    was_refused = False
    is_first = any(isinstance(event, WorkflowStarted) for event in events)  # then a glance would see nothing
    if len(events) == len(inbound) and not is_redelivered and not is_first:
        try:
            record = _at_a_glance(ports, execution, events)
        except Refused:
            was_refused = True
        else:
            if record is not None:
                return record
    newest = ports.journal.newest(execution)
    if events:
        before = newest
        newest = _commit(ports, execution, newest, events, is_redelivered=is_redelivered, was_refused=was_refused)
        if newest is not None:
            child.answer(ports, execution, before, newest, events)
    for item in inbound:
        if isinstance(item, GuardFired) and newest is not None:
            _look_after(ports, execution, newest, item.record)
    return newest


def _at_a_glance(ports: Ports, execution: ExecutionId, events: Sequence[Event]) -> Record | None:
    """Decides on a head that may be an old one: reading it so costs half, and the conditional write tells.

    Where nothing is written, nothing may be concluded either: an event that says nothing to an old head may say something to the
    newest. None then. Raises Refused when somebody else's record is there.
    """
    try:
        glanced = ports.journal.glance(execution)
        if glanced is None:
            return None
        decision = decide_with(ports, execution, glanced, events)
    except (JournalGap, WorkflowNotFound):
        return None
    if decision.record is None or len(decision.record.events) < len(events):
        return None
    before_new_life(ports, execution, glanced, decision.record)
    try:
        record, plain = spill(ports, execution, decision.record)
    except RecordTooLarge:
        return None
    try:
        ports.journal.append(execution, record, plain)
    except Refused as refused:
        if refused.existing.to_json() != plain:  # else it is our own, from a write whose reply was lost
            raise
    dispatch(ports, execution, record, record.commands)
    return record


def _commit(
    ports: Ports, execution: ExecutionId, newest: Record | None, events: Sequence[Event], *, is_redelivered: bool, was_refused: bool
) -> Record | None:
    too_large: Sequence[Event] = ()  # what had to give way to the end of the execution
    for tries in range(_TRIES):
        if newest is None:
            events = child.in_time(events)
            if not events:
                return None  # results for an execution that was removed, or never was
        decision = decide_with(ports, execution, newest, events)
        is_known = decision.record is None or len(decision.record.events) < len(events)
        again = open_commands(newest.head) if newest and (is_redelivered or (was_refused and is_known)) else ()
        if decision.record is None:
            if newest and again:
                dispatch(ports, execution, newest, again)
            return newest
        before_new_life(ports, execution, newest, decision.record)
        try:
            record, raw = spill(ports, execution, decision.record)
        except RecordTooLarge as error:
            if too_large or any(isinstance(event, WorkflowBroken) for event in events):
                raise
            if len(events) > 1:
                for part in (events[: len(events) // 2], events[len(events) // 2 :]):
                    newest = _commit(ports, execution, newest, part, is_redelivered=is_redelivered, was_refused=was_refused)
                return newest
            first = events if newest is None else []  # somebody may wait for the end of what cannot begin
            too_large, events = events, child.refused(events, newest) or [*first, broken_by(error, "too-large")]
            continue
        try:
            ports.journal.append(execution, record, raw)
        except Refused as refused:
            if refused.existing.to_json() != record.to_json():
                was_refused = True
                ports.clock.pause(tries)
                newest = ports.journal.newest(execution)
                events, too_large = too_large or events, ()  # behind the other's record it may fit
                continue
        dispatch(ports, execution, record, (*again, *record.commands))
        return record
    raise Unavailable(f"{execution}: {_TRIES} decisions in a row were overtaken")


def _look_after(ports: Ports, execution: ExecutionId, newest: Record, seq: int) -> None:
    """A guard has fired: what the API's record ``seq`` commanded and the head still relies on is dispatched again, unless
    the API noted that it came to the end.

    It notes so only after every guarded record before it: so one number says it of all of them.
    """
    if newest.seq < seq:
        return  # it was never written, and its writer is no more
    record = newest if newest.seq == seq else ports.journal.read(execution, [seq]).get(seq)
    still_open = [command for command in record.commands if _is_open(command, newest)] if record else []
    if record is None or not still_open:
        return
    summary = ports.summaries.get(execution)
    if summary is None or summary.dispatched < seq:
        dispatch(ports, execution, newest, still_open)
        ports.summaries.note_dispatched(execution, seq, after=record.head.guards[0])


def _is_open(command: Command, newest: Record) -> bool:
    head = newest.head
    match command:
        case EnqueueTask():
            return command.ref in head.open and head.open[command.ref].place == command.place
        case StartChild():
            return command.ref in head.open and head.open[command.ref].place == command.place
        case StopChild():
            return command in head.stops
        case TellRevival():
            return command in lives.revival(head)
        case ArmTimer():
            return head.mark is not None and head.mark.timer == command.timer
        case ReturnPermit():
            return command in head.returned
        case WriteSummary():
            return True
        case _:
            return command in head.last


# --- batches


@dataclass(slots=True)
class _Group:
    inbound: list[Inbound] = field(default_factory=list)
    message_ids: list[str] = field(default_factory=list)
    is_redelivered: bool = False


def advance_batch(ports: Ports, incoming: Sequence[Incoming], note: Callable[[InboxMessage], None] = lambda _message: None) -> list[str]:
    """Decides on a batch from the decider queue: one decision per execution. Returns the ids of the messages that must come
    again: of an execution that failed all of them, of a message that must wait all that came after it, else order within the
    execution would break. ``note`` is told what could be read."""
    failed: list[str] = []
    groups: dict[ExecutionId, _Group] = {}
    at_gates: dict[GateId, gates.Turn] = {}
    waiting: set[str] = set()
    for received in incoming:
        if received.group in waiting:
            failed.append(received.message_id)
            continue
        try:
            message = InboxMessage.parse(received.text, ports.signer)
        except (NotOurs, TokenRefused) as error:
            ports.log.warning("message_refused", queue="decider", message_id=received.message_id, error=str(error))
            continue
        except BatutaError as error:  # it cannot be read yet: newer than this code, or the keys to check it by did not come
            ports.log.warning("message_waits", queue="decider", message_id=received.message_id, error=str(error))
            failed.append(received.message_id)
            waiting.add(received.group)
            continue
        note(message)
        if isinstance(message.event, GateMessage):
            turn = at_gates.setdefault(GateId(message.execution.namespace, message.event.gate), gates.Turn())
            turn.add(message.execution, message.event, received)
            continue
        group = groups.setdefault(message.execution, _Group())
        group.inbound.append(message.event)
        group.message_ids.append(received.message_id)
        group.is_redelivered = group.is_redelivered or received.receives > 1
    together = Together(ports)
    began_ms = ports.clock.now_ms()
    for execution, group in groups.items():
        if ports.clock.now_ms() - began_ms > _BEGIN_WITHIN_MS:
            failed.extend(group.message_ids)
            continue
        together.execution = execution
        # After a guard's dispatch the summary says that it is done: then it must be.
        has_guard = any(isinstance(item, GuardFired) for item in group.inbound)
        if not _advance_group(ports if has_guard else together.ports, execution, group, is_redelivered=group.is_redelivered):
            failed.extend(group.message_ids)
    for execution in together.flush():
        if not _advance_group(ports, execution, groups[execution], is_redelivered=True):
            failed.extend(groups[execution].message_ids)
    for gate, turn in at_gates.items():
        is_late = ports.clock.now_ms() - began_ms > _BEGIN_WITHIN_MS
        if is_late or not gates.take(ports, gate, turn):
            failed.extend(turn.message_ids)
    return list(dict.fromkeys(failed))


def _advance_group(ports: Ports, execution: ExecutionId, group: _Group, *, is_redelivered: bool) -> bool:
    """Whether its messages are dealt with."""
    try:
        advance(ports, execution, group.inbound, is_redelivered=is_redelivered)
    except Exception as error:
        # Whatever it is, the message must come again and in the end be decided alone: nothing may be swallowed here.
        ports.log.failed("decision_failed", error, namespace=execution.namespace, workflow_id=execution.workflow_id)
        return False
    return True


def advance_alone(ports: Ports, received: Incoming) -> bool:
    """A message that failed so often that its queue gave it up is decided once more, by itself: throttles and a crashing
    neighbour make innocents look bad. Where deciding itself is what fails, the execution fails with the reason. Whether
    the message is dealt with."""
    try:
        message = InboxMessage.parse(received.text, ports.signer)
    except (NotOurs, TokenRefused) as error:
        ports.log.warning("message_refused", queue="dead-letters", message_id=received.message_id, error=str(error))
        return True
    except BatutaError:  # it cannot be read yet
        return False
    if isinstance(message.event, GateMessage):
        turn = gates.Turn(is_redelivered=True)
        turn.add(message.execution, message.event, received)
        return gates.take(ports, GateId(message.execution.namespace, message.event.gate), turn)
    try:
        advance(ports, message.execution, [message.event], is_redelivered=True)
    except Exception as error:
        if isinstance(error, BatutaError) and (error.retryable or isinstance(error, ResourceMissing)):
            return False  # a service below: later
        execution = message.execution
        ports.log.failed("execution_broken", error, namespace=execution.namespace, workflow_id=execution.workflow_id)
        reason = f"the execution cannot be decided: {error!r}"
        try:
            broken = WorkflowBroken(op=received.message_id[:8], reason=reason)
            # A start, or a stop in its stead, that cannot be decided makes the first record all the same: somebody may wait for its end.
            first = [message.event] if child.is_beginning(message.event) else []
            advance(ports, execution, [*first, broken], is_redelivered=True)
        except Exception as worse:  # not even its end can be written now: the message waits, and stops no other
            ports.log.failed("execution_not_ended", worse, namespace=execution.namespace, workflow_id=execution.workflow_id)
            return False
    return True
