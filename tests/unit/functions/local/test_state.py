"""The state folder: one server at a time, what is written is read, and nobody else reads it."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path

import pytest

from batuta_server.local import state as state_module
from batuta_server.local.server import _free_again, _kept_before
from batuta_server.local.state import StateFolder, StateInUse


def test_what_was_written_last_is_read_by_the_next(tmp_path: Path) -> None:
    first = StateFolder(tmp_path / "a" / "b")
    assert first.read() == {}
    for port in (1, 2):
        first.write({"token_key": "k", "port": port})
    first.close()
    second = StateFolder(tmp_path / "a" / "b")
    assert second.read() == {"token_key": "k", "port": 2}
    second.close()


def test_the_file_with_the_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    for _ in range(2):
        folder.write({"token_key": "k"})
        assert (tmp_path / "batuta.json").stat().st_mode & 0o777 == 0o600
    folder.close()


def test_a_write_that_died_half_way_is_as_if_it_had_not_begun(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.write({"port": 1})
    (tmp_path / "batuta.json.new").write_text('{"por')
    assert folder.read() == {"port": 1}
    folder.write({"port": 2})
    assert folder.read() == {"port": 2}
    folder.close()


def test_a_second_server_is_refused_at_once_and_the_first_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = StateFolder(tmp_path)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waited"))
    with pytest.raises(StateInUse, match=str(tmp_path)):
        StateFolder(tmp_path)
    first.write({"port": 1})
    first.close()
    StateFolder(tmp_path).close()


@pytest.mark.parametrize("holder", ["", "nonsense", "999999999"], ids=["nobody", "nonsense", "dead"])
def test_a_dead_servers_emulator_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: str) -> None:
    """The emulator has inherited the lock; it saves and ends."""
    emulator = (tmp_path / "lock").open("a+")
    fcntl.flock(emulator, fcntl.LOCK_EX)
    emulator.write(holder)
    emulator.flush()
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            emulator.close()

    monkeypatch.setattr(time, "sleep", sleep)
    found = StateFolder(tmp_path)
    assert len(waits) == 3
    assert (tmp_path / "lock").read_text() == str(os.getpid())
    found.close()


def test_an_emulator_that_never_ends_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "_LOCK_WAIT_S", 0.05)
    with (tmp_path / "lock").open("a+") as emulator:
        fcntl.flock(emulator, fcntl.LOCK_EX)
        with pytest.raises(StateInUse):
            StateFolder(tmp_path)


def test_the_lock_lives_as_long_as_a_process_that_inherited_it(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    inherited = os.dup(folder.lock_fd)
    folder.close()
    with pytest.raises(StateInUse):
        StateFolder(tmp_path)
    os.close(inherited)
    StateFolder(tmp_path).close()


def test_a_fresh_stage_has_a_key_of_its_own_and_a_kept_one_keeps_it(tmp_path: Path) -> None:
    assert _kept_before(None)["token_key"] != _kept_before(None)["token_key"]
    folder = StateFolder(tmp_path)
    kept = _kept_before(folder)
    folder.write({**kept, "port": 4566})
    assert _kept_before(folder) == {**kept, "port": 4566}
    folder.close()


def test_a_port_is_taken_again_when_it_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert _free_again(port) == 0
    assert _free_again(port) == port
    assert _free_again(None) == 0
