"""The timers function: what came due goes to the decider; once a minute far timers move into the timers queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from batuta_core.engine.ports import Ports
from batuta_core.engine.timers import fire, move_far_timers
from batuta_core.model.message import TimerMessage
from batuta_server.facts import facts_of
from batuta_server.incoming import incoming_of

Answer = dict[str, list[dict[str, str]]]


def make_handler(ports: Ports) -> Callable[[Mapping[str, Any], Any], Answer]:
    """The function for one stage. An event without records is the minute's tick."""

    def handler(event: Mapping[str, Any], context: Any) -> Answer:
        began = time.perf_counter()
        facts: dict[str, Any]
        if "Records" in event:
            read: list[TimerMessage] = []
            failed = fire(ports, incoming_of(event), read.append)
            facts = {
                "messages": len(event["Records"]),
                **({"failed": len(failed)} if failed else {}),
                **facts_of(message.execution for message in read),
            }
        else:
            failed = []
            facts = {"moved": move_far_timers(ports)}
        ports.log.info("timers", **facts, ms=round((time.perf_counter() - began) * 1000, 1))
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    return handler
