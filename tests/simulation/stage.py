"""What told schedules are played on: a small definition, a world that has it, a start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from batuta_core.decider.known import Script, ScriptResult
from batuta_core.engine import catalog
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record
from batuta_core.simulator.faults import Fault, Faults
from batuta_core.simulator.world import Action, World
from tests.simulation.invariants import Watcher
from tests.simulation.plan import NAMESPACE
from tests.simulation.workload import Workload


def one_task(*, timeout_s: int = 0) -> Workload:
    task = {"name": "w0_t0", "taskReferenceName": "t0", "type": "SIMPLE", "inputParameters": {}}
    definition = {"name": "w0_t0", "retryCount": 0, "responseTimeoutSeconds": 600}
    return Workload(
        name="w0", tasks=[task], task_definitions=[definition], input={"a": 1}, outputs={}, seed=0, failing=0.0, timeout_s=timeout_s
    )


def world_of(workload: Workload, watcher: Watcher, faults: Faults | None = None) -> World:
    world = World(1, faults=faults, on_append=watcher)
    catalog.register_tasks(world.plain, NAMESPACE, workload.task_definitions)
    catalog.register_workflows(world.plain, NAMESPACE, [workload.definition], no_javascript)
    return world


def starting(world: World, workload: Workload) -> Action:
    def start_it() -> None:
        begin(world, workload)

    return Action("start", start_it)


def begin(world: World, workload: Workload) -> ExecutionId:
    request = StartRequest(namespace=NAMESPACE, name=workload.name, input=workload.input)
    return ExecutionId(NAMESPACE, start(request, world.ports, no_javascript))


class DiesAfterRecord:
    """The decider dies once, when it has written a record that ``wanted`` picks."""

    def __init__(self, world: World, watcher: Watcher, wanted: Callable[[Record], bool]) -> None:
        self._watcher = watcher
        self._wanted = wanted
        self._has_died = False
        world.faults = self

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        newest = next(iter(self._watcher.last.values()), None)
        if self._has_died or newest is None or not self._wanted(newest):
            return None
        self._has_died = True
        return Fault.CRASH_BEFORE


class Once:
    """The first call at ``site`` meets ``fault``, and no other."""

    def __init__(self, site: str, fault: Fault) -> None:
        self._site = site
        self._fault = fault
        self._is_over = False

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        if self._is_over or site != self._site:
            return None
        self._is_over = True
        return self._fault


class Saying:
    """The port ``Scripts``, told what to say."""

    def __init__(self, say: Callable[[Script], ScriptResult]) -> None:
        self.say = say

    def run(self, scripts: Sequence[Script]) -> Sequence[ScriptResult]:
        return [self.say(script) for script in scripts]


def scripted(
    tasks: list[dict[str, Any]], say: Callable[[Script], ScriptResult], watcher: Watcher, **given: Any
) -> tuple[World, ExecutionId]:
    """A world whose scripts say what ``say`` says, and an execution of ``tasks`` with the input ``given``."""
    workload = one_task()
    workload.input.update(given)
    workload.tasks[:] = tasks
    world = World(1, on_append=watcher, scripts=Saying(say))
    catalog.register_tasks(world.plain, NAMESPACE, workload.task_definitions)
    catalog.register_workflows(world.plain, NAMESPACE, [workload.definition], no_javascript)
    return world, begin(world, workload)


def task(ref: str, kind: str = "SIMPLE", **fields: Any) -> dict[str, Any]:
    return {"name": "w0_t0", "taskReferenceName": ref, "type": kind, "inputParameters": {}, **fields}


def inline(ref: str, source: str = "1") -> dict[str, Any]:
    return task(ref, "INLINE", inputParameters={"evaluatorType": "javascript", "expression": source})
