"""The decider function: what it does with a batch, and which of its messages it asks for again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.functions.api.caller import Api, simple, workflow
from tests.unit.functions.lambda_events import failures, sqs_event
from tests.unit.functions.strange import NEWER, STRANGE

from batuta_core.engine.ports import Incoming, Outgoing
from batuta_core.model import ids
from batuta_core.model.error import Unavailable
from batuta_core.model.event import TaskUpdated, TimerFired
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import InboxMessage, TaskMessage, TimerMessage
from batuta_core.model.names import ExecutionId, resource_name, task_queue_name
from batuta_core.simulator.faults import Fault, ToldFaults
from batuta_core.simulator.world import Actor
from batuta_server.decider.handler import make_handler

INBOX, FIFO_DEAD, DEAD, TASK_DEAD = (
    resource_name("sim", what) for what in ("decider.fifo", "dead-letters.fifo", "dead-letters", "task-dead-letters")
)
TICK = {"version": "0", "source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": {}}


class BrokenJournal:
    """The journal of a table in which some executions cannot be read."""

    def __init__(self, journal: Any, broken: Callable[[ExecutionId], Exception | None]) -> None:
        self._journal = journal
        self._broken = broken

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._journal, name)

        def watched(execution: ExecutionId, *args: Any) -> Any:
            if error := self._broken(execution):
                raise error
            return call(execution, *args)

        return watched


class Stage:
    """Executions of two tasks, and the results of their first."""

    def __init__(self) -> None:
        self.api = Api()
        self.api.register(workflow("order", simple("pack"), simple("ship")))
        self.broken: dict[str, Exception] = {}
        journal: Any = BrokenJournal(self.api.ports.journal, lambda execution: self.broken.get(execution.workflow_id))
        self.handle = make_handler(replace(self.api.ports, journal=journal))

    def results(self, count: int) -> list[tuple[str, Incoming]]:
        """The executions begun, each with the message that its first task is done."""
        ids = [self.api.start() for _ in range(count)]
        queue = task_queue_name("sim", "default", "pack")
        found = {}
        while batch := self.api.ports.queues.receive(queue, 10, 0):
            for received in batch:
                message = TaskMessage.parse(received.text)
                event = TaskUpdated(place=message.place, status=TaskStatus.COMPLETED, output={}, started_ms=message.scheduled_ms)
                text = InboxMessage(execution=message.execution, event=event, token=message.token, attempt=message.attempt).to_text()
                workflow_id = message.execution.workflow_id
                found[workflow_id] = Incoming(f"m-{workflow_id}", text, f"r-{workflow_id}", 1, str(message.execution))
        return [(workflow_id, found[workflow_id]) for workflow_id in ids]

    def __call__(self, batch: Sequence[Incoming]) -> list[str]:
        return failures(self.handle(sqs_event(INBOX, batch), None))

    def put(self, queue: str, *texts: str) -> None:
        is_fifo = queue.endswith(".fifo")
        messages = [Outgoing(text, group="g", dedup=str(place)) if is_fifo else Outgoing(text) for place, text in enumerate(texts)]
        self.api.ports.queues.send(queue, messages)

    def left(self, queue: str) -> int:
        return self.api.ports.queues.size(queue).total

    def sweep(self) -> int:
        """The minute's tick; how many dead letters it dealt with."""
        assert failures(self.handle(TICK, None)) == []
        found: int = self.noted("decider")[-1]["swept"]
        return found

    def statuses(self, workflow_id: str) -> list[str]:
        return [task["status"] for task in self.api("GET", f"/api/workflow/{workflow_id}").body["tasks"]]

    def noted(self, event: str) -> list[dict[str, Any]]:
        return [facts for name, facts in self.api.log.lines if name == event]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_batch_moves_each_of_its_executions_on(stage: Stage) -> None:
    begun = stage.results(3)
    assert stage([message for _, message in begun]) == []
    assert [stage.statuses(workflow_id) for workflow_id, _ in begun] == [["COMPLETED", "SCHEDULED"]] * 3


def test_a_repeat_changes_nothing(stage: Stage) -> None:
    ((workflow_id, message),) = stage.results(1)
    for receives in (1, 2, 3):
        assert stage([replace(message, receives=receives)]) == []
    assert stage([message, message]) == []
    assert stage.statuses(workflow_id) == ["COMPLETED", "SCHEDULED"]


@pytest.mark.parametrize("error", [Unavailable("throttled"), KeyError("a bug")], ids=["throttled", "bug"])
def test_of_a_group_that_fails_every_message_comes_again_and_of_the_others_none(stage: Stage, error: Exception) -> None:
    (bad, first), (good, other) = stage.results(2)
    stage.broken[bad] = error
    timer = InboxMessage(execution=ExecutionId("default", bad), event=TimerFired(timer=1, due_ms=1)).to_text(stage.api.ports.signer)
    later = replace(first, message_id="later", text=timer, receipt="r-later")
    assert stage([first, other, later]) == [first.message_id, "later"]
    assert stage.statuses(good) == ["COMPLETED", "SCHEDULED"]
    assert stage.statuses(bad) == ["SCHEDULED"]
    assert [facts["workflow_id"] for facts in stage.noted("decision_failed")] == [bad]
    stage.broken.clear()
    assert stage([replace(first, receives=2), replace(later, receives=2)]) == []
    assert stage.statuses(bad) == ["COMPLETED", "SCHEDULED"]


@pytest.mark.parametrize("text", STRANGE, ids=lambda text: ascii(text)[:30])
def test_a_strange_message_is_dropped_and_noted_and_hinders_none(stage: Stage, text: str) -> None:
    ((workflow_id, message),) = stage.results(1)
    strange = Incoming("strange", text, "r", 1, "g")
    assert stage([strange, message, replace(strange, message_id="again")]) == []
    assert stage.statuses(workflow_id) == ["COMPLETED", "SCHEDULED"]
    assert [facts["message_id"] for facts in stage.noted("message_refused")] == ["strange", "again"]


def test_a_message_of_a_newer_version_waits_for_the_upgrade(stage: Stage) -> None:
    ((workflow_id, message),) = stage.results(1)
    assert stage([Incoming("newer", NEWER, "r", 1, "g"), message]) == ["newer"]
    assert stage.statuses(workflow_id) == ["COMPLETED", "SCHEDULED"]


def test_what_comes_after_a_message_that_waits_waits_with_it(stage: Stage) -> None:
    (workflow_id, message), (other, another) = stage.results(2)
    newer = Incoming("newer", NEWER, "r", 1, message.group)
    assert stage([newer, another, message]) == ["newer", message.message_id]
    assert stage.statuses(workflow_id) == ["SCHEDULED"]
    assert stage.statuses(other) == ["COMPLETED", "SCHEDULED"]


@pytest.mark.parametrize("forge", ["token", "attempt", "execution", "signature", "kind"])
def test_a_message_that_does_not_prove_itself_changes_nothing(stage: Stage, forge: str) -> None:
    (workflow_id, message), (other, _) = stage.results(2)
    data = json.loads(message.text)
    if forge == "token":
        data["tok"] = "A" * len(data["tok"])
    elif forge == "attempt":
        data["att"] += 1
    elif forge == "execution":
        data["wf"] = other
    elif forge == "signature":
        data["sig"] = "A" * 22
    else:  # a worker may report, not fire timers, whatever token it has
        data["ev"] = TimerFired(timer=1, due_ms=1).to_dict()
    assert stage([replace(message, text=json.dumps(data))]) == []
    assert stage.statuses(workflow_id) == stage.statuses(other) == ["SCHEDULED"]
    assert len(stage.noted("message_refused")) == 1


def test_each_batch_is_one_line(stage: Stage) -> None:
    (one, first), (other, second) = stage.results(2)
    stage([first, Incoming("newer", NEWER, "r", 1)])
    (facts,) = stage.noted("decider")
    assert facts.pop("ms") >= 0
    known = {"namespace": "default", "workflow_id": one, "task_id": ids.task_id(one, 1, 0)}
    assert facts == {"messages": 2, "failed": 1, **known}
    stage([first, second])
    facts = stage.noted("decider")[-1]
    assert facts["executions"] == [first.group, second.group]
    assert facts["task_ids"] == [ids.task_id(one, 1, 0), ids.task_id(other, 1, 0)]


# --- the minute's tick: dead letters


@pytest.mark.parametrize("tick", [TICK, {}], ids=["schedule", "empty"])
def test_a_tick_without_dead_letters_does_nothing(stage: Stage, tick: dict[str, Any]) -> None:
    assert failures(stage.handle(tick, None)) == []
    (facts,) = stage.noted("decider")
    assert facts["swept"] == 0
    assert stage.noted("dead_letters") == []


@pytest.mark.parametrize("queue", [FIFO_DEAD, DEAD])
def test_a_dead_letter_whose_neighbour_was_to_blame_is_decided_alone(stage: Stage, queue: str) -> None:
    (bad, first), (good, other) = stage.results(2)
    stage.broken[bad] = Unavailable("still throttled")
    stage.put(queue, first.text, other.text)
    assert stage.sweep() == 1
    assert (stage.statuses(good), stage.statuses(bad)) == (["COMPLETED", "SCHEDULED"], ["SCHEDULED"])
    stage.broken.clear()
    stage.api.world.now_ms += 200_000  # the message is seen again
    assert stage.sweep() == 1
    assert stage.statuses(bad) == ["COMPLETED", "SCHEDULED"]
    assert stage.left(queue) == 0


def test_a_task_message_that_was_given_up_fails_its_task(stage: Stage) -> None:
    workflow_id = stage.api.start()
    (received,) = stage.api.ports.queues.receive(task_queue_name("sim", "default", "pack"), 1, 0)
    stage.put(TASK_DEAD, received.text)
    assert stage.sweep() == 1
    inbox = stage.api.ports.queues.receive(INBOX, 10, 0)
    assert [message.group for message in inbox] == [f"default#{workflow_id}"]
    assert stage(inbox) == []
    assert stage.statuses(workflow_id)[0] == "FAILED"


def test_a_timer_that_was_given_up_fires(stage: Stage) -> None:
    workflow_id = stage.api.start()
    execution = ExecutionId("default", workflow_id)
    stage.put(DEAD, TimerMessage(execution=execution, record=1, due_ms=5).to_text())
    assert stage.sweep() == 1
    (message,) = stage.api.ports.queues.receive(INBOX, 10, 0)
    assert InboxMessage.parse(message.text, stage.api.ports.signer).event == TimerFired(timer=1, due_ms=5)


@pytest.mark.parametrize("queue", [FIFO_DEAD, DEAD, TASK_DEAD])
def test_strange_dead_letters_are_dropped_and_noted(stage: Stage, queue: str) -> None:
    stage.put(queue, *STRANGE)
    assert stage.sweep() == len(STRANGE)
    assert stage.left(queue) == 0
    assert len([*stage.noted("message_refused"), *stage.noted("message_not_ours")]) == len(STRANGE)
    assert {facts["queue"] for facts in stage.noted("dead_letters")} == {queue}


@pytest.mark.parametrize("queue", [FIFO_DEAD, DEAD, TASK_DEAD])
def test_a_dead_letter_of_a_newer_version_waits_for_the_upgrade(stage: Stage, queue: str) -> None:
    stage.put(queue, NEWER, "strange")
    assert stage.sweep() == 1
    assert stage.left(queue) == 1


def test_a_queue_that_cannot_be_read_does_not_keep_the_others_waiting(stage: Stage) -> None:
    stage.put(TASK_DEAD, "strange")
    stage.api.world.actor = Actor("decider", stage.api.world.now_ms, 0)
    stage.api.world.faults = ToldFaults({1: Fault.THROTTLE})
    handle = make_handler(replace(stage.api.world.ports, log=stage.api.log))
    assert failures(handle(TICK, None)) == []
    assert [facts["queue"] for facts in stage.noted("sweep_failed")] == [FIFO_DEAD]
    assert stage.left(TASK_DEAD) == 0
