"""A stage as deployed, in one process: the production handlers on their own adapters and transports, AWS pretended, all billed.

What AWS does around the functions is done and billed here: the pollers of the event sources, invocations and their time, log
lines, the gateway. Time is a clock that is set by hand, so an hour of timers takes a moment.
"""

from __future__ import annotations

import ast
import contextlib
import json
import math
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batuta_core.engine.ports import TASK_VISIBILITY_S
from batuta_core.engine.timers import HORIZON_MINUTES, WRITER_MINUTES
from batuta_core.model.names import resource_name, task_queue_name
from batuta_server import layout
from batuta_server.api.handler import make_handler as make_api
from batuta_server.bootstrap import make_ports
from batuta_server.decider.handler import make_handler as make_decider
from batuta_server.settings import Settings
from batuta_server.telemetry import PowertoolsLog
from batuta_server.timers.handler import make_handler as make_timers
from benchmarks import prices
from benchmarks.ledger import Ledger
from benchmarks.pretend_dynamodb import PretendDynamoDB
from benchmarks.pretend_sqs import PretendSqs
from benchmarks.wire import NOWHERE, Aws, Lines, Wire
from infra.parameters import StageParameters

STAGE = "bench"
NAMESPACE = "default"
TASK_TYPE = "work"
_BATCH_MAX = 10  # infra/functions.py gives the event sources this size

# Not counted but stated: how long a function waits for an answer within its region, and what sockets and TLS take of its CPU.
WAIT_MS: Mapping[str, float] = {"dynamodb": 5.0, "sqs": 10.0}
SOCKET_CPU_MS = 0.05
WAITED_FOR = "answers waited for: "  # how many, in the ledger

_TRACE_ID = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"  # Lambda sets one; Powertools logs its root

# What AWS fills into the gateway's access log, of usual length.
_ACCESS_FACTS = {
    "$context.requestTime": "21/Nov/2026:19:40:07 +0000",
    "$context.requestId": "JKJaXmPLvHcESHA=",
    "$context.httpMethod": "POST",
    "$context.path": "/api/workflow",
    "$context.status": "200",
    "$context.responseLatency": "41",
    "$context.responseLength": "36",
    "$context.identity.sourceIp": "203.0.113.17",
    "$context.identity.userArn": "arn:aws:sts::123456789012:assumed-role/orders-service/i-0123456789abcdef0",
    "$context.error.message": "-",
    "$context.integrationErrorMessage": "-",
}


_LINES = Lines()  # of all stages in this process: Powertools has one stream for all loggers of a name


class HandClock:
    """The engine's Clock. Pauses cost no time, since nobody else is there."""

    def __init__(self) -> None:
        self._now_ms = time.time_ns() // 1_000_000

    def now_ms(self) -> int:
        return self._now_ms

    def pass_ms(self, ms: int) -> None:
        self._now_ms += ms

    def sleep(self, ms: int) -> None:
        self._now_ms += ms

    def pause(self, tries: int) -> None: ...


@dataclass(slots=True)
class _Function:
    handle: Callable[[Mapping[str, Any], Any], Mapping[str, Any]]
    wire: Wire
    memory_mb: int
    last_line: str = ""


class Stage:
    def __init__(self) -> None:
        self.ledger = Ledger()
        self.clock = HandClock()
        sqs, dynamodb = PretendSqs(self.clock.now_ms), PretendDynamoDB(STAGE)
        self.aws = Aws(dynamodb, sqs, self.ledger, STAGE)
        for queue in layout.QUEUES:
            sqs.make(queue.name(STAGE), queue.visibility_s)
        self.task_queue = task_queue_name(STAGE, NAMESPACE, TASK_TYPE)
        sqs.make(self.task_queue, TASK_VISIBILITY_S)
        self.decider_queue = resource_name(STAGE, layout.DECIDER_QUEUE.what)
        self.timers_queue = resource_name(STAGE, layout.TIMERS_QUEUE.what)
        self._parameters = StageParameters()
        self._settings = Settings(
            stage=STAGE, region="us-east-1", bucket="none", token_keys=(secrets.token_bytes(32),), endpoint_url=NOWHERE
        )
        with contextlib.redirect_stdout(_LINES):
            self._log = PowertoolsLog(STAGE)
        self._functions = {
            "api": self._function("api", lambda ports: make_api(ports, {})),
            "decider": self._function("decider", make_decider),
            "timers": self._function("timers", make_timers),
        }
        self._access_line_bytes = len(_access_line()) + prices.LOG_EVENT_BYTES

    def _function(self, what: str, make: Callable[[Any], Any]) -> _Function:
        wire = Wire(self.aws, what)
        ports = replace(make_ports(self._settings, wire, self._log), clock=self.clock)
        return _Function(make(ports), wire, getattr(self._parameters, f"{what}_memory_mb"))

    @property
    def memory_mb(self) -> dict[str, int]:
        return {what: function.memory_mb for what, function in self._functions.items()}

    def log_line(self, what: str) -> str:
        """The last one of that function."""
        return self._functions[what].last_line

    # --- what happens to it

    def request(self, method: str, path: str, body: Any) -> str:
        """One request through the gateway; the body of the answer."""
        text = json.dumps(body)
        answer = self.invoke("api", http_event(method, path, text))
        if answer["statusCode"] >= 300:
            raise RuntimeError(f"{method} {path}: {answer['statusCode']} {answer['body']}")
        self.ledger.add("gateway", "HTTP API request", prices.HTTP_API, max(1, math.ceil(len(text) / prices.HTTP_API_CHUNK_BYTES)))
        self.ledger.add("gateway", "log, the access line", prices.LOG_INGESTION, self._access_line_bytes)
        return str(answer["body"])

    def tick(self) -> None:
        """The minute's rule."""
        for what in ("timers", "decider"):
            self.ledger.add("rule", f"EventBridge tick of {what}", prices.EVENTBRIDGE_RULE, 1)
            self.invoke(what, {})

    def feed(self, queue: str, what: str) -> bool:
        """Hands the function one batch from its queue, as Lambda's poller does. False when there was none."""
        url = {"QueueUrl": f"http://127.0.0.1:9/000000000000/{queue}"}
        found = self.aws.sqs.call("ReceiveMessage", {**url, "MaxNumberOfMessages": _BATCH_MAX}).get("Messages", [])
        if not found:
            return False
        poller = f"AWS's poller for {what}"
        self.aws.bill_poller(poller, queue, "ReceiveMessage", sum(len(message["Body"].encode()) for message in found))
        answer = self.invoke(what, queue_event(queue, found))
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        if failed:
            raise RuntimeError(f"{what} failed {len(failed)} of {len(found)} messages: {self.log_line(what)}")
        receipts = [{"Id": str(place), "ReceiptHandle": message["ReceiptHandle"]} for place, message in enumerate(found)]
        self.aws.sqs.call("DeleteMessageBatch", {**url, "Entries": receipts})
        self.aws.bill_poller(poller, queue, "DeleteMessageBatch", 0)
        return True

    def decide_all(self) -> None:
        while self.feed(self.decider_queue, "decider"):
            pass

    def left(self) -> dict[str, int]:
        """Messages and far timers that are still to come, by where they lie."""
        table = self.aws.dynamodb.tables[layout.TIMERS.name(STAGE)]
        found = {"far timers": sum(len(rows) for partition, rows in table.partitions.items() if partition != "cursor")}
        found |= {queue: self.aws.sqs.count(queue) for queue in (self.timers_queue, self.decider_queue, self.task_queue)}
        return {where: count for where, count in found.items() if count}

    def leap_to_far_timers(self) -> None:
        """To 20 minutes before the first of them is due, as if the minutes between had passed with nothing in them."""
        table = self.aws.dynamodb.tables[layout.TIMERS.name(STAGE)]
        buckets = [int(partition.partition("#")[0]) for partition, rows in table.partitions.items() if rows and partition != "cursor"]
        if buckets:
            minute = min(buckets) - 20
            self.clock.pass_ms(max(minute * 60_000 - self.clock.now_ms(), 0))
            cursor = {"S": "cursor"}
            item = {"pk": cursor, "sk": cursor, "m": {"N": str(minute + HORIZON_MINUTES - WRITER_MINUTES)}}
            self.aws.write_unbilled({"TableName": layout.TIMERS.name(STAGE), "Item": item})

    def pass_minutes(self, minutes: int) -> None:
        """With their ticks, and what comes due in them."""
        for _ in range(minutes):
            self.clock.pass_ms(60_000)
            self.tick()
            while self.feed(self.timers_queue, "timers"):
                pass
            self.decide_all()

    def invoke(self, what: str, event: Mapping[str, Any]) -> Mapping[str, Any]:
        function = self._functions[what]
        spent, lines = function.wire.spent, _LINES
        calls, pretending_s = spent.calls.copy(), spent.pretending_s
        line_count, line_bytes = lines.count, lines.bytes
        os.environ["_X_AMZN_TRACE_ID"] = _TRACE_ID
        began = time.thread_time()
        answer = function.handle(event, None)
        cpu_ms = (time.thread_time() - began - (spent.pretending_s - pretending_s)) * 1000
        cpu_ms += SOCKET_CPU_MS * (spent.calls - calls).total()
        wait_ms = sum(WAIT_MS[service] * count for service, count in (spent.calls - calls).items())
        self._bill_run(what, cpu_ms, wait_ms, function.memory_mb)
        for service, count in (spent.calls - calls).items():
            self.ledger.add(what, f"{WAITED_FOR}{service}", prices.IN_OTHER_LINES, count)
        function.last_line = lines.last
        count = lines.count - line_count
        size = lines.bytes - line_bytes + count * prices.LOG_EVENT_BYTES
        self.ledger.add(what, "log, our line", prices.LOG_INGESTION, size, calls=count)
        return answer

    def _bill_run(self, what: str, cpu_ms: float, wait_ms: float, memory_mb: int) -> None:
        """A function has the share of a CPU that its memory is of 1,769 MB, so its CPU time takes that much longer."""
        busy_ms = cpu_ms * max(1.0, prices.LAMBDA_CPU_MB / memory_mb)
        self.ledger.add(what, "Lambda request", prices.LAMBDA_REQUEST, 1)
        self.ledger.add(what, "Lambda GB-s, computing", prices.LAMBDA_GB_S, busy_ms / 1000 * memory_mb / 1024)
        rounding_ms = math.ceil(busy_ms + wait_ms) - busy_ms - wait_ms
        self.ledger.add(what, "Lambda GB-s, waiting", prices.LAMBDA_GB_S, (wait_ms + rounding_ms) / 1000 * memory_mb / 1024)


# --- events


def http_event(method: str, path: str, body: str) -> dict[str, Any]:
    return {
        "version": "2.0",
        "routeKey": "ANY /api/{proxy+}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "content-length": str(len(body)), "host": "api.example"},
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default", "requestId": "JKJaXmPLvHcESHA="},
        "body": body,
        "isBase64Encoded": False,
    }


def queue_event(queue: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
    arn = f"arn:aws:sqs:us-east-1:000000000000:{queue}"
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
            }
            for message in messages
        ]
    }


def _access_line() -> str:
    """The gateway's, in the format that infra/api.py deploys; read from its source, since importing it takes the CDK."""
    tree = ast.parse((Path(__file__).resolve().parents[1] / "infra" / "api.py").read_text())
    found = [node.value for node in tree.body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_ACCESS_LOG"]
    fields: dict[str, str] = ast.literal_eval(found[0])
    return json.dumps({name: _ACCESS_FACTS.get(value, "-" * 20) for name, value in fields.items()}, separators=(",", ":"))
