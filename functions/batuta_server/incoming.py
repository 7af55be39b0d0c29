"""SQS events as Lambda hands them over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batuta_core.engine.ports import Incoming


def incoming_of(event: Mapping[str, Any]) -> list[Incoming]:
    return [
        Incoming(
            message_id=record["messageId"],
            text=record["body"],
            receipt=record["receiptHandle"],
            receives=int(record["attributes"]["ApproximateReceiveCount"]),
            group=record["attributes"].get("MessageGroupId", ""),
        )
        for record in event["Records"]
    ]
