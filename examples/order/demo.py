"""``make demo``: a server, a worker and one order, each a process of its own, and all of them gone at the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
START_S = 100.0  # the first start makes the emulator's own environment
STOP_S = 20.0


def main() -> int:
    url = f"http://127.0.0.1:{free_port()}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BATUTA_STAGE", "BATUTA_NAMESPACE", "AWS_"))}
    environment["BATUTA_URL"] = url
    with running("the server", ["-m", "batuta_server.local", "--port", url.rpartition(":")[2]], environment, quiet=True) as server:
        if not is_up(url, server):
            print("demo: the server does not start", file=sys.stderr)
            return 1
        with running("the worker", [str(HERE / "worker.py")], environment):
            return subprocess.run([sys.executable, str(HERE / "run.py")], env=environment, check=False).returncode  # noqa: S603 - our own files


@contextmanager
def running(what: str, arguments: list[str], environment: dict[str, str], *, quiet: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """A session of its own, so that Ctrl-C reaches this process alone and it stops the others in order."""
    output = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=output, start_new_session=True)  # noqa: S603 - likewise
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            print(f"demo: {what} did not stop and is killed", file=sys.stderr)
            process.kill()
            process.wait()


def is_up(url: str, server: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{url}/api/batuta", timeout=2):  # noqa: S310 - our own address
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
