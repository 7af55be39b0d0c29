"""The events function: EVENT tasks in, their events out to sinks and handlers; and messages of others' queues, for handlers, too.

Whatever it is told of may come again, and has its effect once (``engine.handle``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from batuta_core.engine.event_ports import Sinks
from batuta_core.engine.ports import Incoming, Ports
from batuta_core.engine.publish import handle_outside, publish
from batuta_server.incoming import incoming_of

Answer = dict[str, list[dict[str, str]]]
_BATCH_MAX = 10
_SQS = "aws:sqs"


class NotPublished(Exception):
    """Events that must come again."""


def make_handler(ports: Ports, sinks: Sinks, sources: Mapping[str, str] | None = None) -> Callable[[Mapping[str, Any], Any], Answer]:
    """The function for one stage. ``sources``: others' queues, each with the namespace whose handlers hear of its messages."""
    namespaces = dict(sources or {})

    def handler(event: Mapping[str, Any], context: Any) -> Answer:
        source = event["Records"][0]
        queue = str(source["eventSourceARN"]).rpartition(":")[2]
        is_outside = source.get("eventSource") == _SQS and queue in namespaces

        def run(received: Incoming) -> bool:
            if is_outside:
                return handle_outside(ports, namespaces[queue], f"sqs:{queue}", received)
            return publish(ports, sinks, received)

        incoming = incoming_of(event)
        with ThreadPoolExecutor(max_workers=_BATCH_MAX, thread_name_prefix="events") as threads:
            failed = [received.message_id for received, is_done in zip(incoming, threads.map(run, incoming), strict=True) if not is_done]
        if failed and source.get("eventSource") != _SQS:  # raised, since nobody reads what an asynchronous invocation answers
            raise NotPublished(f"{len(failed)} of {len(incoming)} events: {', '.join(failed)}")
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    return handler
