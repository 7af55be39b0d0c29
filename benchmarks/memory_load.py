"""The events that the memory benchmark feeds the functions, and the executions that these are about."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batuta_core.engine import catalog
from batuta_core.engine.advance import advance
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.ports import FarTimer, Ports
from batuta_core.engine.start import StartRequest, start
from batuta_core.engine.timers import HORIZON_MINUTES, WRITER_MINUTES
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import RESULT_OUTPUT_MAX_BYTES, TASK_INPUT_MAX_BYTES, InboxMessage, TimerMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PAYLOAD_MAX_BYTES
from benchmarks.decide import text
from benchmarks.stage import http_event, queue_event

TYPICAL = "typical"
NAMESPACE = "default"
LONG = 10_000  # tasks in a line
READ = 800  # tasks in an execution that is read whole; with ``_READ_OUTPUT_BYTES`` each it is near the limit of an answer
_READ_OUTPUT_BYTES = 2000
_LARGE_BYTES = PAYLOAD_MAX_BYTES * 9 // 10  # near the limit of one payload
_BATCH = 10
_WARM = 40  # typical events of one run
_POLLED_TYPE = "polled"


@dataclass(frozen=True, slots=True)
class Case:
    what: str  # the function
    name: str
    events: Sequence[Mapping[str, Any]]
    is_beyond: bool = False  # shown, but no size is chosen by it: README.md says why of each


def rows(size_bytes: int) -> list[dict[str, Any]]:
    """A payload of many small objects, which takes far more memory than its JSON."""
    return [{"id": number, "name": "abc", "is_new": True} for number in range(100_000, 100_000 + size_bytes // 42)]


def empty_lists(size_bytes: int) -> list[list[Any]]:
    """The payload whose JSON takes the most memory: 64 bytes for every three."""
    return [[] for _ in range(size_bytes // 4)]


class Load:
    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def cases(self) -> Iterator[Case]:
        """Each is prepared when it is asked for, so it must have run before the next one is."""
        short, long = self._register(_line(10)), self._register(_line(LONG))
        polled = self._register(_line(1, "polled", _POLLED_TYPE))
        large, hollow = rows(_LARGE_BYTES), empty_lists(_LARGE_BYTES)
        read = self._stand_at_the_end(READ)
        failure = self._result(read, "", TaskStatus.FAILED_WITH_TERMINAL_ERROR)

        yield Case("decider", TYPICAL, [_queue_event([self._result(self._start(short), text(480))]) for _ in range(_WARM)])
        yield Case("decider", f"10 results of 190 KB, lines of {LONG:,} tasks", self._batches([long], rows(RESULT_OUTPUT_MAX_BYTES - 200)))
        yield Case("decider", "10 results, each next task with 4.5 MB of input", self._batches([short], 1, large))
        yield Case("decider", "10 results, 4.5 MB of empty lists", self._batches([short], 1, hollow), is_beyond=True)
        yield Case("decider", f"10 definitions of {LONG:,} tasks", self._batches(self._definitions(10), 1), is_beyond=True)

        yield Case("timers", TYPICAL, [_queue_event([self._guard(self._start(short))]) for _ in range(_WARM)])
        yield Case("timers", "10 guards", [_queue_event([self._guard(self._start(short)) for _ in range(_BATCH)]) for _ in range(3)])
        yield Case("timers", "2,000 far timers in a minute", self._far_timers(2000))
        yield Case("timers", "10,000 far timers in a minute", self._far_timers(10_000), is_beyond=True)

        yield Case("api", TYPICAL, [_request("POST", "/api/workflow", {"name": short, "input": {"text": text(1000)}})] * _WARM)
        yield Case("api", "start, 4.5 MB of input", [_request("POST", f"/api/workflow/{short}", {"text": large})] * 3)
        yield Case("api", "start, 4.5 MB of empty lists", [_request("POST", f"/api/workflow/{short}", {"text": hollow})] * 3)
        yield Case("api", f"register a line of {LONG:,} tasks", [_request("PUT", "/api/metadata/workflow", [_line(LONG)])] * 3)
        yield Case("api", "poll 20 tasks of 190 KB", self._poll(polled, 20))
        yield Case("api", "poll 100 tasks of 190 KB", self._poll(polled, 100), is_beyond=True)
        yield Case("api", f"read {READ} tasks, 5 MB", [_request("GET", f"/api/workflow/{read.workflow_id}")] * 3)

        yield Case("decider", f"failure workflow, told of {READ} tasks", [_queue_event([failure])])

    # --- what is there

    def _register(self, definition: Mapping[str, Any]) -> str:
        (name,) = catalog.register_workflows(self._ports, NAMESPACE, [definition], no_javascript)
        return name

    def _start(self, name: str, given: Any = "") -> ExecutionId:
        request = StartRequest(namespace=NAMESPACE, name=name, input={"text": given or text(1000)})
        return ExecutionId(NAMESPACE, start(request, self._ports, no_javascript))

    def _definitions(self, count: int) -> list[str]:
        return [self._register(_line(LONG, f"long{number}")) for number in range(count)]

    def _stand_at_the_end(self, size: int) -> ExecutionId:
        """A line of which all tasks but the last are done."""
        execution = self._start(self._register({**_line(size + 1, "read"), "failureWorkflow": "line10"}))
        record = self._ports.journal.newest(execution)
        for _ in range(size):
            assert record is not None
            ((_ref, task),) = record.head.open.items()
            event = TaskUpdated(place=task.place, status=TaskStatus.COMPLETED, output={"text": text(_READ_OUTPUT_BYTES)})
            record = advance(self._ports, execution, [event], is_redelivered=False)
        return execution

    # --- events

    def _result(self, execution: ExecutionId, output: Any, status: TaskStatus = TaskStatus.COMPLETED) -> tuple[ExecutionId, str]:
        """Of the first of its open tasks that a worker has."""
        newest = self._ports.journal.newest(execution)
        assert newest is not None
        task = newest.head.open[next(ref for ref in newest.head.open if ref.startswith("t"))]
        event = TaskUpdated(
            place=task.place, status=status, output={"result": output}, started_ms=self._ports.clock.now_ms(), worker_id="host-1"
        )
        token = self._ports.signer.task_token(execution, task.place, task.attempt)
        return execution, InboxMessage(execution=execution, event=event, token=token, attempt=task.attempt).to_text()

    def _batches(self, names: Sequence[str], output: Any, given: Any = "") -> list[dict[str, Any]]:
        """Two batches of ten results of ten executions; of each of ``names`` in turn."""
        return [_queue_event([self._result(self._start(names[n % len(names)], given), output) for n in range(_BATCH)]) for _ in range(2)]

    def _guard(self, execution: ExecutionId) -> tuple[ExecutionId, str]:
        """Of a start that came to its end, as nearly every one does."""
        return execution, TimerMessage(execution=execution, record=1).to_text()

    def _far_timers(self, count: int) -> list[dict[str, Any]]:
        """The minute's tick, when ``count`` timers of one minute are all still needed."""
        execution = self._start(self._register({**_line(10, f"timed{count}"), "timeoutSeconds": 3600, "timeoutPolicy": "TIME_OUT_WF"}))
        newest = self._ports.journal.newest(execution)
        assert newest is not None
        assert newest.head.mark is not None
        minute = self._ports.clock.now_ms() // 60_000 + HORIZON_MINUTES - WRITER_MINUTES
        self._ports.far_timers.begin_cursor(minute)
        for number in range(count):
            self._ports.far_timers.put(FarTimer(minute * 60_000 + number, execution, newest.head.mark.timer))
        return [{}]

    def _poll(self, name: str, count: int) -> list[dict[str, Any]]:
        """One request that takes ``count`` tasks, each with an input as large as a message holds."""
        for _ in range(count):
            self._start(name, rows(TASK_INPUT_MAX_BYTES - 200))
        return [_request("GET", f"/api/tasks/poll/batch/{_POLLED_TYPE}", query=f"count={count}&timeout=100")]


def _line(size: int, name: str = "", task_type: str = "work") -> dict[str, Any]:
    """Each task gets the workflow's input, but in a long line, where only the definition's size counts."""
    return {"name": name or f"line{size}", "version": 1, "tasks": [_task(place, task_type) for place in range(size)]}


def _task(place: int, task_type: str = "work") -> dict[str, Any]:
    inputs = {"text": "${workflow.input.text}"}
    return {"name": task_type, "taskReferenceName": f"t{place}", "type": "SIMPLE", "inputParameters": inputs}


def _queue_event(messages: Sequence[tuple[ExecutionId, str]]) -> dict[str, Any]:
    received = [
        {
            "MessageId": f"m{place}",
            "ReceiptHandle": "r",
            "Body": body,
            "Attributes": {"ApproximateReceiveCount": "1", "MessageGroupId": str(execution)},
        }
        for place, (execution, body) in enumerate(messages)
    ]
    return queue_event("queue", received)


def _request(method: str, path: str, body: Any = None, query: str = "") -> dict[str, Any]:
    return {**http_event(method, path, "" if body is None else json.dumps(body)), "rawQueryString": query}
