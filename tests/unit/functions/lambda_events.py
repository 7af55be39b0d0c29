"""SQS events as Lambda hands them to a function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batuta_core.engine.ports import Incoming


def sqs_event(queue: str, batch: Sequence[Incoming]) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": message.message_id,
                "receiptHandle": message.receipt,
                "body": message.text,
                "attributes": {
                    "ApproximateReceiveCount": str(message.receives),
                    "SentTimestamp": "1764000000000",
                    **({"MessageGroupId": message.group} if message.group else {}),
                },
                "messageAttributes": {},
                "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{queue}",
                "awsRegion": "eu-west-1",
            }
            for message in batch
        ]
    }


def failures(answer: Any) -> list[str]:
    """The message ids of a partial failure; nothing else is in it."""
    assert answer.keys() == {"batchItemFailures"}
    for item in answer["batchItemFailures"]:
        assert item.keys() == {"itemIdentifier"}
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]
