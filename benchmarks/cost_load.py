"""The load whose cost is counted: lines of worker tasks through the whole stage, with a real worker of our SDK.

Every task gets 1 KB and returns 0.5 KB, neither of which can be compressed to speak of. What it costs depends on whether the journal
holds a task's input already, so there are three kinds of lines.
"""

from __future__ import annotations

import logging
import random
from enum import StrEnum
from typing import Any

from batuta import Worker, task
from batuta.settings import Connection
from batuta.worker.queues import SqsQueues
from batuta.worker.timing import Timing
from benchmarks.stage import NAMESPACE, STAGE, TASK_TYPE, Stage
from benchmarks.wire import NOWHERE, divert

INPUT_BYTES, OUTPUT_BYTES = 1000, 480  # with the names and quotes around them 1 KB and 0.5 KB
_ROUND_MS = 100  # of the pretended time that a task takes, since the engine stops a runaway at 3,000 decisions a minute
_ROUND_MAX_S = 30.0
GUARD_MINUTES, TIMER_MINUTES = 3, 12  # after the end of a line until its guard has fired; then until its far timer is moved
AFTERMATH_MINUTES = GUARD_MINUTES + TIMER_MINUTES

# Every printable ASCII character that JSON does not escape: 6.5 bits each, the densest text of one byte a character.
_LETTERS = "".join(chr(code) for code in range(32, 127) if chr(code) not in '"\\')
_random = random.Random(4)


def dense_text(size: int) -> str:
    """As good as incompressible, as text goes."""
    return "".join(_random.choices(_LETTERS, k=size))


@task(TASK_TYPE)
def work(text: str) -> dict[str, str]:
    return {"text": dense_text(OUTPUT_BYTES)}


class Inputs(StrEnum):
    """Where a task's 1 KB comes from."""

    REPEATED = "the workflow's input"
    PASSED_ON = "the outputs of the two tasks before it"
    NEW = "a text of its own in the definition, which nothing in the journal holds"


def definition(size: int, inputs: Inputs) -> dict[str, Any]:
    """A line of tasks."""
    tasks = [
        {"name": TASK_TYPE, "taskReferenceName": f"t{n}", "type": "SIMPLE", "inputParameters": {"text": _input(n, inputs)}}
        for n in range(size)
    ]
    return {"name": f"line{size}", "version": 1, "tasks": tasks}


def _input(number: int, inputs: Inputs) -> str:
    if inputs is Inputs.NEW:
        return dense_text(INPUT_BYTES).replace("$", "S")  # no expression
    if inputs is Inputs.REPEATED or number < 2:
        return "${workflow.input.text}"
    return "".join(f"${{t{before}.output.text}}" for before in (number - 1, number - 2))


class Load:
    """A stage and a worker. The two take turns, so that batches are as full as ``side_by_side`` executions make them."""

    def __init__(self, side_by_side: int, inputs: Inputs = Inputs.REPEATED) -> None:
        self._inputs = inputs
        self.stage = Stage()
        self.side_by_side = side_by_side
        self._sqs = self.stage.aws.sqs
        self._sqs.close(self.stage.task_queue)
        self._worker = _worker(self.stage, side_by_side)
        self._worker.start()

    def register(self, size: int) -> None:
        self.stage.request("POST", "/api/metadata/workflow", definition(size, self._inputs))

    def start(self, size: int) -> None:
        """``side_by_side`` executions."""
        for _ in range(self.side_by_side):
            self.stage.request("POST", "/api/workflow", {"name": f"line{size}", "input": {"text": dense_text(INPUT_BYTES)}})

    def step(self) -> None:
        """Each execution's open task is worked on, and what comes of it decided."""
        expected = self._sqs.count(self.stage.task_queue)
        if expected != self.side_by_side:
            raise RuntimeError(f"{expected} tasks are open where {self.side_by_side} should be")
        self._sqs.open(self.stage.task_queue)
        with self._sqs.changed:
            is_done = self._sqs.changed.wait_for(
                lambda: self._sqs.count(self.stage.decider_queue) == expected and not self._sqs.count(self.stage.task_queue), _ROUND_MAX_S
            )
        self._sqs.close(self.stage.task_queue)
        if not is_done:
            raise RuntimeError(f"the worker did not do its {expected} tasks")
        self.stage.clock.pass_ms(_ROUND_MS)
        self.stage.decide_all()

    def run(self, size: int) -> None:
        """Whole executions: until nothing of them is left in any queue or bucket, neither guards nor timers."""
        self.start(size)
        for _ in range(size):
            self.step()
        self.stage.pass_minutes(GUARD_MINUTES)
        self.stage.leap_to_far_timers()
        self.stage.pass_minutes(TIMER_MINUTES)
        if left := self.stage.left():
            raise RuntimeError(f"something is left of the executions: {left}")

    def stop(self) -> None:
        self._sqs.end_polls()
        self._worker.stop()


def _worker(stage: Stage, side_by_side: int) -> Worker:
    """As deployed, on boto3. It lingers longer than in production, so that a busy machine does not split a batch that production
    would send whole; it sends at once when the batch is full."""
    logging.getLogger("batuta.worker").setLevel(logging.ERROR)  # not "batuta": that is the functions' logger, too
    linger_s = 5.0 if side_by_side > 1 else 0.0
    queues = SqsQueues(Connection(url=None, stage=STAGE, endpoint=NOWHERE, region="us-east-1", local_account="000000000000"))
    for client in (queues._client, queues._poll_client):
        divert(client, stage.aws, "worker")
    return Worker(
        work,
        namespace=NAMESPACE,
        stage=STAGE,
        endpoint=NOWHERE,
        region="us-east-1",
        queues=queues,
        timing=Timing(linger_s=linger_s, delete_linger_s=linger_s),
        worker_id="worker-host-1234",
        graceful_shutdown_s=5.0,
    )
