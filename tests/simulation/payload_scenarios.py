"""Told schedules of payloads that nobody of ours ever loads: on their way through starts, tasks, retries, children, joins and loops."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from batuta_core.engine import catalog, external, operate, query
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.error import InvalidInput
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import TaskMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PAYLOAD_MAX_BYTES, PayloadRef
from batuta_core.simulator.faults import Fault
from batuta_core.simulator.worker import WORKER_LIFE_MS
from batuta_core.simulator.world import Action, World
from tests.simulation.invariants import Watcher, require
from tests.simulation.plan import NAMESPACE

RAW = json.dumps({"doc": "x" * PAYLOAD_MAX_BYTES, "n": 7}).encode()
SIDE = "s" * 40_000  # beside a part it makes the input leave its record
_CRASHES = range(1, 300, 23)  # it takes 300 calls


class _CrashAt:
    """Whoever makes the call of that number dies, before it or after."""

    def __init__(self, call: int) -> None:
        self._call = call

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        if call != self._call:
            return None
        return Fault.CRASH_BEFORE if self._call % 2 else Fault.CRASH_AFTER


def _task(ref: str, kind: str = "SIMPLE", **fields: Any) -> dict[str, Any]:
    return {"name": fields.pop("name", "work"), "taskReferenceName": ref, "type": kind, "inputParameters": {}, **fields}


CHILD = {"name": "child", "tasks": [_task("c", inputParameters={"doc": "${workflow.input.doc}", "side": "${workflow.input.side}"})]}
PARENT = {
    "name": "parent",
    "tasks": [
        _task("a", inputParameters={"doc": "${workflow.input.doc}", "side": SIDE}),
        _task("f", "FORK_JOIN", forkTasks=[[_task("x", inputParameters={"doc": "${a.output.doc}"})], [_task("y")]]),
        _task("j", "JOIN", joinOn=["x", "y"]),
        _task("s", "SUB_WORKFLOW", subWorkflowParam={"name": "child"}, inputParameters={"doc": "${j.output.x.doc}", "side": SIDE}),
        _task(
            "l",
            "DO_WHILE",
            loopCondition="",
            inputParameters={"_items": [1, 2]},
            loopOver=[_task("t", inputParameters={"doc": "${s.output.doc}"})],
        ),
    ],
    "outputParameters": {"doc": "${t.output.doc}", "n": 1},
}


class _Workers:
    """Report large results over the API, as the SDK's workers do; a task's first attempt fails."""

    def __init__(self, world: World, seen: dict[str, list[Any]]) -> None:
        self._world = world
        self._seen = seen
        world.sources.append(self._ready)

    def _ready(self) -> list[Action]:
        queues = self._world.queues
        ready = [queue for queue in queues.task_queues() if queues.is_ready(queue)]
        return [Action("worker", functools.partial(self._turn, queue), WORKER_LIFE_MS) for queue in ready]

    def _turn(self, queue: str) -> None:
        world = self._world
        for received in world.io("queues.receive", world.queues.receive, queue, 1, 0):
            message = TaskMessage.parse(received.text)
            given = message.input
            if isinstance(given, PayloadRef):
                shown = query.task_json(world.ports, NAMESPACE, message.task_id)
                given = filled(world, shown, "inputData", "externalInputPayloadParts")
            self._seen.setdefault(message.ref, []).append(given)
            place = external.location(world.ports, NAMESPACE, "WRITE", "TASK_OUTPUT", "")
            world.payloads.upload(place["uri"], RAW)
            status = TaskStatus.FAILED if message.attempt == 1 else TaskStatus.COMPLETED
            report = operate.TaskReport(status=status, output={}, external_output=place["path"])
            operate.update_task(world.ports, NAMESPACE, message.execution.workflow_id, message.task_id, report)
            world.io("queues.delete", world.queues.delete, queue, [received.receipt])


def filled(world: World, shown: Any, name: str, parts: str) -> dict[str, Any]:
    """What the SDK makes of it; large texts by their length."""
    found = dict(shown[name])
    for part in shown.get(parts, ()):
        place = external.location(world.plain, NAMESPACE, "READ", "TASK_OUTPUT", part["externalPayloadStoragePath"])
        value = json.loads(world.payloads.download(place["uri"]))
        for key in part["keys"]:
            value = value[key]
        (found[part["at"][0]],) = [len(value)]
    return found


def _world(watcher: Watcher, crash_at: int) -> World:
    world = World(1, on_append=watcher, faults=_CrashAt(crash_at))
    catalog.register_tasks(
        world.plain, NAMESPACE, [{"name": "work", "retryCount": 1, "retryDelaySeconds": 0, "responseTimeoutSeconds": 600}]
    )
    catalog.register_workflows(world.plain, NAMESPACE, [CHILD, PARENT], no_javascript)
    get = world.payloads.get

    def guarded(execution: ExecutionId, ref: PayloadRef) -> bytes:
        require(ref.size_bytes <= PAYLOAD_MAX_BYTES, "a payload that is too large is never loaded", ref)
        return get(execution, ref)

    world.payloads.get = guarded  # type: ignore[method-assign]
    return world


def _start(world: World, request: StartRequest) -> None:
    start(request, world.ports, no_javascript)


def large_payloads_pass_whole_whoever_dies() -> None:
    for crash_at in _CRASHES:
        watcher, seen = Watcher(), dict[str, list[Any]]()
        world = _world(watcher, crash_at)
        _Workers(world, seen)
        path = external.location(world.plain, NAMESPACE, "WRITE", "WORKFLOW_INPUT", "")
        world.payloads.upload(path["uri"], RAW)
        request = StartRequest(namespace=NAMESPACE, name="parent", external_input=path["path"], idempotency_key="k")
        world.agenda.append((world.now_ms, Action("client", functools.partial(_start, world, request))))
        world.run(limit_ms=3600_000)
        executions = world.journal.executions()
        if not executions:  # the client died before anything was begun
            continue
        parent = next(execution for execution in executions if watcher.last[execution].head.about.parent is None)
        shown = query.workflow_json(world.plain, parent)
        require(shown["status"] == "COMPLETED", f"it ends, with a crash at call {crash_at}", shown.get("reasonForIncompletion"))
        output = filled(world, shown, "output", "externalOutputPayloadParts")
        require(output == {"doc": PAYLOAD_MAX_BYTES, "n": 1}, "the output is whole", output)
        expected = {"doc": PAYLOAD_MAX_BYTES}
        for ref, wanted in {"a": {**expected, "side": SIDE}, "x": expected, "c": {**expected, "side": SIDE}, "t__2": expected}.items():
            require(all(given == wanted for given in seen[ref]), f"{ref} is given all of it", [list(given) for given in seen[ref]])
        for execution in executions:
            operate.remove(world.plain, execution, is_archived=False)
        world.run(limit_ms=3600_000)
        require(not world.payloads.objects, "what executions leave goes with them", list(world.payloads.objects))


def what_is_written_again_after_it_was_taken_in_changes_nothing() -> None:
    world = _world(Watcher(), 0)
    place = external.location(world.plain, NAMESPACE, "WRITE", "WORKFLOW_INPUT", "")
    world.payloads.upload(place["uri"], RAW)
    request = StartRequest(namespace=NAMESPACE, name="parent", external_input=place["path"])
    execution = ExecutionId(NAMESPACE, start(request, world.plain, no_javascript))
    world.payloads.upload(place["uri"], RAW.replace(b"x", b"y"))
    other = ExecutionId(NAMESPACE, start(request, world.plain, no_javascript))
    kept = {owner: raw for (owner, _key), raw in world.payloads.objects.items() if len(raw) > PAYLOAD_MAX_BYTES}
    require(kept[execution] == RAW, "it is what it was when it was taken in")
    require(kept[other] != RAW, "whoever comes later gets what is there then")


def nobody_takes_in_what_another_namespace_wrote() -> None:
    world = _world(Watcher(), 0)
    place = external.location(world.plain, "elsewhere", "WRITE", "WORKFLOW_INPUT", "")
    world.payloads.upload(place["uri"], RAW)
    for call in (
        lambda: start(StartRequest(namespace=NAMESPACE, name="parent", external_input=place["path"]), world.plain, no_javascript),
        lambda: external.location(world.plain, NAMESPACE, "READ", "WORKFLOW_INPUT", place["path"]),
        lambda: external.location(world.plain, NAMESPACE, "READ", "TASK_INPUT", "elsewhere/8e2f7a52-0000-4000-8000-000000000001/abcdefgh"),
    ):
        try:
            call()
        except InvalidInput:
            continue
        require(False, "a path of another namespace is refused")


SCENARIOS: list[Callable[[], None]] = [
    what_is_written_again_after_it_was_taken_in_changes_nothing,
    nobody_takes_in_what_another_namespace_wrote,
    large_payloads_pass_whole_whoever_dies,
]
