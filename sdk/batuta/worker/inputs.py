"""The input of a task that has arrived: from its message, or from the server where it was too large for one.

A message that lay on its queue for long is asked after first, so that a backlog of cancelled work drains without being run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from batuta import calls
from batuta.http import Call
from batuta.results import Task
from batuta.worker.invoke import Outcome, failed
from batuta.worker.queues import Received
from batuta.worker.timing import Timing
from batuta_core.model.error import BatutaError, TaskNotFound, WorkflowNotFound
from batuta_core.model.message import TaskMessage
from batuta_core.model.payload import PayloadRef

logger = logging.getLogger("batuta.worker")


@dataclass(frozen=True, slots=True)
class Ready:
    """``input`` is what the function gets."""

    input: Any


@dataclass(frozen=True, slots=True)
class Needless:
    """The task has ended in the meantime, or is gone: nothing is to be run or reported."""


AskTask = Callable[[str, Call[Task]], Awaitable[Task]]


class Inputs:
    """``ask_until_answered`` tries for ever, ``ask_once`` does not; both None where no URL is known."""

    def __init__(self, ask_until_answered: AskTask | None, ask_once: AskTask | None, timing: Timing) -> None:
        self._ask_until_answered = ask_until_answered
        self._ask_once = ask_once
        self._timing = timing

    def at_hand(self, message: TaskMessage, received: Received) -> Ready | None:
        """None: somebody must be asked for it, or whether it is still wanted."""
        is_stale = received.sent_ms and time.time() * 1000 - received.sent_ms > self._timing.stale_after_s * 1000
        must_ask = isinstance(message.input, PayloadRef) or (is_stale and self._ask_once is not None)
        return None if must_ask else Ready(message.input)

    async def of(self, message: TaskMessage, received: Received) -> Ready | Needless | Outcome:
        """Of a message whose input is not at hand. An Outcome is the failure to be reported in the function's place."""
        if isinstance(message.input, PayloadRef):
            return await self._by_reference(message, message.input)
        if self._ask_once is not None and await self._is_over(message, self._ask_once):
            return Needless()
        return Ready(message.input)

    async def _by_reference(self, message: TaskMessage, reference: PayloadRef) -> Ready | Needless | Outcome:
        if self._ask_until_answered is None:
            return failed(
                f"its input has {reference.size_bytes} bytes, more than a queue takes, and the worker knows no URL to read it from: "
                "set BATUTA_URL for the worker"
            )
        try:
            task = await self._ask_until_answered(message.execution.namespace, calls.task(message.task_id))
        except (TaskNotFound, WorkflowNotFound):
            return Needless()
        except BatutaError as error:
            return failed(f"its input cannot be read from the server: {error.message} {error.remedy}")
        return Needless() if task.status.is_terminal else Ready(task.input)

    async def _is_over(self, message: TaskMessage, ask: AskTask) -> bool:
        try:
            return (await ask(message.execution.namespace, calls.task(message.task_id))).status.is_terminal
        except (TaskNotFound, WorkflowNotFound):
            return True
        except BatutaError as error:
            logger.info("task %s lay long on its queue and cannot be asked after (%s): it is run", message.task_id, error.message)
            return False
