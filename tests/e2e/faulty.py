"""A proxy on loopback between our code and the emulator that does to calls what networks and services do, at seeded rates.

==============  ====================================================================================================
throttle        refused before it is carried out, as DynamoDB, SQS and API Gateway say it
drop_request    the connection ends before the request has arrived
drop_reply      carried out, but the reply is lost: none of it comes, or the first bytes only
repeat_send     messages are sent twice, as a queue may deliver them twice (a FIFO queue tells by their id)
repeat_receive  the reply to an earlier receive comes once more, to whoever asks now: the same messages in two hands
==============  ====================================================================================================

Every ``BURST_EVERY_S`` comes a burst of ``BURST_S``, in which the rates are ``BURST_FACTOR`` times as high: retries that come quickly
fail, too. What was handed to workers is counted per attempt: whoever does more than that ran a message twice.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from batuta_core.model.error import BatutaError
from batuta_core.model.message import TaskMessage
from tests.e2e.cloud import check_loopback
from tests.e2e.proxy import UPSTREAM_S, Proxy, ProxyHandler

RATES: Mapping[str, float] = {
    "throttle": 0.03,
    "drop_request": 0.015,
    "drop_reply": 0.015,
    "repeat_send": 0.06,
    "repeat_receive": 0.06,
}
BURST_EVERY_S = 10.0
BURST_S = 1.0
BURST_FACTOR = 10

_SENDS = ("SendMessage", "SendMessageBatch")
_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "keep-alive", "content-length"})

_THROTTLED: Mapping[str, tuple[int, Mapping[str, str]]] = {
    "dynamodb": (400, {"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", "message": "chaos"}),
    "sqs": (403, {"__type": "com.amazonaws.sqs#RequestThrottled", "message": "chaos"}),
    "ssm": (400, {"__type": "ThrottlingException", "message": "chaos"}),
    "api": (429, {"message": "Too Many Requests"}),
}
_SERVICES = {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs", "AmazonSSM": "ssm"}

Attempt = tuple[str, str, int]  # workflow id, reference name, number


class Reply(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class FaultyProxy(Proxy):
    """Passes on to ``upstream``; ``url`` is its own root. Faults come while ``is_on``."""

    def __init__(self, upstream: str, seed: int, rates: Mapping[str, float] = RATES) -> None:
        self.is_on = False
        self.faults: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.deliveries: Counter[Attempt] = Counter()
        self.repeated_sends: Counter[str] = Counter()  # by queue
        self._rates = rates
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._received: dict[str, Reply] = {}  # the last receive of each queue that brought something
        super().__init__(_handler(self, check_loopback(upstream)))

    # --- what befalls a call

    def draw(self, *kinds: str) -> str:
        """One of these faults, or none. Drawn and counted at once."""
        with self._lock:
            if not self.is_on:
                return ""
            is_burst = (time.monotonic() - self._began) % BURST_EVERY_S < BURST_S
            at = self._random.random() / (BURST_FACTOR if is_burst else 1)
            for kind in kinds:
                at -= self._rates[kind]
                if at < 0:
                    self.faults[kind] += 1
                    return kind
            return ""

    def is_heads(self) -> bool:
        with self._lock:
            return self._random.random() < 0.5

    def note(self, service: str) -> None:
        with self._lock:
            self.calls[service] += 1

    def note_send(self, queue: str) -> None:
        with self._lock:
            self.repeated_sends[queue] += 1

    def note_delivery(self, body: bytes) -> None:
        """Before the reply goes out: a worker must not be quicker than its record."""
        found = [_attempt(message["Body"]) for message in json.loads(body).get("Messages") or ()]
        with self._lock:
            self.deliveries.update(attempt for attempt in found if attempt)

    def remembered(self, queue: str) -> Reply | None:
        with self._lock:
            return self._received.get(queue)

    def remember(self, queue: str, reply: Reply) -> None:
        with self._lock:
            self._received[queue] = reply


def _attempt(text: str) -> Attempt | None:
    try:
        message = TaskMessage.parse(text)
    except BatutaError:
        return None
    return message.execution.workflow_id, message.ref, message.attempt


def _handler(proxy: FaultyProxy, upstream: str) -> type[ProxyHandler]:
    class Handler(ProxyHandler):
        target = urlsplit(upstream)

        def pass_on(self, body: bytes) -> None:
            prefix, _, operation = (self.headers.get("X-Amz-Target") or "").partition(".")
            service = _SERVICES.get(prefix) or ("api" if self.path.startswith("/_aws/execute-api/") else "s3")
            proxy.note(service)
            is_receive = operation == "ReceiveMessage"
            queue = str(json.loads(body).get("QueueUrl", "")) if is_receive or operation in _SENDS else ""
            kinds = ["drop_request", "drop_reply"]
            kinds += ["throttle"] if service in _THROTTLED else []
            kinds += ["repeat_send"] if operation in _SENDS else []
            kinds += ["repeat_receive"] if is_receive and proxy.remembered(queue) else []
            fault = proxy.draw(*kinds)
            if fault == "drop_request":
                self._hang_up()
                return
            if fault == "throttle":
                status, said = _THROTTLED[service]
                self._answer(Reply(status, [("Content-Type", "application/x-amz-json-1.0")], json.dumps(said).encode()))
                return
            if fault == "repeat_send":
                proxy.note_send(queue)
                self._ask(body)
            again = proxy.remembered(queue) if fault == "repeat_receive" else None
            reply = again or self._ask(body)
            if reply is None:
                self._hang_up()
                return
            if fault == "drop_reply":
                self._tear(reply)
                return
            if is_receive and reply.status == 200 and b'"Messages"' in reply.body:
                proxy.note_delivery(reply.body)
                proxy.remember(queue, reply)
            self._answer(reply)

        def _ask(self, body: bytes) -> Reply | None:
            """None when the emulator hung up, or was not there. A request is never sent twice unasked: a connection that the emulator
            closed meanwhile is told by what can be read on it."""
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            if self.upstream is not None and _is_closed(self.upstream):
                self.disconnect()
            connection = self.connected()
            try:
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in headers.items():
                    connection.putheader(name, value)
                connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body or None)
                reply = connection.getresponse()
                return Reply(reply.status, reply.getheaders(), reply.read())
            except (http.client.HTTPException, OSError):
                self.disconnect()
                return None

        def _answer(self, reply: Reply) -> None:
            self.wfile.write(_head(reply) + (reply.body if self.command != "HEAD" else b""))

        def _tear(self, reply: Reply) -> None:
            if proxy.is_heads():
                self.wfile.write(_head(reply) + reply.body[: len(reply.body) // 2] if reply.body else b"HTTP/1.1 2")
            self._hang_up()

        def _hang_up(self) -> None:
            self.close_connection = True
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    return Handler


def _head(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {http.client.responses.get(reply.status, '')}"]
    lines += [f"{name}: {value}" for name, value in reply.headers if name.lower() not in _HOP_BY_HOP]
    return ("\r\n".join([*lines, f"Content-Length: {len(reply.body)}"]) + "\r\n\r\n").encode("latin-1")


def _is_closed(connection: http.client.HTTPConnection) -> bool:
    """Something to read on an idle connection can only be its end."""
    if connection.sock is None:
        return False  # it will connect anew
    connection.sock.setblocking(False)
    try:
        return connection.sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.sock.settimeout(UPSTREAM_S)
