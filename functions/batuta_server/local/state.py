"""The folder in which a local server keeps everything over restarts. One server uses it at a time."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

_LOCK_WAIT_S = 20  # the emulator of a server that was killed saves what it holds first
_SETTINGS_FILE = "batuta.json"


class StateInUse(Exception):
    """Another server runs on the folder."""


class StateFolder:
    """``lock_fd`` is for the emulator to inherit: the folder is free once it has ended, too."""

    def __init__(self, path: Path) -> None:
        """Waits for an emulator that still saves. Raises StateInUse."""
        self.path = path.absolute()
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = (self.path / "lock").open("a+")
        try:
            self._take()
        except StateInUse:
            self._lock.close()
            raise

    @property
    def lock_fd(self) -> int:
        return self._lock.fileno()

    def read(self) -> dict[str, Any]:
        """What was written last."""
        file = self.path / _SETTINGS_FILE
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def write(self, kept: dict[str, Any]) -> None:
        draft = self.path / f"{_SETTINGS_FILE}.new"
        draft.touch(mode=0o600)  # it holds the key that signs messages
        draft.write_text(json.dumps(kept))
        draft.replace(self.path / _SETTINGS_FILE)

    def close(self) -> None:
        self._lock.close()

    def _take(self) -> None:
        end = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if self._is_held_by_a_server() or time.monotonic() > end:
                    raise StateInUse(f"another server uses {self.path}") from error
                time.sleep(0.1)
            else:
                self._lock.truncate(0)
                self._lock.write(str(os.getpid()))
                self._lock.flush()
                return

    def _is_held_by_a_server(self) -> bool:
        self._lock.seek(0)
        try:
            os.kill(int(self._lock.read()), 0)
        except (ValueError, ProcessLookupError):
            return False
        except PermissionError:
            pass
        return True
