"""What a branch costs of a fork that runs as segments: all its journals and payloads counted on the simulator's ports, and the CPU.

One worker task a branch, 0.04 KB in, 0.5 KB out, incompressible, results one by one in any order, as ``benchmarks/fork.py`` has it, with
which it is compared; queues, functions and logs are the same for each branch and not in it. ``--width`` runs one width.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from typing import Any

from batuta_core.engine import catalog
from batuta_core.engine.advance import advance
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.message import TaskMessage
from batuta_core.model.names import ExecutionId, is_segment, task_queue_name
from batuta_core.model.record import Record, pack
from batuta_core.simulator.world import World
from benchmarks import prices, report
from benchmarks.fork import IN_CHARS, Used, line, text, units

WIDTHS = (300, 1000, 10_000)
OUT_CHARS = 480


class Wide:
    """A fork of ``width`` branches, run to its end."""

    def __init__(self, width: int, out_chars: int) -> None:
        self.width, self.out_chars = width, out_chars
        self.used, self.segments, self.first = Used(), 0, dict[ExecutionId, bytes]()
        self.sizes = dict[ExecutionId, int]()
        self.world = World(1, on_append=self._note)
        self.ports = self.world.plain
        for name in ("put", "get"):
            self._count(name)

    def _count(self, name: str) -> None:
        payloads: Any = self.world.payloads
        plain = getattr(payloads, name)

        def counting(*given: Any) -> Any:
            setattr(self.used, f"{name}s", getattr(self.used, f"{name}s") + 1)
            return plain(*given)

        setattr(payloads, name, counting)

    def _note(self, execution: ExecutionId, record: Record) -> None:
        plain = record.to_json()
        if record.seq == 1:
            self.first[execution] = plain
            self.segments += is_segment(record.head.definition)
        size = len(pack(record, plain, self.first[execution]))
        self.used.decisions += 1
        self.used.write_units += units(size, 1024)
        self.used.read_units += units(self.sizes.get(execution, 0), 4096) / 2
        self.sizes[execution] = size

    def run(self) -> dict[str, Any]:
        inputs = {"forkTaskName": "work", "forkTaskInputs": "${workflow.input.items}"}
        tasks: list[dict[str, Any]] = [
            {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC", "inputParameters": inputs},
            {"name": "j", "taskReferenceName": "j", "type": "JOIN"},
        ]
        catalog.register_tasks(self.ports, "bench", [{"name": "work", "retryCount": 3, "responseTimeoutSeconds": 600}])
        catalog.register_workflows(self.ports, "bench", [{"name": "w", "version": 1, "tasks": tasks}], lambda _source: None)
        given = {"items": [{"text": text(IN_CHARS)} if self.out_chars == OUT_CHARS else n for n in range(self.width)]}
        began = time.process_time()
        root = ExecutionId("bench", start(StartRequest(namespace="bench", name="w", input=given), self.ports, lambda _source: None))
        started_s = time.process_time() - began
        self.world.run(limit_ms=0)
        opened_s = time.process_time() - began
        messages = self._taken()
        random.Random(1).shuffle(messages)
        for message in messages:
            output = {"n": 1, "text": text(self.out_chars)} if self.out_chars else {"n": 1}
            now_ms = self.world.now_ms
            event = TaskUpdated(place=message.place, status=TaskStatus.COMPLETED, output=output, started_ms=now_ms)
            at = time.process_time()
            advance(self.ports, message.execution, [event], is_redelivered=False)
            self.used.cpu_ms += (time.process_time() - at) * 1000
        at = time.process_time()
        self.world.run(limit_ms=0)
        last_s = time.process_time() - at
        newest = self.world.journal.newest(root)
        assert newest is not None
        assert newest.head.status is WorkflowStatus.COMPLETED, newest.head.reason
        return {
            "branches": self.width,
            "segments": self.segments,
            "start s": round(started_s, 2),
            "segments open after s": round(opened_s, 2),
            "ms a result": round(self.used.cpu_ms / self.width, 2),
            "ends heard s": round(last_s, 2),
            "write units a branch": round(self.used.write_units / self.width, 2),
            "S3 puts": self.used.puts,
            "S3 gets": self.used.gets,
            "journal+S3 $/million branches": round(self.used.usd / self.width * prices.MILLION, 2),
            "memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }

    def _taken(self) -> list[TaskMessage]:
        queue = task_queue_name(self.ports.stage, "bench", "work")
        found: list[TaskMessage] = []
        while received := self.world.queues.receive(queue, 10, 0):
            self.world.queues.delete(queue, [item.receipt for item in received])
            found.extend(TaskMessage.parse(item.text) for item in received)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=0)
    parser.add_argument("--out-chars", type=int, default=OUT_CHARS)
    options = parser.parse_args()
    beside = round(line(), 2)
    rows = [Wide(width, options.out_chars).run() for width in ([options.width] if options.width else WIDTHS)]
    print(report.table(rows))
    print(f"\na task of a ten-task line, counted alike: ${beside} a million")
    report.write("wide", {"forks": rows, "line_usd_per_million_tasks": beside})


if __name__ == "__main__":
    main()
