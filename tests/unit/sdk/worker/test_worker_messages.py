"""Messages that a worker does not take as they are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.sdk.memory import FAST, STAGE, MemoryQueues, make_message, until, working
from tests.unit.sdk.worker.functions import add, greet

from batuta import task
from batuta_core.model.event import TaskHandedBack
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import SCHEMA
from batuta_core.model.names import priority_queue_name, task_queue_name
from batuta_core.model.payload import PayloadRef

# --- messages that are not for us


def test_messages_that_are_not_ours_are_left_alone(queues: MemoryQueues, caplog: pytest.LogCaptureFixture) -> None:
    queue = queues.ensure("add")
    for text in ("not json", '{"v": 1}', '{"v": 99, "some": "future"}', "[]"):
        queues.put_text(queue, text)
    queues.put("add", {"a": 1})
    with working(add, queues=queues, max_in_progress=1):
        until(queues.results)
        until(lambda: queues.left() == 4)
        assert queues.count("renew") == 0
        assert queues.count("release") == 0
    assert sum("is left alone" in message for message in caplog.messages) == 4


def test_a_newer_message_is_handed_back_and_hidden_until_a_newer_worker_may_have_come(
    queues: MemoryQueues, caplog: pytest.LogCaptureFixture
) -> None:
    """Five receives that nobody takes back would fail the attempt: its workers died."""
    message = make_message(50, "add", {"a": 1}, send=4)
    newer = {**json.loads(message.to_text()), "v": SCHEMA + 1, "in": "in another form", "sched": message.scheduled_ms - 100_000}
    queues.put_text(queues.ensure("add"), json.dumps(newer))
    queues.put("add", {"a": 1})
    with working(add, queues=queues, max_in_progress=1):
        until(queues.results)
        until(lambda: queues.count("renew") == 1)
        until(lambda: queues.left() == 1)
        (event,) = queues.events(TaskHandedBack)
        assert (event.place, event.send) == (message.place, 4)
        queues.push_clock(95_000)
        assert queues.visible("add") == 0
        queues.push_clock(10_000)
        until(lambda: len(queues.events(TaskHandedBack)) == 2)
        until(lambda: queues.count("renew") == 2)
        assert queues.left() == 1
    assert any("waits for a newer worker" in line for line in caplog.messages)
    assert not any("is left alone" in line for line in caplog.messages)


def test_a_strangers_task_on_a_shared_queue_is_handed_back_at_once_and_said_so(
    queues: MemoryQueues, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = queues.put("unknown", queue="shared")
    elsewhere = queues.put("add", {"a": 1}, namespace="other")
    queues.put_text(task_queue_name(STAGE, "default", "shared"), elsewhere.to_text())
    queues.put("add", {"a": 1}, queue="shared")
    with working(add, greet, queues=queues, queue="shared", timing=replace(FAST, stranger_pause_s=0.2)):
        until(queues.results)
        until(lambda: len(queues.events(TaskHandedBack)) == 2)
        until(lambda: queues.visible("shared") == 2)
    assert {event.place for event in queues.events(TaskHandedBack)} == {stranger.place, elsewhere.place}
    assert any("unknown in namespace default is not served here" in message for message in caplog.messages)
    shared = task_queue_name(STAGE, "default", "shared")
    assert queues.polled() == {shared, priority_queue_name(shared)}


def test_one_process_serves_many_queues_and_namespaces(queues: MemoryQueues) -> None:
    def named(name: str, **options: Any) -> Callable[..., Any]:
        return task("same", **options)(lambda: name)

    for namespace in ("default", "shop", "bank"):
        queues.put("same", namespace=namespace)
    queues.put("same", queue="slow-lane")
    functions = [named("default"), named("shop", namespace="shop"), named("bank", namespace="bank"), named("slow", queue="slow-lane")]
    with working(*functions, queues=queues):
        until(lambda: len(queues.results()) == 4)
    by_namespace = Counter((message.execution.namespace, message.event.to_dict()["out"]["result"]) for message in queues.sent())
    assert set(by_namespace) == {("default", "default"), ("default", "slow"), ("shop", "shop"), ("bank", "bank")}


def test_a_domain_of_a_shared_queue_has_a_queue_of_its_own(queues: MemoryQueues) -> None:
    """As the server names it."""
    message = queues.put("elsewhere", {"a": 1})
    queues.put_text(task_queue_name(STAGE, "default", "shared", "eu"), replace(message, task_type="add", domain="eu").to_text())
    with working(task("add", domain="eu", queue="shared")(lambda a: a), queues=queues):
        assert until(queues.results)[0].output == {"result": 1}


def test_a_domain_has_a_queue_of_its_own(queues: MemoryQueues) -> None:
    function = task("add", domain="eu")(lambda a: a)
    message = queues.put("elsewhere", {"a": 1})
    queues.put_text(task_queue_name(STAGE, "default", "add", "eu"), replace(message, task_type="add", domain="eu").to_text())
    with working(function, queues=queues):
        assert until(queues.results)[0].output == {"result": 1}


# --- large payloads and old messages, without a URL


def test_an_input_by_reference_needs_a_url(queues: MemoryQueues) -> None:
    queues.put("add", PayloadRef("k", 300_000))
    with working(add, queues=queues):
        result = until(queues.results)[0]
    assert result.status is TaskStatus.FAILED
    assert "its input has 300000 bytes" in (result.reason or "")
    assert "BATUTA_URL" in (result.reason or "")


@pytest.mark.parametrize(("size", "said"), [(200_000, "set BATUTA_URL"), (2_000_000, "the limit is 1000000")])
def test_a_large_output_needs_a_url(queues: MemoryQueues, size: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batuta.worker.report.EXTERNAL_MAX_BYTES", 1_000_000)
    large = task("large")(lambda: {"text": "x" * size})
    queues.put("large")
    with working(large, queues=queues):
        result = until(queues.results)[0]
    assert result.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
    assert said in (result.reason or "")


def test_an_output_that_grows_by_escapes_is_measured_as_it_is_sent(queues: MemoryQueues) -> None:
    text = "ä" * 60_000 + "\uffff"  # 120 KB in UTF-8, 360 KB in escapes, which the last character demands
    large = task("large")(lambda: {"text": text})
    queues.put("large")
    with working(large, queues=queues):
        result = until(queues.results)[0]
    assert "BATUTA_URL" in (result.reason or "")
