"""The decider queue's end: what comes in, what is refused, what comes again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.engine import advance as advance_module
from batuta_core.engine.advance import advance, advance_alone, advance_batch
from batuta_core.engine.dispatch import open_commands
from batuta_core.engine.ports import Incoming, Ports
from batuta_core.model.command import ArmTimer, EnqueueTask, WriteSummary
from batuta_core.model.error import Unavailable
from batuta_core.model.event import TaskUpdated, TimerFired, WorkflowTerminated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import GuardFired, Inbound, InboxMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.place import TaskPlace
from batuta_core.model.token import Signer

UNKNOWN = ExecutionId(NAMESPACE, "00000000-0000-4000-8000-000000000000")
DONE = TaskUpdated(place=TaskPlace(1, 0), status=TaskStatus.COMPLETED)


@pytest.fixture
def server() -> Server:
    found = Server()
    found.register(simple("a"), simple("b"), simple("c", inputParameters={"x": "${workflow.input.x}"}))
    return found


def incoming(server: Server, execution: ExecutionId, event: Inbound, message_id: str = "m", receives: int = 1) -> Incoming:
    """A message of our own."""
    return Incoming(message_id, InboxMessage(execution=execution, event=event).to_text(server.ports.signer), "r", receives)


def lose_record_1(server: Server) -> ExecutionId:
    """An execution that cannot be decided once ``b`` has ended: what it must read is gone."""
    execution = server.start(input={"x": 1})
    server.run_task("a")
    server.world.journal.purge(execution, keep=2)
    server.ports.cache.records.clear()
    return execution


def test_the_results_of_several_executions_make_one_record_each(server: Server) -> None:
    executions = [server.start() for _ in range(3)]
    assert advance_batch(server.ports, [incoming(server, execution, DONE) for execution in executions]) == []
    assert [server.newest(execution).seq for execution in executions] == [2, 2, 2]
    assert server.waiting(server.queue("b")) == 3


def test_events_of_one_execution_in_a_batch_make_one_record(server: Server) -> None:
    execution = server.start()
    advance_batch(server.ports, [incoming(server, execution, event) for event in (DONE, WorkflowTerminated(op="x"))])
    assert (server.newest(execution).seq, server.status(execution)) == (2, "TERMINATED")
    assert server.waiting(server.queue("b")) == 0


def test_a_repeated_result_makes_no_record(server: Server) -> None:
    execution = server.start()
    for _ in range(3):
        assert advance_batch(server.ports, [incoming(server, execution, DONE)]) == []
    assert server.newest(execution).seq == 2


@pytest.mark.parametrize("is_redelivered", [False, True])
def test_a_message_that_comes_again_dispatches_again_what_is_open(server: Server, is_redelivered: bool) -> None:
    execution = server.start()
    advance(server.ports, execution, [DONE], is_redelivered=False)
    server.taken("b")  # sent, and lost
    advance(server.ports, execution, [DONE], is_redelivered=is_redelivered)
    assert server.waiting(server.queue("b")) == int(is_redelivered)


def test_what_is_for_nobody_is_done_with(server: Server) -> None:
    for event in (DONE, TimerFired(timer=1, due_ms=5), WorkflowTerminated(op="x"), GuardFired(1)):
        assert advance_batch(server.ports, [incoming(server, UNKNOWN, event)]) == []
    assert server.world.journal.newest(UNKNOWN) is None


def test_a_start_that_comes_as_a_message_begins_the_execution_and_what_lies_before_it_is_passed_over(server: Server) -> None:
    [started] = server.newest(server.start()).events
    found = advance(server.ports, UNKNOWN, [DONE, started, DONE], is_redelivered=False)
    assert found is not None
    assert (found.seq, len(found.events)) == (1, 2)  # begun, and its first task done
    assert list(found.head.open) == ["b"]


# --- what is refused, what comes again


def test_what_is_not_ours_is_dropped_and_logged_and_stops_nobody(server: Server) -> None:
    execution = server.start()
    unsigned = InboxMessage(execution=execution, event=WorkflowTerminated(op="x"), token="t", attempt=1).to_text()
    strangers = [Incoming(f"s{number}", text, "r", 1) for number, text in enumerate(["", "junk", "{}", unsigned, '{"v":1}'])]
    assert advance_batch(server.ports, [*strangers, incoming(server, execution, DONE)]) == []
    assert (server.newest(execution).seq, server.status(execution)) == (2, "RUNNING")
    assert server.log.events == ["message_refused"] * 5


def test_a_worker_cannot_report_on_anothers_task(server: Server) -> None:
    mine, other = server.start(), server.start()
    message = server.taken("a")
    victim = other if message.execution == mine else mine
    forged = InboxMessage(execution=victim, event=DONE, token=message.token, attempt=1)
    assert advance_batch(server.ports, [Incoming("m", forged.to_text(), "r", 1)]) == []
    assert server.newest(victim).seq == 1


def test_a_message_of_a_newer_version_comes_again(server: Server) -> None:
    assert advance_batch(server.ports, [Incoming("new", '{"v":4}', "r", 1)]) == ["new"]


def test_messages_wait_in_order_for_the_keys_that_check_them_and_hold_up_nobody(server: Server) -> None:
    execution, other = server.start(), server.start()
    new_key = Signer([b"a key that is not known here"])

    def unreachable() -> Sequence[bytes]:
        raise Unavailable("the parameter store does not answer")

    ports = replace(server.ports, signer=Signer([b"the simulator's only key"], renew=unreachable))
    text = InboxMessage(execution=execution, event=DONE).to_text(new_key)
    behind = incoming(server, execution, WorkflowTerminated(op="x"), "behind")
    batch = [
        Incoming("unknown", text, "r", 1, group="g"),
        replace(behind, group="g"),
        replace(incoming(server, other, DONE, "other"), group="h"),
    ]
    assert advance_batch(ports, batch) == ["unknown", "behind"]
    assert (server.newest(execution).seq, server.newest(other).seq) == (1, 2)
    assert not advance_alone(ports, batch[0])


def test_of_an_execution_that_cannot_be_decided_all_messages_come_again_and_of_others_none(server: Server) -> None:
    bad = lose_record_1(server)
    good = server.start()
    place = server.newest(bad).head.open["b"].place
    batch = [
        incoming(server, bad, TaskUpdated(place=place, status=TaskStatus.COMPLETED), "bad1"),
        incoming(server, good, DONE, "good"),
        incoming(server, bad, WorkflowTerminated(op="x"), "bad2"),
    ]
    assert advance_batch(server.ports, batch) == ["bad1", "bad2"]
    assert (server.newest(good).seq, server.newest(bad).seq) == (2, 2)
    assert server.log.events == ["decision_failed"]


def test_what_cannot_be_decided_alone_either_fails_the_execution_with_the_reason(server: Server) -> None:
    execution = lose_record_1(server)
    place = server.newest(execution).head.open["b"].place
    assert advance_alone(server.ports, incoming(server, execution, TaskUpdated(place=place, status=TaskStatus.COMPLETED)))
    head = server.newest(execution).head
    assert (head.status.value, head.open) == ("FAILED", {})
    assert "the journal lacks records [1]" in (head.reason or "")


def test_alone_an_innocent_message_is_decided_like_any_other(server: Server) -> None:
    execution = server.start()
    assert advance_alone(server.ports, incoming(server, execution, DONE))
    assert server.newest(execution).seq == 2
    assert advance_alone(server.ports, Incoming("m", "junk", "r", 1))
    assert not advance_alone(server.ports, Incoming("m", '{"v":4}', "r", 1))


# --- guards


def test_a_guard_dispatches_again_what_its_record_left_open_unless_that_was_noted(server: Server) -> None:
    execution = server.start()
    server.taken("a")
    advance(server.ports, execution, [GuardFired(1)], is_redelivered=False)
    assert server.waiting(server.queue("a")) == 0  # the start noted that it came to its end
    server.world.summaries.delete(execution)
    advance(server.ports, execution, [GuardFired(1)], is_redelivered=False)
    assert server.waiting(server.queue("a")) == 1
    assert server.newest(execution).seq == 1


def test_a_guard_of_a_record_that_was_never_written_or_is_overtaken_sends_no_task(server: Server) -> None:
    execution = server.start()
    server.run_task("a")
    server.taken("b")
    server.world.summaries.delete(execution)
    for seq in (1, 2, 3, 99):
        advance(server.ports, execution, [GuardFired(seq)], is_redelivered=False)
    assert (server.waiting(server.queue("a")), server.waiting(server.queue("b"))) == (0, 1)  # record 2 left b open


# --- what a head relies on


def test_a_running_head_relies_on_its_tasks_its_timer_and_its_summary(server: Server) -> None:
    head = server.newest(server.start()).head
    assert head.mark is not None
    assert open_commands(head) == (
        EnqueueTask(place=TaskPlace(1, 0), ref="a"),
        ArmTimer(timer=1, due_ms=head.mark.due_ms),
        WriteSummary(),
    )


def test_a_task_that_waits_for_a_timer_is_not_sent_before_it() -> None:
    server = Server()
    server.register(simple("a"))
    execution = server.start()
    event = TaskUpdated(place=TaskPlace(1, 0), status=TaskStatus.IN_PROGRESS, callback_after_s=3600)
    advance(server.ports, execution, [event], is_redelivered=False)  # due so late that it waits for a timer
    assert not any(isinstance(command, EnqueueTask) for command in open_commands(server.newest(execution).head))


def test_what_a_long_decision_leaves_no_time_for_comes_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    executions = [server.start() for _ in range(3)]
    begun: list[ExecutionId] = []

    def slow(ports: Ports, execution: ExecutionId, *rest: object, **options: object) -> bool:
        begun.append(execution)
        server.world.now_ms += 9_000
        return True

    monkeypatch.setattr(advance_module, "_advance_group", slow)
    batch = [incoming(server, execution, DONE, f"m{n}") for n, execution in enumerate(executions)]
    assert advance_batch(server.ports, batch) == ["m1", "m2"]
    assert begun == executions[:1]
