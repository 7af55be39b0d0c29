"""The worker process of the deployed line: ``python -m benchmarks.deployed_worker LEDGER``. It ends when its standard input does.

Each call leaves a line in the ledger: workflow id, reference name, when it began and when it was about to return (epoch ns).
"""

from __future__ import annotations

import os
import sys
import threading
import time

from batuta import TaskContext, Worker, current_task, task

TASK = "deployed_work"


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


@task(TASK, max_in_progress=20)
def deployed_work(x: int) -> dict[str, str]:
    began_ns = time.time_ns()
    context: TaskContext = current_task()
    output = {"text": "x" * 400}
    os.write(_ledger, f"{context.workflow_id} {context.ref} {began_ns} {time.time_ns()}\n".encode())
    return output


if __name__ == "__main__":
    _ledger = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    Worker(deployed_work).run()
