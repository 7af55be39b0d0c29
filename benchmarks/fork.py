"""What a branch in the head costs by the width of its dynamic fork: bytes and requests of the journal and of S3 counted on the simulator's
ports, and the decider's CPU.

One worker task a branch, 0.04 KB in, 0.5 KB out, incompressible; results come in any order. The first decision makes the branches, the
last one joins them; between them a few decisions are measured at each tenth of the way, with one result and with ten. Queues,
functions and logs are not in it: they are the same for each branch (``bench-cost``). Beside it a line of ten tasks, counted alike.
"""

from __future__ import annotations

import math
import random
import string
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from batuta_core.decider import segments
from batuta_core.engine import catalog, fetch
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.ports import Ports
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef
from batuta_core.model.record import OpenTask, Record, pack
from batuta_core.simulator.world import World
from benchmarks import prices, report

WIDTHS = (10, 50, 200, 1000, 5000)
BATCHES = (1, 10)
POINTS = 10  # where decisions are measured, evenly over the results
AT_EACH = 4
_BETWEEN = 250  # results in one decision on the way to the next point
IN_CHARS = 40  # of a branch; with 80 the widest fork no longer fits into its first record
_ITEM_BYTES = 120  # keys and names of an item
_random = random.Random(5)


def text(size: int) -> str:
    return "".join(_random.choices(string.ascii_letters + string.digits, k=size))


@dataclass(slots=True)
class Used:
    decisions: int = 0
    write_units: float = 0
    read_units: float = 0
    puts: int = 0
    gets: int = 0
    cpu_ms: float = 0

    @property
    def usd(self) -> float:
        return (
            prices.WRITE_UNIT.of(self.write_units)
            + prices.READ_UNIT.of(self.read_units)
            + prices.S3_PUT.of(self.puts)
            + prices.S3_GET.of(self.gets)
        )


class _Payloads:
    def __init__(self, port: Any, used: Used) -> None:
        self._port, self._used = port, used

    def put(self, execution: ExecutionId, raw: bytes) -> PayloadRef:
        self._used.puts += 1
        found: PayloadRef = self._port.put(execution, raw)
        return found

    def get(self, execution: ExecutionId, ref: PayloadRef) -> bytes:
        self._used.gets += 1
        found: bytes = self._port.get(execution, ref)
        return found


class Execution:
    """Decided on by hand, as a warm function does."""

    def __init__(self, tasks: Sequence[dict[str, Any]], given: dict[str, Any]) -> None:
        self.used = Used()
        self.world = World(1)
        self.ports: Ports = replace(self.world.plain, payloads=_Payloads(self.world.plain.payloads, self.used))  # type: ignore[arg-type]
        catalog.register_tasks(self.ports, "bench", [{"name": "work", "retryCount": 3, "responseTimeoutSeconds": 600}])
        catalog.register_workflows(self.ports, "bench", [{"name": "w", "version": 1, "tasks": list(tasks)}], no_javascript)
        began = time.process_time()
        request = StartRequest(namespace="bench", name="w", input=given)
        self.id = ExecutionId("bench", start(request, self.ports, no_javascript))
        self.used.cpu_ms += (time.process_time() - began) * 1000
        first = self.world.journal.newest(self.id)
        assert first is not None
        self.newest: Record = first
        self._first = first.to_json()
        self.used.write_units += units(len(pack(first, self._first)), 1024)

    def decide(self, tasks: Sequence[OpenTask]) -> None:
        stored = pack(self.newest, self.newest.to_json(), self._first)
        events = [
            TaskUpdated(place=task.place, status=TaskStatus.COMPLETED, output={"n": 1, "text": text(480)}, started_ms=self.world.now_ms)
            for task in tasks
        ]
        began = time.process_time()
        newest = self.world.journal.newest(self.id)  # parses what is stored
        assert newest is not None
        made = fetch.decide_with(self.ports, self.id, newest, events).record
        assert made is not None
        record, plain = fetch.spill(self.ports, self.id, made)
        self.world.journal.append(self.id, record, plain)
        self.used.cpu_ms += (time.process_time() - began) * 1000
        self.used.decisions += 1
        self.used.read_units += units(len(stored), 4096) / 2  # at a glance: eventually consistent
        self.used.write_units += units(len(pack(record, plain, self._first)), 1024)
        self.newest = record

    def measure(self, tasks: Sequence[OpenTask]) -> Used:
        """What this decision alone uses."""
        self.used.__init__()  # type: ignore[misc]
        self.decide(tasks)
        return replace(self.used)


def units(size: int, unit: int) -> int:
    return math.ceil((size + _ITEM_BYTES) / unit)


def fork(width: int, batch: int) -> dict[str, Any]:
    """A fork of ``width`` branches whose results come in batches of ``batch``."""
    inputs = {"forkTaskName": "work", "forkTaskInputs": "${workflow.input.items}"}
    tasks: list[dict[str, Any]] = [
        {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC", "inputParameters": inputs},
        {"name": "j", "taskReferenceName": "j", "type": "JOIN"},
    ]
    run = Execution(tasks, {"items": [{"text": text(IN_CHARS)} for _ in range(width)]})
    began = replace(run.used)
    left = [task for task in run.newest.head.open.values() if task.ref != "j"]
    _random.shuffle(left)
    between: list[Used] = []
    for point in range(POINTS):
        while len(left) > max(width * (POINTS - point) // POINTS - batch, batch):
            size = min(_BETWEEN, len(left) - max(width * (POINTS - point) // POINTS - batch, batch))
            run.decide([left.pop() for _ in range(size)])
        for _ in range(AT_EACH):
            if len(left) > batch:
                between.append(run.measure([left.pop() for _ in range(batch)]))
    while len(left) > batch:
        run.decide([left.pop() for _ in range(min(_BETWEEN, len(left) - batch))])
    end = run.measure(left)
    assert run.newest.head.status.value == "COMPLETED"
    mean = {name: sum(getattr(used, name) for used in between) / max(len(between), 1) for name in ("usd", "write_units", "cpu_ms", "gets")}
    decisions = math.ceil(width / batch) - 1
    usd = began.usd + decisions * mean["usd"] + end.usd
    return {
        "branches": width,
        "results a decision": batch,
        "ms a decision": round(mean["cpu_ms"], 2),
        "write units a decision": round(mean["write_units"], 2),
        "first decision ms": round(began.cpu_ms),
        "last decision ms": round(end.cpu_ms, 1),
        "write units a branch": round((began.write_units + decisions * mean["write_units"] + end.write_units) / width, 2),
        "journal+S3 $/million branches": round(usd / width * prices.MILLION, 2),
    }


def line(size: int = 10, rounds: int = 5) -> float:
    """Dollars a million tasks of a line, counted in the same way."""
    usd = 0.0
    for _ in range(rounds):
        tasks = [{"name": "work", "taskReferenceName": f"t{n}", "type": "SIMPLE", "inputParameters": {"n": n}} for n in range(size)]
        run = Execution(tasks, {"items": text(IN_CHARS)})
        for _task in range(size):
            run.decide(list(run.newest.head.open.values()))
        usd += run.used.usd
    return usd / rounds / size * prices.MILLION


def main() -> None:
    segments.WIDE = max(WIDTHS)  # none of them as segments, of which benchmarks/wide.py counts
    beside = round(line(), 2)
    rows = [fork(width, batch) for batch in BATCHES for width in WIDTHS]
    print(report.table(rows))
    print(f"\na task of a ten-task line, counted alike: ${beside} a million")
    report.write("fork", {"forks": rows, "line_usd_per_million_tasks": beside})


if __name__ == "__main__":
    main()
