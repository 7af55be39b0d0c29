"""A tiny HTTP server that answers what a test tells it to, and notes what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Asked:
    method: str
    target: str
    body: Any
    headers: dict[str, str]


@dataclass
class Answer:
    """``body`` bytes go as they are, all else as JSON. ``is_dropped``: the connection is closed without an answer."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    is_dropped: bool = False


class StubServer:
    """``answer`` decides on each request; or queue answers with ``will`` and the last one is repeated."""

    def __init__(self, answer: Callable[[Asked], Answer] | None = None) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self._answers: list[Answer] = []
        self.answer = answer or self._next
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                stub.connections += 1

            def _serve(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                is_json = "json" in (self.headers.get("Content-Type") or "")
                body = json.loads(raw) if raw and is_json else raw.decode()
                asked = Asked(self.command, self.path, body, {name.lower(): value for name, value in self.headers.items()})
                stub.asked.append(asked)
                found = stub.answer(asked)
                if found.is_dropped:
                    self.close_connection = True
                    return
                payload = found.body if isinstance(found.body, bytes) else json.dumps(found.body).encode()
                self.send_response(found.status)
                for name, value in found.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)
                if found.headers.get("Connection") == "close":
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = _serve

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def will(self, *answers: Answer) -> None:
        self._answers = list(answers)

    def _next(self, _asked: Asked) -> Answer:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def targets(self) -> list[str]:
        return [f"{asked.method} {asked.target}" for asked in self.asked]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


TASK = {
    "taskId": "t1",
    "referenceTaskName": "pay",
    "taskDefName": "charge",
    "taskType": "charge",
    "status": "FAILED",
    "retryCount": 1,
    "seq": 3,
    "inputData": {"a": 1},
    "outputData": {"b": 2},
    "reasonForIncompletion": "no",
    "workerId": "w",
    "scheduledTime": 1,
    "startTime": 2,
    "updateTime": 3,
    "endTime": 4,
    "iteration": 0,
}
EXECUTION = {
    "workflowId": "w1",
    "workflowName": "order",
    "workflowVersion": 2,
    "status": "COMPLETED",
    "input": {"x": 1},
    "output": {"y": 2},
    "variables": {},
    "createTime": 10,
    "updateTime": 20,
    "endTime": 30,
    "correlationId": "c",
    "tasks": [TASK],
}
