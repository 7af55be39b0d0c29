"""Schedules of tasks that a function of ours runs: told ones, and many with drawn faults."""

from __future__ import annotations

from random import Random
from typing import Any

from batuta_core.engine import catalog, operate
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.ports import Outgoing
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import TaskMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record
from batuta_core.simulator.faults import Faults, RandomFaults
from batuta_core.simulator.worker import Outcome, SdkWorker, SystemWorker
from batuta_core.simulator.world import Action, World
from tests.simulation.invariants import Watcher, nothing_stalls, require
from tests.simulation.plan import NAMESPACE

_HOUR_MS = 3600_000
_SEEDS = 60
_RUN_MS = 2 * 24 * _HOUR_MS


class Stage:
    """One execution of an HTTP task and a worker's task behind it. ``h`` are more fields of the former, ``definition`` of its task
    definition."""

    def __init__(
        self, behave: Any, *, seed: int = 1, faults: Faults | None = None, h: dict[str, Any] | None = None, **definition: Any
    ) -> None:
        self.watcher = Watcher()
        self.world = World(seed, faults=faults, on_append=self.watcher)
        request = {"uri": "http://h/", "method": "POST"}
        tasks = [
            {"name": "h", "taskReferenceName": "h", "type": "HTTP", "inputParameters": {"http_request": request}, **(h or {})},
            {"name": "z", "taskReferenceName": "z", "type": "SIMPLE", "inputParameters": {"n": "${h.output.n}"}},
        ]
        definitions = [{"name": "h", "retryCount": 0, "retryDelaySeconds": 0, **definition}, {"name": "z", "retryCount": 9}]
        catalog.register_tasks(self.world.plain, NAMESPACE, definitions)
        catalog.register_workflows(self.world.plain, NAMESPACE, [{"name": "w", "version": 1, "tasks": tasks}], no_javascript)
        self.inputs: list[Any] = []
        self.function = SystemWorker(self.world, self.world.queues.http, behave)
        SdkWorker(self.world, self._work)
        self.world.agenda.append((self.world.now_ms, Action("start", self._start)))

    def _start(self) -> None:
        start(StartRequest(namespace=NAMESPACE, name="w", input={"a": 1}), self.world.ports, no_javascript)

    def _work(self, message: TaskMessage) -> Outcome:
        self.inputs.append(message.input)
        return Outcome(output={"z": 1})

    def run(self, limit_ms: int = _RUN_MS) -> Record:
        self.world.run(limit_ms)
        (record,) = self.watcher.last.values()
        return record

    @property
    def execution(self) -> ExecutionId:
        (execution,) = self.watcher.last
        return execution


def _done(_message: TaskMessage) -> Outcome:
    return Outcome(output={"n": 7})


def a_request_is_made_and_its_answer_goes_on() -> None:
    stage = Stage(_done)
    record = stage.run()
    require(record.head.status.value == "COMPLETED", "it completes", record.head)
    require(stage.inputs == [{"n": 7}], "the next task reads the answer", stage.inputs)
    require(len(stage.function.calls) == 1, "one request", stage.function.calls)


def a_request_whose_function_dies_is_not_made_again() -> None:
    """Nobody knows whether it was made, so the attempt fails, and says why, within minutes."""
    stage = Stage(lambda _message: Outcome(is_lost=True))
    record = stage.run(limit_ms=_HOUR_MS)
    require(record.head.status.value == "FAILED", "the attempt fails", record.head)
    require("the http function died" in (record.head.reason or ""), "with the reason", record.head.reason)
    require(len(stage.function.calls) == 1, "one request", stage.function.calls)


def a_retry_policy_has_it_made_again() -> None:
    lost = [True, True]
    stage = Stage(lambda _message: Outcome(is_lost=True) if lost and lost.pop() else Outcome(output={"n": 7}), retryCount=2)
    record = stage.run(limit_ms=_HOUR_MS)
    require(record.head.status.value == "COMPLETED", "the third attempt completes", record.head)
    require(len(set(stage.function.calls)) == 3, "an attempt each", stage.function.calls)


def a_late_start_waits_for_its_time() -> None:
    for delay_s in (5, 1000, 5000):  # beyond what SQS delays, and beyond what the timers queue holds
        stage = Stage(_done, h={"startDelay": delay_s})
        began_ms = stage.world.now_ms
        record = stage.run()
        require(record.head.status.value == "COMPLETED", "it completes", record.head)
        started_ms = next(e.started_ms for r in stage.watcher.records[stage.execution] for e in r.events if isinstance(e, TaskUpdated))
        require(0 <= started_ms - began_ms - delay_s * 1000 <= 2000, "when its time has come", started_ms - began_ms, delay_s)


def of_two_requests_of_an_attempt_the_first_answer_counts() -> None:
    """A decider that died sent the request, and the next one, which cannot know, sends it again. The first answer leaves the task in
    progress (asyncComplete), the second is an error: it must not end what the first one began."""
    answers = [Outcome(status=TaskStatus.FAILED, output={"n": 2}, reason="exists"), Outcome(status=TaskStatus.IN_PROGRESS, output={"n": 1})]

    def behave(message: TaskMessage) -> Outcome:
        if len(answers) == 2:
            stage.world.queues.send(stage.world.queues.http, [Outgoing(message.to_text(), delay_s=5)])
        return answers.pop()

    stage = Stage(behave, h={"asyncComplete": True})
    record = stage.run(limit_ms=_HOUR_MS)
    require(len(stage.function.calls) == 2, "two requests", stage.function.calls)
    require(record.head.status.value == "RUNNING", "it still waits to be completed", record.head)
    done = operate.TaskReport(status=TaskStatus.COMPLETED, output={}, is_merged=True)
    operate.update_by_ref(stage.world.plain, stage.execution, "h", done)
    stage.run(limit_ms=_HOUR_MS)
    require(stage.inputs == [{"n": 1}], "the first answer counts", stage.inputs)


def requests_under_faults_end_with_a_result_or_a_reason() -> None:
    for seed in range(_SEEDS):
        random = Random(seed)
        lost = random.choice((0.0, 0.3))
        draws = Random(seed + 1)

        def behave(_message: TaskMessage, lost: float = lost, draws: Random = draws) -> Outcome:
            if draws.random() < lost:
                return Outcome(is_lost=True)
            return Outcome(status=TaskStatus.FAILED, reason="500") if draws.random() < 0.3 else Outcome(output={"n": 7})

        faults = RandomFaults(Random(seed + 2), rate=0.15, budget=8)
        h = {"startDelay": random.choice((0, 0, 3, 2000))}
        stage = Stage(behave, seed=seed, faults=faults, h=h, retryCount=random.choice((0, 3)), retryDelaySeconds=random.choice((0, 2)))
        stage.world.run(_RUN_MS)
        if not stage.watcher.last:
            continue  # the start itself failed, and said so
        (record,) = stage.watcher.last.values()
        nothing_stalls(stage.world, stage.watcher, lambda _execution, _ref: False)
        require(record.head.status.is_terminal, f"seed {seed}: it ends", record.head)
        if record.head.status.value == "COMPLETED":
            require(stage.inputs[-1] == {"n": 7}, f"seed {seed}: with the answer", stage.inputs)


SCENARIOS = [
    a_request_is_made_and_its_answer_goes_on,
    a_request_whose_function_dies_is_not_made_again,
    a_retry_policy_has_it_made_again,
    a_late_start_waits_for_its_time,
    of_two_requests_of_an_attempt_the_first_answer_counts,
    requests_under_faults_end_with_a_result_or_a_reason,
]
