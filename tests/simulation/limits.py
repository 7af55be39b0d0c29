"""Limits of task types in the schedules: which there are, and that they hold at every step."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import TYPE_CHECKING, Any

from batuta_core.engine.ports import Outgoing
from batuta_core.model.error import NewerSchema
from batuta_core.model.gate import Limits
from batuta_core.model.message import NotOurs, TaskMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.place import TaskPlace
from batuta_core.simulator.world import World
from tests.simulation.invariants import Watcher, require
from tests.simulation.workload import Workload

if TYPE_CHECKING:
    from tests.simulation.plan import Plan

CROWD = "crowd"  # a task type that many executions share
_CROWD_MAX = 8
_KEYS = {"concurrentExecLimit", "rateLimitPerFrequency", "rateLimitFrequencyInSeconds"}
_REMEMBERED_MS = 240_000  # a gate may act upon limits that it read so long ago: a function's life, and its message's next delivery


def draw_limits(random: Random, plan: Plan) -> None:
    """Adds limits to task types of the plan, or a crowd that shares one."""
    if random.random() < 0.25:
        for workload in (*plan.workloads, *plan.children):
            for definition in workload.task_definitions:
                if random.random() < 0.6:
                    definition.update(_draw(random))
    if random.random() < 0.2:
        add_crowd(plan, random.randint(3, _CROWD_MAX), _draw(random), failing=random.choice((0.0, 0.3)), seed=random.getrandbits(32))
    limited = [item for workload in (*plan.workloads, *plan.children) for item in workload.task_definitions if is_limited(item)]
    if limited and random.random() < 0.4:
        for definition in random.choices(limited, k=random.randint(1, 3)):
            without = {key: value for key, value in definition.items() if key not in _KEYS}
            changed = {**without, **(_draw(random) if random.random() < 0.8 else {})}
            plan.new_limits.append((random.choice((10, 2000, 20_000, 100_000)), changed))
    free = [item for workload in (*plan.workloads, *plan.children) for item in workload.task_definitions if not is_limited(item)]
    if free and random.random() < 0.15:  # the first limits of their types, for executions that run
        for definition in random.choices(free, k=random.randint(1, 2)):
            plan.new_limits.append((random.choice((10, 2000, 20_000)), {**definition, **_draw(random)}))


def is_limited(definition: dict[str, Any]) -> bool:
    return not _KEYS.isdisjoint(definition)


def _draw(random: Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if random.random() < 0.7:
        found["concurrentExecLimit"] = random.choice((1, 1, 2))
    if not found or random.random() < 0.4:
        found.update(rateLimitPerFrequency=random.choice((1, 1, 2, 3)), rateLimitFrequencyInSeconds=random.choice((2, 30, 1000)))
    return found


def add_crowd(plan: Plan, count: int, limits: dict[str, Any], *, failing: float = 0.0, seed: int = 0) -> None:
    definition = {"name": f"{CROWD}_t0", "retryCount": 1, "retryDelaySeconds": 1, "responseTimeoutSeconds": 600, **limits}
    for number in range(count):
        task = {"name": f"{CROWD}_t0", "taskReferenceName": "t0", "type": "SIMPLE", "inputParameters": {}}
        plan.workloads.append(
            Workload(name=f"{CROWD}{number}", tasks=[task], task_definitions=[definition], input={}, outputs={}, seed=seed, failing=failing)
        )


_Delivery = tuple[ExecutionId, TaskPlace, int]


class LimitWatcher:
    """Looks at every message that is put on a task queue, or taken from it."""

    def __init__(self, world: World, watcher: Watcher) -> None:
        self._world = world
        self._watcher = watcher
        self._out: dict[str, set[_Delivery]] = defaultdict(set)
        self._starts: dict[str, list[int]] = defaultdict(list)
        self._started: set[_Delivery] = set()
        self._limits: dict[str, list[tuple[int, Limits]]] = defaultdict(list)  # with the moment since when they hold

    def limit(self, definition: dict[str, Any]) -> None:
        """Those of a definition that is registered now."""
        limits = Limits(
            definition.get("concurrentExecLimit", 0),
            definition.get("rateLimitPerFrequency", 0),
            definition.get("rateLimitFrequencyInSeconds", 1),
        )
        known = self._limits.get(definition["name"], [])
        if (known[-1][1] if known else Limits()) != limits:
            self._limits[definition["name"]].append((self._world.now_ms, limits))

    def _in_force(self, task_type: str) -> list[Limits]:
        """Those that a gate may have acted upon, none of them without a limit."""
        known = self._limits.get(task_type, [])
        return [
            limits
            for place, (_since, limits) in enumerate(known)
            if place + 1 == len(known) or known[place + 1][0] > self._world.now_ms - _REMEMBERED_MS
        ]

    def _is_wanted(self, delivery: _Delivery) -> bool:
        """Whether it is open, and of an execution whose definition knew of limits when it started (the first limits of a task type
        hold for those that start later)."""
        execution, place, send = delivery
        record = self._watcher.last.get(execution)
        return record is not None and any(task.place == place and task.sends == send and task.gate for task in record.head.open.values())

    def _delivery(self, text: str) -> tuple[TaskMessage, _Delivery] | None:
        try:
            message = TaskMessage.parse(text)
        except (NotOurs, NewerSchema):
            return None
        return message, (message.execution, message.place, message.send)

    def on_send(self, queue: str, outgoing: Outgoing) -> None:
        found = self._delivery(outgoing.text) if queue in self._world.queues.task_queues() else None
        if found is None or found[0].task_type not in self._limits:
            return
        message, delivery = found
        out = self._out[message.task_type]
        out.intersection_update([other for other in out if self._is_wanted(other)])
        if not self._is_wanted(delivery) or delivery in out:
            return
        limits = self._in_force(message.task_type)
        if all(each.concurrent for each in limits):  # else it may have been let in without a permit, which a later limit does not count
            out.add(delivery)
            most = max(each.concurrent for each in limits)
            require(len(out) <= most, "never more are given out than may be at once", message.task_type, most, sorted(out))

    def on_receive(self, queue: str, text: str) -> None:
        found = self._delivery(text) if queue in self._world.queues.task_queues() else None
        if found is None or found[0].task_type not in self._limits:
            return
        message, delivery = found
        if delivery in self._started or not self._is_wanted(delivery):
            return  # a repeat, or what was cancelled since
        self._started.add(delivery)
        task_type, now_ms = message.task_type, self._world.now_ms
        starts = self._starts[task_type]
        starts.append(now_ms)
        limits = self._in_force(task_type)
        if len(self._limits[task_type]) == 1 and all(each.rate for each in limits):
            rate, window_ms = limits[0].rate, limits[0].window_s * 1000 - 4 * self._world.skew_ms
            in_window = [start for start in starts if start > now_ms - window_ms]
            require(len(in_window) <= rate, "never more starts in any window than allowed", task_type, rate, in_window)

    def nothing_is_left(self) -> None:
        """Once everything has ended."""
        for gate in self._world.gates.all():
            state = self._world.gates.read(gate)
            require(not state.held, "no permit is held once everything ended", gate, state)
            require(not state.is_open, "nothing is left to be sent", gate, state)
            require(not self._world.gates.waiting(gate, 1), "nobody waits at a gate once everything ended", gate, state)
