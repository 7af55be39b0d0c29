"""The timers function: what came due goes to the decider; once a minute far timers move into the timers queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from batuta_core.engine.ports import Ports
from batuta_core.engine.timers import fire, move_far_timers
from batuta_server.events import incoming_of

Answer = dict[str, list[dict[str, str]]]


def make_handler(ports: Ports) -> Callable[[Mapping[str, Any], Any], Answer]:
    """The function for one stage. An event without records is the minute's tick."""

    def handler(event: Mapping[str, Any], context: Any) -> Answer:
        began = time.perf_counter()
        if "Records" in event:
            failed = fire(ports, incoming_of(event))
            facts = {"messages": len(event["Records"]), "failed": len(failed)}
        else:
            failed = []
            facts = {"moved": move_far_timers(ports)}
        ports.log.info("timers", **facts, ms=round((time.perf_counter() - began) * 1000, 1))
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    return handler
