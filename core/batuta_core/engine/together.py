"""Task messages of several executions in one request: a batch of the decider sends what it has to each queue together.

A request to SQS costs as much for ten messages as for one, and takes as long. What goes to the functions' own queues is sent at
once, and so is everything else that a dispatch does, and what goes to a queue that is perhaps not there; only task messages wait
for the end of the batch, whose messages are not acknowledged before. Whatever goes wrong with a joint request is settled execution
by execution, as after a redelivery.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from batuta_core.engine import priority, timers
from batuta_core.engine.ports import Outgoing, Ports, Queues
from batuta_core.model.names import ExecutionId


class Together:
    """``ports`` are the ones to decide with meanwhile. ``execution`` says whose messages those are that come next."""

    def __init__(self, ports: Ports) -> None:
        self._queues = ports.queues
        self._cache = ports.cache
        self._functions_queues = (timers.inbox_queue(ports), timers.timers_queue(ports))
        self._waiting: dict[str, list[tuple[ExecutionId | None, Outgoing]]] = defaultdict(list)
        self.execution: ExecutionId | None = None
        self.ports = replace(ports, queues=cast(Queues, self))

    def send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        if queue in self._functions_queues or priority.is_doubtful(self._cache, queue):
            self._queues.send(queue, messages)
        else:
            self._waiting[queue].extend((self.execution, message) for message in messages)

    def __getattr__(self, name: str) -> Any:
        """The other calls of the port."""
        return getattr(self._queues, name)

    def flush(self) -> dict[ExecutionId, Exception]:
        """The executions of which some messages may not have been sent, and why."""
        failed: dict[ExecutionId, Exception] = {}
        for queue, waiting in self._waiting.items():
            try:
                self._queues.send(queue, [message for _execution, message in waiting])
            except Exception as error:  # of whatever kind: each of them is tried alone, which names what is wrong
                failed.update((execution, error) for execution, _message in waiting if execution)
                priority.forget(self._cache, queue)  # it may have been deleted: then they are sent to the other one
        self._waiting.clear()
        return failed
