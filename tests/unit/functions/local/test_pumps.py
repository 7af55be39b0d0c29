"""What AWS does for the functions, done here: batches in, what was not reported as failed deleted, ticks that go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from tests.unit.functions.api.caller import Lines

from batuta_core.engine.ports import Incoming, Outgoing, QueueSize
from batuta_core.model.error import Unavailable
from batuta_core.simulator.world import World
from batuta_server.incoming import incoming_of
from batuta_server.local import pumps as pumps_module
from batuta_server.local.pumps import Pumps

NEVER_S = 3600.0


class SharedQueues:
    """The simulator's queues for several threads, with receives that wait."""

    def __init__(self) -> None:
        self.world = World()
        self.inbox = self.world.queues.inbox
        self._changed = threading.Condition()
        self.trouble: list[Exception] = []
        self.on_received: Callable[[], None] = lambda: None

    def receive(self, queue: str, limit: int, wait_s: int) -> Sequence[Incoming]:
        with self._changed:
            if self.trouble:
                raise self.trouble.pop()
            found = self.world.queues.receive(queue, limit, 0)
            if not found:
                self._changed.wait(0.02)
                found = self.world.queues.receive(queue, limit, 0)
        if found:
            self.on_received()
        return found

    def send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        with self._changed:
            self.world.queues.send(queue, messages)
            self._changed.notify_all()

    def delete(self, queue: str, receipts: Sequence[str]) -> None:
        with self._changed:
            self.world.queues.delete(queue, receipts)

    def release(self, queue: str, receipts: Sequence[str]) -> None:
        raise NotImplementedError

    def ensure_task_queue(self, queue: str) -> None:
        raise NotImplementedError

    def size(self, queue: str) -> QueueSize:
        with self._changed:
            return self.world.queues.size(queue)

    def put(self, *texts: str) -> None:
        self.send(self.inbox, [Outgoing(text, group=text, dedup=text) for text in texts])


class Function:
    """Keeps what it was given; ``failing`` texts are reported as failed, ``raising`` is raised once."""

    def __init__(self) -> None:
        self.batches: list[list[Incoming]] = []
        self.failing: set[str] = set()
        self.raising: list[Exception] = []

    def __call__(self, event: Mapping[str, Any], context: Any) -> Mapping[str, Any]:
        batch = incoming_of(event) if "Records" in event else []
        self.batches.append(batch)
        if self.raising:
            raise self.raising.pop()
        return {"batchItemFailures": [{"itemIdentifier": m.message_id} for m in batch if m.text in self.failing]}

    def texts(self) -> set[str]:
        return {message.text for batch in self.batches for message in batch}


def until(condition: Callable[[], Any]) -> None:
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s, "never came true"
        time.sleep(0.001)


@pytest.fixture
def queues() -> SharedQueues:
    return SharedQueues()


@pytest.fixture
def log() -> Lines:
    return Lines()


@pytest.fixture
def pumps(queues: SharedQueues, log: Lines, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pumps]:
    monkeypatch.setattr(pumps_module, "_RETRY_S", 0.001)
    found = Pumps(queues, log)
    yield found
    found.stop(5)


@pytest.mark.parametrize("threads", [1, 4])
def test_messages_are_given_to_the_function_and_deleted(queues: SharedQueues, pumps: Pumps, threads: int) -> None:
    function = Function()
    texts = [f"m{place}" for place in range(25)]
    queues.put(*texts)
    pumps.feed(queues.inbox, function, threads=threads)
    until(lambda: queues.size(queues.inbox).total == 0)
    assert function.texts() == set(texts)
    assert sum(len(batch) for batch in function.batches) == 25
    assert max(len(batch) for batch in function.batches) <= 10
    (first,) = [message for batch in function.batches for message in batch if message.text == "m0"]
    assert (first.receives, first.group) == (1, "m0")


def test_a_message_that_was_reported_as_failed_stays(queues: SharedQueues, pumps: Pumps) -> None:
    function = Function()
    function.failing = {"b"}
    queues.put("a", "b", "c")
    pumps.feed(queues.inbox, function)
    until(lambda: queues.size(queues.inbox).total == 1)
    assert [text for _queue, text in queues.world.queues.texts()] == ["b"]
    assert queues.size(queues.inbox).in_flight == 1


def test_a_function_that_raises_keeps_its_batch_and_is_given_the_next(queues: SharedQueues, pumps: Pumps, log: Lines) -> None:
    function = Function()
    function.raising = [KeyError("a bug")]
    queues.put("a")
    pumps.feed(queues.inbox, function)
    until(lambda: log.lines)
    assert log.lines[0][0] == "pump_failed"
    assert queues.size(queues.inbox).in_flight == 1
    queues.put("b")
    until(lambda: queues.size(queues.inbox).total == 1)
    assert function.texts() == {"a", "b"}


def test_a_queue_that_cannot_be_read_is_read_again(queues: SharedQueues, pumps: Pumps, log: Lines) -> None:
    function = Function()
    queues.trouble = [Unavailable("throttled"), OSError("torn")]
    queues.put("a")
    pumps.feed(queues.inbox, function)
    until(lambda: queues.size(queues.inbox).total == 0)
    assert [facts["queue"] for name, facts in log.lines if name == "pump_failed"] == [queues.inbox] * 2


def test_a_tick_is_an_event_without_records_now_and_again(pumps: Pumps) -> None:
    seldom, often = Function(), Function()
    pumps.tick(seldom, every_s=NEVER_S)
    pumps.tick(often, every_s=0.001)
    until(lambda: len(often.batches) > 5)
    assert seldom.batches == [[]]


@pytest.mark.parametrize("error", [Unavailable("throttled"), KeyError("a bug")], ids=["throttled", "bug"])
def test_a_tick_that_failed_is_not_the_last(pumps: Pumps, log: Lines, error: Exception) -> None:
    function = Function()
    function.raising = [error]
    pumps.tick(function, every_s=0.001)
    until(lambda: len(function.batches) > 1)
    assert log.lines == [("tick_failed", {"error": error})]


def test_stopping_waits_for_the_batch_in_hand_and_begins_no_other(queues: SharedQueues, pumps: Pumps) -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def slow(event: Mapping[str, Any], context: Any) -> Mapping[str, Any]:
        begun.set()
        go_on.wait(10)
        done.extend(message.text for message in incoming_of(event))
        return {"batchItemFailures": []}

    queues.put("a")
    pumps.feed(queues.inbox, slow)
    assert begun.wait(10)
    stopping = threading.Thread(target=pumps.stop, args=(10,))
    stopping.start()
    until(pumps._stop.is_set)
    queues.put("b")
    assert stopping.is_alive()
    go_on.set()
    stopping.join(10)
    assert done == ["a"]
    assert [text for _queue, text in queues.world.queues.texts()] == ["b"]


def test_a_batch_that_comes_after_the_stop_is_left_to_the_next_server(queues: SharedQueues, pumps: Pumps) -> None:
    function = Function()
    queues.on_received = lambda: pumps.stop(5)
    queues.put("a")
    pumps.feed(queues.inbox, function)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == f"pump {queues.inbox}"])
    assert function.batches == []
    assert queues.size(queues.inbox).in_flight == 1


def test_stopping_does_not_wait_for_ever(queues: SharedQueues, pumps: Pumps) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def stuck(event: Mapping[str, Any], context: Any) -> Mapping[str, Any]:
        begun.set()
        go_on.wait(10)
        return {"batchItemFailures": []}

    queues.put("a")
    pumps.feed(queues.inbox, stuck)
    assert begun.wait(10)
    began_s = time.monotonic()
    pumps.stop(0.05)
    assert time.monotonic() - began_s < 5
    go_on.set()
