"""A worker process of the chaos run: ``python -m tests.e2e.chaos_worker FOLDER``. It ends when its standard input does.

The side effect of a call is a line at the end of the file ``<workflow id>.<ref>.<attempt>`` in FOLDER, written before anything
else. A second line says that the function came to its end: a process that was killed in between leaves the first alone.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from batuta import Fixed, TaskContext, Worker, task
from tests.e2e.tasks import end_with_parent

RETRIES = Fixed(limit=20, delay_s=1)
_WORK_S = (0.05, 0.6)
_FAILS_ONE_IN = 5  # executions whose second task fails at its first attempt

REFS = ("a", "b", "c", "d")  # the tasks, in their order


def write_line(path: Path, **line: Any) -> None:
    """One write with O_APPEND: lines of several processes do not mix."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)


def work(folder: Path, context: TaskContext, x: str) -> dict[str, str]:
    """Gives the name of this very call, which the next task gets: so it shows whose result was accepted."""
    call = uuid.uuid4().hex[:12]
    path = folder / f"{context.workflow_id}.{context.ref}.{context.attempt}"
    write_line(path, pid=os.getpid(), call=call, x=x)
    time.sleep(random.uniform(*_WORK_S))
    if context.ref == REFS[1] and context.attempt == 1 and zlib.crc32(context.workflow_id.encode()) % _FAILS_ONE_IN == 0:
        write_line(path, pid=os.getpid(), ended=call)
        raise RuntimeError("as it was told to")
    write_line(path, pid=os.getpid(), ended=call)
    return {"call": call}


def function(ref: str, folder: Path) -> Callable[..., dict[str, str]]:
    @task(f"chaos_{ref}", retry=RETRIES)
    def call(context: TaskContext, x: str) -> dict[str, str]:
        return work(folder, context, x)

    return call


if __name__ == "__main__":
    end_with_parent()
    Worker(*(function(ref, Path(sys.argv[1])) for ref in REFS)).run()
