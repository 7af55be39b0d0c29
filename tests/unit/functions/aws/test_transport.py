"""The transport's promises: what it signs, what it tries again, when it gives up, and that it never takes long."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from tests.unit.functions.aws.scripted import CREDENTIALS, HANG_UP, SILENCE, ScriptedServer, answer, refusal

from batuta_core.model.error import BatutaError, ResourceMissing, Unavailable
from batuta_server.aws import transport as transport_module
from batuta_server.aws.connection import Address
from batuta_server.aws.dynamodb import Table
from batuta_server.aws.errors import AwsError
from batuta_server.aws.signature import Credentials, SigningKeys
from batuta_server.aws.transport import Transport

OK = (200, {"fine": True})


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "_PAUSE_S", 0.001)
    monkeypatch.setattr(transport_module, "_PAUSE_MAX_S", 0.02)


def get(transport: Transport, **options: Any) -> Mapping[str, Any]:
    return transport.call("dynamodb", "GetItem", {"TableName": "t"}, **options)


# --- signing


def test_signature_of_a_call_of_a_function_is_botocores() -> None:
    address = Address.from_url("https://lambda.eu-west-1.amazonaws.com")
    keys = SigningKeys(Credentials("AKID", "secret/+", "token"), "eu-west-1", "lambda", address.host_header, address.path)
    head, _, body = keys.request("batuta-prod--sandbox", b"{}", 1_790_000_000.7).decode().partition("\r\n\r\n")
    line, *lines = head.split("\r\n")
    assert line == "POST /2015-03-31/functions/batuta-prod--sandbox/invocations HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines)
    assert "X-Amz-Target" not in headers
    signed = {name: headers[name] for name in ("Host", "Content-Type", "X-Amz-Date", "X-Amz-Security-Token")}
    request = AWSRequest(method="POST", url=f"https://{address.host_header}{line.split()[1]}", data=body, headers=signed)
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(BotoCredentials("AKID", "secret/+", "token"), "lambda", "eu-west-1")
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert headers["Authorization"].endswith(f"Signature={signature}")
    assert f"SignedHeaders={signer.signed_headers(signer.headers_to_sign(request))}," in headers["Authorization"]


@pytest.mark.parametrize("token", ["", "session/token=="])
@pytest.mark.parametrize("url", ["https://dynamodb.eu-west-1.amazonaws.com", "http://127.0.0.1:4566", "http://[::1]:8000/base"])
def test_signature_is_botocores(url: str, token: str) -> None:
    address = Address.from_url(url)
    keys = SigningKeys(Credentials("AKID", "secret/+", token), "eu-west-1", "dynamodb", address.host_header, address.path)
    raw = keys.request("DynamoDB_20120810.GetItem", b'{"TableName":"t"}', 1_790_000_000.7)
    head, _, body = raw.decode().partition("\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    signed = {name: headers[name] for name in ("Host", "Content-Type", "X-Amz-Target", "X-Amz-Date")}
    request = AWSRequest(method="POST", url=url + ("" if "/base" in url else "/"), data=body, headers=signed)
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(BotoCredentials("AKID", "secret/+", token or None), "dynamodb", "eu-west-1")
    if token:
        request.headers["X-Amz-Security-Token"] = token
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert headers["Authorization"].endswith(f"Signature={signature}")
    assert f"SignedHeaders={signer.signed_headers(signer.headers_to_sign(request))}," in headers["Authorization"]
    assert headers["Content-Length"] == str(len(body))
    assert headers.get("X-Amz-Security-Token", "") == token
    assert headers["X-Amz-Date"] == "20260921T141320Z"


def test_credentials_are_nowhere_to_be_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedServer([refusal("AccessDeniedException"), HANG_UP]) as server:
        transport = server.transport(deadline_s=0.1)
        errors = []
        for _ in range(2):
            with pytest.raises(AwsError) as refused:
                get(transport)
            errors.append(str(refused.value) + repr(refused.value.__cause__))
        shown = repr(CREDENTIALS) + repr(vars(transport)) + "".join(errors) + caplog.text
        transport.close()
    assert CREDENTIALS.secret_access_key not in shown
    assert CREDENTIALS.session_token not in shown


def test_credentials_that_are_missing_are_named() -> None:
    with pytest.raises(RuntimeError, match="AWS_SECRET_ACCESS_KEY is not set"):
        Credentials.from_env({"AWS_ACCESS_KEY_ID": "x"})
    assert Credentials.from_env({"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_SESSION_TOKEN": "z"}) == Credentials(
        "x", "y", "z"
    )


# --- trying again


@pytest.mark.parametrize(
    "trouble",
    [
        refusal("ProvisionedThroughputExceededException"),
        refusal("ThrottlingException"),
        refusal("RequestLimitExceeded"),
        refusal("RequestThrottled", 403),
        refusal("KmsThrottled"),
        refusal("InternalServerError", 500),
        (502, b"<html>bad gateway</html>"),
        (503, b""),
        (429, {}),
        (200, b"<html>not what was asked for</html>"),
        HANG_UP,
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",  # and then silence
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    ],
    ids=lambda trouble: str(trouble)[:40],
)
def test_trouble_that_passes_is_not_seen(monkeypatch: pytest.MonkeyPatch, trouble: Any) -> None:
    monkeypatch.setattr(transport_module, "READ_TIMEOUT_S", 0.6)
    with ScriptedServer([trouble, trouble, OK, OK]) as server:
        transport = server.transport()
        assert get(transport) == OK[1]
        assert get(transport) == OK[1]
        assert len(server.requests) == 4
        transport.close()


@pytest.mark.parametrize(
    "code", ["ValidationException", "ConditionalCheckFailedException", "AccessDeniedException", "ResourceNotFoundException"]
)
def test_refusal_is_final(code: str) -> None:
    with ScriptedServer([refusal(code, Item={"pk": {"S": "x"}}), OK]) as server:
        transport = server.transport()
        with pytest.raises(AwsError) as refused:
            get(transport)
        assert (refused.value.code, refused.value.http_status, refused.value.message) == (code, 400, "so be it")
        assert refused.value.body["Item"] == {"pk": {"S": "x"}}
        assert get(transport) == OK[1]
        assert [request.connection for request in server.requests] == [1, 1], "a refusal does not cost the connection"
        transport.close()


def test_tries_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "TRIES_MAX", 4)
    with ScriptedServer(lambda _: refusal("ThrottlingException")) as server:
        transport = server.transport()
        with pytest.raises(AwsError, match="ThrottlingException"):
            get(transport)
        assert len(server.requests) == 4
        transport.close()


def test_pauses_grow_and_are_random() -> None:
    for tries in range(1, 20):
        pauses = [transport_module.pause_s(tries) for _ in range(200)]
        limit = min(0.02, 0.001 * 2 ** (tries - 1))
        assert all(0 <= pause <= limit for pause in pauses)
        assert max(pauses) > limit / 2
        assert min(pauses) < limit / 2


@pytest.mark.parametrize("deed", [SILENCE, refusal("ThrottlingException"), HANG_UP], ids=["silence", "throttle", "hang up"])
def test_call_ends_in_time(monkeypatch: pytest.MonkeyPatch, deed: Any) -> None:
    monkeypatch.setattr(transport_module, "TRIES_MAX", 10**9)
    monkeypatch.setattr(transport_module, "READ_TIMEOUT_S", 0.15)
    with ScriptedServer(lambda _: deed) as server:
        transport = server.transport(deadline_s=0.5)
        began = time.monotonic()
        with pytest.raises(AwsError) as refused:
            get(transport)
        took = time.monotonic() - began
        assert refused.value.is_retriable
        assert len(server.requests) > 2
        assert took < 2
        transport.close()


def test_answer_that_trickles_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "READ_TIMEOUT_S", 0.3)
    monkeypatch.setattr(transport_module, "TRIES_MAX", 1)
    stop = threading.Event()
    with ScriptedServer(lambda _: b"HTTP/1.1 200 OK\r\nX: ") as server:
        transport = server.transport()

        def trickle() -> None:
            while not stop.wait(0.02):
                for sock in list(server._sockets):
                    try:
                        sock.send(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        began = time.monotonic()
        with pytest.raises(AwsError, match=r"timed out|too long"):
            get(transport)
        assert 0.2 < time.monotonic() - began < 2
        stop.set()
        thread.join()
        transport.close()


def test_nobody_listens() -> None:
    with ScriptedServer([]) as server:
        transport = server.transport(deadline_s=0.2)
    began = time.monotonic()
    with pytest.raises(AwsError, match=r"NoAnswer: 127\.0\.0\.1"):
        get(transport)
    assert time.monotonic() - began < 2


def test_the_promised_time_holds_the_steps_of_connecting() -> None:
    """From the constants: one more connect (TCP, and TLS with two steps) may begin just before the deadline."""
    assert transport_module.DEADLINE_S + 3 * transport_module.CONNECT_TIMEOUT_S <= transport_module.CALL_MAX_S == 15


def test_long_poll_has_its_wait_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "READ_TIMEOUT_S", 0.1)

    def late(_: Any) -> Any:
        time.sleep(0.4)
        return OK

    with ScriptedServer(late) as server:
        transport = server.transport(deadline_s=0.2)
        assert get(transport, wait_s=1) == OK[1]
        assert len(server.requests) == 1
        transport.close()


# --- connections


def test_connection_is_kept() -> None:
    with ScriptedServer(lambda _: OK) as server:
        transport = server.transport()
        for _ in range(5):
            get(transport)
            transport.call("sqs", "SendMessage", {})
        assert {request.connection for request in server.requests} == {1, 2}, "one per service"
        transport.close()


def test_connection_that_the_server_closed_meanwhile_is_not_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "TRIES_MAX", 1)
    with ScriptedServer(lambda _: OK) as server:
        transport = server.transport()
        for count in range(1, 4):
            assert get(transport) == OK[1]
            assert server.requests[-1].connection == count
            server.hang_up()
        transport.close()


def test_connection_that_was_idle_for_long_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(lambda _: OK) as server:
        transport = server.transport()
        get(transport)
        monkeypatch.setattr(transport_module, "IDLE_MAX_S", -1)
        get(transport)
        assert [request.connection for request in server.requests] == [1, 2]
        transport.close()


def test_server_that_closes_after_each_answer() -> None:
    with ScriptedServer(lambda _: answer(200, OK[1], "Connection: Close")) as server:
        transport = server.transport()
        assert [get(transport) for _ in range(3)] == [OK[1]] * 3
        assert [request.connection for request in server.requests] == [1, 2, 3]
        transport.close()


def test_answer_in_chunks() -> None:
    chunked = b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\n{"fin\r\n9\r\ne": true}\r\n0\r\n\r\n'
    with ScriptedServer([chunked, OK]) as server:
        transport = server.transport()
        assert [get(transport), get(transport)] == [OK[1]] * 2
        assert [request.connection for request in server.requests] == [1, 1]
        transport.close()


def test_large_answer() -> None:
    large = {"text": "x" * 3_000_000}
    with ScriptedServer([(200, large)]) as server:
        transport = server.transport()
        assert get(transport) == large
        transport.close()


def test_threads_share_it() -> None:
    """Each call gets its own answer, and the connections stay few."""
    with ScriptedServer(lambda request: (200, {"echo": request.body["n"]})) as server:
        transport = server.transport()
        wrong: list[int] = []

        def run(base: int) -> None:
            for number in range(base, base + 100):
                if transport.call("dynamodb", "GetItem", {"n": number})["echo"] != number:
                    wrong.append(number)

        threads = [threading.Thread(target=run, args=(base,)) for base in range(0, 800, 100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert wrong == []
        assert len(server.requests) == 800
        assert max(request.connection for request in server.requests) <= 8
        transport.close()


def test_tls_is_verified() -> None:
    context = Transport("eu-west-1", CREDENTIALS, {})._tls()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


# --- the recorder's hook, and errors at the edge


def test_every_answered_try_is_told() -> None:
    told: list[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]] = []
    with ScriptedServer([OK, refusal("ThrottlingException"), OK, HANG_UP, OK]) as server:
        transport = server.transport()
        get(transport)
        transport.on_call = lambda service, operation, request, response, ms: told.append((service, operation, request, response))
        get(transport)
        transport.call("sqs", "SendMessage", {"MessageBody": "x"})
        transport.close()
    assert [response.get("__type", "")[-19:] or response for *_, response in told] == ["ThrottlingException", OK[1], OK[1]]
    assert told[0][:2] == ("dynamodb", "GetItem")
    assert told[2][:3] == ("sqs", "SendMessage", {"MessageBody": "x"})
    measured = ["ReturnConsumedCapacity" in request.body for request in server.requests]
    assert measured == [False, True, True, False, False], "only DynamoDB, and only when somebody listens"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ThrottlingException", Unavailable),
        ("ResourceNotFoundException", ResourceMissing),
        ("AccessDeniedException", ResourceMissing),
        ("ValidationException", BatutaError),
    ],
)
def test_callers_see_our_errors(monkeypatch: pytest.MonkeyPatch, code: str, error: type[BatutaError]) -> None:
    monkeypatch.setattr(transport_module, "TRIES_MAX", 1)
    with ScriptedServer([refusal(code)]) as server:
        transport = server.transport()
        with pytest.raises(error) as seen:
            Table(transport, "some-table").get({}, is_consistent=True)
        assert type(seen.value) is error
        assert "GetItem on some-table" in str(seen.value)
        assert isinstance(seen.value.__cause__, AwsError)
        transport.close()


def test_unreachable_service_is_unavailable() -> None:
    with ScriptedServer([]) as server:
        table = Table(server.transport(deadline_s=0.1), "some-table")
    with pytest.raises(Unavailable):
        table.get({}, is_consistent=True)
