"""One local server for all tests here: the real handlers and adapters on the emulator, over HTTP."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import pytest

from batuta_server.local.server import LocalServer


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    text: str
    headers: dict[str, str]


class Http:
    """Requests as they are, to see answers as they are."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            reply = connection.getresponse()
            text = reply.read().decode()
        finally:
            connection.close()
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = None
        return Answer(reply.status, parsed, text, {name.lower(): value for name, value in reply.getheaders()})


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    found = LocalServer(0)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def http(server: LocalServer) -> Http:
    return Http(server.port)


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"w{uuid.uuid4().hex[:8]}"


@pytest.fixture
def line(http: Http, name: str) -> Callable[..., str]:
    """Registers a line of SIMPLE tasks of the given reference names, starts it, and gives its id."""

    def begin(*refs: str, **more: Any) -> str:
        tasks = [
            {"name": f"{name}_{ref}", "taskReferenceName": ref, "type": "SIMPLE", "inputParameters": {"x": "${workflow.input.x}"}}
            for ref in refs
        ]
        answer = http("POST", "/api/metadata/workflow", {"name": name, "version": 1, "tasks": tasks, **more})
        assert answer.status == 200, answer.text
        started = http("POST", "/api/workflow", {"name": name, "input": {"x": 1}})
        assert started.status == 200, started.text
        return started.text

    return begin


def until(condition: Callable[[], Any], timeout_s: float = 20) -> Any:
    """What ``condition`` gives once it is true."""
    end = time.monotonic() + timeout_s
    while True:
        if found := condition():
            return found
        assert time.monotonic() < end, f"not within {timeout_s} s"
        time.sleep(0.02)
