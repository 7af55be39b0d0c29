"""Sizes: what a task costs late in a very long execution, a million armed timers, and a payload of 100 MB.

    python -m benchmarks.large [loop] [line] [timers] [payload] [--tasks N]

The loop and the line run on the production engine with the simulator's ports, the journal in a file: from the text of a worker's
result to the record, packed as it is stored. Marginal costs are means over ``WINDOW`` tasks around each place. Every part runs in a
process of its own, whose peak memory is told; a part that takes longer than ``PART_MAX_S`` is ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from batuta_core.decider.known import Script, ScriptResult
from batuta_core.engine import catalog, query, timers
from batuta_core.engine.advance import advance_batch
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.ports import Incoming, Ports, Refused
from batuta_core.engine.start import StartRequest, start
from batuta_core.model import ids
from batuta_core.model.error import BatutaError
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import InboxMessage, TaskMessage
from batuta_core.model.names import ExecutionId, task_queue_name
from batuta_core.model.record import Mark, Record, pack, unpack
from batuta_core.simulator.world import World
from benchmarks import report
from benchmarks.decide import text
from benchmarks.sizes import WRITE_UNIT_BYTES

NAMESPACE = "bench"
PLACES = (10, 10_000, 100_000, 1_000_000)
WINDOW = 10  # half of it before the place; ten times as much from 10,000 on
OUTPUT = {"n": 1, "text": text(480)}
TIMERS = 1_000_000
TIMERS_PER_MINUTE = 10_000
PAYLOAD_BYTES = 100 * 1024 * 1024
PART_MAX_S = 3000
ITEM_OVERHEAD_BYTES = 120  # of a journal item: keys and attribute names, as ``benchmarks.cost`` counts them


def _show(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(report.table([dict(zip(columns, row, strict=True)) for row in rows]), flush=True)


class FileJournal:
    """Of one execution. Records as they are stored, in a file, so that a million of them take no memory."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._ends = array("Q", [0])
        self._newest: Record | None = None
        self._first = b""
        self.stored_bytes = 0  # of the newest record

    def newest(self, execution: ExecutionId) -> Record | None:
        return Record.from_json(self._newest.to_json()) if self._newest else None

    glance = newest

    def append(self, execution: ExecutionId, record: Record, plain: bytes) -> None:
        if record.seq < len(self._ends):
            raise Refused(self._at(record.seq))
        raw = pack(record, plain, self._first)
        self._first = self._first or unpack(raw)
        self._file.seek(self._ends[-1])
        self._file.write(raw)
        self._ends.append(self._ends[-1] + len(raw))
        self._newest, self.stored_bytes = record, len(raw)

    def read(self, execution: ExecutionId, seqs: Collection[int]) -> Mapping[int, Record]:
        return {seq: self._at(seq) for seq in seqs if 0 < seq < len(self._ends)}

    def scan(self, execution: ExecutionId, first: int = 1) -> Iterator[Record]:
        for seq in range(first, len(self._ends)):
            yield self._at(seq)

    def purge(self, execution: ExecutionId, keep: int) -> None: ...

    def _at(self, seq: int) -> Record:
        self._file.seek(self._ends[seq - 1])
        raw = self._file.read(self._ends[seq] - self._ends[seq - 1])
        return Record.from_json(unpack(raw, self._first if seq > 1 else b""))


class Condition:
    """Stands in for the sandbox: ``$.loop['iteration'] < n``."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds

    def run(self, scripts: Sequence[Script]) -> Sequence[ScriptResult]:
        return [ScriptResult(value=int(json.loads(script.input)["loop"]["iteration"] < self._rounds)) for script in scripts]


def definition(size: int, *, is_loop: bool) -> dict[str, Any]:
    work = {
        "name": "work",
        "taskReferenceName": "w",
        "type": "SIMPLE",
        "inputParameters": {"text": "${workflow.input.text}", "before": "${w.output.n}"},
    }
    if is_loop:
        loop = {
            "name": "loop",
            "taskReferenceName": "loop",
            "type": "DO_WHILE",
            "loopCondition": f"$.loop['iteration'] < {size}",
            "loopOver": [work],
        }
        return {"name": "large", "version": 1, "tasks": [loop]}
    names = [{**work, "taskReferenceName": f"w{place}"} for place in range(size)]
    for place, task in enumerate(names):
        task["inputParameters"] = {"text": "${workflow.input.text}", "before": f"${{w{place - 1}.output.n}}" if place else 0}
    return {"name": "large", "version": 1, "tasks": names}


@dataclass(slots=True)
class Costs:
    """Sums over the tasks of a window."""

    tasks: int = 0
    units: int = 0
    stored: int = 0
    head: int = 0
    cpu_s: float = 0.0

    def row(self, place: int) -> list[str]:
        each = 1 / self.tasks
        return [
            f"{place:,}",
            f"{self.units * each:.2f}",
            f"{self.stored * each:,.0f}",
            f"{self.head * each:,.0f}",
            f"{self.cpu_s * each * 1000:.3f}",
        ]


def _windows(size: int) -> dict[int, range]:
    halves = {place: (WINDOW // 2 if place < 10_000 else WINDOW * 5) for place in PLACES if place <= size}
    return {place: range(max(place - half, 2), min(place + half, size)) for place, half in halves.items()}


def run_tasks(size: int, *, is_loop: bool) -> None:
    """Runs an execution of ``size`` tasks to its end and prints what tasks cost at each place."""
    world, journal = World(1), FileJournal()
    ports: Ports = replace(world.plain, journal=journal, scripts=Condition(size))
    catalog.register_workflows(ports, NAMESPACE, [definition(size, is_loop=is_loop)], no_javascript)
    request = StartRequest(namespace=NAMESPACE, name="large", input={"text": text(1000)})
    execution = ExecutionId(NAMESPACE, start(request, ports, no_javascript))
    queue = task_queue_name(ports.stage, NAMESPACE, "work")
    windows = _windows(size)
    costs = {place: Costs() for place in windows}
    began_s, done = time.monotonic(), 0
    while not (newest := journal._newest) or not newest.head.status.is_terminal:
        received = world.queues.receive(queue, 1, 0)
        world.queues.delete(queue, [received[0].receipt])
        world.queues.receives.clear()  # the simulator's own count, by message
        message = TaskMessage.parse(received[0].text)
        event = TaskUpdated(place=message.place, status=TaskStatus.COMPLETED, output=OUTPUT, started_ms=world.now_ms)
        sent = InboxMessage(execution=execution, event=event, token=message.token, attempt=message.attempt).to_text()
        done += 1
        world.now_ms += 20
        cpu_s = time.process_time()
        failed = advance_batch(ports, [Incoming(ids.short_hash(sent), sent, "r", 1, str(execution))])
        cpu_s = time.process_time() - cpu_s
        if failed:
            raise RuntimeError(f"task {done} could not be decided")
        for place, window in windows.items():
            if done in window and journal._newest is not None:
                found = costs[place]
                found.tasks += 1
                found.units += -(-(journal.stored_bytes + ITEM_OVERHEAD_BYTES) // WRITE_UNIT_BYTES)
                found.stored += journal.stored_bytes
                found.head += len(json.dumps(journal._newest.head.to_dict(), separators=(",", ":")))
                found.cpu_s += cpu_s
    _show(
        ("at task", "write units a task", "bytes stored", "bytes of head", "decider CPU ms"), [costs[place].row(place) for place in windows]
    )
    took_s = time.monotonic() - began_s
    print(f"{done:,} tasks to {newest.head.status} in {took_s:.0f} s, {len(journal._ends) - 1:,} records, {journal._ends[-1] / 1e6:.0f} MB")
    _read(ports, execution, size)


def _read(ports: Ports, execution: ExecutionId, size: int) -> None:
    """What the API makes of it."""

    def page(at: int) -> int:
        return len(query.task_page(ports, execution, at, 15, ())["results"])

    asked: dict[str, Callable[[], object]] = {
        "without tasks": lambda: len(query.workflow_json(ports, execution, has_tasks=False)),
        "whole": lambda: len(query.workflow_json(ports, execution)["tasks"]),
        "the first 15 tasks": lambda: page(0),
        "15 in the middle": lambda: page(size // 2),
        "the last 15": lambda: page(size - 15),
    }
    rows = []
    for what, ask in asked.items():
        began_s = time.monotonic()
        try:
            found = str(ask())
        except BatutaError as error:
            found = error.code
        rows.append([what, found, f"{time.monotonic() - began_s:.2f}", f"{_peak_mb(os.getpid()):.0f}"])
    _show(("read", "answer", "s", "peak MB of the process so far"), rows)


# --- timers


class OneRecord:
    """A journal in which every execution stands at the same record, whose timer is still wanted."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def newest(self, execution: ExecutionId) -> Record | None:
        return self._record

    glance = newest


def run_timers() -> None:
    """Arms a million far timers and lets the mover move them, minute by minute."""
    world = World(1)
    catalog.register_workflows(world.plain, NAMESPACE, [definition(1, is_loop=False)], no_javascript)
    execution = ExecutionId(NAMESPACE, start(StartRequest(namespace=NAMESPACE, name="large"), world.plain, no_javascript))
    record = world.journal.newest(execution)
    assert record is not None
    first_ms = world.now_ms + 3600_000
    record = replace(record, head=replace(record.head, mark=Mark(1, first_ms)))
    ports = replace(world.plain, journal=cast(Any, OneRecord(record)))
    cpu_s = time.process_time()
    for number in range(TIMERS):
        timers.arm(
            ports, ExecutionId(NAMESPACE, ids.to_uuid(number.to_bytes(16, "big"))), 1, first_ms + number // TIMERS_PER_MINUTE * 60_000
        )
    arm_ms = (time.process_time() - cpu_s) * 1000 / TIMERS
    moved, slowest_s, cpu_s, runs = 0, 0.0, time.process_time(), 0
    while moved < TIMERS:
        world.now_ms += 60_000
        began_s = time.process_time()
        moved += timers.move_far_timers(ports)
        runs += 1
        slowest_s = max(slowest_s, time.process_time() - began_s)
        for name in list(world.queues._queues):  # what was moved is fired elsewhere
            if name == world.queues.timers:
                world.queues._queues[name].messages.clear()
    each_ms = (time.process_time() - cpu_s) * 1000 / TIMERS
    rows = [[f"{TIMERS:,}", f"{TIMERS_PER_MINUTE:,}", f"{arm_ms:.3f}", f"{each_ms:.3f}", str(runs), f"{slowest_s:.1f}"]]
    _show(("timers", "due each minute", "CPU ms to arm one", "to move one", "runs of the mover", "slowest run s"), rows)


# --- payload


def run_payload() -> None:
    """100 MB through ``batuta dev``: from a client's start through two workers' tasks and back. Prints the server's peak of memory."""
    from batuta import Client, Worker, task

    @task("large_double")
    def work(doc: str) -> dict[str, Any]:
        return {"doc": doc[::-1]}

    child = subprocess.Popen(
        [sys.executable, "-m", "batuta_server.local", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert child.stdout is not None
        url = next(word for line in child.stdout for word in line.split() if word.startswith("http://")).rstrip("/")
        steps = [
            {"name": "large_double", "taskReferenceName": ref, "type": "SIMPLE", "inputParameters": {"doc": doc}}
            for ref, doc in (("a", "${workflow.input.doc}"), ("b", "${a.output.doc}"))
        ]
        rows = []
        with Client(url) as client:
            client.register_workflow({"name": "large", "version": 1, "schemaVersion": 2, "tasks": steps})
            worker = Worker(work, url=url)
            worker.start()
            try:
                for size in (1000, PAYLOAD_BYTES):
                    began_s = time.monotonic()
                    doc = "ab" * (size // 2)
                    found = client.start_and_wait("large", {"doc": doc}, timeout_s=600)
                    assert found.status == "COMPLETED", found.reason
                    assert found.output == {"doc": doc}
                    rows.append([f"{size:,}", f"{time.monotonic() - began_s:.1f}", f"{_peak_mb(child.pid):.0f}"])
            finally:
                worker.stop()
        _show(("payload bytes", "s", "peak MB of the server (API, decider, timers)"), rows)
    finally:
        child.terminate()
        child.wait(30)


def _peak_mb(pid: int) -> float:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


PARTS: Mapping[str, Callable[[int], None]] = {
    "line": lambda size: run_tasks(10, is_loop=False),
    "loop": lambda size: run_tasks(size, is_loop=True),
    "timers": lambda size: run_timers(),
    "payload": lambda size: run_payload(),
}


def main() -> None:
    words = [word for word in sys.argv[1:] if word in PARTS] or list(PARTS)
    size = int(sys.argv[sys.argv.index("--tasks") + 1]) if "--tasks" in sys.argv else 100_000
    if len(words) == 1:
        PARTS[words[0]](size)
        print(f"{words[0]}: peak memory {_peak_mb(os.getpid()):.0f} MB", flush=True)
        return
    for word in words:
        print(f"\n{word}", flush=True)
        subprocess.run([sys.executable, "-m", "benchmarks.large", word, "--tasks", str(size)], check=True, timeout=PART_MAX_S)


if __name__ == "__main__":
    main()
