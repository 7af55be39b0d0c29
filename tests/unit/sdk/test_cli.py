"""The ``batuta`` command against a stub of the server, and the programs that it starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sdk.stub import EXECUTION, TASK, Answer, Asked, StubServer

from batuta import cli


def run(stub: StubServer, *arguments: str) -> int:
    return cli.main([*arguments, "--url", stub.url])


def test_register_takes_one_definition_or_a_list(stub: StubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stub.will(Answer(body={}))
    one, many = tmp_path / "one.json", tmp_path / "many.json"
    one.write_text('{"name": "a"}')
    many.write_text('[{"name": "a", "version": 2}, {"name": "b"}]')
    assert run(stub, "workflow", "register", str(one)) == 0
    assert run(stub, "workflow", "register", str(many)) == 0
    assert run(stub, "task", "register", str(one), "--namespace", "shop") == 0
    assert stub.targets() == ["PUT /api/metadata/workflow", "PUT /api/metadata/workflow", "POST /ns/shop/api/metadata/taskdefs"]
    assert capsys.readouterr().out.splitlines() == [
        "registered a version 1",
        "registered a version 2",
        "registered b version 1",
        "registered a",
    ]


def test_start_prints_the_id_and_may_wait(stub: StubServer, capsys: pytest.CaptureFixture[str]) -> None:
    status = "COMPLETED"

    def answer(asked: Asked) -> Answer:
        if asked.method == "POST":
            return Answer(body=b"w1")
        return Answer(body={"workflowId": "w1", "status": status} if "/status" in asked.target else {**EXECUTION, "status": status})

    stub.answer = answer
    assert (
        run(stub, "workflow", "start", "order", "--input", '{"a": 1}', "--version", "2", "--correlation-id", "c", "--idempotency-key", "k")
        == 0
    )
    assert capsys.readouterr().out == "w1\n"
    assert stub.asked[0].body["input"] == {"a": 1}
    assert stub.asked[0].body["idempotencyKey"] == "k"
    assert run(stub, "workflow", "start", "order", "--wait") == 0
    out = capsys.readouterr().out
    assert json.loads(out.partition("\n")[2])["status"] == "COMPLETED"
    status = "FAILED"
    assert run(stub, "workflow", "start", "order", "--wait") == 1


def test_get_shows_a_table_or_all_of_it(stub: StubServer, capsys: pytest.CaptureFixture[str]) -> None:
    stub.will(Answer(body=EXECUTION))
    assert run(stub, "workflow", "get", "w1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "w1  order 2  COMPLETED"
    assert lines[1].split() == ["task", "type", "attempt", "status", "took", "reason"]
    assert lines[2].split() == ["pay", "charge", "2", "FAILED", "0.00", "s", "no"]
    assert lines[3] == 'output {"y": 2}'
    assert run(stub, "workflow", "get", "w1", "--json") == 0
    assert json.loads(capsys.readouterr().out) == EXECUTION


def test_list_terminate_and_tasks(stub: StubServer, capsys: pytest.CaptureFixture[str]) -> None:
    summary = {"workflowId": "w1", "workflowType": "order", "version": 1, "status": "RUNNING", "startTime": "2026-11-21T10:00:00.000Z"}
    stub.will(Answer(body={"totalHits": 9, "results": [summary]}))
    assert run(stub, "workflow", "list", "--name", "order", "--status", "running", "--size", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["w1", "order", "1", "RUNNING", "2026-11-21", "10:00:00"]
    assert lines[2] == "9 in all: --start 1 shows more"
    stub.will(Answer())
    assert run(stub, "workflow", "terminate", "w1", "--reason", "no more") == 0
    assert stub.targets()[-1] == "DELETE /api/workflow/w1?reason=no+more"
    stub.will(Answer(body=[{"name": "t", "retryLogic": "FIXED", "retryCount": 3, "timeoutSeconds": 5}]))
    assert run(stub, "task", "list") == 0
    stub.will(Answer(body=TASK))
    assert run(stub, "task", "get", "t1") == 0
    stub.will(Answer(body=[{"log": "a line", "createdTime": 1795255200000}]))
    assert run(stub, "task", "log", "t1") == 0
    out = capsys.readouterr().out
    assert "FIXED 3" in out
    assert '"taskId": "t1"' in out
    assert "2026-11-21 10:00:00  a line" in out


@pytest.mark.parametrize(
    ("arguments", "target", "body"),
    [
        (["pause", "w1"], "PUT /api/workflow/w1/pause", None),
        (["resume", "w1"], "PUT /api/workflow/w1/resume", None),
        (["retry", "w1"], "POST /api/workflow/w1/retry", None),
        (["restart", "w1"], "POST /api/workflow/w1/restart", None),
        (["restart", "w1", "--latest"], "POST /api/workflow/w1/restart?useLatestDefinitions=true", None),
        (["rerun", "w1"], "POST /api/workflow/w1/rerun", {}),
        (
            ["rerun", "w1", "--task", "t1", "--task-input", '{"a": 1}', "--input", "{}"],
            "POST /api/workflow/w1/rerun",
            {"reRunFromTaskId": "t1", "taskInput": {"a": 1}, "workflowInput": {}},
        ),
        (["skip", "w1", "pay"], "PUT /api/workflow/w1/skiptask/pay", None),
    ],
)
def test_operations_go_where_conductor_has_them(stub: StubServer, arguments: list[str], target: str, body: Any) -> None:
    stub.will(Answer(body=b"w1"))
    assert run(stub, "workflow", *arguments) == 0
    assert stub.targets() == [target]
    assert (stub.asked[0].body or None) == (body or None)


def test_errors_say_what_is_wrong_and_what_to_do(stub: StubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = {
        "code": "invalid_input",
        "message": "Validation failed.",
        "validationErrors": [{"path": "tasks[0].name", "message": "is missing"}],
    }
    stub.will(Answer(400, body))
    path = tmp_path / "d.json"
    path.write_text('{"name": "a"}')
    assert run(stub, "workflow", "register", str(path)) == 1
    error = capsys.readouterr().err
    assert error.startswith("batuta: Validation failed.\n  tasks[0].name: is missing\nCorrect the fields")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["workflow", "register", "/no/such/file"], "cannot be read: No such file"),
        (["workflow", "start", "n", "--input", "{"], "--input is no JSON"),
        (["workflow", "start", "n", "--input", "[]"], "--input must be an object"),
        (["workflow", "list", "--status", "odd"], "is not a valid WorkflowStatus"),
        (["workflow", "get", "w", "--url", "nonsense"], "is no URL of a server"),
        (["workflow", "get", "w", "--url", "http://127.0.0.1:1"], "cannot connect to http://127.0.0.1:1"),
        (["worker", "no_such_module"], "no_such_module cannot be imported"),
        (["worker", "json:nothing"], "has no attribute 'nothing'"),
        (["worker", "json:loads"], "is a function, not a Worker"),
    ],
)
def test_mistakes_end_with_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 1
    assert said in capsys.readouterr().err


def test_a_file_that_is_no_definition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, said in (("{", "is no JSON"), ("[1]", "no definition")):
        path = tmp_path / "d.json"
        path.write_text(text)
        assert cli.main(["task", "register", str(path)]) == 1
        assert said in capsys.readouterr().err


def test_usage_errors_are_argparses(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["workflow"], ["nonsense"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2
    assert "usage: batuta" in capsys.readouterr().err


# --- programs

FAKE_SERVER = """
import signal, sys, time
def stop(number, frame):
    print("signal", number, flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
print("server", sys.argv[1:], flush=True)
while True:
    time.sleep(0.01)
"""


def start(*arguments: str, path: Path, folder: Path | None = None) -> subprocess.Popen[str]:
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), *sys.path])}
    return subprocess.Popen(
        [sys.executable, "-m", "batuta.cli", *arguments], stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dev_is_the_server_with_its_signals_and_exit_status(tmp_path: Path, number: signal.Signals) -> None:
    package = tmp_path / "batuta_server" / "local"
    package.mkdir(parents=True)
    (tmp_path / "batuta_server" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(FAKE_SERVER)
    given = ["--port", "1234", "--state", "kept", "--http-allow", "127.0.0.0/8", "--http-allow", "10.1.0.0/16"]
    process = start("dev", *given, path=tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == f"server {given}\n"
    process.send_signal(number)
    assert process.stdout.read() == f"signal {int(number)}\n"
    assert process.wait(10) == 7
    process.stdout.close()


def test_dev_without_the_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["dev"]) == 1
    assert capsys.readouterr().err == "batuta: the server is not installed: pip install 'batuta[dev]'\n"


def test_worker_runs_the_worker_of_a_module_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from batuta import Worker, task\n"
        "from tests.unit.sdk.memory import FAST, STAGE, MemoryQueues\n"
        "queues = MemoryQueues()\n"
        "queues.put('add', {'a': 1})\n"
        "@task('add')\n"
        "def add(a: int) -> int:\n"
        "    print('called', flush=True)\n"
        "    return a\n"
        "worker = Worker(add, queues=queues, stage=STAGE, timing=FAST)\n"
    )
    process = start("worker", "shop", path=Path.cwd(), folder=tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "called\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    process.stdout.close()
