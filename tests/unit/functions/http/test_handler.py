"""The http function: task messages in, a report for each to the decider queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.functions.api.caller import Lines
from tests.unit.functions.http.target import HERE, Target, answer
from tests.unit.functions.lambda_events import failures, sqs_event
from tests.unit.functions.strange import NEWER, STRANGE

from batuta_core.engine.ports import Incoming, Outgoing
from batuta_core.model.error import Unavailable
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import InboxMessage, TaskMessage
from batuta_core.model.names import ExecutionId, resource_name
from batuta_core.model.payload import PayloadRef
from batuta_core.model.place import TaskPlace
from batuta_core.model.token import Signer
from batuta_core.simulator.world import World
from batuta_server.http import handler as handler_module
from batuta_server.http.handler import NotReported, make_handler

EXECUTION = ExecutionId("shop", "11111111-0000-4000-8000-000000000000")
INBOX = resource_name("sim", "decider.fifo")
SIGNER = Signer([b"the stage's own key"])


def task(url: str, nth: int = 0, **fields: Any) -> TaskMessage:
    place = TaskPlace(3, nth)
    message = TaskMessage(
        execution=EXECUTION,
        task_id=f"task-{nth}",
        place=place,
        token=SIGNER.task_token(EXECUTION, place, 2),
        ref="h",
        task_type="HTTP",
        attempt=2,
        call=0,
        input={"asyncComplete": False, "http_request": {"uri": url, "method": "GET", "readTimeOut": 2000}},
        workflow_name="w",
        workflow_version=1,
        scheduled_ms=1,
    )
    return replace(message, **fields)


class Stand:
    def __init__(self) -> None:
        self.world = World()
        self.log = Lines()
        self.handle = make_handler(self.world.queues, INBOX, HERE, self.log)

    def run(self, *texts: str | TaskMessage) -> None:
        batch = [Incoming(f"m{n}", text if isinstance(text, str) else text.to_text(), "r", 1) for n, text in enumerate(texts)]
        assert failures(self.handle(sqs_event("http", batch), None)) == []

    def reports(self) -> dict[int, TaskUpdated]:
        """By the rank of the task, as the decider reads and believes them."""
        found = {}
        for received in self.world.queues.receive(INBOX, 10, 0):
            assert received.group == str(EXECUTION)
            event = InboxMessage.parse(received.text, SIGNER).event
            assert isinstance(event, TaskUpdated)
            found[event.place.nth] = event
        return found


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_a_result_is_reported_with_the_tasks_token(stand: Stand) -> None:
    with Target(answer(b'{"a": 1}')) as target:
        stand.run(task(target.url))
    (event,) = stand.reports().values()
    assert (event.place, event.status, event.output["response"]["body"]) == (TaskPlace(3, 0), TaskStatus.COMPLETED, {"a": 1})
    assert (event.call, event.worker_id) == (0, None)
    assert event.started_ms > 0
    ((name, facts),) = stand.log.lines
    assert (name, facts["status"], facts["workflow_id"]) == ("http", "COMPLETED", EXECUTION.workflow_id)
    assert "uri" not in str(facts)


def test_a_batch_is_run_side_by_side_and_a_slow_one_holds_up_none() -> None:
    """The slow server answers only when the quick one's result has been reported."""
    stand = Stand()

    def slow(_: Any) -> bytes:
        while not stand.log.lines:
            pass
        return answer(b"slow")

    with Target(slow) as target, Target(answer(b"quick")) as other:
        stand.run(task(target.url, 0), task(other.url, 1))
    assert {nth: event.output["response"]["body"] for nth, event in stand.reports().items()} == {0: "slow", 1: "quick"}


def test_each_of_a_batch_has_its_own_result(stand: Stand) -> None:
    with Target(answer(b"1")) as target, Target(answer(b"", "500 Oh")) as broken:
        stand.run(task(target.url, 0), task(broken.url, 1), task("http://127.0.0.2/", 2), task("nonsense", 3))
    statuses = {nth: event.status.value for nth, event in stand.reports().items()}
    assert statuses == {0: "COMPLETED", 1: "FAILED", 2: "FAILED_WITH_TERMINAL_ERROR", 3: "FAILED"}


@pytest.mark.parametrize("text", STRANGE, ids=lambda text: ascii(text)[:30])
def test_a_strange_message_is_dropped_and_hinders_none(stand: Stand, text: str) -> None:
    with Target(answer(b"1")) as target:
        stand.run(text, task(target.url))
    assert len(stand.reports()) == 1
    assert [facts["message_id"] for name, facts in stand.log.lines if name == "message_not_ours"] == ["m0"]


def test_a_message_of_a_newer_version_is_for_the_dead_letters_and_the_others_are_done(stand: Stand) -> None:
    with Target(answer(b"1")) as target, pytest.raises(NotReported, match="1 of 2 messages: m0"):
        stand.run(NEWER, task(target.url))
    assert len(stand.reports()) == 1


def test_an_input_that_lies_elsewhere_fails_with_a_reason(stand: Stand) -> None:
    stand.run(task("", input=PayloadRef("key", 300_000)))
    (event,) = stand.reports().values()
    assert event.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
    assert event.reason == "the input has 300000 bytes, an HTTP task takes 196608 at most"


@pytest.mark.parametrize("given", [{}, {"http_request": []}, {"uri": {"a": 1}, "method": "GET"}])
def test_any_input_has_a_result(stand: Stand, given: Any) -> None:
    stand.run(task("", input=given))
    assert stand.reports()[0].status is TaskStatus.FAILED


def test_a_fault_of_our_own_is_told_and_logged(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(handler_module, "outcome_of", broken)
    stand.run(task(""))
    assert stand.reports()[0].reason == "the request could not be made: ZeroDivisionError('oh')"
    assert "http_task_broken" in [name for name, _facts in stand.log.lines]


class Down:
    def send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        raise Unavailable("no answer")


def test_a_result_that_cannot_be_sent_makes_the_invocation_fail() -> None:
    """Lambda hands it to the dead letters, and does not run it again."""
    down: Any = Down()
    handle = make_handler(down, INBOX, HERE, Lines())
    with Target(answer(b"1")) as target:
        batch = sqs_event("http", [Incoming("m", task(target.url).to_text(), "r", 1)])
        with pytest.raises(NotReported, match="1 of 1"):
            handle(batch, None)


def test_several_reports_of_one_attempt_differ_only_in_time(stand: Stand) -> None:
    """The decider counts the first; the queue may keep both, since each says when it was made."""
    with Target(answer(b"1")) as target:
        stand.run(task(target.url), task(target.url))
    assert {event.output["response"]["body"] for event in stand.reports().values()} == {1.0}
