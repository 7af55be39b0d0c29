"""The decider function: batches from the decider queue in, partial failures out; once a minute it looks at the dead letters."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batuta_core.engine.advance import advance_batch
from batuta_core.engine.dead_letters import sweep
from batuta_core.engine.ports import Ports
from batuta_core.model import ids
from batuta_core.model.event import TaskEvent
from batuta_core.model.message import InboxMessage
from batuta_server.facts import facts_of
from batuta_server.incoming import incoming_of

Answer = dict[str, list[dict[str, str]]]


def make_handler(ports: Ports) -> Callable[[Mapping[str, Any], Any], Answer]:
    """The function for one stage. An event without records is the minute's tick."""

    def handler(event: Mapping[str, Any], context: Any) -> Answer:
        began = time.perf_counter()
        facts: dict[str, Any]
        if "Records" in event:
            incoming = incoming_of(event)
            read: list[InboxMessage] = []
            failed = advance_batch(ports, incoming, read.append)
            facts = {"messages": len(incoming), **({"failed": len(failed)} if failed else {}), **_facts_of(read)}
        else:
            failed = []
            facts = {"swept": sweep(ports)}
        ports.log.info("decider", **facts, ms=round((time.perf_counter() - began) * 1000, 1))
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    return handler


def _facts_of(messages: Sequence[InboxMessage]) -> dict[str, Any]:
    tasks = []
    for message in messages:
        workflow_id = message.execution.workflow_id
        if isinstance(message.event, TaskEvent) and ids.is_workflow_id(workflow_id):
            tasks.append(ids.task_id(workflow_id, *message.event.place))
    return facts_of((message.execution for message in messages), tasks)
