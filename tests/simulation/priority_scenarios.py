"""Told schedules of priorities: a crowd of executions whose tasks share one type without limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batuta_core.model.names import OWN_FIRST_OF, priority_queue_name, task_queue_name
from batuta_core.simulator.faults import Fault
from batuta_core.simulator.worker import HttpWorker, Outcome
from tests.simulation.invariants import require
from tests.simulation.limit_scenarios import TYPE, Crowd
from tests.simulation.plan import NAMESPACE

_QUEUE = task_queue_name("sim", NAMESPACE, TYPE)
_PRIORITY_QUEUE = priority_queue_name(_QUEUE)
_HIGH = 1000  # executions from this number on have a priority


def _with_both_queues(**fields: Any) -> Crowd:
    """The second queue is there; the task that brought it about is with those of no priority."""
    crowd = Crowd(**fields)
    crowd.start(-1, priority=1)
    crowd.world.run(limit_ms=1000)
    return crowd


def _start(crowd: Crowd, low: int, high: int) -> None:
    for number in range(low):
        crowd.start(number)
    for number in range(high):
        crowd.start(_HIGH + 1 + number, priority=1 + number % 99)
    crowd.world.run(limit_ms=100)


def _poll(crowd: Crowd) -> None:
    def behave(task: Mapping[str, Any]) -> Outcome:
        crowd.order.append((crowd.world.now_ms, task["inputData"]["n"]))
        return Outcome()

    HttpWorker(crowd.world, behave, lambda: [(NAMESPACE, TYPE)])


def _is_high(crowd: Crowd) -> list[bool]:
    return [number >= _HIGH for _at, number in crowd.order]


def a_worker_takes_higher_priorities_first_and_starves_nobody() -> None:
    crowd = _with_both_queues()
    _start(crowd, 30, 60)
    crowd.work()
    crowd.world.run(limit_ms=3600_000)
    crowd.require_all_ended()
    taken = _is_high(crowd)
    while_both = taken[: len(taken) - taken[::-1].index(True)]
    low = while_both.count(False)
    require(0 < low <= len(while_both) // OWN_FIRST_OF + 1, "one of eight is of the others while there are both", taken)
    for place in range(len(while_both) - 2 * OWN_FIRST_OF):
        require(False in taken[place : place + 2 * OWN_FIRST_OF], "the lowest is not starved", place, taken)


def a_poller_takes_higher_priorities_first_and_starves_nobody() -> None:
    """Which poll begins with the others is left to chance, one of eight."""
    crowd = _with_both_queues()
    _start(crowd, 30, 100)
    _poll(crowd)
    crowd.world.run(limit_ms=3600_000)
    crowd.require_all_ended()
    taken = _is_high(crowd)
    while_both = taken[: len(taken) - taken[::-1].index(True)]
    low = while_both.count(False)
    require(len(while_both) // 24 < low < len(while_both) // 4, "about one of eight is of the others while there are both", low, taken)


def one_of_a_priority_overtakes_all_that_wait() -> None:
    for is_polled in (False, True):
        crowd = _with_both_queues()
        _poll(crowd) if is_polled else crowd.work()
        crowd.world.run(limit_ms=61_000)
        crowd.order.clear()
        crowd.world.sources.clear()
        _start(crowd, 40, 1)
        _poll(crowd) if is_polled else crowd.work()
        crowd.world.run(limit_ms=3600_000)
        crowd.require_all_ended()
        require(_is_high(crowd).index(True) <= 3, "it need not wait for those before it", crowd.order)


def the_first_of_a_priority_does_not_wait_for_its_queue() -> None:
    """It goes where the others are. Those after it find the second queue, which is made once."""
    crowd = Crowd()
    crowd.start(_HIGH, priority=1)
    require(crowd.world.queues.size(_QUEUE).total == 1, "it is on the queue of its type", crowd.world.queues.names())
    crowd.world.run(limit_ms=1000)
    require(crowd.world.queues.size(_QUEUE).total == 1, "and nowhere else", crowd.world.queues.names())
    crowd.start(_HIGH + 1, priority=99)
    crowd.start(0)
    sizes = [crowd.world.queues.size(queue).total for queue in (_QUEUE, _PRIORITY_QUEUE)]
    require(sizes == [2, 1], "the next one is on a queue of its own", sizes)
    crowd.work()
    crowd.world.run(limit_ms=3600_000)
    crowd.require_all_ended()


def without_priorities_nobody_makes_a_second_queue() -> None:
    crowd = Crowd(has_second=True)
    crowd.work()
    _start(crowd, 5, 0)
    crowd.world.run(limit_ms=3600_000)
    crowd.require_all_ended()
    require(_PRIORITY_QUEUE not in crowd.world.queues.names(), "nothing asks for it", crowd.world.queues.names())


def a_priority_queue_that_was_deleted_is_done_without() -> None:
    """By somebody, while the functions think that it is there: behind an API call, a decision, and a gate."""
    for fields in ({}, {"concurrentExecLimit": 5}):
        crowd = _with_both_queues(has_second=True, **fields)
        crowd.work()
        crowd.start(_HIGH + 1, priority=3)
        crowd.world.run(limit_ms=1000)
        for queue in crowd.world.queues.names():
            if queue.endswith("-p"):
                del crowd.world.queues._queues[queue]  # whatever lay on it has been taken
        _start(crowd, 2, 5)
        crowd.world.run(limit_ms=3600_000)
        crowd.require_all_ended()
        require(_PRIORITY_QUEUE in crowd.world.queues.names(), "it is made again", crowd.world.queues.names())


def a_poll_keeps_what_it_has_when_the_other_queue_fails() -> None:
    crowd = _with_both_queues()
    _start(crowd, 10, 10)
    crowd.world.faults = _Throttles("queues.receive", every=3)
    _poll(crowd)
    crowd.world.run(limit_ms=3600_000)
    crowd.require_all_ended()


class _Throttles:
    def __init__(self, site: str, every: int) -> None:
        self._site, self._every, self._count = site, every, 0

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        self._count += site == self._site
        return Fault.THROTTLE if site == self._site and self._count % self._every == 0 else None


SCENARIOS = [
    a_worker_takes_higher_priorities_first_and_starves_nobody,
    a_poller_takes_higher_priorities_first_and_starves_nobody,
    one_of_a_priority_overtakes_all_that_wait,
    the_first_of_a_priority_does_not_wait_for_its_queue,
    without_priorities_nobody_makes_a_second_queue,
    a_priority_queue_that_was_deleted_is_done_without,
    a_poll_keeps_what_it_has_when_the_other_queue_fails,
]
