"""How fast the decider is: from the stored bytes of the head and the message's text to the bytes of the next record.

One core, no I/O. A line of n worker tasks stands in its middle; the result of the open task comes in. Inputs of 1 KB read
the workflow's input and the output before; outputs have 0.5 KB; both incompressible. Prints medians of several rounds,
since this machine is shared. The round trips are counted on the simulator's ports, where each call stands for one call to AWS.
"""

from __future__ import annotations

import random
import statistics
import string
import time
from dataclasses import replace
from typing import Any

from batuta_core.decider.decide import Decision, decide
from batuta_core.decider.known import Known
from batuta_core.engine import catalog, fetch
from batuta_core.engine.advance import advance_batch
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.ports import Incoming
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import InboxMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record, pack, unpack
from batuta_core.simulator.world import World
from benchmarks import decide_shapes, report

SIZES = (10, 100, 1000, 10_000)
ROUNDS = 7
PER_ROUND = 300


def text(size: int) -> str:
    return "".join(random.Random(size).choices(string.ascii_letters + string.digits, k=size))


def definition(size: int) -> dict[str, Any]:
    tasks = []
    for place in range(size):
        inputs = {"text": "${workflow.input.text}", "place": place, **({"before": f"${{t{place - 1}.output.n}}"} if place else {})}
        tasks.append({"name": "work", "taskReferenceName": f"t{place}", "type": "SIMPLE", "inputParameters": inputs})
    return {"name": f"line{size}", "version": 1, "tasks": tasks}


def stand_in_the_middle(size: int) -> tuple[World, ExecutionId, Record]:
    """The line, run up to its middle."""
    world = World(1)
    body = {"name": "work", "retryCount": 3, "responseTimeoutSeconds": 600}
    catalog.register_tasks(world.plain, "bench", [body])
    catalog.register_workflows(world.plain, "bench", [definition(size)], no_javascript)
    request = StartRequest(namespace="bench", name=f"line{size}", input={"text": text(1000)})
    execution = ExecutionId("bench", start(request, world.plain, no_javascript))
    newest = world.journal.newest(execution)
    assert newest is not None
    for _ in range(size // 2):
        (task,) = newest.head.open.values()
        event = TaskUpdated(place=task.place, status=TaskStatus.COMPLETED, output={"n": 1, "text": text(480)}, started_ms=world.now_ms)
        answer = decide(_graph(world, newest), execution, newest.head, newest.seq, [event], _known(world, execution, newest), world.now_ms)
        assert isinstance(answer, Decision)
        assert answer.record is not None
        world.journal.append(execution, answer.record, answer.record.to_json())
        newest = answer.record
    return world, execution, newest


def _graph(world: World, newest: Record) -> Any:
    return fetch.graph_of(world.plain, "bench", newest.head.definition)


def _known(world: World, execution: ExecutionId, newest: Record) -> Known:
    return Known(records={newest.seq: newest, **fetch.read_records(world.plain, execution, [1])})


def measure(size: int) -> dict[str, Any]:
    world, execution, newest = stand_in_the_middle(size)
    first_plain = world.journal.read(execution, [1])[1].to_json()
    stored = pack(newest, newest.to_json(), first_plain)
    (task,) = newest.head.open.values()
    token = world.plain.signer.task_token(execution, task.place, task.attempt)
    event = TaskUpdated(
        place=task.place, status=TaskStatus.COMPLETED, output={"n": 1, "text": text(481)}, started_ms=world.now_ms, worker_id="host-1234"
    )
    message = InboxMessage(execution=execution, event=event, token=token, attempt=1).to_text()
    graph, first = _graph(world, newest), fetch.read_records(world.plain, execution, [1])
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(PER_ROUND):
            head = Record.from_json(unpack(stored, first_plain))
            inbox = InboxMessage.parse(message, world.plain.signer)
            known = Known(records={head.seq: head, **first})
            answer = decide(graph, execution, head.head, head.seq, [inbox.event], known, world.now_ms)  # type: ignore[list-item]
            made: Record = answer.record  # type: ignore[union-attr, assignment]
            raw = pack(made, made.to_json(), first_plain)
        rounds.append((time.perf_counter() - began) / PER_ROUND * 1000)
    median = statistics.median(rounds)
    return {"tasks": size, "ms_per_decision": round(median, 4), "decisions_per_s_and_core": round(1000 / median), "record_bytes": len(raw)}


class _Counted:
    """A port that notes its calls."""

    def __init__(self, name: str, port: object, calls: list[str]) -> None:
        self._name, self._port, self._calls = name, port, calls

    def __getattr__(self, method: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._calls.append(f"{self._name}.{method}")
            return getattr(self._port, method)(*args, **kwargs)

        return call


def round_trips() -> dict[str, list[str]]:
    """Calls, one after the other, from the moment at which the decider is given a result until the next task is visible:
    in a process that has just begun, in one that knows the definition, and in one that decided for this execution before."""
    world, execution, newest = stand_in_the_middle(10)
    found: dict[str, list[str]] = {}
    for kind in ("cold", "definition known", "warm"):
        calls: list[str] = []
        counted: dict[str, Any] = {
            name: _Counted(name, getattr(world.plain, name), calls)
            for name in ("journal", "queues", "definitions", "summaries", "far_timers")
        }
        ports = replace(world.plain, **counted)
        if kind != "warm":
            world.plain.cache.records.clear()
        if kind == "cold":
            world.plain.cache.graphs.clear()
        (task,) = newest.head.open.values()
        event = TaskUpdated(place=task.place, status=TaskStatus.COMPLETED, output={"n": 1}, started_ms=world.now_ms)
        token = world.plain.signer.task_token(execution, task.place, task.attempt)
        message = InboxMessage(execution=execution, event=event, token=token, attempt=1).to_text()
        advance_batch(ports, [Incoming("m", message, "r", 1)])
        found[kind] = calls
        last = world.journal.newest(execution)
        assert last is not None
        newest = last
    return found


def main() -> None:
    rows = [measure(size) for size in SIZES]
    trips = round_trips()
    print(report.table(rows))
    shapes = decide_shapes.rows()
    print("\nwhere the flow branches\n")
    print(report.table(shapes))
    print("\nround trips from result to next task visible:")
    for kind, calls in trips.items():
        print(f"  {kind:<17} {len(calls)}  {', '.join(calls)}")
    growth = rows[-1]["ms_per_decision"] / rows[0]["ms_per_decision"]
    print(f"growth from {SIZES[0]} to {SIZES[-1]} tasks: {growth:.2f}")
    report.write(
        "decide",
        {
            "decisions": rows,
            "growth": round(growth, 3),
            "round_trips": {kind: len(calls) for kind, calls in trips.items()},
            "shapes": shapes,
        },
    )


if __name__ == "__main__":
    main()
