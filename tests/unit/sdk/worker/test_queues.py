"""The boto3 adapter against botocore's own stub: what it asks of SQS, what it makes of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber

from batuta.settings import Connection
from batuta.worker.queues import Failure, Outgoing, Received, SqsQueues, _session
from batuta_core.model.error import ResourceMissing, Unavailable

LOCAL = Connection(url=None, stage="dev", endpoint="http://127.0.0.1:4566", region="us-east-1", local_account="123456789012")
URL = "http://127.0.0.1:4566/123456789012/q"


class Stubbed:
    def __init__(self) -> None:
        self.queues = SqsQueues(LOCAL)
        self.calls = Stubber(self.queues._client)
        self.polls = Stubber(self.queues._poll_client)
        self.calls.add_response("get_queue_url", {"QueueUrl": URL}, {"QueueName": "q"})


@pytest.fixture
def stubbed() -> Iterator[Stubbed]:
    found = Stubbed()
    with found.calls, found.polls:
        yield found
        found.calls.assert_no_pending_responses()
        found.polls.assert_no_pending_responses()


def test_receive(stubbed: Stubbed) -> None:
    asked = {
        "QueueUrl": URL,
        "MaxNumberOfMessages": 3,
        "WaitTimeSeconds": 10,
        "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount"],
    }
    message = {"MessageId": "m", "Body": "text", "ReceiptHandle": "r", "Attributes": {"SentTimestamp": "5", "ApproximateReceiveCount": "2"}}
    stubbed.polls.add_response("receive_message", {"Messages": [message]}, asked)
    stubbed.polls.add_response("receive_message", {}, asked)
    assert stubbed.queues.receive("q", 3, 10) == [Received("m", "text", "r", 5, 2)]
    assert stubbed.queues.receive("q", 3, 10) == []  # the URL is asked for once


def test_send_says_which_entries_failed_and_whether_for_good(stubbed: Stubbed) -> None:
    entries = [
        {"Id": "0", "MessageBody": "a", "MessageGroupId": "g", "MessageDeduplicationId": "d"},
        {"Id": "1", "MessageBody": "b", "MessageGroupId": "g", "MessageDeduplicationId": "e"},
        {"Id": "2", "MessageBody": "c", "MessageGroupId": "g", "MessageDeduplicationId": "f"},
    ]
    failed = [
        {"Id": "0", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "bad"},
        {"Id": "1", "SenderFault": False, "Code": "InternalError"},
        {"Id": "2", "SenderFault": True, "Code": "RequestThrottled"},
    ]
    stubbed.calls.add_response("send_message_batch", {"Successful": [], "Failed": failed}, {"QueueUrl": URL, "Entries": entries})
    assert stubbed.queues.send("q", [Outgoing("a", "g", "d"), Outgoing("b", "g", "e"), Outgoing("c", "g", "f")]) == [
        Failure(0, "InvalidMessageContents: bad", is_final=True),
        Failure(1, "InternalError: ", is_final=False),
        Failure(2, "RequestThrottled: ", is_final=False),  # whoever's fault it is
    ]


def test_delete_and_change_visibility(stubbed: Stubbed) -> None:
    stubbed.calls.add_response(
        "delete_message_batch", {"Successful": [], "Failed": []}, {"QueueUrl": URL, "Entries": [{"Id": "0", "ReceiptHandle": "r"}]}
    )
    stubbed.calls.add_response(
        "change_message_visibility_batch",
        {"Successful": [], "Failed": [{"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}]},
        {"QueueUrl": URL, "Entries": [{"Id": "0", "ReceiptHandle": "r", "VisibilityTimeout": 30}]},
    )
    assert stubbed.queues.delete("q", ["r"]) == []
    assert stubbed.queues.change_visibility("q", ["r"], 30)[0].is_final


@pytest.mark.parametrize("code", ["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"])
def test_a_missing_queue_is_told_apart_and_looked_up_anew(stubbed: Stubbed, code: str) -> None:
    stubbed.polls.add_client_error("receive_message", code)
    with pytest.raises(ResourceMissing, match="queue q does not exist"):
        stubbed.queues.receive("q", 1, 0)
    stubbed.calls.add_response("get_queue_url", {"QueueUrl": URL}, {"QueueName": "q"})
    stubbed.polls.add_response("receive_message", {}, ANY_RECEIVE)
    stubbed.queues.receive("q", 1, 0)


ANY_RECEIVE = {"QueueUrl": URL, "MaxNumberOfMessages": ANY, "WaitTimeSeconds": ANY, "MessageSystemAttributeNames": ANY}


@pytest.mark.parametrize("code", ["AccessDenied", "RequestThrottled", "InternalError", "ExpiredToken"])
def test_every_other_error_is_one_that_may_pass(stubbed: Stubbed, code: str) -> None:
    stubbed.calls.add_client_error("delete_message_batch", code)
    with pytest.raises(Unavailable, match=code):
        stubbed.queues.delete("q", ["r"])


def test_no_network_is_unavailable(stubbed: Stubbed, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**_arguments: Any) -> None:
        raise EndpointConnectionError(endpoint_url="http://x")

    monkeypatch.setattr(stubbed.queues._client, "delete_message_batch", unreachable)
    with pytest.raises(Unavailable, match="Could not connect"):
        stubbed.queues.delete("q", ["r"])


# --- credentials


def access_key(connection: Connection) -> str | None:
    credentials = _session(connection).get_credentials()
    return None if credentials is None else credentials.access_key


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def connection(endpoint: str | None, account: str | None) -> Connection:
    return Connection(url=None, stage="dev", endpoint=endpoint, region="us-east-1", local_account=account)


def test_an_emulator_gets_dummy_credentials_when_there_are_none() -> None:
    assert access_key(connection("http://127.0.0.1:4566", None)) == "000000000000"


def test_an_emulator_gets_the_configured_credentials_when_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "111111111111")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert access_key(connection("http://127.0.0.1:4566", None)) == "111111111111"


def test_a_local_server_names_the_account_and_real_credentials_stay_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert access_key(connection("http://127.0.0.1:4566", "222222222222")) == "222222222222"


def test_aws_never_gets_dummy_credentials() -> None:
    assert access_key(connection(None, None)) is None
