"""From one task's return to the next one's beginning on `batuta dev`, beside the emulator's own time for the calls on the way.

The way: the worker sends the result, the decider receives it, reads the newest record, writes the next one, sends the task, and the
worker receives it. These calls are timed where they are made, from the request's bytes to the answer's; a hand-over from the send until
the long poll that was waiting has it. What is left of the step is ours: boto3 in the worker, parsing, deciding, packing, threads. Then the
same calls are made by themselves, on the same emulator while it does nothing else: what they take longer on the way is what else goes on
in it and on the two cores.
"""

from __future__ import annotations

import base64
import itertools
import os
import random
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from batuta_core.model.names import resource_name, task_queue_name
from batuta_server import layout
from batuta_server.aws.signature import Credentials
from batuta_server.aws.transport import Transport
from batuta_server.local.emulator import ACCOUNT, REGION
from batuta_server.local.server import STAGE, LocalServer
from benchmarks import report
from benchmarks.line import definition

_TASK = "step_work"
_EXECUTIONS = 25
_WARM = 5
_CALLS = 200
_WAIT_S = 30.0
_LOOK_EVERY_S = 0.2
_RECORD_BYTES = 600  # what bench-decide finds in the middle of a line
_MESSAGE = "x" * 700


RESULT, READ, WRITE, TASK = PARTS = (
    "result: send until received",
    "newest record: read",
    "next record: written",
    "task: send until received",
)


class Step(NamedTuple):
    """In ms: from the end of a task to the beginning of the next, and its calls."""

    whole: float
    parts: Mapping[str, float]


class _Call(NamedTuple):
    what: str
    began_ns: int
    ended_ns: int


class Calls:
    """Those of a server, as its transport makes them."""

    def __init__(self, server: LocalServer) -> None:
        self._made: list[_Call] = []
        plain = server._transport.call

        def call(service: str, operation: str, request: Mapping[str, Any], **options: Any) -> dict[str, Any]:
            began_ns = time.time_ns()
            answer = plain(service, operation, request, **options)
            self._made.append(_Call(f"{operation} {request.get('QueueUrl', '').rpartition('/')[2]}".strip(), began_ns, time.time_ns()))
            return answer

        server._transport.call = call  # type: ignore[method-assign]

    def of_step(self, before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, float]:
        """Of the step between two tasks, as they told their times."""
        sent_ns = after["sent_ns"]
        received = self._first(f"ReceiveMessage {resource_name(STAGE, 'decider.fifo')}", lambda call: call.ended_ns >= sent_ns)
        read = self._first("Query", lambda call: call.began_ns >= received.ended_ns)
        written = self._first("PutItem", lambda call: call.began_ns >= read.ended_ns)
        task = self._first(f"SendMessageBatch {task_queue_name(STAGE, 'default', _TASK)}", lambda call: call.began_ns >= written.ended_ns)
        assert before["ended_ns"] < sent_ns < task.began_ns < after["received_ns"] < after["began_ns"]
        spans = (
            received.ended_ns - sent_ns,
            read.ended_ns - read.began_ns,
            written.ended_ns - written.began_ns,
            after["received_ns"] - task.began_ns,
        )
        return {name: span / 1e6 for name, span in zip(PARTS, spans, strict=True)}

    def _first(self, what: str, is_it: Callable[[_Call], bool]) -> _Call:
        return min((call for call in self._made if call.what == what and is_it(call)), key=lambda call: call.ended_ns)


def steps(url: str, calls: Calls) -> list[Step]:
    """Of lines of ten one after the other, the first few left out."""
    from batuta import Client

    client = Client(url=url)
    client.register_workflow(definition("step_line", _TASK))
    worker = subprocess.Popen([sys.executable, "-m", "benchmarks.step_worker"], env={**os.environ, "BATUTA_URL": url})
    found: list[Step] = []
    try:
        for number in range(_EXECUTIONS + _WARM):
            workflow_id = client.start("step_line", {"x": 1})
            _wait(lambda workflow_id=workflow_id: client.status(workflow_id).status != "RUNNING")  # type: ignore[misc]
            execution = client.get(workflow_id)
            times = [task.output for task in sorted(execution.tasks, key=lambda task: task.output["began_ns"])]
            if number >= _WARM:
                for before, after in itertools.pairwise(times):
                    whole = (after["began_ns"] - before["ended_ns"]) / 1e6
                    found.append(Step(whole, calls.of_step(before, after)))
    finally:
        worker.terminate()
        worker.wait(40)
    return found


def _wait(is_over: Callable[[], bool]) -> None:
    """Looks seldom: each look takes the emulator's time from the steps."""
    end = time.monotonic() + _WAIT_S
    while not is_over():
        if time.monotonic() > end:
            sys.exit(f"bench-step: an execution did not end within {_WAIT_S:g} s")
        time.sleep(_LOOK_EVERY_S)


class Bare:
    """Calls of the emulator with nothing of the engine around them."""

    def __init__(self, endpoint: str) -> None:
        endpoints = dict.fromkeys(("dynamodb", "sqs"), endpoint)
        self._transport = Transport(REGION, Credentials(ACCOUNT, "local"), endpoints)
        self._table = layout.EXECUTIONS.name(STAGE)
        self._pk = f"bench#{uuid.uuid4()}"
        self._seq = 0

    def close(self) -> None:
        self._transport.close()

    def query(self) -> None:
        self._transport.call(
            "dynamodb",
            "Query",
            {
                "TableName": self._table,
                "KeyConditionExpression": "pk = :pk",
                "ExpressionAttributeValues": {":pk": {"S": self._pk}},
                "ScanIndexForward": False,
                "Limit": 1,
                "ConsistentRead": True,
            },
        )

    def put(self) -> None:
        self._seq = self._seq % 20 + 1  # an execution of ten tasks has about that many
        if self._seq == 1:
            self._pk = f"bench#{uuid.uuid4()}"
        item = {"pk": {"S": self._pk}, "seq": {"N": str(self._seq)}, "b": {"B": base64.b64encode(os.urandom(_RECORD_BYTES)).decode()}}
        request = {"TableName": self._table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
        self._transport.call("dynamodb", "PutItem", request)

    def hand_over(self, *, is_fifo: bool) -> list[float]:
        """ms from a send until a poll that was waiting has the message."""
        name = f"bench-{uuid.uuid4()}" + (".fifo" if is_fifo else "")
        attributes = {"FifoQueue": "true"} if is_fifo else {}
        url = self._transport.call("sqs", "CreateQueue", {"QueueName": name, "Attributes": attributes})["QueueUrl"]
        extra = {"MessageGroupId": "g"} if is_fifo else {}
        taken: list[float] = []
        for number in range(_CALLS):
            returned: list[float] = []
            poller = threading.Thread(target=self._receive, args=(url, returned))
            poller.start()
            time.sleep(random.uniform(0.02, 0.04))  # until it waits, at any moment between two looks of the emulator
            only = {"MessageDeduplicationId": str(number)} if is_fifo else {}
            began = time.perf_counter()
            entry = {"Id": "0", "MessageBody": _MESSAGE, **extra, **only}
            self._transport.call("sqs", "SendMessageBatch", {"QueueUrl": url, "Entries": [entry]})
            poller.join()
            taken.append((returned[0] - began) * 1000)
        self._transport.call("sqs", "DeleteQueue", {"QueueUrl": url})
        return taken

    def _receive(self, url: str, returned: list[float]) -> None:
        answer: dict[str, Any] = {}
        while not answer.get("Messages"):
            request = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 10}
            answer = self._transport.call("sqs", "ReceiveMessage", request, wait_s=10)
        returned.append(time.perf_counter())
        receipts = [{"Id": "0", "ReceiptHandle": answer["Messages"][0]["ReceiptHandle"]}]
        self._transport.call("sqs", "DeleteMessageBatch", {"QueueUrl": url, "Entries": receipts})


def timed(call: Callable[[], None]) -> list[float]:
    taken = []
    for _ in range(_CALLS):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def main() -> None:
    server = LocalServer(0)
    server.start()
    try:
        taken = steps(server.url, Calls(server))
        bare = Bare(server.emulator.endpoint)
        try:
            put = timed(bare.put)
            alone = {RESULT: bare.hand_over(is_fifo=True), READ: timed(bare.query), WRITE: put, TASK: bare.hand_over(is_fifo=False)}
        finally:
            bare.close()
    finally:
        server.stop()
    show(taken, alone)


def show(taken: Sequence[Step], alone: Mapping[str, Sequence[float]]) -> None:
    whole = round(statistics.median(step.whole for step in taken), 2)
    on_the_way = {name: round(statistics.median(step.parts[name] for step in taken), 2) for name in PARTS}
    by_themselves = {name: round(statistics.median(alone[name]), 2) for name in PARTS}
    together = round(statistics.median(sum(step.parts.values()) for step in taken), 2)
    together_alone = round(sum(by_themselves.values()), 2)
    rows: list[dict[str, Any]] = [
        {"p50 ms": name, "on the way": on_the_way[name], "by itself, emulator idle": by_themselves[name]} for name in PARTS
    ]
    rows.append({"p50 ms": "the emulator's calls together", "on the way": together, "by itself, emulator idle": together_alone})
    rows.append({"p50 ms": f"the step, of {len(taken)}", "on the way": whole, "by itself, emulator idle": ""})
    print(report.table(rows))
    ratio, ratio_alone = round(whole / together, 3), round(whole / together_alone, 3)
    print(f"\nstep / calls on the way: {ratio:.2f} (limit 1.5); / calls by themselves: {ratio_alone:.2f}")
    figures = {"step_ms_p50": whole, "calls_ms_p50": together, "ratio": ratio, "parts_ms_p50": on_the_way}
    report.write("step", {**figures, "idle": {"calls_ms_p50": together_alone, "ratio": ratio_alone, "parts_ms_p50": by_themselves}})


if __name__ == "__main__":
    main()
