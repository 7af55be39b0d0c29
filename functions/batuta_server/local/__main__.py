"""``batuta dev``: a server on this machine until Ctrl-C."""

from __future__ import annotations

import argparse
import errno
import ipaddress
import os
import signal
import sys
import threading
from pathlib import Path

from batuta_server.local.emulator import EmulatorFailed
from batuta_server.local.server import LocalServer
from batuta_server.local.state import StateFolder, StateInUse

HTTP_ALLOW_HELP = "a range that HTTP tasks may call although it is not public, 127.0.0.0/8 for this machine; may be repeated"


def main() -> None:
    """Exit status 0 after Ctrl-C or SIGTERM, 1 when it cannot start."""
    options = _options()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        state = StateFolder(options.state) if options.state else None
        server = LocalServer(options.port, state, http_allowed=options.http_allow)
        server.start()
    except (EmulatorFailed, StateInUse, OSError) as error:
        is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        sys.exit(f"batuta: port {options.port} is taken; --port takes another" if is_taken else f"batuta: cannot start: {error}")
    print(_banner(server, state), flush=True)
    while not stop.wait(0.5):
        if not server.emulator.is_alive():
            print(f"batuta: the emulator ended by itself:\n{server.emulator.printed()}", file=sys.stderr)
            sys.exit(1)
    print("Stopping ...", flush=True)
    server.stop()
    print("Stopped.", flush=True)
    sys.stdout.flush()
    os._exit(0)  # threads that wait for a request's end have nothing left to wait for


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="batuta dev", description="A Batuta server on this machine: http://127.0.0.1:PORT/api")
    parser.add_argument("--port", type=int, default=8080, help="8080 unless told otherwise; 0 takes a free one")
    parser.add_argument("--state", type=Path, help="a folder that keeps everything over clean restarts")
    parser.add_argument("--http-allow", type=_range, action="append", default=[], metavar="CIDR", help=HTTP_ALLOW_HELP)
    return parser.parse_args()


def _range(text: str) -> str:
    """For argparse, which tells a ValueError to the user."""
    return str(ipaddress.ip_network(text))


def _banner(server: LocalServer, state: StateFolder | None) -> str:
    kept = f"kept in {state.path}" if state else "gone when this ends (--state DIR keeps it)"
    return (
        f"\n  Batuta is ready.   Ctrl-C stops it.\n\n"
        f"    API        {server.url}/api\n"
        f"    emulator   {server.emulator.endpoint}\n"
        f"    state      {kept}\n\n"
        f"  Next, in another terminal:\n\n"
        f"    export BATUTA_URL={server.url}\n"
        f"{_suggestions()}"
    )


def _suggestions() -> str:
    if Path("examples/order/run.py").exists():
        return (
            "    python examples/order/worker.py     # a worker\n    python examples/order/run.py        # starts an order and shows it\n"
        )
    return (
        "    batuta workflow register order.json  # a definition, as Conductor has it\n"
        "    batuta worker my_worker              # the Worker in my_worker.py\n"
        "    batuta workflow start order --wait   # an execution\n"
    )


if __name__ == "__main__":
    main()
