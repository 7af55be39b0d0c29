"""What the adapters do when DynamoDB and SQS do only a part, or lose the reply: emulators never do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.contract.records import record
from tests.unit.functions.aws.scripted import HANG_UP, Request, Script, ScriptedServer, refusal

from batuta_core.engine.ports import Outgoing, QueueMissing, Refused
from batuta_core.model.error import BatutaError, DefinitionExists, ResourceMissing, Unavailable
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.names import ExecutionId, priority_queue_name
from batuta_core.model.record import needs_first, pack
from batuta_server.aws import queues as queues_module
from batuta_server.aws import transport as transport_module
from batuta_server.aws.definitions import DynamoDefinitions
from batuta_server.aws.dynamodb import Table, binary
from batuta_server.aws.journal import DynamoJournal
from batuta_server.aws.queues import SqsQueues

EXECUTION = ExecutionId("shop", "11111111-0000-4000-8000-000000000000")
QUEUE = "some-queue"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "_PAUSE_S", 0.001)
    monkeypatch.setattr(transport_module, "_PAUSE_MAX_S", 0.02)
    monkeypatch.setattr(queues_module, "_SENDABLE_AFTER_S", 0.01)


@pytest.fixture
def serve() -> Iterator[Any]:
    """Starts a scripted server and gives it with a transport."""
    opened: list[Any] = []

    def start(script: Any) -> tuple[ScriptedServer, Any]:
        server = ScriptedServer(script)
        transport = server.transport()
        opened.extend((transport, server))
        return server, transport

    yield start
    for transport, server in zip(opened[::2], opened[1::2], strict=True):
        transport.close()
        server.__exit__()


def sqs(batch: Script) -> Script:
    """A queue that is there, and what is done with batches."""
    return lambda request: (200, {"QueueUrl": "http://q"}) if request.operation == "GetQueueUrl" else batch(request)


def entries_of(request: Request) -> list[str]:
    return [entry.get("MessageBody", entry.get("ReceiptHandle")) for entry in request.body["Entries"]]


# --- SQS


def test_messages_that_failed_in_passing_are_sent_again_and_only_those(serve: Any) -> None:
    def batch(request: Request) -> Any:
        if len(server.requests) <= 3:  # the queue's URL, two bad rounds
            failed = [{"Id": entry["Id"], "Code": "InternalError", "SenderFault": False} for entry in request.body["Entries"][1:]]
            return 200, {"Successful": [{"Id": "0"}], "Failed": failed}
        return 200, {"Successful": []}

    server, transport = serve(sqs(batch))
    SqsQueues(transport, "test").send(QUEUE, [Outgoing(text) for text in "abcd"])
    assert [entries_of(request) for request in server.requests[1:]] == [["a", "b", "c", "d"], ["b", "c", "d"], ["c", "d"]]


def test_hopeless_message_is_an_error_after_the_others_went_through(serve: Any) -> None:
    def batch(request: Request) -> Any:
        if len(server.requests) > 2:
            return 200, {}
        codes = [("InternalError", False), ("InvalidMessageContents", True), ("RequestThrottled", True)]
        failed = [{"Id": str(place), "Code": code, "SenderFault": fault, "Message": "no"} for place, (code, fault) in enumerate(codes)]
        return 200, {"Failed": failed}

    server, transport = serve(sqs(batch))
    with pytest.raises(BatutaError, match="InvalidMessageContents") as refused:
        SqsQueues(transport, "test").send(QUEUE, [Outgoing(text) for text in "abcd"])
    assert not refused.value.retryable
    assert [entries_of(request) for request in server.requests[1:]] == [["a", "b", "c", "d"], ["a", "c"]]


@pytest.mark.parametrize("method", ["send", "delete", "release"])
def test_what_fails_for_good_is_unavailable(serve: Any, method: str) -> None:
    def batch(request: Request) -> Any:
        return 200, {"Failed": [{"Id": entry["Id"], "Code": "InternalError", "SenderFault": False} for entry in request.body["Entries"]]}

    server, transport = serve(sqs(batch))
    queues = SqsQueues(transport, "test")
    with pytest.raises(Unavailable):
        queues.send(QUEUE, [Outgoing("x")]) if method == "send" else getattr(queues, method)(QUEUE, ["x"])
    assert len(server.requests) == 1 + 5


@pytest.mark.parametrize("method", ["delete", "release"])
def test_receipts_that_failed_in_passing_are_sent_again(serve: Any, method: str) -> None:
    def batch(request: Request) -> Any:
        if len(server.requests) > 2:
            return 200, {}
        failed = [
            {"Id": "0", "Code": "ReceiptHandleIsInvalid", "SenderFault": True},
            {"Id": "2", "Code": "InternalError", "SenderFault": False},
            {"Id": "3", "Code": "RequestThrottled", "SenderFault": True},
        ]
        return 200, {"Failed": failed}

    server, transport = serve(sqs(batch))
    getattr(SqsQueues(transport, "test"), method)(QUEUE, ["a", "b", "c", "d"])
    assert [entries_of(request) for request in server.requests[1:]] == [["a", "b", "c", "d"], ["c", "d"]]


def test_batches_hold_ten_messages_and_256_kilobytes(serve: Any) -> None:
    server, transport = serve(sqs(lambda _: (200, {})))
    sizes = [100] * 12 + [200_000, 60_000, 60_000, 300_000, 10]
    SqsQueues(transport, "test").send(QUEUE, [Outgoing("x" * size) for size in sizes])
    sent = [[len(text) for text in entries_of(request)] for request in server.requests[1:]]
    assert sent == [[100] * 10, [100, 100, 200_000, 60_000], [60_000], [300_000], [10]]


def test_queue_that_was_made_a_moment_ago_gets_its_second(serve: Any) -> None:
    def script(request: Request) -> Any:
        return refusal("QueueDoesNotExist") if len(server.requests) <= 1 else (200, {"QueueUrl": "http://q"})

    server, transport = serve(script)
    SqsQueues(transport, "test").send(QUEUE, [Outgoing("x")])
    assert server.operations == ["GetQueueUrl", "GetQueueUrl", "SendMessageBatch"]


def test_a_missing_priority_queue_is_not_waited_for(serve: Any) -> None:
    """There is another one to send to."""
    server, transport = serve(lambda _: refusal("QueueDoesNotExist"))
    began = time.monotonic()
    with pytest.raises(QueueMissing):
        SqsQueues(transport, "test").send(priority_queue_name(QUEUE), [Outgoing("x")])
    assert time.monotonic() - began < 1
    assert server.operations == ["GetQueueUrl"]


def test_many_missing_queues_are_waited_for_once(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues_module, "_SENDABLE_AFTER_S", 0.2)
    server, transport = serve(lambda _: refusal("QueueDoesNotExist"))
    queues = SqsQueues(transport, "test")
    began = time.monotonic()
    for place in range(10):
        with pytest.raises(QueueMissing):
            queues.send(f"{QUEUE}-{place}", [Outgoing("x")])
    assert 0.2 <= time.monotonic() - began < 2
    assert len(server.requests) == 11


def test_stage_without_its_dead_letter_queue_is_not_deployed(serve: Any) -> None:
    _, transport = serve(lambda _: refusal("QueueDoesNotExist"))
    with pytest.raises(ResourceMissing) as missing:
        SqsQueues(transport, "test").ensure_task_queue(QUEUE)
    assert missing.value.code == "resource_missing"


def test_queue_that_is_gone_is_looked_for_again(serve: Any) -> None:
    def batch(request: Request) -> Any:
        return refusal("QueueDoesNotExist") if len(server.requests) == 3 else (200, {})

    server, transport = serve(sqs(batch))
    queues = SqsQueues(transport, "test")
    queues.receive(QUEUE, 1, 0)
    with pytest.raises(QueueMissing):
        queues.receive(QUEUE, 1, 0)
    queues.receive(QUEUE, 1, 0)
    assert server.operations == ["GetQueueUrl", "ReceiveMessage", "ReceiveMessage", "GetQueueUrl", "ReceiveMessage"]


def test_ensuring_a_known_queue_costs_a_call_a_minute(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = {"QueueArn": "arn:aws:sqs:eu-west-1:1:dead"}
    server, transport = serve(lambda _: (200, {"QueueUrl": "http://q", "Attributes": attributes}))
    queues = SqsQueues(transport, "test")
    for _ in range(3):
        queues.ensure_task_queue(QUEUE)
    assert server.operations.count("CreateQueue") == 1
    monkeypatch.setattr(queues_module, "_KNOWN_S", -1)
    queues.ensure_task_queue(QUEUE)
    assert server.operations.count("CreateQueue") == 2


@pytest.mark.parametrize(("endpoint", "is_closed"), [("https://sqs.eu-west-1.amazonaws.com", True), ("http://127.0.0.1:4566", False)])
def test_task_queues_refuse_what_does_not_come_by_tls(serve: Any, endpoint: str, is_closed: bool) -> None:
    """As the stage's own queues do; an emulator without TLS would refuse everything."""
    attributes = {"QueueArn": "arn:aws-cn:sqs:cn-north-1:1:dead"}
    server, transport = serve(lambda _: (200, {"QueueUrl": "http://q", "Attributes": attributes}))
    transport.endpoints["sqs"] = endpoint  # where it is called stays the same
    queues = SqsQueues(transport, "test")
    queues.ensure_task_queue(QUEUE)
    queues.ensure_task_queue("another")
    made = {request.body["QueueName"]: request.body["Attributes"] for request in server.requests if request.operation == "CreateQueue"}
    for name in (QUEUE, "another"):
        assert ("Policy" in made[name]) is is_closed
        if is_closed:
            policy = json.loads(made[name]["Policy"])
            (statement,) = policy["Statement"]
            assert policy["Version"] == "2012-10-17"  # without it SQS takes the policy and says nothing (Pulumi, aws.sqs.QueuePolicy)
            assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", {"AWS": "*"}, "sqs:*")
            assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            assert statement["Resource"] == f"arn:aws-cn:sqs:cn-north-1:1:{name}"


# --- DynamoDB


def test_batch_get_asks_for_what_was_left_out(serve: Any) -> None:
    """As when a hundred large records pass the 16 MB of an answer, or a throttle."""

    def script(request: Request) -> Any:
        keys = request.body["RequestItems"]["t"]["Keys"]
        assert request.body["RequestItems"]["t"]["ConsistentRead"] is True
        done = keys[:40] if len(server.requests) != 2 else []
        items = [{**key, "b": binary(record(int(key["seq"]["N"])).to_json())} for key in done]
        left = {"t": {"Keys": keys[len(done) :], "ConsistentRead": True}} if len(keys) > len(done) else {}
        return 200, {"Responses": {"t": items}, "UnprocessedKeys": left}

    server, transport = serve(script)
    found = DynamoJournal(Table(transport, "t")).read(EXECUTION, range(1, 131))
    assert list(found) == list(range(1, 131))
    assert [len(request.body["RequestItems"]["t"]["Keys"]) for request in server.requests] == [100, 60, 60, 20, 30]


def test_batch_delete_sends_what_was_left_out(serve: Any) -> None:
    def script(request: Request) -> Any:
        requests = request.body["RequestItems"]["t"]
        done = 10 if len(server.requests) != 2 else 0
        return 200, {"UnprocessedItems": {"t": requests[done:]} if requests[done:] else {}}

    server, transport = serve(script)
    Table(transport, "t").batch_delete([{"pk": {"S": str(place)}} for place in range(30)])
    assert [len(request.body["RequestItems"]["t"]) for request in server.requests] == [25, 15, 15, 5, 5]


@pytest.mark.parametrize("operation", ["get", "delete"])
def test_batch_of_which_nothing_is_done_ends(serve: Any, operation: str) -> None:
    def script(request: Request) -> Any:
        return 200, {"UnprocessedItems": request.body["RequestItems"], "UnprocessedKeys": request.body["RequestItems"]}

    server, transport = serve(script)
    table = Table(transport, "t")
    with pytest.raises(Unavailable):
        table.batch_get([{"pk": {"S": "1"}}], is_consistent=True) if operation == "get" else table.batch_delete([{"pk": {"S": "1"}}])
    assert len(server.requests) == 10


def test_append_whose_reply_was_lost_meets_itself(serve: Any) -> None:
    made = record(1)
    item = {"b": binary(made.to_json())}
    server, transport = serve([HANG_UP, refusal("ConditionalCheckFailedException", Item=item)])
    with pytest.raises(Refused) as refused:
        DynamoJournal(Table(transport, "t")).append(EXECUTION, made, made.to_json())
    assert refused.value.existing == made
    assert server.requests[0].body == server.requests[1].body


def test_refusal_that_shows_nothing_is_not_taken_for_somebody_elses(serve: Any) -> None:
    _, transport = serve([refusal("ConditionalCheckFailedException")])
    with pytest.raises(Unavailable):
        DynamoJournal(Table(transport, "t")).append(EXECUTION, record(1), record(1).to_json())


def test_purge_takes_the_first_record_first(serve: Any) -> None:
    """A batch has no order: it might die having done the others."""

    def script(request: Request) -> Any:
        keys = [{"pk": {"S": str(EXECUTION)}, "seq": {"N": str(seq)}} for seq in (2, 3)]
        return (200, {"Items": keys}) if request.operation == "Query" else (200, {})

    server, transport = serve(script)
    DynamoJournal(Table(transport, "t")).purge(EXECUTION, 4)
    assert server.operations == ["DeleteItem", "Query", "BatchWriteItem"]
    assert server.requests[0].body["Key"]["seq"] == {"N": "1"}


# --- transactions


def cancelled(*codes: str) -> tuple[int, Any]:
    return refusal("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


def definitions(transport: Any) -> DynamoDefinitions:
    return DynamoDefinitions(transport, Table(transport, "t"))


def test_registration_that_met_another_is_made_again_under_the_same_token(serve: Any) -> None:
    server, transport = serve(
        [cancelled("None", "None", "TransactionConflict"), cancelled("ThrottlingError", "None", "None"), HANG_UP, (200, {})]
    )
    definitions(transport).put_workflows("shop", [{"name": "order", "version": 1}], is_new=True)
    assert server.operations == ["TransactWriteItems"] * 4
    assert len({request.body["ClientRequestToken"] for request in server.requests}) == 1


def test_registration_that_meets_others_for_good_is_unavailable(serve: Any) -> None:
    _, transport = serve(lambda _: cancelled("None", "None", "TransactionConflict"))
    with pytest.raises(Unavailable):
        definitions(transport).put_workflows("shop", [{"name": "order", "version": 1}])


def test_definition_that_exists_wins_over_a_conflict(serve: Any) -> None:
    _, transport = serve([cancelled("None", "ConditionalCheckFailed", "None", "TransactionConflict")])
    with pytest.raises(DefinitionExists, match=r"order\.2 already exists"):
        definitions(transport).put_workflows("shop", [{"name": "order", "version": version} for version in (1, 2)], is_new=True)


def test_transaction_that_can_never_be_is_no_outage(serve: Any) -> None:
    _, transport = serve([cancelled("ValidationError", "None", "None")])
    with pytest.raises(BatutaError) as refused:
        definitions(transport).put_workflows("shop", [{"name": "order", "version": 1}])
    assert not refused.value.retryable


def test_chunks_of_a_registration_stay_below_the_quotas(serve: Any) -> None:
    server, transport = serve(lambda _: (200, {}))
    definitions(transport).put_tasks("shop", [{"name": f"t{place}"} for place in range(230)])
    counts = [len(request.body["TransactItems"]) for request in server.requests]
    assert counts == [100, 100, 33], "99 definitions and the revision"


def test_the_newest_record_of_an_execution_that_is_just_being_removed_is_its_tombstone(serve: Any) -> None:
    """A record that is stored against the first one, which a removal deletes between the two reads."""
    first = record(1, "padding " * 200)
    second = record(2, "padding " * 200)
    tombstone = record(3, "", WorkflowStatus.REMOVED)
    items = {2: pack(second, second.to_json(), first.to_json()), 3: pack(tombstone, tombstone.to_json())}
    assert needs_first(items[2])
    shown = iter([2, 3])

    def script(request: Request) -> tuple[int, Any]:
        if request.operation == "GetItem":
            return 200, {}
        seq = next(shown)
        return 200, {"Items": [{"pk": {"S": str(EXECUTION)}, "seq": {"N": str(seq)}, "b": binary(items[seq])}]}

    server, transport = serve(script)
    assert DynamoJournal(Table(transport, "table")).newest(EXECUTION) == tombstone
    assert server.operations == ["Query", "GetItem", "Query"]
