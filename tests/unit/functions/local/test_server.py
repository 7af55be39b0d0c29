"""What a local server says, and what its emulator gets to know of this machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from batuta_core.model.error import InvalidInput, Unavailable
from batuta_server.local import emulator
from batuta_server.local import server as server_module
from batuta_server.local.pumps import Pumps
from batuta_server.local.server import LocalServer, PlainLog
from batuta_server.local.state import StateFolder


def test_warnings_are_said_and_news_only_when_asked_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BATUTA_LOG", raising=False)
    log = PlainLog()
    log.info("request", path="/x")
    log.warning("odd", path=Path("/x"))
    assert capsys.readouterr().err == 'batuta: odd {"path": "/x"}\n'
    monkeypatch.setenv("BATUTA_LOG", "info")
    PlainLog().info("request", path="/x")
    assert capsys.readouterr().err == 'batuta: request {"path": "/x"}\n'


def test_only_the_unexpected_has_a_traceback(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    log = PlainLog()
    log.failed("x", Unavailable("throttled"), queue="q")
    assert "throttled" in capsys.readouterr().err
    assert caplog.records == []
    for error in (KeyError("bug"), InvalidInput("bad")):
        log.failed("x", error)
        assert caplog.records[-1].exc_info is not None
        assert caplog.records[-1].exc_info[1] is error


def test_the_emulator_knows_no_account_and_listens_on_loopback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("AWS_PROFILE", "real")
    monkeypatch.setenv("PYTHONPATH", "ours")
    monkeypatch.setenv("HTTP_PROXY", "kept")
    found = emulator._environment(4566, None)
    assert not [name for name in found if name.startswith(("AWS_", "PYTHON"))]
    assert (found["HTTP_PROXY"], found["GATEWAY_PORT"]) == ("kept", "4566")
    assert found["BIND_HOST"] == found["MINISTACK_HOST"] == "127.0.0.1"
    assert "PERSIST_STATE" not in found
    kept = emulator._environment(4566, tmp_path)
    assert (kept["PERSIST_STATE"], kept["STATE_DIR"], kept["S3_DATA_DIR"]) == ("1", str(tmp_path), str(tmp_path / "s3"))


def test_what_is_made_once_is_kept_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BATUTA_HOME", str(tmp_path))
    assert emulator.home() == tmp_path
    monkeypatch.setenv("BATUTA_HOME", "")
    assert emulator.home() == Path.home() / ".cache" / "batuta"


def test_a_command_that_fails_says_what_it_printed() -> None:
    with pytest.raises(emulator.EmulatorFailed, match=r"(?s)false-start.*out.*err"):
        emulator._run(["sh", "-c", "echo out; echo err >&2; exit 3", "false-start"])


def test_an_emulator_that_does_not_answer_in_time_says_what_it_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "_START_MAX_S", 0)
    monkeypatch.setattr(emulator, "ensure_environment", lambda: Path("/bin/echo"))
    started = emulator.Emulator()
    started._process.wait(10)
    with pytest.raises(emulator.EmulatorFailed, match=r"(?s)did not answer within 0 s:.*emulator_main"):
        started.wait_until_ready()
    started.stop()


@pytest.fixture
def idle_emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In place of the emulator a process that waits and answers nothing, to a server that asks nothing."""
    idle = tmp_path / "idle"
    idle.write_text("#!/bin/sh\nexec sleep 60\n")
    idle.chmod(0o755)
    monkeypatch.setattr(emulator, "ensure_environment", lambda: idle)
    monkeypatch.setattr(emulator, "answers", lambda port: True)
    monkeypatch.setattr(server_module, "provision", lambda settings, transport: None)
    monkeypatch.setattr(Pumps, "feed", lambda *_, **__: None)
    monkeypatch.setattr(Pumps, "tick", lambda *_, **__: None)


@pytest.mark.usefixtures("idle_emulator")
def test_whatever_fails_while_it_stops_the_rest_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("torn")

    monkeypatch.setattr(Pumps, "stop", fail)
    server = LocalServer(0)
    server.start()
    with pytest.raises(OSError, match="torn"):
        server.stop()
    assert not server.emulator.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), 1)
    server.stop()


@pytest.mark.usefixtures("idle_emulator")
def test_a_server_that_could_not_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(StateFolder, "write", fail)
    server = LocalServer(0, StateFolder(tmp_path / "state"))
    server.emulator._keeps_state = False  # what stands in for it saves nothing
    with pytest.raises(OSError, match="no space left"):
        server.start()
    assert not server.emulator.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), 1)
    StateFolder(tmp_path / "state").close()
