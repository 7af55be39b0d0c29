"""Schedules of EVENT tasks and event handlers: told ones, one for every crash there can be, and many with drawn faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from batuta_core.engine import catalog, handlers, operate, operations, query
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.event_ports import ActionStatus
from batuta_core.engine.start import IdempotencyStrategy, StartRequest, start
from batuta_core.model.event import WorkflowStarted
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import TaskMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record
from batuta_core.simulator.faults import Fault, Faults, NoFaults, RandomFaults
from batuta_core.simulator.worker import Outcome, SdkWorker
from batuta_core.simulator.world import Action, World
from tests.simulation.invariants import Watcher, nothing_stalls, require
from tests.simulation.plan import NAMESPACE
from tests.simulation.scripts import MEMO

_HOUR_MS = 3600_000
_RUN_MS = 12 * _HOUR_MS
_LONG_S = 24 * 3600
_SEEDS = 80


def _task(ref: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": ref, "taskReferenceName": ref, "type": kind, "inputParameters": {}, **fields}


# It waits to be told: its variables gather what it was told, its task is tried again when it is told to fail.
TARGET = {
    "name": "target",
    "version": 1,
    "variables": {"told": []},
    "tasks": [_task("first", "SIMPLE"), _task("last", "HUMAN")],
}
STARTED = {"name": "started", "version": 1, "tasks": [_task("run", "SIMPLE", inputParameters={"n": "${workflow.input.n}"})]}


def _source(**fields: Any) -> dict[str, Any]:
    given = {"target": "${workflow.input.target}", "n": "${workflow.input.n}"}
    event = _task("e", "EVENT", **{"inputParameters": given, "sink": "conductor:x", **fields})
    return {"name": "source", "version": 1, "tasks": [event, _task("z", "SIMPLE")]}


START = {"action": "start_workflow", "start_workflow": {"name": "started", "input": {"n": "${n}"}, "correlationId": "c${n}"}}
APPEND = {
    "action": "update_workflow_variables",
    "update_workflow_variables": {"workflowId": "${target}", "variables": {"told": ["${n}"]}, "appendArray": True},
}
FAIL = {"action": "fail_task", "fail_task": {"workflowId": "${target}", "taskRefName": "first", "reasonForIncompletion": "told so"}}
COMPLETE = {"action": "complete_task", "complete_task": {"workflowId": "${target}", "taskRefName": "last", "output": {"got": "${n}"}}}
TERMINATE = {"action": "terminate_workflow", "terminate_workflow": {"workflowId": "${target}", "terminationReason": "told so"}}


def handler(*actions: Mapping[str, Any], name: str = "h", **fields: Any) -> dict[str, Any]:
    return {"name": name, "event": "conductor:source:x", "active": True, "actions": list(actions), **fields}


class Stage:
    """One execution that waits to be told, ``events`` that publish, and handlers."""

    def __init__(
        self,
        *given: dict[str, Any],
        seed: int = 1,
        events: int = 1,
        faults: Faults | None = None,
        event: dict[str, Any] | None = None,
        is_working: bool = True,
        skew_ms: int = 0,
    ) -> None:
        self.watcher = Watcher()
        self.world = World(seed, on_append=self.watcher, scripts=MEMO, skew_ms=skew_ms)
        plain = self.world.plain
        definitions = [
            {"name": "first", "retryCount": 9, "retryDelaySeconds": 0, "responseTimeoutSeconds": 3600},
            {"name": "run", "retryCount": 0},
            {"name": "z", "retryCount": 9, "retryDelaySeconds": 0},
        ]
        catalog.register_tasks(plain, NAMESPACE, definitions)
        catalog.register_workflows(plain, NAMESPACE, [TARGET, STARTED, _source(**(event or {}))], no_javascript)
        for one in given:
            handlers.register(plain, NAMESPACE, one)
        self.target = start(StartRequest(namespace=NAMESPACE, name="target"), plain, no_javascript)
        self.sources: dict[int, str] = {}
        self.ran: list[Any] = []
        if is_working:
            SdkWorker(self.world, self._work)
        self.world.faults = faults or NoFaults()
        for n in range(events):
            self.world.agenda.append((self.world.now_ms + 1000 * n, Action("start", lambda n=n: self._publish(n))))

    def _publish(self, n: int) -> None:
        again = (self.world.now_ms + 1000, Action("start", lambda: self._publish(n)))
        self.world.agenda.append(again)
        request = StartRequest(
            namespace=NAMESPACE,
            name="source",
            input={"n": n, "target": self.target},
            idempotency_key=str(n),
            idempotency_strategy=IdempotencyStrategy.RETURN_EXISTING,
        )
        self.sources[n] = start(request, self.world.ports, no_javascript)
        if again in self.world.agenda:
            self.world.agenda.remove(again)

    def _work(self, message: TaskMessage) -> Outcome:
        if message.task_type == "first":
            return Outcome(status=TaskStatus.IN_PROGRESS, callback_after_s=_LONG_S)
        self.ran.append(message.input)
        return Outcome()

    def run(self, limit_ms: int = _RUN_MS) -> None:
        self.world.run(limit_ms)

    def execution(self, workflow_id: str) -> ExecutionId:
        return ExecutionId(NAMESPACE, workflow_id)

    def newest(self, workflow_id: str) -> Record:
        return self.watcher.last[self.execution(workflow_id)]

    def started(self) -> list[WorkflowStarted]:
        """The first events of the executions that handlers started."""
        firsts = [records[0].events[0] for records in self.watcher.records.values()]
        return [first for first in firsts if isinstance(first, WorkflowStarted) and first.name == "started"]

    def told(self) -> list[Any]:
        shown = query.workflow_json(self.world.plain, self.execution(self.target), has_tasks=False)
        return list(shown["variables"]["told"])

    def message_id(self, n: int) -> str:
        tasks = query.workflow_json(self.world.plain, self.execution(self.sources[n]), has_tasks=True)["tasks"]
        return next(str(task["taskId"]) for task in tasks if task["referenceTaskName"] == "e")

    def statuses(self, n: int) -> list[tuple[int, str]]:
        return [(done.index, done.status.value) for done in self.world.actions.of_message(NAMESPACE, self.message_id(n))]


class CrashesAt:
    """The ``nth`` call of a site ends its actor, before or after it is made."""

    def __init__(self, site: str, fault: Fault, nth: int = 1) -> None:
        self._site, self._fault, self._left = site, fault, nth

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        self._left -= site == self._site
        if site == self._site and self._left == 0:
            return self._fault
        return None


# --- told


def an_event_starts_a_workflow() -> None:
    stage = Stage(handler(START))
    stage.run()
    require(stage.newest(stage.sources[0]).head.status.value == "COMPLETED", "the source goes on", stage.newest(stage.sources[0]).head)
    (first,) = stage.started()
    said = {"n": 0, "conductor.event.messageId": stage.message_id(0), "conductor.event.name": "conductor:source:x"}
    require(first.input == said, "with the evaluated input", first.input)
    require(first.correlation_id == "c0" and first.event == "conductor:source:x", "and what it is about", first)
    require(stage.statuses(0) == [(0, "COMPLETED")], "and that is recorded", stage.statuses(0))


def an_inactive_handler_does_nothing() -> None:
    stage = Stage(handler(START, active=False))
    stage.run()
    require(not stage.started(), "nothing is started", stage.started())


def a_condition_says_whether() -> None:
    stage = Stage(handler(START, condition="$.n > 0", name="yes"), handler(START, condition="$.n == 77", name="no"), events=2)
    stage.run()
    require([first.input["n"] for first in stage.started()] == [1], "of the event that it is true of", stage.started())
    require(stage.statuses(0) == [(-1, "SKIPPED"), (-1, "SKIPPED")], "what is not done is recorded, too", stage.statuses(0))


def a_handler_that_cannot_act_says_why_and_harms_nobody() -> None:
    nobody = {"action": "terminate_workflow", "terminate_workflow": {"workflowId": "nobody"}}
    unknown = {"action": "start_workflow", "start_workflow": {"name": "unknown"}}
    stage = Stage(handler(nobody, unknown, {"action": "start_agent"}, START))
    stage.run()
    require(stage.newest(stage.sources[0]).head.status.value == "COMPLETED", "the source goes on", stage.newest(stage.sources[0]).head)
    require(len(stage.started()) == 1, "and so do the other actions", stage.started())
    require([status for _index, status in stage.statuses(0)] == ["FAILED"] * 3 + ["COMPLETED"], "recorded", stage.statuses(0))
    done = stage.world.actions.of_message(NAMESPACE, stage.message_id(0))
    require(all(action.output["error"] for action in done[:3]), "with the reason", done)


def a_task_is_completed_and_a_workflow_terminated() -> None:
    complete = Stage(handler(FAIL, COMPLETE), is_working=False)
    done = operate.TaskReport(status=TaskStatus.COMPLETED, output={})
    operate.update_by_ref(complete.world.plain, complete.execution(complete.target), "first", done)
    complete.run(_HOUR_MS)
    head = complete.newest(complete.target).head
    require(head.status.value == "COMPLETED", "the waiting task is completed", head)
    terminate = Stage(handler(TERMINATE), is_working=False)
    terminate.run(_HOUR_MS)
    head = terminate.newest(terminate.target).head
    require((head.status.value, head.reason) == ("TERMINATED", "told so"), "the execution is terminated", head)


def the_event_of_a_rerun_is_another() -> None:
    """A task keeps its id over a rerun; its event must not be taken for a repeat."""
    stage = Stage(handler(START))
    stage.run()
    execution, task_id = stage.execution(stage.sources[0]), stage.message_id(0)
    operations.rerun(stage.world.plain, execution, task_id=task_id)
    stage.run()
    require(stage.message_id(0) == task_id, "the task keeps its id", task_id)
    require(len(stage.started()) == 2, "it starts another", stage.started())


def a_function_that_dies_does_it_again_with_one_effect() -> None:
    """Dead before and after each of its calls, in turn: every action has its effect, once."""
    sites = (
        "queues.receive",
        "definitions.handlers",
        "actions.begin",
        "actions.end",
        "definitions.revision",
        "journal.append",
        "summaries.write",
        "queues.send",
        "queues.delete",
    )
    for site in sites:
        for fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST_REPLY, Fault.THROTTLE):
            for nth in range(1, 7):
                stage = Stage(handler(START, APPEND, FAIL), faults=CrashesAt(site, fault, nth))
                stage.run()
                _once_each(stage, f"{site} {fault.value} {nth}")


def two_at_once_have_one_effect() -> None:
    """The message comes once more while somebody has it in hand, who waits at any of its calls."""
    for seed in range(120):
        faults = _Doubled(Random(seed))
        stage = Stage(handler(APPEND, FAIL, START), seed=seed, faults=faults)
        stage.run()
        _once_each(stage, f"seed {seed}")


class _Doubled:
    """Events are delivered twice, and whoever handles them waits now and then. Not for ever: what is doubled faster than it is done never
    ends."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._left = 100

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        is_doubled = site == "queues.receive"
        if self._left == 0 or self._random.random() >= (0.5 if is_doubled else 0.2):
            return None
        self._left -= 1
        return Fault.DUPLICATE if is_doubled else Fault.PAUSE


def an_event_whose_function_fails_for_long_fails_with_a_reason() -> None:
    class Down:
        def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
            return Fault.THROTTLE if site == "definitions.handlers" else None

    stage = Stage(handler(START), faults=Down(), is_working=False)
    stage.run()
    head = stage.newest(stage.sources[0]).head
    require(head.status.value == "FAILED" and "events function" in (head.reason or ""), "it fails and says why", head)


def an_event_goes_to_a_sink_outside() -> None:
    stage = Stage(event={"sink": "sqs:orders"})
    stage.run()
    ((sink, message_id, payload),) = stage.world.sinks.published
    require((sink, message_id) == ("sqs:orders", stage.message_id(0)), "under its task's id", sink, message_id)
    require('"event_produced":"sqs:orders"' in payload, "with what the task shows", payload)


def events_under_faults_have_their_effect_once() -> None:
    for seed in range(_SEEDS):
        random = Random(seed)
        faults = RandomFaults(Random(seed + 1), rate=random.choice((0.05, 0.15)), budget=random.randint(4, 14))
        actions = random.sample([START, APPEND, FAIL], random.randint(1, 3))
        condition = random.choice((None, "$.n >= 0"))
        given = [handler(*actions, **({"condition": condition} if condition else {}))]
        if random.random() < 0.5:
            given.append(handler(APPEND, START, name="other"))
        stage = Stage(*given, seed=seed, events=random.randint(1, 3), faults=faults, skew_ms=random.choice((0, 3000)))
        stage.run()
        nothing_stalls(stage.world, stage.watcher, lambda _execution, ref: ref == "last")
        _once_each(stage, f"seed {seed}")


def _once_each(stage: Stage, what: str) -> None:
    """Each action of each handler has had its effect for each event, and once."""
    given = stage.world.plain.definitions.handlers(NAMESPACE)
    kinds = [action["action"] for one in given for action in one["actions"]]
    for n, workflow_id in stage.sources.items():
        record = stage.newest(workflow_id)
        require(record.head.status.value == "COMPLETED", f"{what}: the source completes", n, record.head)
    numbers = sorted(stage.sources)
    started = sorted(first.input["n"] for first in stage.started())
    require(started == sorted(numbers * kinds.count("start_workflow")), f"{what}: each event starts one", started)
    told = sorted(stage.told())
    require(told == sorted(numbers * kinds.count("update_workflow_variables")), f"{what}: each event is told once", told)
    attempts = [task for task in stage.newest(stage.target).head.open.values() if task.ref == "first"]
    failures = len(numbers) * kinds.count("fail_task")
    require([task.attempt for task in attempts] == [1 + failures], f"{what}: each event fails one attempt", attempts)
    for n in numbers:
        done = stage.world.actions.of_message(NAMESPACE, stage.message_id(n))
        require(len(done) == len(kinds), f"{what}: each action is recorded", done)
        require(all(action.status is ActionStatus.COMPLETED for action in done), f"{what}: as completed", done)


SCENARIOS: list[Callable[[], None]] = [
    an_event_starts_a_workflow,
    an_inactive_handler_does_nothing,
    a_condition_says_whether,
    a_handler_that_cannot_act_says_why_and_harms_nobody,
    a_task_is_completed_and_a_workflow_terminated,
    the_event_of_a_rerun_is_another,
    a_function_that_dies_does_it_again_with_one_effect,
    two_at_once_have_one_effect,
    an_event_whose_function_fails_for_long_fails_with_a_reason,
    an_event_goes_to_a_sink_outside,
    events_under_faults_have_their_effect_once,
]
