"""Tasks that a function of ours runs: sending to its queue is invoking it, asynchronously.

Lambda's own queue for such invocations costs nothing while it is idle, where an SQS queue that feeds a function is polled day and
night for $0.26 a month (docs/adr/0012). The event has the shape in which SQS would give the messages, so that a laptop, which has such
queues, runs the same handler.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from batuta_core.engine.ports import Outgoing
from batuta_core.model.error import ResourceMissing
from batuta_server import layout
from batuta_server.aws.errors import AwsError, to_batuta
from batuta_server.aws.queues import SqsQueues, batches
from batuta_server.aws.transport import Transport


class InvokingQueues(SqsQueues):
    """The queues of a stage on AWS."""

    def __init__(self, transport: Transport, stage: str) -> None:
        super().__init__(transport, stage)
        self._functions = frozenset(queue.name(stage) for queue in layout.SYSTEM_QUEUES)

    def send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        """Of a function's queue: returns when Lambda has them. Ten in one event, as from SQS. A function that is missing is no
        reason to fail its tasks: they wait for a deployment."""
        if queue not in self._functions:
            super().send(queue, messages)
            return
        for batch in batches(messages):
            try:
                self._transport.call("lambda", queue, _event(queue, batch), is_answered=False)
            except AwsError as error:
                if error.http_status in (403, 404):  # Lambda names its codes in a header, which the transport does not read
                    raise ResourceMissing(f"Invoke {queue}: {error}") from error
                raise to_batuta(error, f"Invoke {queue}") from error


def _event(queue: str, batch: Sequence[Outgoing]) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": secrets.token_urlsafe(9),
                "receiptHandle": "",
                "body": message.text,
                "attributes": {"ApproximateReceiveCount": "1"},
                "eventSource": "batuta:invoke",
                "eventSourceARN": queue,
            }
            for message in batch
        ]
    }
