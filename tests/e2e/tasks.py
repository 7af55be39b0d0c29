"""A worker process for tests: ``python -m tests.e2e.tasks LEDGER TASK_TYPE ...``. It ends when its standard input does.

Every call writes a line to the ledger before it does anything else: that is its side effect.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from batuta import TaskContext, Worker, task

_HELD_MAX_S = 120


def end_with_parent() -> None:
    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def function(task_type: str, ledger: str) -> Callable[..., dict[str, int]]:
    @task(task_type)
    def work(context: TaskContext, x: int = 0, until: str = "") -> dict[str, int]:
        """Holds the task until the file ``until`` is there."""
        line = f"{context.workflow_id} {context.ref} {context.attempt} {os.getpid()}\n"
        file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())  # one call: lines of several processes do not mix
        os.close(file)
        end = time.monotonic() + _HELD_MAX_S
        while until and not Path(until).exists() and time.monotonic() < end:
            time.sleep(0.05)
        return {"x": x, "pid": os.getpid()}

    return work


if __name__ == "__main__":
    end_with_parent()
    Worker(*(function(task_type, sys.argv[1]) for task_type in sys.argv[2:])).run()
