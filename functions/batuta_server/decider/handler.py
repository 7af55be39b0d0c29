"""The decider function: batches from the decider queue in, partial failures out; once a minute it looks at the dead letters."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batuta_core.engine.advance import advance_batch
from batuta_core.engine.dead_letters import sweep
from batuta_core.engine.ports import Incoming, Ports
from batuta_core.model.names import ExecutionId
from batuta_server.events import incoming_of

Answer = dict[str, list[dict[str, str]]]


def make_handler(ports: Ports) -> Callable[[Mapping[str, Any], Any], Answer]:
    """The function for one stage. An event without records is the minute's tick."""

    def handler(event: Mapping[str, Any], context: Any) -> Answer:
        began = time.perf_counter()
        facts: dict[str, Any]
        if "Records" in event:
            incoming = incoming_of(event)
            failed = advance_batch(ports, incoming)
            facts = {"messages": len(incoming), "failed": len(failed), **_who(incoming)}
        else:
            failed = []
            facts = {"swept": sweep(ports)}
        ports.log.info("decider", **facts, ms=round((time.perf_counter() - began) * 1000, 1))
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    return handler


def _who(incoming: Sequence[Incoming]) -> dict[str, Any]:
    """The executions of a batch, by the groups of its messages."""
    groups = list(dict.fromkeys(received.group for received in incoming))
    if len(groups) > 1:
        return {"executions": groups}
    execution = ExecutionId.parse(groups[0])
    return {"namespace": execution.namespace, "workflow_id": execution.workflow_id}
