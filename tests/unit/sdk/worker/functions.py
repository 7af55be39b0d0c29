"""Functions that the tests of a worker give it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from batuta import TaskContext, task


class Gate:
    """Functions that wait until they are let go."""

    def __init__(self) -> None:
        self.entered = Counter[str]()
        self.opened = threading.Event()

    def function(self, task_type: str = "gated", **options: Any) -> Callable[..., Any]:
        @task(task_type, **options)
        def gated(context: TaskContext) -> dict[str, Any]:
            self.entered[task_type] += 1
            assert self.opened.wait(10)
            return {"ref": context.ref}

        return gated


@task("add")
def add(a: int, b: int = 1) -> int:
    return a + b


@task("greet")
async def greet(name: str) -> str:
    await asyncio.sleep(0.001)
    return f"hello {name}"


@task("fail")
def fail() -> None:
    raise ValueError("no")
