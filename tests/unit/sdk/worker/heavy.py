"""Functions for child processes: a child imports this module to find them."""

from __future__ import annotations

import os
import time
from typing import Any

from batuta import Fatal, TaskContext, current_task, task


@task("square", run_in_process=True)
def square(number: int) -> dict[str, int]:
    return {"square": number * number, "pid": os.getpid()}


@task("tell", run_in_process=True)
def tell(context: TaskContext) -> dict[str, Any]:
    assert current_task() is context
    context.log("from the child")
    context.heartbeat()
    context.progress(1, 2, "half")
    return {"ref": context.ref, "attempt": context.attempt, "key": context.idempotency_key}


@task("die", run_in_process=True)
def die() -> None:
    os._exit(7)


@task("give_up", run_in_process=True)
def give_up() -> None:
    raise Fatal("no way", {"a": 1})


@task("exit", run_in_process=True)
def leave() -> None:
    raise SystemExit(3)


@task("sleep", run_in_process=True)
def sleep() -> None:
    time.sleep(60)


@task("unsendable", run_in_process=True)
def unsendable() -> object:
    return object()
