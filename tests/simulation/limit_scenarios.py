"""Told schedules of limits: a crowd of executions whose tasks share one type."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random
from typing import Any

from batuta_core.engine import catalog, operate, operations
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.limits import KNOWN_MS
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.message import TaskMessage
from batuta_core.model.names import ExecutionId, task_queue_name
from batuta_core.model.record import Record
from batuta_core.simulator.faults import Fault, ToldFaults
from batuta_core.simulator.worker import Outcome, SdkWorker
from batuta_core.simulator.world import Action, World
from tests.simulation.invariants import Watcher, require
from tests.simulation.limits import LimitWatcher
from tests.simulation.plan import NAMESPACE
from tests.simulation.stage import DiesAfterRecord
from tests.simulation.workload import Workload

TYPE, SECOND = "shared", "unlimited"


class Crowd:
    """Executions of one task each, all of one type with ``limits``. ``order`` is in what order they were taken."""

    def __init__(self, *, has_second: bool = False, **limits: int) -> None:
        self.watcher = Watcher()
        self.world = World(1, on_append=self.watcher)
        self.limits = LimitWatcher(self.world, self.watcher)
        self.world.queues.on_send, self.world.queues.on_receive = self.limits.on_send, self.limits.on_receive
        self.order: list[tuple[int, int]] = []  # (the moment, the number of the execution)
        self.register(**limits)
        tasks = [
            {"name": name, "taskReferenceName": ref, "type": "SIMPLE", "inputParameters": {"n": "${workflow.input.n}"}}
            for ref, name in (("t", TYPE), ("then", SECOND))[: 2 if has_second else 1]
        ]
        workload = Workload(name="w", tasks=tasks, task_definitions=[], input={}, outputs={}, seed=0)
        catalog.register_workflows(self.world.plain, NAMESPACE, [workload.definition], no_javascript)

    def register(self, task_type: str = TYPE, /, **limits: int) -> None:
        definition: dict[str, Any] = {"name": task_type, "retryCount": 0, "responseTimeoutSeconds": 600, **limits}
        self.limits.limit(definition)
        catalog.register_tasks(self.world.ports, NAMESPACE, [definition])

    def start(self, number: int, priority: int = 0) -> ExecutionId:
        self.world.now_ms += 10  # who comes first is to be seen
        request = StartRequest(namespace=NAMESPACE, name="w", input={"n": number}, priority=priority)
        return ExecutionId(NAMESPACE, start(request, self.world.ports, no_javascript))

    def work(self, count: int = 1, *, fate: Callable[[int], Outcome] = lambda _number: Outcome()) -> None:
        for number in range(count):
            SdkWorker(self.world, lambda message: self._behave(message, fate), f"w{number}")

    def _behave(self, message: TaskMessage, fate: Callable[[int], Outcome]) -> Outcome:
        self.order.append((self.world.now_ms, message.input["n"]))
        return fate(message.input["n"])

    def require_all_ended(self) -> None:
        left = [record.head for record in self.watcher.last.values() if not record.head.status.is_terminal]
        require(not left, "all executions end", left)
        self.limits.nothing_is_left()


def ten_workers_keep_a_rate() -> None:
    """Three in ten seconds, and thirty tasks: the last one starts ninety seconds after the first, and no minute later."""
    crowd = Crowd(rateLimitPerFrequency=3, rateLimitFrequencyInSeconds=10)
    crowd.work(10)
    for number in range(30):
        crowd.start(number)
    crowd.world.run(limit_ms=3600_000)
    crowd.require_all_ended()
    took_ms = crowd.order[-1][0] - crowd.order[0][0]
    require(90_000 <= took_ms < 105_000, "each starts when its turn comes, a second late at most", took_ms)
    require([number // 3 for _at, number in crowd.order] == [place // 3 for place in range(30)], "who waits longest is next", crowd.order)


def ten_workers_that_die_keep_a_rate() -> None:
    """Whatever they begin counts, also what another one died over, or gave back."""
    crowd = Crowd(rateLimitPerFrequency=2, rateLimitFrequencyInSeconds=60, retryCount=5)
    random = Random(7)
    crowd.work(
        10, fate=lambda _number: random.choice((Outcome(), Outcome(), Outcome(is_lost=True, is_slow=True), Outcome(is_handed_back=True)))
    )
    for number in range(20):
        crowd.start(number)
    crowd.world.run(limit_ms=24 * 3600_000)
    crowd.require_all_ended()
    moments = [at_ms for at_ms, _number in crowd.order]
    require(len(moments) > 25, "some were begun more than once", len(moments))
    for place, at_ms in enumerate(moments[2:]):
        require(at_ms - moments[place] >= 60_000, "never more starts in any window than allowed", at_ms, moments)


def a_start_that_nobody_told_counts_from_its_end() -> None:
    """The message lies on the queue for most of the window; a worker takes it then and dies, and a user ends the execution."""
    crowd = Crowd(rateLimitPerFrequency=1, rateLimitFrequencyInSeconds=60)
    first, _second = crowd.start(0), crowd.start(1)
    crowd.world.run(limit_ms=1000)
    crowd.world.now_ms += 50_000
    crowd.work(fate=lambda number: Outcome(is_lost=number == 0))
    crowd.world.run(limit_ms=1000)
    _terminate(crowd, first)
    crowd.world.run(limit_ms=3600_000)
    crowd.require_all_ended()
    (began_ms, _), (next_ms, _) = crowd.order
    require(next_ms - began_ms >= 60_000, "never more starts in any window than allowed", crowd.order)


def a_freed_permit_is_taken_at_once() -> None:
    crowd = Crowd(concurrentExecLimit=2)
    crowd.work(10)
    for number in range(20):
        crowd.start(number)
    began_ms = crowd.world.now_ms
    crowd.world.run(limit_ms=3600_000)
    crowd.require_all_ended()
    require(crowd.world.now_ms - began_ms < 120_000 and crowd.order[-1][0] - began_ms < 1000, "nobody waits for a clock", crowd.order)


def a_permit_comes_back_when_its_decider_dies() -> None:
    """After the record that ends the attempt, before it says so. The task of a second execution waits for the permit."""
    crowd = Crowd(concurrentExecLimit=1)
    crowd.work()
    DiesAfterRecord(crowd.world, crowd.watcher, lambda record: bool(record.head.returned))
    for number in range(2):
        crowd.start(number)
    crowd.world.run(limit_ms=3600_000)
    crowd.require_all_ended()


def a_permit_comes_back_though_another_record_is_written_first() -> None:
    """By a user, before the message of the decider that died comes again."""
    crowd = Crowd(has_second=True, concurrentExecLimit=1)
    crowd.work()
    DiesAfterRecord(crowd.world, crowd.watcher, lambda record: bool(record.head.returned))
    first = crowd.start(0)
    crowd.world.run(limit_ms=1000)
    require(crowd.watcher.last[first].head.returned, "the decider died behind its record", crowd.watcher.last[first])
    operations.update_variables(crowd.world.ports, first, {"by": "a user"})
    require(not crowd.watcher.last[first].head.returned, "the next record hides it", crowd.watcher.last[first])
    crowd.start(1)
    crowd.world.run(limit_ms=3600_000)
    crowd.require_all_ended()


class _DiesAfter:
    """Whoever makes a call at ``site`` first dies before the next one."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._state = "before"

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        if self._state == "armed":
            self._state = "done"
            return Fault.CRASH_BEFORE
        if self._state == "before" and site == self._site:
            self._state = "armed"
        return None


def a_user_who_dies_over_a_terminate_keeps_no_permit() -> None:
    crowd = Crowd(concurrentExecLimit=1)
    first, _second = crowd.start(0), crowd.start(1)
    crowd.world.run(limit_ms=1000)
    crowd.world.faults = _DiesAfter("journal.append")
    terminate = Action("terminate", lambda: operate.terminate(crowd.world.ports, first, "by the user"))
    crowd.world.agenda.append((crowd.world.now_ms, terminate))
    crowd.world.run(limit_ms=1000)
    require(crowd.watcher.last[first].head.status.is_terminal, "it was terminated", crowd.watcher.last[first])
    queue = task_queue_name("sim", NAMESPACE, TYPE)
    require(crowd.world.queues.size(queue).total == 1, "the permit is out", crowd.world.queues.size(queue))
    crowd.world.run(limit_ms=70_000)
    require(crowd.world.queues.size(queue).total == 2, "the guard returns it, and the next is let in", crowd.world.queues.size(queue))
    crowd.work()
    crowd.world.run(limit_ms=3600_000)
    crowd.require_all_ended()


def a_user_who_dies_over_new_limits_keeps_nobody_waiting() -> None:
    crowd = Crowd(concurrentExecLimit=1)
    crowd.work(fate=lambda number: Outcome(is_lost=number == 0))
    for number in range(2):
        crowd.start(number)
    crowd.world.run(limit_ms=1000)
    crowd.world.faults = _DiesAfter("definitions.put_tasks")
    crowd.world.agenda.append((crowd.world.now_ms, Action("limits", lambda: crowd.register(concurrentExecLimit=2))))
    crowd.world.run(limit_ms=70_000)
    require(1 in [number for _at, number in crowd.order], "a raised limit holds a minute later at the latest", crowd.order)


def an_admitter_that_dies_is_made_up_for() -> None:
    """At each of the calls after it gave a permit."""
    for nth in range(1, 6):
        crowd = Crowd(concurrentExecLimit=1)
        crowd.work()
        crowd.world.faults = _DiesAfterWrite(nth)
        for number in range(2):
            crowd.start(number)
        crowd.world.run(limit_ms=3600_000)
        crowd.require_all_ended()


class _DiesAfterWrite:
    """A function dies at its ``nth`` call since a gate was written first."""

    def __init__(self, nth: int) -> None:
        self._left = nth
        self._has_begun = False

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        self._left -= self._has_begun
        self._has_begun = self._has_begun or site == "gates.write"
        return Fault.CRASH_BEFORE if self._has_begun and self._left == 0 else None


def a_raised_limit_lets_in_at_once() -> None:
    """Although no permit comes back: whoever holds the only one has died over it. Before the limit is raised nobody else starts."""
    crowd = Crowd(concurrentExecLimit=1)
    crowd.work(fate=lambda number: Outcome(is_lost=number == 0))
    for number in range(4):
        crowd.start(number)
    crowd.world.run(limit_ms=10_000)
    require([number for _at, number in crowd.order] == [0], "one at once", crowd.order)
    crowd.register(concurrentExecLimit=3)
    crowd.world.run(limit_ms=2000)
    require([number for _at, number in crowd.order] == [0, 1, 2, 3], "a raised limit holds at once", crowd.order)


def a_limit_that_is_taken_away_holds_nobody() -> None:
    crowd = Crowd(rateLimitPerFrequency=1, rateLimitFrequencyInSeconds=3600)
    crowd.work()
    for number in range(60):  # more than one turn lets in
        crowd.start(number)
    crowd.world.run(limit_ms=10_000)
    require(len(crowd.order) == 1, "one an hour", crowd.order)
    crowd.register()
    crowd.world.run(limit_ms=5000)
    require(len(crowd.order) == 60, "without a limit nobody waits", len(crowd.order))
    crowd.world.run(limit_ms=3600_000)
    crowd.require_all_ended()


def higher_priority_goes_first_and_the_lowest_is_not_starved() -> None:
    """Each point is worth a minute of waiting: 99 goes before what came less than 99 minutes earlier."""
    crowd = Crowd(rateLimitPerFrequency=1, rateLimitFrequencyInSeconds=7200)
    crowd.start(0)
    crowd.work()
    crowd.world.run(limit_ms=1000)
    crowd.start(1)  # the oldest, of the lowest priority
    crowd.world.now_ms += 100 * 60_000
    crowd.start(2)
    crowd.start(3, priority=50)
    crowd.start(4, priority=99)
    crowd.start(5, priority=51)
    crowd.world.run(limit_ms=24 * 3600_000)
    require([number for _at, number in crowd.order] == [0, 1, 4, 5, 3, 2], "by priority, each point worth a minute", crowd.order)
    crowd.require_all_ended()


def a_first_limit_holds_for_executions_that_run() -> None:
    """They began when their second task had none, and the processes know that it had none."""
    for limits in ({"concurrentExecLimit": 1}, {"rateLimitPerFrequency": 1, "rateLimitFrequencyInSeconds": 20}):
        crowd = Crowd(has_second=True)
        crowd.work(3)
        crowd.start(0)
        crowd.world.run(limit_ms=1000)
        crowd.require_all_ended()
        for number in range(1, 10):
            crowd.start(number)
        crowd.register(SECOND, **limits)
        crowd.world.now_ms += KNOWN_MS
        crowd.world.run(limit_ms=3600_000)
        crowd.require_all_ended()
        gated = [execution for execution, records in crowd.watcher.records.items() if any(_is_gated(record) for record in records)]
        require(len(gated) == 9, "they stand in line", gated)
        moments = sorted(max(at_ms for at_ms, number in crowd.order if number == nth) for nth in range(1, 10))
        if "rateLimitPerFrequency" in limits:
            gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
            require(min(gaps) >= 20_000, "a first limit holds for those that run", gaps)


def _is_gated(record: Record) -> bool:
    return any(task.gate == SECOND for task in record.head.open.values())


def whoever_tells_of_a_first_limit_may_die() -> None:
    """At any call: the execution hears of it once more, is limited once, and no permit stays out."""
    for nth in range(1, 40):
        crowd = Crowd(has_second=True)
        crowd.work()
        crowd.start(0)
        crowd.register(SECOND, concurrentExecLimit=1)
        crowd.start(1)
        crowd.world.faults = ToldFaults({crowd.world.calls + nth: Fault.CRASH_BEFORE if nth % 2 else Fault.CRASH_AFTER})
        crowd.world.run(limit_ms=3600_000)
        crowd.require_all_ended()


def what_ends_while_it_waits_takes_no_permit() -> None:
    crowd = Crowd(rateLimitPerFrequency=1, rateLimitFrequencyInSeconds=600)
    crowd.work()
    executions = [crowd.start(number) for number in range(5)]
    crowd.world.run(limit_ms=1000)
    for execution in executions[1:4]:
        _terminate(crowd, execution)
    crowd.world.run(limit_ms=700_000)
    require([number for _at, number in crowd.order] == [0, 4], "the next that still wants it", crowd.order)
    crowd.world.run(limit_ms=3600_000)
    crowd.require_all_ended()


def _terminate(crowd: Crowd, execution: ExecutionId) -> None:
    operate.terminate(crowd.world.ports, execution, "by the user")


SCENARIOS = [
    ten_workers_keep_a_rate,
    ten_workers_that_die_keep_a_rate,
    a_start_that_nobody_told_counts_from_its_end,
    a_freed_permit_is_taken_at_once,
    a_permit_comes_back_when_its_decider_dies,
    a_permit_comes_back_though_another_record_is_written_first,
    a_user_who_dies_over_a_terminate_keeps_no_permit,
    a_user_who_dies_over_new_limits_keeps_nobody_waiting,
    an_admitter_that_dies_is_made_up_for,
    a_raised_limit_lets_in_at_once,
    a_limit_that_is_taken_away_holds_nobody,
    a_first_limit_holds_for_executions_that_run,
    whoever_tells_of_a_first_limit_may_die,
    higher_priority_goes_first_and_the_lowest_is_not_starved,
    what_ends_while_it_waits_takes_no_permit,
]
