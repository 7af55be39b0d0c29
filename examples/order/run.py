"""Registers the order workflow, starts one execution, shows its progress live, and then what it did."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from batuta import Client, Execution, Task, TaskDefinitionNotFound, TaskStatus, WorkflowStatus

DEFINITION = Path(__file__).with_name("order.json")
ORDER: dict[str, Any] = {
    "order_id": "2026-1121",
    "customer": "Ada",
    "items": [{"name": "violin"}, {"name": "bow"}, {"name": "rosin", "count": 2}],
    "shipping": "express",
}
TIMEOUT_S = 60.0
WORKER_S = 15.0
LOOK_EVERY_S = 0.1

_MARKS = {TaskStatus.COMPLETED: "done", TaskStatus.SCHEDULED: "waits", TaskStatus.IN_PROGRESS: "runs"}


def main() -> int:
    with Client() as client:
        client.register_workflow(json.loads(DEFINITION.read_text()))
        if not has_worker(client):
            print("No worker shows up. Start one:  python examples/order/worker.py", file=sys.stderr)
            return 1
        workflow_id = client.start("order", ORDER, correlation_id=ORDER["order_id"])
        print(f"order {workflow_id}")
        execution = follow(client, workflow_id)
    show(execution)
    return 0 if execution.status is WorkflowStatus.COMPLETED else 1


def has_worker(client: Client) -> bool:
    """Waits until the worker has registered what its decorators say. An execution keeps the definitions that it started with, so
    one that starts before them would retry by the defaults: after a minute."""
    end = time.monotonic() + WORKER_S
    while time.monotonic() < end:
        try:
            for name in ("charge_card", "pack_parcel"):
                client.task_definition(name)
        except TaskDefinitionNotFound:
            time.sleep(LOOK_EVERY_S)
        else:
            return True
    return False


def follow(client: Client, workflow_id: str) -> Execution:
    """Prints every change of every task as it is seen."""
    seen: dict[str, TaskStatus] = {}
    end = time.monotonic() + TIMEOUT_S
    while True:
        execution = client.get(workflow_id)
        for task in execution.tasks:
            if seen.get(task.task_id) is not task.status:
                seen[task.task_id] = task.status
                print(line(execution, task), flush=True)
        if execution.status.is_terminal:
            return execution
        if time.monotonic() > end:
            print(f"Still {execution.status} after {TIMEOUT_S:g} s: does the worker run?", file=sys.stderr)
            return execution
        time.sleep(LOOK_EVERY_S)


def line(execution: Execution, task: Task) -> str:
    at_s = (max(task.scheduled_ms, task.started_ms, task.ended_ms) - execution.created_ms) / 1000
    attempt = f" (attempt {task.attempt})" if task.attempt > 1 else ""
    reason = f": {task.reason}" if task.reason and task.status.is_terminal and not task.status.is_successful else ""
    return f"  {at_s:5.1f} s  {_MARKS.get(task.status, str(task.status).lower()):<6} {task.name}{attempt}{reason}"


def show(execution: Execution) -> None:
    end_ms = execution.ended_ms or time.time_ns() // 1_000_000
    print(f"\n{execution.status} after {(end_ms - execution.created_ms) / 1000:.1f} s\n")
    rows = [("task", "type", "attempt", "status", "waited", "took", "result")]
    for task in execution.tasks:
        began_ms = task.started_ms or task.ended_ms or end_ms
        result = json.dumps(task.output, ensure_ascii=False) if task.status.is_successful else task.reason or ""
        waited, took = (began_ms - task.scheduled_ms) / 1000, ((task.ended_ms or end_ms) - began_ms) / 1000
        rows.append((task.ref, task.task_type, str(task.attempt), str(task.status), f"{waited:.2f} s", f"{took:.2f} s", result[:60]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print(f"\noutput: {json.dumps(execution.output, ensure_ascii=False)}")


if __name__ == "__main__":
    sys.exit(main())
