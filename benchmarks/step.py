"""From one task's return to the next one's beginning on `batuta dev`, beside the emulator's own time for the calls on the way.

The way: the worker sends the result, the decider receives it, reads the newest record, writes the next one, sends the task, and the
worker receives it. The same six calls are then made by themselves, on the same emulator while it does nothing else: each hand-over is
timed from the send until a long poll that was waiting returns. What is left of the step is ours: parsing, deciding, packing, threads.
"""

from __future__ import annotations

import base64
import itertools
import os
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from batuta_server import layout
from batuta_server.aws.signature import Credentials
from batuta_server.aws.transport import Transport
from batuta_server.local.emulator import ACCOUNT, REGION
from batuta_server.local.server import STAGE
from benchmarks import report
from benchmarks.line import definition
from benchmarks.peer import batuta

_EXECUTIONS = 25
_WARM = 5
_CALLS = 200
_WAIT_S = 30.0
_LOOK_EVERY_S = 0.2
_RECORD_BYTES = 600  # what bench-decide finds in the middle of a line
_MESSAGE = "x" * 700


def steps(url: str) -> list[float]:
    """ms from the end of a task to the beginning of the next, lines of ten one after the other, the first few left out."""
    from batuta import Client

    client = Client(url=url)
    client.register_workflow(definition("step_line", "step_work"))
    worker = subprocess.Popen([sys.executable, "-m", "benchmarks.step_worker"], env={**os.environ, "BATUTA_URL": url})
    found: list[float] = []
    try:
        for number in range(_EXECUTIONS + _WARM):
            workflow_id = client.start("step_line", {"x": 1})
            _wait(lambda workflow_id=workflow_id: client.status(workflow_id).status != "RUNNING")  # type: ignore[misc]
            execution = client.get(workflow_id)
            times = [task.output for task in sorted(execution.tasks, key=lambda task: task.output["began_ns"])]
            if number >= _WARM:
                found += [(after["began_ns"] - before["ended_ns"]) / 1e6 for before, after in itertools.pairwise(times)]
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
            time.sleep(0.02)  # until it waits
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
    from batuta import Client

    with batuta() as (server, _pids):
        url = server.removesuffix("/api")
        taken = steps(url)
        bare = Bare(str(Client(url=url).server_info().endpoint))
        try:
            put = timed(bare.put)
            parts = {
                "result: send until received": bare.hand_over(is_fifo=True),
                "newest record: read": timed(bare.query),
                "next record: written": put,
                "task: send until received": bare.hand_over(is_fifo=False),
            }
        finally:
            bare.close()
    medians = {name: round(statistics.median(found), 2) for name, found in parts.items()}
    step, calls = round(statistics.median(taken), 2), round(sum(medians.values()), 2)
    rows = [{"": name, "p50 ms": value} for name, value in medians.items()]
    rows += [{"": "the emulator's calls together", "p50 ms": calls}, {"": f"the step, of {len(taken)}", "p50 ms": step}]
    print(report.table(rows))
    print(f"\nstep / calls: {step / calls:.2f} (limit 1.5)")
    report.write("step", {"step_ms_p50": step, "calls_ms_p50": calls, "ratio": round(step / calls, 3), "parts_ms_p50": medians})


if __name__ == "__main__":
    main()
