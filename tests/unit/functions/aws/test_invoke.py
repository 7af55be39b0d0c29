"""Sending to a function's queue invokes the function, asynchronously."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from tests.unit.functions.aws.scripted import CREDENTIALS, ScriptedServer, answer

from batuta_core.engine.dead_letters import drain_tasks
from batuta_core.engine.ports import Incoming, Outgoing
from batuta_core.model.error import ResourceMissing, Unavailable
from batuta_core.model.message import MESSAGE_MAX_BYTES, batched_texts
from batuta_core.simulator.world import World
from batuta_server.aws import transport as transport_module
from batuta_server.aws.connection import Address
from batuta_server.aws.invoke import InvokingQueues
from batuta_server.aws.signature import Credentials, SigningKeys
from batuta_server.aws.transport import Transport
from batuta_server.incoming import incoming_of

HTTP = "batuta-test--http"
ACCEPTED = (202, b"")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "_PAUSE_S", 0.001)
    monkeypatch.setattr(transport_module, "_PAUSE_MAX_S", 0.02)


class Lambda:
    """A server that notes what it is invoked with, as a function's event."""

    def __init__(self, *deeds: Any) -> None:
        self.lines: list[str] = []
        self.heads: list[str] = []
        self.events: list[Any] = []
        self._deeds = list(deeds) or [ACCEPTED]
        self._server = ScriptedServer(self._do)

    def __enter__(self) -> InvokingQueues:
        endpoints = {"lambda": self._server.url, "sqs": self._server.url}
        self.transport = Transport("eu-west-1", CREDENTIALS, endpoints, deadline_s=0.5)
        return InvokingQueues(self.transport, "test")

    def __exit__(self, *_: object) -> None:
        self.transport.close()
        self._server.__exit__()

    def _do(self, request: Any) -> Any:
        self.lines.append(request.head.partition("\r\n")[0])
        self.heads.append(request.head)
        self.events.append(request.body)
        return self._deeds.pop(0) if len(self._deeds) > 1 else self._deeds[0]


def test_a_batch_is_one_event_in_the_shape_of_sqs() -> None:
    server = Lambda()
    with server as queues:
        queues.send(HTTP, [Outgoing(f'{{"n": "{n}"}}') for n in range(12)])
    assert server.lines == [f"POST /2015-03-31/functions/{HTTP}/invocations HTTP/1.1"] * 2
    assert all("X-Amz-Invocation-Type: Event" in head for head in server.heads)
    received = [incoming_of(event) for event in server.events]
    assert [[item.text for item in batch] for batch in received] == [
        [f'{{"n": "{n}"}}' for n in range(10)],
        ['{"n": "10"}', '{"n": "11"}'],
    ]
    assert {item.receives for batch in received for item in batch} == {1}
    assert len({item.message_id for batch in received for item in batch}) == 12


def test_an_event_stays_below_lambdas_limit() -> None:
    """1 MB (quota "invocation payload, asynchronous", since 2025-10); quotes in quotes double twice at worst."""
    server = Lambda()
    with server as queues:
        queues.send(HTTP, [Outgoing(json.dumps({"x": '"' * 60_000})) for _ in range(6)])
    assert len(server.events) == 3
    assert max(len(json.dumps(event)) for event in server.events) < 4 * MESSAGE_MAX_BYTES


def test_other_queues_are_queues() -> None:
    server = Lambda((200, {"QueueUrl": "http://x/q"}), (200, {"Successful": []}))
    with server as queues:
        queues.send("batuta-test--default--http-abc", [Outgoing("x")])
    assert server.lines == ["POST / HTTP/1.1"] * 2


@pytest.mark.parametrize("status", [403, 404])
def test_a_function_that_is_missing_or_not_ours_to_use_waits_for_a_deployment(status: int) -> None:
    refused = answer(status, {"Message": "Function not found", "Type": "User"}, "x-amzn-ErrorType: ResourceNotFoundException")
    with Lambda(refused) as queues, pytest.raises(ResourceMissing, match=HTTP):
        queues.send(HTTP, [Outgoing("x")])


@pytest.mark.parametrize("status", [429, 500, 503])
def test_throttles_are_tried_again(status: int) -> None:
    server = Lambda((status, {"Reason": "ConcurrentInvocationLimitExceeded"}), ACCEPTED)
    with server as queues:
        queues.send(HTTP, [Outgoing("x")])
    assert len(server.events) == 2
    with Lambda((status, {})) as queues, pytest.raises(Unavailable):
        queues.send(HTTP, [Outgoing("x")])


@pytest.mark.parametrize("token", ["", "session/token=="])
@pytest.mark.parametrize("url", ["https://lambda.eu-west-1.amazonaws.com", "http://127.0.0.1:4566"])
def test_signature_is_botocores(url: str, token: str) -> None:
    address = Address.from_url(url)
    keys = SigningKeys(Credentials("AKID", "secret/+", token), "eu-west-1", "lambda", address.host_header, address.path)
    head, _, body = keys.request(HTTP, b'{"Records":[]}', 1_790_000_000.7, is_answered=False).decode().partition("\r\n\r\n")
    line, *lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    signed = {name: headers[name] for name in ("Host", "Content-Type", "X-Amz-Invocation-Type", "X-Amz-Date")}
    request = AWSRequest(method="POST", url=url + line.split(" ")[1], data=body, headers=signed)
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(BotoCredentials("AKID", "secret/+", token or None), "lambda", "eu-west-1")
    if token:
        request.headers["X-Amz-Security-Token"] = token
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert headers["Authorization"].endswith(f"Signature={signature}")
    assert f"SignedHeaders={signer.signed_headers(signer.headers_to_sign(request))}," in headers["Authorization"]
    assert headers["X-Amz-Invocation-Type"] == "Event"


def test_an_event_that_lambda_gave_up_is_as_many_dead_letters_as_it_has_messages() -> None:
    server = Lambda()
    with server as queues:
        queues.send(HTTP, [Outgoing("first"), Outgoing("second")])
    assert batched_texts(json.dumps(server.events[0])) == ["first", "second"]
    world = World()
    assert drain_tasks(world.ports, [Incoming("m", json.dumps(server.events[0]), "r", 1)]) == []  # strangers: dropped, one by one


@pytest.mark.parametrize("text", ["", "x", "[]", "null", "{}", '{"Records": 1}', '{"Records": [1]}', '{"Records": [{}]}', "[" * 100_000])
def test_what_is_no_event_is_a_message(text: str) -> None:
    assert batched_texts(text) is None
