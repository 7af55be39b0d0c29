"""One child process that runs scripts, from the outside: asked, waited for, and killed when it does not answer in time."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from batuta_core.decider.known import Script
from batuta_server.sandbox.limits import OUTPUT_MAX_BYTES
from batuta_server.sandbox.protocol import LENGTH_BYTES

START_MAX_S = 10.0  # it takes 60 ms of CPU, and a Lambda of 512 MB has a third of one
_MAIN = "import sys; sys.path[:0] = sys.argv[2:]; from batuta_server.sandbox.child import main; main(has_filter=sys.argv[1] == '1')"


class Ended(Exception):
    """The process ended instead of answering. ``by``: the signal that ended it, "" for none."""

    def __init__(self, by: str) -> None:
        super().__init__(f"the process that runs scripts ended{f' by {by}' if by else ''}")
        self.by = by


class Process:
    """Not for two threads at once. After an exception it is dead."""

    def __init__(self) -> None:
        """Returns when it is ready. Raises Ended or TimeoutError, and OSError when it cannot be started."""
        try:
            self._start(has_filter=True)
        except Ended:  # a kernel, or what stands in for one, under which the filter does not do
            self._start(has_filter=False)

    def _start(self, *, has_filter: bool) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own code, in the interpreter that we run in
            [sys.executable, "-I", "-S", "-B", "-c", _MAIN, "1" if has_filter else "0", *_folders()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            bufsize=0,
            start_new_session=True,  # Ctrl-C in the terminal is for the server
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stdout.fileno(), False)
        self._receive(time.monotonic() + START_MAX_S)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, script: Script, timeout_s: float) -> tuple[bytes, bytes]:
        """(kind, text) of the answer, as ``protocol`` has them. Raises Ended or TimeoutError."""
        deadline = time.monotonic() + timeout_s
        request = json.dumps([script.language.value, script.source, script.input, script.now_ms, script.seed]).encode()
        try:
            self._send(request, deadline)
        except TimeoutError:  # one that keeps to the protocol reads at once
            raise
        except OSError:
            raise self._ended() from None
        answer = self._receive(deadline)
        return answer[:1], answer[1:]

    def kill(self) -> None:
        """Returns when it is gone."""
        self._process.kill()
        self._process.wait()
        self._stdin.close()
        self._stdout.close()

    def _send(self, request: bytes, deadline: float) -> None:
        fd = self._stdin.fileno()
        rest = memoryview(len(request).to_bytes(LENGTH_BYTES, "big") + request)
        while rest:
            self._wait(fd, select.POLLOUT, deadline)
            rest = rest[os.write(fd, rest) :]

    def _receive(self, deadline: float) -> bytes:
        length = int.from_bytes(self._exactly(LENGTH_BYTES, deadline), "big")
        if not 1 <= length <= OUTPUT_MAX_BYTES + 1:  # the child looks itself, as long as it is the one that we know
            raise self._ended()
        return self._exactly(length, deadline)

    def _wait(self, fd: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(fd, event)
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            self.kill()
            raise TimeoutError

    def _exactly(self, count: int, deadline: float) -> bytes:
        parts: list[bytes] = []
        fd = self._stdout.fileno()
        while count:
            self._wait(fd, select.POLLIN, deadline)
            part = os.read(fd, min(count, 1024 * 1024))
            if not part:
                raise self._ended()
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _ended(self) -> Ended:
        try:
            status = self._process.wait(1)  # its end of the pipe is closed, so it has ended or is about to
        except subprocess.TimeoutExpired:
            status = 0
        self.kill()
        return Ended(signal.Signals(-status).name if status < 0 else "")


def _folders() -> list[str]:
    """Where the child finds what it imports: it looks at no setting and no site-packages of its own."""
    found = []
    for name in ("batuta_server", "_quickjs", "jq"):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise FileNotFoundError(f"{name} is not installed: scripts cannot be run")
        place = Path(spec.origin).resolve().parent
        found.append(str(place.parent if spec.submodule_search_locations else place))
    return list(dict.fromkeys(found))


def _environment() -> dict[str, str]:
    """What the interpreter itself needs; the child forgets even that."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ} | {"LC_ALL": "C.UTF-8"}
