"""Between the real adapters and the pretended AWS: the server's own transport without its sockets, boto3's client likewise.

Requests are made, signed and parsed by production code; each goes into the ledger with what AWS bills for it.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from batuta_core.model.names import resource_name
from batuta_server.aws.connection import Answer
from batuta_server.aws.signature import Credentials
from batuta_server.aws.transport import Transport
from benchmarks import prices
from benchmarks.ledger import Ledger
from benchmarks.pretend_dynamodb import ConditionRefused, PretendDynamoDB, Used
from benchmarks.pretend_sqs import PretendSqs, QueueIsMissing

Heard = tuple[str, Mapping[str, Any], Mapping[str, Any], Used]  # operation, request, answer, what it consumed
NOWHERE = "http://127.0.0.1:9"  # nothing answers at the discard port, should a call ever get past us


class Aws:
    """DynamoDB and SQS of one stage, and what they bill."""

    def __init__(self, dynamodb: PretendDynamoDB, sqs: PretendSqs, ledger: Ledger, stage: str) -> None:
        self.dynamodb = dynamodb
        self.sqs = sqs
        self.ledger = ledger
        self._prefix = resource_name(stage, "")
        self.heard: list[Heard] | None = None  # DynamoDB's calls, where somebody wants them

    def call(self, who: str, service: str, operation: str, request: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        try:
            if service == "dynamodb":
                return 200, self._dynamodb(who, operation, request)
            answer = self.sqs.call(operation, request)
        except ConditionRefused as refused:
            self._bill(who, f"{operation}, refused", refused.used)
            self._hear(operation, request, refused.body, refused.used)
            return 400, refused.body
        except QueueIsMissing as missing:
            return 400, dict(missing.body)
        self._bill_sqs(who, operation, request, answer)
        return 200, answer

    def write_unbilled(self, request: Mapping[str, Any]) -> None:
        """A PutItem that no deployed stage would make."""
        answer, used = self.dynamodb.call("PutItem", request)
        self._hear("PutItem", request, answer, used)

    def bill_poller(self, who: str, queue: str, operation: str, size: int) -> None:
        """A request of Lambda's own to the queue that it feeds a function from; the queue's owner pays."""
        price = prices.SQS_FIFO if queue.endswith(".fifo") else prices.SQS_STANDARD
        self.ledger.add(who, f"SQS {operation} {self._short(queue)}", price, _chunks(size))

    def _dynamodb(self, who: str, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        answer, used = self.dynamodb.call(operation, request)
        self._bill(who, operation, used)
        self._hear(operation, request, answer, used)
        return answer

    def _hear(self, operation: str, request: Mapping[str, Any], answer: Mapping[str, Any], used: Used) -> None:
        if self.heard is not None:
            self.heard.append((operation, request, answer, used))

    def _bill(self, who: str, operation: str, used: Used) -> None:
        what = f"DynamoDB {operation} {self._short(used.table)}"
        if used.read:
            self.ledger.add(who, f"{what}: read units", prices.READ_UNIT, used.read)
        for place, units in used.write.items():
            self.ledger.add(who, f"{what}{f' index {place}' if place else ''}: write units", prices.WRITE_UNIT, units)

    def _bill_sqs(self, who: str, operation: str, request: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        queue = str(request.get("QueueUrl") or request.get("QueueName")).rpartition("/")[2]
        size = sum(len(entry.get("MessageBody", "").encode()) for entry in request.get("Entries", ()))
        size += sum(len(message["Body"].encode()) for message in answer.get("Messages", ()))
        is_empty = operation == "ReceiveMessage" and not answer.get("Messages")
        price = prices.SQS_FIFO if queue.endswith(".fifo") and _is_fifo_priced(operation) else prices.SQS_STANDARD
        self.ledger.add(who, f"SQS {operation} {self._short(queue)}{', empty' if is_empty else ''}", price, _chunks(size))

    def _short(self, name: str) -> str:
        return name.removeprefix(self._prefix)


def _chunks(size: int) -> int:
    return max(1, -(-size // prices.SQS_CHUNK_BYTES))


def _is_fifo_priced(operation: str) -> bool:
    """ "All other requests are charged at the rate of standard queues" (Amazon SQS pricing)."""
    return operation in ("SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch")


# --- the server's transport


@dataclass(slots=True)
class Spent:
    """Of one function: calls by service, and the CPU time that was ours, not its."""

    calls: Counter[str] = field(default_factory=Counter)
    pretending_s: float = 0.0


class Wire(Transport):
    """The real transport up to its sockets, for the function ``who``."""

    def __init__(self, aws: Aws, who: str) -> None:
        super().__init__("us-east-1", Credentials("000000000000", "none"), dict.fromkeys(("dynamodb", "sqs", "s3"), NOWHERE))
        self._aws = aws
        self._who = who
        self.spent = Spent()

    def _exchange(self, where: Any, request: bytes, deadline: float) -> Answer:
        began = time.thread_time()
        head, _, body = request.partition(b"\r\n\r\n")
        target = head.partition(b"X-Amz-Target: ")[2].partition(b"\r\n")[0].decode()
        service = "dynamodb" if target.startswith("DynamoDB") else "sqs"
        status, answer = self._aws.call(self._who, service, target.partition(".")[2], json.loads(body))
        self.spent.calls[service] += 1
        raw = json.dumps(answer, separators=(",", ":")).encode()
        self.spent.pretending_s += time.thread_time() - began
        return Answer(status, raw, True)


# --- boto3's client, as the SDK's worker has it


class _Body:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._raw


def divert(client: Any, aws: Aws, who: str) -> None:
    """Answers what ``client`` sends in place of its network."""
    from botocore.awsrequest import AWSResponse

    def answer(request: Any, **_: Any) -> Any:
        target = request.headers["X-Amz-Target"]
        operation = (target.decode() if isinstance(target, bytes) else target).partition(".")[2]
        status, body = aws.call(who, "sqs", operation, json.loads(request.body))
        raw = json.dumps(body).encode()
        return AWSResponse(request.url, status, {"Content-Type": "application/x-amz-json-1.0"}, _Body(raw))

    client.meta.events.register("before-send.sqs", answer)


class Lines:
    """A stream that counts log lines and their bytes, and keeps the last one to be shown."""

    def __init__(self) -> None:
        self.bytes = 0
        self.count = 0
        self.last = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        with self._lock:
            for line in text.splitlines():
                if line:
                    self.count, self.bytes, self.last = self.count + 1, self.bytes + len(line.encode()), line
        return len(text)

    def flush(self) -> None: ...
