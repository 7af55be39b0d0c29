"""The tools of the chaos run (``make chaos``): the proxy does what it says, and the judge sees what is wrong."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from batuta.results import Execution
from batuta_core.model.message import TaskMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.place import TaskPlace
from tests.e2e.chaos_judge import Call, Effects, Evidence, Repeats, judge, repeats
from tests.e2e.chaos_worker import REFS
from tests.e2e.faulty import FaultyProxy

NONE = dict.fromkeys(("throttle", "drop_request", "drop_reply", "repeat_send", "repeat_receive"), 0.0)


# --- the proxy


class Upstream:
    """Counts what arrives, and answers with what it is told."""

    def __init__(self) -> None:
        self.arrived: Counter[str] = Counter()
        self.answer: dict[str, Any] = {}
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                upstream.arrived[self.headers.get("X-Amz-Target", "")] += 1
                body = json.dumps(upstream.answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    found = Upstream()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.02,))
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def say(proxy: FaultyProxy, target: str, **body: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", "/", json.dumps(body), {"X-Amz-Target": target})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def test_nothing_befalls_a_call_while_the_proxy_is_off(upstream: Upstream) -> None:
    with FaultyProxy(upstream.url, 1, dict.fromkeys(NONE, 1.0)) as proxy:
        assert say(proxy, "DynamoDB_20120810.PutItem") == (200, {})
    assert not proxy.faults


@pytest.mark.parametrize(
    ("target", "status", "error"),
    [
        ("DynamoDB_20120810.PutItem", 400, "ProvisionedThroughputExceededException"),
        ("AmazonSQS.SendMessageBatch", 403, "RequestThrottled"),
    ],
)
def test_throttled_calls_are_not_carried_out(upstream: Upstream, target: str, status: int, error: str) -> None:
    with FaultyProxy(upstream.url, 1, {**NONE, "throttle": 1.0}) as proxy:
        proxy.is_on = True
        found, body = say(proxy, target)
    assert found == status
    assert body["__type"].endswith(f"#{error}")
    assert not upstream.arrived
    assert proxy.faults == {"throttle": 1}


@pytest.mark.parametrize(("kind", "arrived"), [("drop_request", 0), ("drop_reply", 1)])
def test_a_lost_request_does_not_arrive_and_a_lost_reply_is_of_one_that_did(upstream: Upstream, kind: str, arrived: int) -> None:
    with FaultyProxy(upstream.url, 1, {**NONE, kind: 1.0}) as proxy:
        proxy.is_on = True
        for _ in range(6):  # torn in different ways
            with pytest.raises((http.client.HTTPException, OSError)):
                say(proxy, "DynamoDB_20120810.PutItem")
    assert upstream.arrived.total() == 6 * arrived


def test_sends_arrive_twice_and_receives_are_answered_twice(upstream: Upstream) -> None:
    upstream.answer = {"Messages": [{"Body": message("w", "a", 1)}]}
    with FaultyProxy(upstream.url, 1, {**NONE, "repeat_send": 1.0, "repeat_receive": 1.0}) as proxy:
        proxy.is_on = True
        say(proxy, "AmazonSQS.SendMessageBatch", QueueUrl="q")
        assert upstream.arrived == {"AmazonSQS.SendMessageBatch": 2}
        first = say(proxy, "AmazonSQS.ReceiveMessage", QueueUrl="q")
        upstream.answer = {}
        assert say(proxy, "AmazonSQS.ReceiveMessage", QueueUrl="q") == first
        assert say(proxy, "AmazonSQS.ReceiveMessage", QueueUrl="another") == (200, {})
    assert proxy.deliveries == {("w", "a", 1): 2}


def message(workflow_id: str, ref: str, attempt: int) -> str:
    return TaskMessage(
        execution=ExecutionId("default", workflow_id),
        task_id="t",
        place=TaskPlace(1, 1),
        token="k",
        ref=ref,
        task_type=ref,
        attempt=attempt,
        input={},
        workflow_name="w",
        workflow_version=1,
        scheduled_ms=1,
    ).to_text()


# --- the judge


def task(ref: str, attempt: int = 1, status: str = "COMPLETED", call: str = "") -> dict[str, Any]:
    output = {"call": call or f"{ref}-{attempt}"} if status == "COMPLETED" else {}
    return {"taskId": f"{ref}{attempt}", "referenceTaskName": ref, "status": status, "retryCount": attempt - 1, "outputData": output}


def execution(*tasks: dict[str, Any], status: str = "COMPLETED", call: str = "d-1") -> Execution:
    return Execution.from_dict({"workflowId": "w", "status": status, "tasks": list(tasks), "output": {"call": call}})


def good(**changes: Any) -> Evidence:
    given = ["key", "a-1", "b-1", "c-1"]
    evidence: dict[str, Any] = {
        "answers": {"key": {"w"}},
        "listed": ["w"],
        "executions": {"w": execution(*map(task, REFS))},
        "effects": {("w", ref, 1): Effects([Call(1, f"{ref}-1", x)], {f"{ref}-1"}) for ref, x in zip(REFS, given, strict=True)},
        "deliveries": {("w", ref, 1): 1 for ref in REFS},
        "killed": set(),
    }
    return Evidence(**{**evidence, **changes})


def test_the_judge_finds_nothing_where_nothing_is_wrong() -> None:
    assert judge(good()) == []
    assert repeats(good()) == Repeats(0, 0)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"executions": {}}, "is not there"),
        ({"listed": []}, "search does not know it"),
        ({"listed": ["w", "other"]}, "a key was started twice"),
        ({"listed": ["w", "w"]}, "listed 2 times"),
        ({"answers": {"key": {"w", "other"}}, "listed": ["w", "other"]}, "answered with 2 ids"),
        ({"answers": {"key": set()}, "listed": []}, "answered with 0 ids"),
        ({"executions": {"w": execution(*map(task, REFS), status="RUNNING")}}, "w: RUNNING"),
        ({"executions": {"w": execution(*map(task, REFS), status="FAILED")}}, "w: FAILED"),
        ({"executions": {"w": execution(*map(task, REFS[:3]))}}, "d: 0 completed attempts"),
        ({"executions": {"w": execution(*map(task, REFS), task("a", 2))}}, "a: 2 completed attempts"),
        ({"executions": {"w": execution(*map(task, REFS), task("a", 3, "FAILED"))}}, "attempts [1, 3]"),
        ({"executions": {"w": execution(task("a", call="nobody"), *map(task, REFS[1:]))}}, "is of no call"),
        ({"executions": {"w": execution(*map(task, REFS), call="another")}}, "ended with"),
        ({"deliveries": {}}, "1 side effects, but its message was handed out 0 times"),
    ],
)
def test_the_judge_sees_what_is_wrong(changes: dict[str, Any], problem: str) -> None:
    assert any(problem in found for found in judge(good(**changes)))


def with_call(name: str, x: str = "a-1", attempt: int = 1) -> Evidence:
    """Task b called once more, by process 2."""
    evidence = good()
    effects = dict(evidence.effects)
    before = effects.get(("w", "b", attempt), Effects())
    effects["w", "b", attempt] = Effects([Call(2, name, x), *before.calls], before.ended)
    return good(effects=effects, deliveries={**evidence.deliveries, ("w", "b", attempt): 2}, killed={2})


def test_a_repeat_needs_a_delivery_of_its_own() -> None:
    assert judge(with_call("b-again")) == []
    assert repeats(with_call("b-again")) == Repeats(1, 0)
    assert judge(good(effects=with_call("b-again").effects)) == [
        "('w', 'b', 1): 2 side effects, but its message was handed out 1 times",
    ]


def test_every_call_is_given_the_result_that_was_accepted() -> None:
    (problem,) = judge(with_call("b-again", x="a-of-nobody"))
    assert "was given a-of-nobody, but a-1 was accepted" in problem


def test_there_is_no_side_effect_without_an_attempt_in_the_journal() -> None:
    assert any("the journal does not know" in found for found in judge(with_call("b-2", attempt=2)))
