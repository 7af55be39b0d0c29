"""Worker processes on SQS, killed in every way, on the real adapters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from batuta_core.engine.ports import TASK_VISIBILITY_S
from batuta_server.local.server import LocalServer
from tests.local.conftest import Http, until

Line = Callable[..., str]
Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def worker(server: LocalServer) -> Iterator[Begin]:
    """Starts worker processes."""
    begun: list[subprocess.Popen[str]] = []

    def begin(task_type: str, seconds: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.local.sleeper", task_type, str(seconds)]
        environment = {**os.environ, "BATUTA_URL": server.url}
        begun.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def begun(process: subprocess.Popen[str]) -> None:
    """Returns when the worker has a task in hand."""
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"


def ended(http: Http, workflow_id: str, timeout_s: float) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = http("GET", f"/api/workflow/{workflow_id}").body
        return found if found["status"] != "RUNNING" else None

    found: dict[str, Any] = until(look, timeout_s)
    return found


def test_a_worker_killed_in_mid_task_loses_nothing(http: Http, line: Line, name: str, worker: Begin) -> None:
    """Its task is finished by another within the lease."""
    workflow_id = line("a")
    first = worker(f"{name}_a", 60)
    begun(first)
    began = time.monotonic()
    first.send_signal(signal.SIGKILL)
    second = worker(f"{name}_a", 0)
    found = ended(http, workflow_id, TASK_VISIBILITY_S + 10)
    assert time.monotonic() - began < TASK_VISIBILITY_S + 5
    assert found["status"] == "COMPLETED"
    assert found["output"] == {"x": 1, "pid": second.pid}
    assert [item["retryCount"] for item in found["tasks"]] == [0]  # nothing failed: the message came again


def test_a_worker_that_is_stopped_hands_back_what_it_cannot_finish(http: Http, line: Line, name: str, worker: Begin) -> None:
    workflow_id = line("a")
    first = worker(f"{name}_a", 60)
    begun(first)
    first.send_signal(signal.SIGTERM)
    assert first.wait(10) == 0
    worker(f"{name}_a", 0)
    assert ended(http, workflow_id, TASK_VISIBILITY_S / 2)["status"] == "COMPLETED"


def test_a_second_signal_ends_a_worker_now(line: Line, name: str, worker: Begin) -> None:
    line("a")
    first = worker(f"{name}_a", 60)
    begun(first)
    first.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    first.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert first.wait(10) != 0
    assert time.monotonic() - began < 1


def test_a_worker_that_may_finish_does(http: Http, line: Line, name: str, worker: Begin) -> None:
    workflow_id = line("a", "b")
    first = worker(f"{name}_a", 1.5)
    begun(first)
    first.send_signal(signal.SIGTERM)
    assert first.wait(10) == 0
    found = http("GET", f"/api/workflow/{workflow_id}").body
    assert [task["status"] for task in found["tasks"]] == ["COMPLETED", "SCHEDULED"]
