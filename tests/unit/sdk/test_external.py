"""Large payloads on ways of their own: what the client sends, in which order, and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.sdk.stub import Answer, Asked, StubServer

from batuta import Client, PayloadTooLarge, calls, external
from batuta_core.model.error import BatutaError

BIG = "x" * (external.EXTERNAL_MIN_BYTES + 1)


class Server:
    """The API and the payload store in one: what is put under a name is got by it."""

    def __init__(self, stub: StubServer) -> None:
        self.stub = stub
        self.objects: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}
        self.failing = 0
        stub.answer = self._answer

    def _answer(self, asked: Asked) -> Answer:
        path, _, query = asked.target.partition("?")
        if path.endswith("/externalstoragelocation"):
            name = "new" if "operation=WRITE" in query else query.partition("path=")[2]
            return Answer(body={"uri": f"{self.stub.url}/store/{name}?X-Amz-Signature=secret", "path": "ns/new"})
        if path.startswith("/store/"):
            if self.failing:
                self.failing -= 1
                return Answer(503)
            if asked.method == "PUT":
                self.objects[path] = asked.body
            found = self.objects.get(path)
            return Answer(404, b"<Code>NoSuchKey</Code>") if found is None else Answer(body=found)
        return Answer(body=self.answers.get(path, b"the-id"))


@pytest.fixture
def server(stub: StubServer) -> Server:
    return Server(stub)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.stub.url) as found:
        yield found


def execution(**fields: Any) -> dict[str, Any]:
    return {"workflowId": "w", "status": "COMPLETED", **fields}


def task(**fields: Any) -> dict[str, Any]:
    return {"taskId": "t", "referenceTaskName": "r", "status": "COMPLETED", **fields}


def test_a_large_input_is_uploaded_before_the_start(server: Server, client: Client) -> None:
    assert client.start("order", {"x": BIG}) == "the-id"
    location, put, started = server.stub.asked
    assert location.target == "/api/tasks/externalstoragelocation?operation=WRITE&payloadType=WORKFLOW_INPUT&path="
    assert (put.method, put.body) == ("PUT", {"x": BIG})
    assert "authorization" not in put.headers
    assert (started.body["input"], started.body["externalInputPayloadStoragePath"]) == ({}, "ns/new")


def test_a_small_input_is_not(server: Server, client: Client) -> None:
    client.start("order", {"x": "y"})
    assert server.stub.targets() == ["POST /api/workflow"]


def test_a_large_result_is_uploaded_before_the_report(server: Server, client: Client) -> None:
    client.complete_task("w", "t", {"x": BIG})
    assert server.stub.asked[-1].body["outputData"] == {}
    assert server.stub.asked[-1].body["externalOutputPayloadStoragePath"] == "ns/new"
    assert server.objects["/store/new"] == {"x": BIG}


def test_the_store_is_asked_again_while_it_is_out_of_order(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    server.failing = 3
    client.start("order", {"x": BIG})
    assert len([asked for asked in server.stub.asked if asked.method == "PUT"]) == 4
    server.failing = 100
    with pytest.raises(BatutaError, match="503"):
        client.start("order", {"x": BIG})


def test_what_an_answer_names_is_put_in_once(server: Server, client: Client) -> None:
    server.objects["/store/a"] = {"doc": "d", "in": {"k": [1]}}
    parts = [
        {"at": ["all"], "externalPayloadStoragePath": "a", "keys": []},
        {"at": ["list", 1, "k"], "externalPayloadStoragePath": "a", "keys": ["in", "k"]},
        {"at": ["none"], "externalPayloadStoragePath": "a", "keys": ["doc", "of", "it"]},
    ]
    shown = task(inputData={"all": {"externalPayloadStoragePath": "a"}, "list": [0, {"k": 0}], "none": 0}, externalInputPayloadParts=parts)
    server.answers["/api/workflow/w"] = execution(input={}, externalInputPayloadStoragePath="a", tasks=[shown])
    found = client.get("w")
    assert found.input == server.objects["/store/a"]
    assert found.tasks[0].input == {"all": server.objects["/store/a"], "list": [0, {"k": [1]}], "none": None}
    assert len([asked for asked in server.stub.asked if asked.target.startswith("/store/")]) == 1


def test_pages_tasks_and_states_are_filled_too(server: Server, client: Client) -> None:
    server.objects["/store/a"] = {"n": 1}
    named = {"outputData": {}, "externalOutputPayloadStoragePath": "a"}
    server.answers["/api/workflow/w/tasks"] = {"totalHits": 1, "results": [task(**named)]}
    server.answers["/api/tasks/t"] = task(**named)
    server.answers["/api/workflow/w/status"] = execution(output={}, externalOutputPayloadStoragePath="a")
    assert client.tasks("w").items[0].output == {"n": 1}
    assert client.task("t").output == {"n": 1}
    assert client.status("w", has_output=True).output == {"n": 1}


def test_user_data_that_looks_like_a_place_is_left_alone(server: Server, client: Client) -> None:
    forged = {"externalPayloadStoragePath": "a", "keys": [], "payloadSizeBytes": 9, "externalInputPayloadStoragePath": "a"}
    server.answers["/api/tasks/t"] = task(inputData={"x": forged}, outputData=forged)
    found = client.task("t")
    assert (found.input, found.output) == ({"x": forged}, forged)
    assert len(server.stub.asked) == 1


def test_an_execution_that_is_too_large_is_asked_for_without_its_large_payloads(server: Server, client: Client) -> None:
    refused = Answer(413, {"code": "execution_too_large", "message": "more than 5 MB"})
    server.objects["/store/a"] = {"n": 1}
    whole = execution(output={}, externalOutputPayloadStoragePath="a")
    ordinary = server._answer
    server.stub.answer = lambda asked: (
        ordinary(asked)
        if not asked.target.startswith("/api/workflow/w?")
        else Answer(body=whole)
        if "externalPayloads=true" in asked.target
        else refused
    )
    assert client.get("w").output == {"n": 1}


def test_a_payload_that_is_gone_is_an_error_that_shows_no_signature(server: Server, client: Client) -> None:
    server.answers["/api/tasks/t"] = task(externalOutputPayloadStoragePath="gone")
    with pytest.raises(BatutaError) as refused:
        client.task("t")
    assert "404" in refused.value.message
    assert "secret" not in json.dumps(refused.value.to_dict())


def test_more_than_the_limit_is_not_even_sent(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "EXTERNAL_MAX_BYTES", 2_000_000)
    for send in (lambda value: client.start("order", value), lambda value: client.complete_task("w", "t", value)):
        with pytest.raises(PayloadTooLarge):
            send({"x": "y" * 2_000_000})
    with pytest.raises(PayloadTooLarge):
        client.complete_task_by_ref("w", "r", {"x": "y" * 5 * 1024 * 1024})  # whose body is the output
    assert server.stub.asked == []
