"""``batuta dev``: a server on this machine until Ctrl-C."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO

from batuta_server.local.emulator import EmulatorFailed
from batuta_server.local.server import LocalServer

_LOCK_WAIT_S = 20  # a server that was killed leaves an emulator that saves its state first


def main() -> None:
    """Exit status 0 after Ctrl-C or SIGTERM, 1 when it cannot start."""
    options = _options()
    state = options.state.absolute() if options.state else None
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    lock = _lock(state)
    try:
        server = LocalServer(options.port, state)
        server.start()
    except (EmulatorFailed, OSError) as error:
        sys.exit(f"batuta: cannot start: {error}")
    print(_banner(server, state), flush=True)
    while not stop.wait(0.5):
        if not server.emulator.is_alive():
            print(f"batuta: the emulator ended by itself:\n{server.emulator.printed()}", file=sys.stderr)
            sys.exit(1)
    print("Stopping ...", flush=True)
    server.stop()
    if lock:
        lock.close()
    print("Stopped.", flush=True)
    sys.stdout.flush()
    os._exit(0)  # threads that wait for a request's end have nothing left to wait for


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="batuta dev", description="A Batuta server on this machine: http://127.0.0.1:PORT/api")
    parser.add_argument("--port", type=int, default=8080, help="8080 unless told otherwise; 0 takes a free one")
    parser.add_argument("--state", type=Path, help="a folder that keeps everything over clean restarts")
    return parser.parse_args()


def _lock(state: Path | None) -> IO[str] | None:
    """One server per state folder. The emulator of one that was killed holds it until it has saved."""
    if state is None:
        return None
    state.mkdir(parents=True, exist_ok=True)
    lock = (state / "lock").open("w")
    os.set_inheritable(lock.fileno(), True)
    end = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > end:
                sys.exit(f"batuta: another server uses {state}")
            time.sleep(0.1)
        else:
            return lock


def _banner(server: LocalServer, state: Path | None) -> str:
    kept = f"kept in {state}" if state else "gone when this ends (--state DIR keeps it)"
    return (
        f"\n  Batuta is ready.   Ctrl-C stops it.\n\n"
        f"    API        {server.url}/api\n"
        f"    emulator   {server.emulator.endpoint}\n"
        f"    state      {kept}\n\n"
        f"  Next, in another terminal:\n\n"
        f"    export BATUTA_URL={server.url}\n"
        f"    python examples/order/worker.py     # a worker\n"
        f"    python examples/order/run.py        # starts an order and shows it\n"
    )


if __name__ == "__main__":
    main()
