"""Batches: filled within a few milliseconds, within their limits, sent until they are acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from tests.unit.sdk.memory import FAST

from batuta.worker.batcher import Batcher, Refused
from batuta.worker.queues import Failure
from batuta_core.model.error import Unavailable
from batuta_core.model.message import MESSAGE_MAX_BYTES

Send = Callable[[Sequence[Any]], Awaitable[Sequence[Failure]]]


class Queue:
    """Notes the batches; ``trouble`` says what becomes of each."""

    def __init__(self, trouble: Callable[[Sequence[Any]], Sequence[Failure]] = lambda batch: ()) -> None:
        self.batches: list[list[Any]] = []
        self._trouble = trouble

    def sent(self) -> list[Any]:
        return sorted(item for batch in self.batches for item in batch)

    async def send(self, batch: Sequence[Any]) -> Sequence[Failure]:
        self.batches.append(list(batch))
        await asyncio.sleep(0)
        return self._trouble(batch)


def put_all(queue: Queue, items: Sequence[Any], **options: Any) -> list[Any]:
    """What each ``put`` came to."""

    async def main() -> list[Any]:
        batcher: Batcher[Any] = Batcher("things", queue.send, FAST, **{"linger_s": FAST.linger_s, **options})
        return await asyncio.gather(*(batcher.put(item) for item in items), return_exceptions=True)

    return asyncio.run(main())


def test_what_comes_together_goes_together() -> None:
    queue = Queue()
    assert put_all(queue, range(5)) == [None] * 5
    assert queue.batches == [[0, 1, 2, 3, 4]]


def test_a_batch_holds_ten_at_most() -> None:
    queue = Queue()
    put_all(queue, range(23))
    assert sorted(map(len, queue.batches)) == [3, 10, 10]
    assert queue.sent() == list(range(23))


def test_a_full_batch_does_not_wait_for_the_linger() -> None:
    queue = Queue()
    began = time.monotonic()
    put_all(queue, range(10), linger_s=5.0)
    assert time.monotonic() - began < 1


def test_a_lone_item_waits_only_for_the_linger() -> None:
    queue = Queue()
    began = time.monotonic()
    put_all(queue, [1], linger_s=0.02)
    assert 0.015 < time.monotonic() - began < 1


def test_an_item_that_nothing_can_join_does_not_wait_for_the_linger() -> None:
    queue = Queue()
    began = time.monotonic()
    put_all(queue, [1], linger_s=5.0, expects_more=lambda: False)
    assert time.monotonic() - began < 1


def test_a_batch_stays_below_the_limit_of_bytes() -> None:
    queue = Queue()
    big = MESSAGE_MAX_BYTES * 2 // 3
    put_all(queue, [big, big, 10, 10, big], size_of=lambda item: item)
    assert all(sum(batch) <= MESSAGE_MAX_BYTES for batch in queue.batches)
    assert queue.sent() == sorted([big, big, 10, 10, big])


def test_an_item_above_the_limit_goes_alone() -> None:
    queue = Queue()
    put_all(queue, [10, MESSAGE_MAX_BYTES * 2, 10], size_of=lambda item: item)
    assert [MESSAGE_MAX_BYTES * 2] in queue.batches


def failing(times: int) -> Callable[[Sequence[Any]], Sequence[Failure]]:
    left = times

    def trouble(_batch: Sequence[Any]) -> Sequence[Failure]:
        nonlocal left
        left -= 1
        if left >= 0:
            raise Unavailable("throttled")
        return ()

    return trouble


def test_a_batch_is_sent_until_it_is_acknowledged() -> None:
    queue = Queue(failing(12))
    assert put_all(queue, range(3)) == [None] * 3
    assert len(queue.batches) > 12


def test_an_error_of_the_adapter_loses_nothing_either() -> None:
    count = 0

    def trouble(_batch: Sequence[Any]) -> Sequence[Failure]:
        nonlocal count
        count += 1
        if count == 1:
            raise ZeroDivisionError
        return ()

    assert put_all(Queue(trouble), range(3)) == [None] * 3


def test_of_a_batch_that_was_taken_in_part_the_rest_is_sent_again() -> None:
    count = 0

    def trouble(batch: Sequence[Any]) -> Sequence[Failure]:
        nonlocal count
        count += 1
        return [Failure(index, "throttled", is_final=False) for index, item in enumerate(batch) if item % 2] if count == 1 else ()

    queue = Queue(trouble)
    assert put_all(queue, range(4)) == [None] * 4
    assert queue.batches == [[0, 1, 2, 3], [1, 3]]


def test_an_entry_that_is_refused_for_good_fails_alone() -> None:
    queue = Queue(lambda batch: [Failure(index, "bad text", is_final=True) for index, item in enumerate(batch) if item == 1])
    found = put_all(queue, range(3))
    assert found[0] is None
    assert found[2] is None
    assert isinstance(found[1], Refused)
    assert "bad text" in str(found[1])


def test_an_entry_that_no_request_survives_ends_up_alone() -> None:
    async def main() -> None:
        def trouble(batch: Sequence[Any]) -> Sequence[Failure]:
            if 3 in batch:
                raise Unavailable("the whole request was refused")
            return ()

        queue = Queue(trouble)
        batcher: Batcher[int] = Batcher("things", queue.send, FAST, linger_s=FAST.linger_s)
        poison = asyncio.ensure_future(batcher.put(3))
        await asyncio.wait_for(asyncio.gather(*(batcher.put(item) for item in (0, 1, 2, 4, 5, 6))), 5)
        assert not poison.done()
        assert queue.batches[-1] == [3] or [3] in queue.batches
        poison.cancel()

    asyncio.run(main())


def test_tries_may_be_limited() -> None:
    queue = Queue(failing(10**6))
    found = put_all(queue, [1], tries_max=3)
    assert isinstance(found[0], Refused)
    assert len(queue.batches) == 3


def test_whoever_stops_waiting_disturbs_nobody() -> None:
    async def main() -> None:
        queue = Queue()
        batcher: Batcher[int] = Batcher("things", queue.send, FAST, linger_s=FAST.linger_s)
        first = asyncio.ensure_future(batcher.put(1))
        await asyncio.sleep(0)
        first.cancel()
        await batcher.put(2)
        assert queue.batches == [[1, 2]]

    asyncio.run(main())


@pytest.mark.parametrize("size", [1, 10, 11])
def test_every_item_is_sent_exactly_once_when_all_goes_well(size: int) -> None:
    queue = Queue()
    put_all(queue, range(size))
    assert queue.sent() == list(range(size))
