"""The API function on the simulator's ports, called with the events that the gateway sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from batuta_core.engine.ports import Ports
from batuta_core.simulator.world import World
from batuta_server.api.handler import make_handler


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: dict[str, str]

    @property
    def body(self) -> Any:
        return json.loads(self.text)


@dataclass
class Lines:
    """A Log that keeps what it is told."""

    lines: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def info(self, event: str, **facts: Any) -> None:
        self.lines.append((event, facts))

    warning = info

    def failed(self, event: str, error: Exception, **facts: Any) -> None:
        self.lines.append((event, {**facts, "error": error}))


class JumpingClock:
    """Waiting moves the world's clock, so that a call that waits comes to its end."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_ms(self) -> int:
        return self._world.now_ms

    def sleep(self, ms: int) -> None:
        self._world.now_ms += ms

    def pause(self, tries: int) -> None: ...


class Api:
    """``path`` as a client writes it, percent-encoded, with its query."""

    def __init__(self, **ports: Any) -> None:
        self.log = Lines()
        self.world = World(log=self.log)
        self.ports: Ports = replace(self.world.plain, **{"clock": JumpingClock(self.world), **ports})
        self.function = make_handler(self.ports, {"stage": "sim", "region": "eu-west-1"})

    def __call__(
        self, method: str, path: str, body: Any = None, *, raw: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        text = raw if raw is not None else None if body is None else json.dumps(body)
        found = self.function(event(method, path, text, headers=headers), None)
        return Answer(found["statusCode"], found["body"], dict(found["headers"]))

    def register(self, *definitions: Mapping[str, Any]) -> None:
        assert self("PUT", "/api/metadata/workflow", list(definitions)).status == 200

    def start(self, name: str = "order", **fields: Any) -> str:
        answer = self("POST", "/api/workflow", {"name": name, **fields})
        assert answer.status == 200, answer.text
        return answer.text

    def complete(self, task_type: str, **output: Any) -> None:
        task = self("GET", f"/api/tasks/poll/{task_type}").body
        assert self("POST", "/api/tasks", {**report(task), "outputData": output}).status == 200


def event(method: str, path: str, body: str | None = None, *, headers: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """HTTP API, payload format 2.0: the path is decoded once, and ends at a question mark that was encoded."""
    path, _, query = path.partition("?")
    decoded = unquote(path).partition("?")[0]
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": decoded,
        "rawQueryString": query,
        "headers": dict(headers or {}),
        "requestContext": {"http": {"method": method, "path": decoded}, "stage": "$default", "requestId": "request-1"},
        "body": body,
        "isBase64Encoded": False,
        **more,
    }


def simple(name: str, ref: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"name": name, "taskReferenceName": ref or name, "type": "SIMPLE", **fields}


def workflow(name: str, *tasks: Mapping[str, Any], version: int = 1, **fields: Any) -> dict[str, Any]:
    return {"name": name, "version": version, "tasks": list(tasks) or [simple("pack")], **fields}


def report(task: Mapping[str, Any], status: str = "COMPLETED") -> dict[str, Any]:
    return {"workflowInstanceId": task["workflowInstanceId"], "taskId": task["taskId"], "status": status}
