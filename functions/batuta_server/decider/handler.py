"""The decider function: batches from the decider queue and from the dead letters, partial failures out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batuta_core.engine.advance import advance_batch
from batuta_core.engine.dead_letters import drain, drain_tasks
from batuta_core.engine.ports import Incoming, Ports
from batuta_core.model.names import resource_name
from batuta_server.events import incoming_of, queue_of

Answer = dict[str, list[dict[str, str]]]


def make_handler(ports: Ports) -> Callable[[Mapping[str, Any], Any], Answer]:
    """The function for one stage. Several queues feed it; each batch comes from one of them."""
    work: Mapping[str, Callable[[Ports, Sequence[Incoming]], list[str]]] = {
        resource_name(ports.stage, "decider.fifo"): advance_batch,
        resource_name(ports.stage, "dead-letters.fifo"): drain,
        resource_name(ports.stage, "dead-letters"): drain,
        resource_name(ports.stage, "task-dead-letters"): drain_tasks,
    }

    def handler(event: Mapping[str, Any], context: Any) -> Answer:
        began = time.perf_counter()
        queue = queue_of(event)
        failed = work[queue](ports, incoming_of(event))
        took_ms = round((time.perf_counter() - began) * 1000, 1)
        ports.log.info("batch", queue=queue, messages=len(event["Records"]), failed=len(failed), ms=took_ms)
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    return handler
