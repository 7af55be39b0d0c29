"""A queue and its priority queue: higher first, nothing starved, and a queue that is not there costs next to nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.unit.sdk.memory import FAST, STAGE, MemoryQueues, make_message, until, working
from tests.unit.sdk.worker.test_poller import Stage

from batuta import task
from batuta.worker.beside import Beside
from batuta.worker.poller import Poller, Source
from batuta.worker.queues import Received
from batuta.worker.timing import Timing
from batuta_core.model.error import ResourceMissing, Unavailable
from batuta_core.model.names import OWN_FIRST_OF, priority_queue_name, task_queue_name

HIGH, OWN = "high", "own"


class Pair(Stage):
    """One task type. ``absent`` stands in for its priority queue as long as it is an error."""

    def __init__(
        self, backlog: dict[str, int], limit: int, *, absent: Exception | None = None, timing: Timing = FAST, **fields: float
    ) -> None:
        super().__init__(backlog, limit, **fields)  # type: ignore[arg-type]
        self.absent = absent
        places = (self.process,)
        high, own = (Source(queue=name, served={}, places=places) for name in (HIGH, OWN))
        self.beside = Beside(own=own, priority=high, timing=timing, is_absent=absent is not None)
        high.beside = own.beside = self.beside
        self.sources = [high, own]
        self.poller = Poller(self.sources, self.process, self.receive, self.take, timing)
        self.order: list[str] = []

    async def receive(self, queue: str, limit: int, wait_s: int) -> Sequence[Received]:
        if queue == HIGH and self.absent is not None:
            self.polls.append((queue, limit, wait_s))
            await asyncio.sleep(0)
            raise self.absent
        return await super().receive(queue, limit, wait_s)

    def take(self, source: Source, received: Received) -> None:
        self.order.append(source.queue)
        super().take(source, received)

    def asked(self, queue: str) -> list[tuple[int, int]]:
        return [(limit, wait) for name, limit, wait in self.polls if name == queue]


@pytest.mark.parametrize("limit", [1, 2, 7, 30, 100])
def test_higher_goes_first_and_the_lowest_is_not_starved(limit: int) -> None:
    pair = Pair({HIGH: 10**6, OWN: 10**6}, limit)
    pair.run(lambda: pair.taken.total() > 3000, limit_s=20)
    assert 0.02 < pair.taken[OWN] / pair.taken.total() < 0.3
    polls = [name for name, _limit, _wait in pair.polls]
    for place in range(len(polls) - 2 * OWN_FIRST_OF):
        assert OWN in polls[place : place + 2 * OWN_FIRST_OF]


@pytest.mark.parametrize("limit", [1, 5, 100])
def test_the_one_goes_on_when_the_other_is_empty(limit: int) -> None:
    for backlog in ({HIGH: 300, OWN: 0}, {HIGH: 0, OWN: 300}):
        pair = Pair(dict(backlog), limit, quiet_s=0.5)
        began = time.monotonic()
        pair.run(lambda pair=pair: pair.taken.total() == 300)
        assert time.monotonic() - began < 2.5, "nobody waits at an empty queue while there is work and no place to spare"


@pytest.mark.parametrize("limit", [4, 10, 100])
def test_what_is_urgent_finds_a_poll_that_waits_for_it(limit: int) -> None:
    """Idle workers wait at both queues, each with some of the places."""
    pair = Pair({HIGH: 0, OWN: 0}, limit, quiet_s=3600)

    async def main() -> None:
        running = asyncio.ensure_future(pair.poller.run())
        await asyncio.sleep(0.01)
        assert sorted(name for name, _limit, _wait in pair.polls) == [HIGH, OWN]
        assert all(asked <= max(limit // 2, 1) for _name, asked, _wait in pair.polls)
        running.cancel()

    asyncio.run(main())


def test_a_single_place_is_shared_in_turns_of_half_the_wait() -> None:
    pair = Pair({HIGH: 0, OWN: 0}, 1)
    pair.run(lambda: len(pair.polls) >= 6)
    assert {name for name, _limit, _wait in pair.polls[:2]} == {HIGH, OWN}
    assert {wait for _name, _limit, wait in pair.polls} <= {max(FAST.poll_wait_s // 4, 1), max(FAST.poll_wait_s // 2, 1)}


def test_a_trickle_costs_one_request_a_message_there_too() -> None:
    pair = Pair({HIGH: 0, OWN: 0}, 100)

    async def main() -> None:
        running = asyncio.ensure_future(pair.poller.run())
        for _ in range(5):
            pair.backlog[HIGH] += 1
            pair.backlog[OWN] += 1
            await asyncio.sleep(0.02)
        pair.poller.stop()
        await running
        await pair.poller.ended()

    asyncio.run(main())
    assert pair.taken == {HIGH: 5, OWN: 5}
    assert all(wait > 0 for _queue, _limit, wait in pair.polls)


# --- a queue that is not there


def test_a_queue_that_is_not_there_is_looked_for_seldom_and_quietly(caplog: pytest.LogCaptureFixture) -> None:
    pair = Pair({HIGH: 0, OWN: 500}, 10, absent=ResourceMissing("no queue"))
    with caplog.at_level("INFO", logger="batuta.worker"):
        pair.run(lambda: pair.taken[OWN] == 500)
    assert pair.asked(HIGH) == [(1, 0)]  # one look, which waits for nothing
    assert not caplog.records
    assert pair.sources[0].is_absent
    assert pair.sources[0].failing_since_s is None


def test_a_worker_without_the_right_to_look_does_all_it_did_before(caplog: pytest.LogCaptureFixture) -> None:
    timing = replace(FAST, look_s=0.01, look_busy_s=0.01)
    pair = Pair({HIGH: 0, OWN: 500}, 10, absent=Unavailable("AccessDenied"), timing=timing)
    pair.run(lambda: pair.taken[OWN] == 500 and len(pair.asked(HIGH)) > 3)
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # once
    assert pair.sources[0].failing_since_s is None


def test_a_queue_that_is_made_is_found_while_there_is_work() -> None:
    pair = Pair({HIGH: 5, OWN: 10**6}, 10, absent=ResourceMissing("no queue"), timing=replace(FAST, look_s=3600.0, look_busy_s=0.02))

    def is_found() -> bool:
        if pair.taken[OWN] > 50:
            pair.absent = None
        return pair.taken[HIGH] == 5

    pair.run(is_found)


def test_a_hint_has_it_looked_for_at_once() -> None:
    pair = Pair({HIGH: 1, OWN: 0}, 10, absent=ResourceMissing("no queue"), timing=replace(FAST, look_s=3600.0, look_busy_s=3600.0))

    async def main() -> None:
        running = asyncio.ensure_future(pair.poller.run())
        while not pair.asked(HIGH):
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.03)
        assert len(pair.asked(HIGH)) == 1
        pair.beside.hint()
        pair.poller.wake()
        while len(pair.asked(HIGH)) < 3:  # it is not made yet
            await asyncio.sleep(0.001)
        pair.absent = None
        async with asyncio.timeout(5):
            while not pair.taken[HIGH]:
                await asyncio.sleep(0.001)
        pair.poller.stop()
        await running
        await pair.poller.ended()

    asyncio.run(main())


def test_a_queue_that_is_deleted_is_absent_again() -> None:
    pair = Pair({HIGH: 0, OWN: 100}, 10)
    pair.absent = ResourceMissing("deleted")
    pair.run(lambda: pair.taken[OWN] == 100 and pair.beside.is_absent)
    assert pair.sources[0].error is None


# --- in a whole worker


@task("add")
def add(a: int) -> int:
    return a + 1


def test_a_worker_serves_the_priority_queue_of_its_type_once_it_is_there() -> None:
    queues = MemoryQueues()
    own = task_queue_name(STAGE, "default", "add")
    queues.put("add", {"a": 1}, priority=5)  # the first of its kind finds no queue of its own
    with working(add, queues=queues) as worker:
        until(queues.results)
        assert set(worker.health().queues) == {own}
        queues.put_text(priority_queue_name(own), make_message(99, "add", {"a": 2}, priority=5).to_text())
        until(lambda: len(queues.results()) == 2)
        assert set(worker.health().queues) == {own, priority_queue_name(own)}
        until(lambda: queues.left() == 0)


def test_messages_of_one_task_on_both_queues_go_with_its_result() -> None:
    queues = MemoryQueues()
    own = task_queue_name(STAGE, "default", "slow")

    @task("slow")
    def slow() -> None:
        time.sleep(0.3)

    text = make_message(1, "slow", {}, priority=5).to_text()
    for queue in (own, priority_queue_name(own)):
        queues.put_text(queue, text)
    with working(slow, queues=queues):
        until(lambda: queues.left() == 0)
    assert len(queues.results()) == 1
    renewed = {queue for name, queue, _number in queues.calls if name == "renew"}
    assert renewed == {own, priority_queue_name(own)}
