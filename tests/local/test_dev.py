"""`batuta dev` as a process: its banner, its end in every way, and what it keeps."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.local.conftest import Http, until

WORKFLOW = {"name": "kept", "version": 1, "tasks": [{"name": "kept_a", "taskReferenceName": "a", "type": "SIMPLE"}]}


class Dev:
    """A running `batuta dev`."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "batuta_server.local", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.banner = ""
        while "BATUTA_URL" not in self.banner:
            line = self.process.stdout.readline()
            assert line, f"ended with {self.process.wait()}: {self.banner}"
            self.banner += line
        self.http = Http(int(re.findall(r"http://127\.0\.0\.1:(\d+)/api", self.banner)[0]))
        (self.emulator_pid,) = children(self.process.pid)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        status = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def dev() -> Iterator[Callable[..., Dev]]:
    begun: list[Dev] = []

    def begin(*arguments: str) -> Dev:
        begun.append(Dev(*arguments))
        return begun[-1]

    yield begin
    for each in begun:
        if each.process.poll() is None:
            each.end(signal.SIGKILL)


def test_the_banner_says_where_and_what_next(dev: Callable[..., Dev]) -> None:
    found = dev("--port", "0")
    assert f"http://127.0.0.1:{found.http.port}/api" in found.banner
    assert re.search(r"emulator +http://127\.0\.0\.1:\d+", found.banner)
    assert f"export BATUTA_URL=http://127.0.0.1:{found.http.port}" in found.banner


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_status_0_and_leaves_nothing(dev: Callable[..., Dev], number: signal.Signals) -> None:
    found = dev("--port", "0")
    began = time.monotonic()
    assert found.end(number) == 0
    assert time.monotonic() - began < 5
    assert not is_alive(found.emulator_pid)


def test_sigkill_leaves_no_orphan_and_the_next_start_works(dev: Callable[..., Dev]) -> None:
    found = dev("--port", "0")
    port = found.http.port
    found.end(signal.SIGKILL)
    until(lambda: not is_alive(found.emulator_pid))
    again = dev("--port", str(port))
    assert again.http("GET", "/health").body["healthy"]


def test_a_taken_port_is_named(dev: Callable[..., Dev]) -> None:
    found = dev("--port", "0")
    command = [sys.executable, "-m", "batuta_server.local", "--port", str(found.http.port)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert str(found.http.port) in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_state_is_kept(dev: Callable[..., Dev], tmp_path: Path, number: signal.Signals) -> None:
    """Over clean restarts that is a promise; a killed server's emulator saves as well."""
    first = dev("--port", "0", "--state", str(tmp_path / "state"))
    assert first.http("POST", "/api/metadata/workflow", WORKFLOW).status == 200
    workflow_id = first.http("POST", "/api/workflow", {"name": "kept", "input": {"text": "x" * 100_000}}).text
    task = first.http("GET", "/api/tasks/poll/kept_a").body
    first.end(number)
    second = dev("--port", "0", "--state", str(tmp_path / "state"))
    assert second.http("GET", f"/api/workflow/{workflow_id}").body["input"] == {"text": "x" * 100_000}
    report = {"workflowInstanceId": workflow_id, "taskId": task["taskId"], "status": "COMPLETED", "outputData": {"n": 1}}
    assert second.http("POST", "/api/tasks", report).status == 200
    assert second.http("GET", f"/api/workflow/{workflow_id}").body["status"] == "COMPLETED"
    third = second.http("POST", "/api/workflow", {"name": "kept"}).text
    assert until(lambda: second.http("GET", "/api/tasks/poll/kept_a").body)["workflowInstanceId"] == third


def test_two_servers_cannot_share_a_state_folder(dev: Callable[..., Dev], tmp_path: Path) -> None:
    dev("--port", "0", "--state", str(tmp_path))
    command = [sys.executable, "-m", "batuta_server.local", "--port", "0", "--state", str(tmp_path)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert second.returncode == 1
    assert str(tmp_path) in second.stderr


def test_a_killed_servers_emulator_is_waited_for(dev: Callable[..., Dev], tmp_path: Path) -> None:
    first = dev("--port", "0", "--state", str(tmp_path))
    os.kill(first.emulator_pid, signal.SIGSTOP)  # it takes its time
    first.end(signal.SIGKILL)
    command = [sys.executable, "-m", "batuta_server.local", "--port", "0", "--state", str(tmp_path)]
    second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert second.stdout is not None
        assert not select.select([second.stdout], [], [], 2)[0]
        os.kill(first.emulator_pid, signal.SIGCONT)
        assert select.select([second.stdout], [], [], 20)[0]
    finally:
        second.terminate()
        second.communicate(timeout=30)
