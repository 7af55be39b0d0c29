"""Who is polled when, and for how much: nothing above the free places, nobody starved."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.sdk.memory import FAST

from batuta.worker.permits import Places, give_back
from batuta.worker.poller import EAGER_POLLS_MAX, QUIET_POLLS_MAX, Poller, Source
from batuta.worker.queues import Received
from batuta_core.model.error import ResourceMissing, Unavailable

Receive = Callable[[str, int, int], Awaitable[Sequence[Received]]]


def messages(count: int) -> list[Received]:
    return [Received(f"m{number}", "", "") for number in range(count)]


class Stage:
    """Queues that hold so many messages each, and a poller on them. A quiet poll of an empty queue waits ``quiet_s``."""

    def __init__(self, backlog: dict[str, int], limit: int, *, quiet_s: float = 0.005, limits: dict[str, int] | None = None) -> None:
        self.backlog = backlog
        self.process = Places(limit)
        self.own = {name: Places((limits or {}).get(name, 10**6)) for name in backlog}
        self.sources = [Source(queue=name, served={}, places=(self.process, self.own[name])) for name in backlog]
        self.taken: Counter[str] = Counter()
        self.polls: list[tuple[str, int, int]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._quiet_s = quiet_s
        self.poller = Poller(self.sources, self.process, self.receive, self.take, FAST)
        self.work_s = 0.001
        self.error: Exception | None = None

    async def receive(self, queue: str, limit: int, wait_s: int) -> Sequence[Received]:
        self.polls.append((queue, limit, wait_s))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.error is not None:
                raise self.error
            found = min(limit, self.backlog[queue])
            self.backlog[queue] -= found
            await asyncio.sleep(self._quiet_s if not found and wait_s else 0)
            return messages(found)
        finally:
            self.in_flight -= 1

    def take(self, source: Source, received: Received) -> None:
        assert self.process.taken <= self.process.limit
        assert all(place.taken <= place.limit for place in source.places)
        self.taken[source.queue] += 1
        asyncio.get_running_loop().call_later(self.work_s, self.end, source)

    def end(self, source: Source) -> None:
        give_back(source.places)
        self.poller.wake()

    def run(self, until: Callable[[], bool], limit_s: float = 5.0) -> None:
        async def main() -> None:
            running = asyncio.ensure_future(self.poller.run())
            async with asyncio.timeout(limit_s):
                while not until():
                    await asyncio.sleep(0.001)
            self.poller.stop()
            await running
            await self.poller.ended()
            await asyncio.sleep(self.work_s * 3)
            assert self.process.taken == 0, "places leaked"

        asyncio.run(main())


def test_all_is_taken_and_never_more_than_there_are_places() -> None:
    stage = Stage({"a": 200, "b": 100}, limit=7)
    stage.run(lambda: stage.taken.total() == 300)
    assert max(limit for _queue, limit, _wait in stage.polls) <= 7


def test_the_cap_of_a_function_holds() -> None:
    stage = Stage({"a": 50, "b": 50}, limit=100, limits={"a": 2})
    stage.run(lambda: stage.taken.total() == 100)
    assert max(limit for queue, limit, _wait in stage.polls if queue == "a") <= 2
    assert max(limit for queue, limit, _wait in stage.polls if queue == "b") == 10


def test_a_worker_with_one_place_serves_all_its_queues() -> None:
    stage = Stage(dict.fromkeys("abcde", 5), limit=1)
    stage.run(lambda: stage.taken.total() == 25)
    assert stage.most_in_flight == 1


def test_idle_queues_leave_a_busy_one_half_of_the_places() -> None:
    stage = Stage({"busy": 0, **{f"idle{number}": 0 for number in range(40)}}, limit=20, quiet_s=3600)

    async def main() -> None:
        running = asyncio.ensure_future(stage.poller.run())
        await asyncio.sleep(0.01)
        assert stage.process.taken == 10  # forty idle queues, ten polls that wait
        running.cancel()

    asyncio.run(main())


def test_a_busy_queue_does_not_starve_the_others() -> None:
    stage = Stage({"busy": 10**6, **{f"q{number}": 1 for number in range(60)}}, limit=10)
    stage.run(lambda: len(stage.taken) == 61)


def test_idle_queues_do_not_starve_a_busy_one() -> None:
    stage = Stage({"busy": 500, **{f"idle{number}": 0 for number in range(200)}}, limit=50, quiet_s=0.02)
    stage.run(lambda: stage.taken["busy"] == 500)
    assert {wait for _queue, limit, wait in stage.polls if limit > 2} <= {0}  # whoever holds more than a share does not wait
    idle_polls = sum(queue != "busy" for queue, _limit, _wait in stage.polls)
    assert idle_polls < 1000


def test_two_busy_queues_share() -> None:
    stage = Stage({"a": 10**6, "b": 10**6}, limit=10)
    stage.run(lambda: stage.taken.total() > 1000)
    assert 0.4 < stage.taken["a"] / stage.taken.total() < 0.6


def test_with_many_queues_few_polls_wait_at_once_and_all_have_their_turn() -> None:
    stage = Stage({f"q{number}": 0 for number in range(200)}, limit=100, quiet_s=0.002)
    stage.run(lambda: len({queue for queue, _limit, _wait in stage.polls}) == 200)
    assert stage.most_in_flight <= QUIET_POLLS_MAX
    assert {wait for _queue, _limit, wait in stage.polls} == {1}  # 24 of 200 at a time, 10 s in all


def test_polls_in_flight_are_bounded_under_load() -> None:
    stage = Stage({f"q{number}": 100 for number in range(100)}, limit=1000)
    stage.run(lambda: stage.taken.total() == 10_000, limit_s=20)
    assert stage.most_in_flight <= QUIET_POLLS_MAX + EAGER_POLLS_MAX


def test_a_few_queues_are_polled_for_long() -> None:
    stage = Stage(dict.fromkeys("abc", 0), limit=100)
    stage.run(lambda: len(stage.polls) >= 3)
    assert {(limit, wait) for _queue, limit, wait in stage.polls} == {(10, FAST.poll_wait_s)}


def test_a_trickle_costs_one_request_a_message_and_no_probing_in_between() -> None:
    stage = Stage({"a": 0}, limit=100)

    async def main() -> None:
        running = asyncio.ensure_future(stage.poller.run())
        for _ in range(5):
            stage.backlog["a"] += 1
            await asyncio.sleep(0.01)
        stage.poller.stop()
        await running
        await stage.poller.ended()

    asyncio.run(main())
    assert all(wait > 0 for _queue, _limit, wait in stage.polls)


@pytest.mark.parametrize("error", [Unavailable("throttled"), OSError("bug in the adapter")])
def test_errors_back_off_and_end(error: Exception) -> None:
    stage = Stage({"a": 3}, limit=10)
    stage.error = error

    async def main() -> None:
        running = asyncio.ensure_future(stage.poller.run())
        while len(stage.polls) < 3:
            await asyncio.sleep(0.001)
        source = stage.sources[0]
        assert source.failing_since_s is not None
        assert str(error) in (source.error or "")
        stage.error = None
        while stage.taken["a"] < 3:
            await asyncio.sleep(0.001)
        assert source.error is None
        assert source.failing_since_s is None
        stage.poller.stop()
        await running

    asyncio.run(main())
    assert len(stage.polls) < 20


def test_back_off_grows() -> None:
    stage = Stage({"a": 0}, limit=10)
    stage.error = Unavailable("no network")

    async def main() -> None:
        running = asyncio.ensure_future(stage.poller.run())
        await asyncio.sleep(0.4)
        running.cancel()

    asyncio.run(main())
    assert len(stage.polls) < 25  # 10 ms doubled to 50 ms; without growth there would be some 50


def test_a_missing_queue_is_asked_for_again_quietly(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage({"a": 1}, limit=10)
    stage.error = ResourceMissing("no queue")

    async def main() -> None:
        running = asyncio.ensure_future(stage.poller.run())
        while len(stage.polls) < 4:
            await asyncio.sleep(0.001)
        assert stage.sources[0].is_missing
        stage.error = None
        while not stage.taken["a"]:
            await asyncio.sleep(0.001)
        stage.poller.stop()
        await running

    began = time.monotonic()
    with caplog.at_level("INFO", logger="batuta.worker"):
        asyncio.run(main())
    assert time.monotonic() - began > 3 * FAST.missing_retry_s
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]
    assert "does not exist yet" in caplog.messages[0]
    assert "polled again" in caplog.messages[1]


def test_missing_queues_are_looked_at_again_when_something_was_registered() -> None:
    stage = Stage({"a": 1}, limit=10)
    stage.poller = Poller(stage.sources, stage.process, stage.receive, stage.take, replace(FAST, missing_retry_s=3600.0))
    stage.error = ResourceMissing("no queue")

    async def main() -> None:
        running = asyncio.ensure_future(stage.poller.run())
        while not stage.polls:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.005)
        stage.error = None
        stage.poller.look_again()
        async with asyncio.timeout(5):
            while not stage.taken["a"]:
                await asyncio.sleep(0.001)
        stage.poller.stop()
        await running

    asyncio.run(main())


def test_stopping_begins_no_poll_and_waits_for_those_in_flight() -> None:
    stage = Stage(dict.fromkeys("ab", 0), limit=10, quiet_s=0.02)

    async def main() -> None:
        running = asyncio.ensure_future(stage.poller.run())
        await asyncio.sleep(0.005)
        count = len(stage.polls)
        stage.poller.stop()
        await running
        assert stage.in_flight == 2
        await stage.poller.ended()
        assert stage.in_flight == 0
        assert len(stage.polls) == count

    asyncio.run(main())


def test_a_message_that_cannot_be_taken_in_leaks_no_place() -> None:
    stage = Stage({"a": 5}, limit=2)

    def explode(source: Source, received: Any) -> None:
        stage.taken[source.queue] += 1
        raise ZeroDivisionError

    stage.poller = Poller(stage.sources, stage.process, stage.receive, explode, FAST)
    stage.run(lambda: stage.taken["a"] == 5)
