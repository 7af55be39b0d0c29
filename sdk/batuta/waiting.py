"""What takes more than one call: waiting for the end of an execution, and walking through long lists."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batuta import calls
from batuta.calls import IDEMPOTENCY_STRATEGY, PAGE_SIZE, IdempotencyStrategy
from batuta.external import carry_out
from batuta.http import Call, Flow, Pause
from batuta.results import Execution, ExecutionSummary, Page, Task
from batuta_core.model.execution import TaskStatus, WorkflowStatus

WAIT_TIMEOUT_S = 60.0  # long enough for what somebody waits for; longer work is better asked for than waited for

# Between two questions: the answer to a short execution comes at once, a long one is asked every two seconds.
_ASK_FIRST_S = 0.05
_ASK_MAX_S = 2.0
_ASK_GROWTH = 1.4


class WaitTimeout(TimeoutError):
    """The execution still runs, and goes on. ``workflow_id`` finds it again."""

    def __init__(self, workflow_id: str, status: WorkflowStatus, timeout_s: float) -> None:
        super().__init__(f"execution {workflow_id} is still {status} after {timeout_s:g} s; it goes on, wait for it again by its id")
        self.workflow_id = workflow_id
        self.status = status


def wait(prefix: str, workflow_id: str, timeout_s: float = WAIT_TIMEOUT_S) -> Flow[Execution]:
    """The execution once it has ended, however it ended. Asks again and again, so no limit on a single request matters.

    Raises WaitTimeout after ``timeout_s`` seconds, and WorkflowNotFound.
    """
    end_s = time.monotonic() + timeout_s
    pause_s = _ASK_FIRST_S
    while True:
        found = yield from carry_out(calls.status(workflow_id), prefix)
        if found.status.is_terminal:
            return (yield from carry_out(calls.get(workflow_id), prefix))
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            raise WaitTimeout(workflow_id, found.status, timeout_s)
        yield Pause(min(pause_s, left_s))
        pause_s = min(pause_s * _ASK_GROWTH, _ASK_MAX_S)


def start_and_wait(
    prefix: str,
    name: str,
    input: Any = None,
    *,
    timeout_s: float = WAIT_TIMEOUT_S,
    version: int | None = None,
    correlation_id: str | None = None,
    request_id: str | None = None,
    idempotency_key: str | None = None,
    idempotency_strategy: IdempotencyStrategy = IDEMPOTENCY_STRATEGY,
    priority: int = 0,
    definition: Mapping[str, Any] | None = None,
    task_to_domain: Mapping[str, str] | None = None,
) -> Flow[Execution]:
    """``start``, then ``wait``: WaitTimeout says the id of what was started."""
    started = calls.start(
        name,
        input,
        version=version,
        correlation_id=correlation_id,
        request_id=request_id,
        idempotency_key=idempotency_key,
        idempotency_strategy=idempotency_strategy,
        priority=priority,
        definition=definition,
        task_to_domain=task_to_domain,
    )
    workflow_id = yield from carry_out(started, prefix)
    return (yield from wait(prefix, workflow_id, timeout_s))


def task_pages(workflow_id: str, *, statuses: Sequence[TaskStatus] = (), size: int = PAGE_SIZE) -> Callable[[int], Call[Page[Task]]]:
    """All tasks of the execution, one after the other, read in pages of ``size``."""
    return lambda start: calls.tasks(workflow_id, statuses=statuses, start=start, size=size)


def execution_pages(
    name: str | None = None, status: WorkflowStatus | None = None, *, size: int = PAGE_SIZE
) -> Callable[[int], Call[Page[ExecutionSummary]]]:
    """All executions of a workflow and a status, one after the other, read in pages of ``size``."""
    return lambda start: calls.executions(name, status, start=start, size=size)
