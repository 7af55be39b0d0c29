"""The seam to DynamoDB, SQS, SSM and Lambda: one signed POST over a kept connection, made again while that helps, and never for long.

boto3 costs 1.1 ms of CPU a call and most of a cold start; this costs 0.1 to 0.2 ms (docs/adr/0002). The adapters speak the
services' JSON themselves: attribute values as ``{"S": ...}``, binary as base64.

A call ends within ``CALL_MAX_S`` (a long poll: that much after its wait), retries included: the guard of an API call
counts on it (engine/timers.py: a write begun ``WRITER_LIFE_MS`` after the guard was sent must be over when the guard
fires, ``GUARD_DELAY_S``). Every receive ends at the deadline; connecting and TLS take a second a step, and the
difference between the two constants below is theirs. Only the system's resolver of names has time-outs of its own.
"""

from __future__ import annotations

import json
import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from batuta_server.aws.connection import Address, Answer, Connection, Torn
from batuta_server.aws.errors import NO_ANSWER, AwsError, refusal
from batuta_server.aws.signature import Credentials, SigningKeys

CALL_MAX_S = 15
DEADLINE_S = 12.0  # no try is begun, and no answer awaited, later than this after the call began
CONNECT_TIMEOUT_S = 1.0  # within a region an address answers in a millisecond or not at all
READ_TIMEOUT_S = 4.0  # three silent servers fit into a call; DynamoDB and SQS answer in tens of milliseconds
TRIES_MAX = 10  # botocore's number for DynamoDB

# Full jitter, "Exponential Backoff And Jitter", AWS Architecture Blog; botocore's first pause for DynamoDB.
_PAUSE_S = 0.05
_PAUSE_MAX_S = 2.0

IDLE_MAX_S = 60.0  # how long the AWS SDK for Java keeps an idle connection; AWS does not say when it closes one
_IDLE_MAX = 16  # connections kept per service; a function has a thread or two

# What stands before an operation's name in X-Amz-Target. Of Lambda we call Invoke alone, which names the function in its path.
_TARGETS = {"dynamodb": "DynamoDB_20120810.", "sqs": "AmazonSQS.", "ssm": "AmazonSSM.", "lambda": ""}

# Called after every answered try: (service, operation, request, response or the refusal's body, ms).
OnCall = Callable[[str, str, Mapping[str, Any], Mapping[str, Any], float], None]
_MEASURED = frozenset(  # the operations of ours that tell what capacity they consumed
    {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "BatchGetItem", "BatchWriteItem", "TransactWriteItems"}
)


def pause_s(tries: int) -> float:
    """How long to wait after the ``tries``-th failure (1 is the first)."""
    return random.uniform(0, min(_PAUSE_MAX_S, _PAUSE_S * 2 ** (tries - 1)))  # noqa: S311 - spreads load, hides nothing


class _Service:
    """Where a service is, how to sign for it, and the connections to it that nobody uses at the moment."""

    def __init__(self, name: str, url: str, region: str, credentials: Credentials) -> None:
        self.address = Address.from_url(url)
        self.target = _TARGETS[name]
        self.keys = SigningKeys(credentials, region, name, self.address.host_header, self.address.path)
        self._idle: deque[Connection] = deque()

    def take(self) -> Connection | None:
        """The connection used last, unless it has been idle for too long."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return None
        if time.monotonic() - connection.idle_since <= IDLE_MAX_S:
            return connection
        connection.close()
        self.drop()  # the others are older
        return None

    def give_back(self, connection: Connection) -> None:
        if len(self._idle) < _IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()

    def drop(self) -> None:
        """Closes the idle connections: where one was dead, the others are."""
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return


class Transport:
    """For any number of threads. ``endpoints``: the URL per service. ``on_call`` may be set at any time.

    While ``on_call`` is set, DynamoDB is asked for the capacity that each call consumed, per table and index.
    """

    def __init__(self, region: str, credentials: Credentials, endpoints: Mapping[str, str], *, deadline_s: float = DEADLINE_S) -> None:
        self.region = region
        self.credentials = credentials
        self.endpoints = dict(endpoints)
        self.on_call: OnCall | None = None
        self._deadline_s = deadline_s
        self._services = {name: _Service(name, self.endpoints[name], region, credentials) for name in _TARGETS if name in self.endpoints}
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def call(
        self, service: str, operation: str, request: Mapping[str, Any], *, wait_s: int = 0, is_answered: bool = True
    ) -> dict[str, Any]:
        """``wait_s``: how long the server itself waits before it answers (a long poll). For Lambda, the operation is the name of a
        function and the request its event; what the function raised is an answer, too. Without ``is_answered`` Lambda runs the function
        later. Raises AwsError."""
        if self.on_call is not None and service == "dynamodb" and operation in _MEASURED:
            request = {**request, "ReturnConsumedCapacity": "INDEXES"}
        where = self._services[service]
        body = json.dumps(request, separators=(",", ":")).encode("ascii")
        deadline = time.monotonic() + self._deadline_s + wait_s
        tries = 0
        while True:
            tries += 1
            signed = where.keys.request(f"{where.target}{operation}", body, time.time(), is_answered=is_answered)
            try:
                return self._try(where, service, operation, request, signed, min(time.monotonic() + READ_TIMEOUT_S + wait_s, deadline))
            except AwsError as error:
                pause = pause_s(tries)
                if not error.is_retriable or tries == TRIES_MAX or time.monotonic() + pause >= deadline:
                    raise
            time.sleep(pause)

    def close(self) -> None:
        for service in self._services.values():
            service.drop()

    def _try(
        self, where: _Service, service: str, operation: str, request: Mapping[str, Any], signed: bytes, deadline: float
    ) -> dict[str, Any]:
        began = time.monotonic()
        answer = self._exchange(where, signed, deadline)
        try:
            response = json.loads(answer.body) if answer.body else {}
        except ValueError:  # an HTML page of something in between
            response = {}
            if answer.status < 300:
                raise AwsError(NO_ANSWER, "the answer is not JSON", answer.status) from None
        if self.on_call is not None:
            self.on_call(service, operation, request, response, (time.monotonic() - began) * 1000)
        if answer.status >= 300:
            raise refusal(answer.status, response)
        found: dict[str, Any] = response
        return found

    def _exchange(self, where: _Service, request: bytes, deadline: float) -> Answer:
        """Over a kept connection, or a new one. A kept one that the server had closed meanwhile does not count as a failure."""
        try:
            connection = where.take()
            if connection is not None:
                try:
                    return self._use(where, connection, request, deadline)
                except Torn as error:
                    if not error.is_silent:
                        raise
            return self._use(where, self._connect(where, deadline), request, deadline)
        except OSError as error:
            raise AwsError(NO_ANSWER, f"{where.address.host_header}: {error or type(error).__name__}") from error

    def _use(self, where: _Service, connection: Connection, request: bytes, deadline: float) -> Answer:
        try:
            answer = connection.exchange(request, deadline)
        except BaseException:
            connection.close()
            where.drop()
            raise
        if answer.is_kept:
            where.give_back(connection)
        else:
            connection.close()
        return answer

    def _connect(self, where: _Service, deadline: float) -> Connection:
        timeout_s = min(CONNECT_TIMEOUT_S, max(deadline - time.monotonic(), 0.001))
        return Connection(where.address, self._tls() if where.address.is_tls else None, timeout_s)

    def _tls(self) -> ssl.SSLContext:
        """Made once: loading the certificates takes 10 ms and more."""
        with self._lock:
            if self._context is None:
                self._context = ssl.create_default_context()
            return self._context
