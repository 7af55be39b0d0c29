"""What a local server says, and what its emulator gets to know of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from batuta_core.model.error import InvalidInput, Unavailable
from batuta_server.local import emulator
from batuta_server.local.server import PlainLog


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
