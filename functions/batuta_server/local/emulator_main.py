"""Runs in the emulator's own environment: ends with its parent, and with two fixed waits of the emulator shortened.

ministack looks every 100 ms whether a long poll has something to give (a chain of tasks would spend most of its time
there), and at its end gives long polls three seconds. The names are private ones of the version that is pinned; should they
be gone, it is only slower.
"""

import asyncio
import os
import signal
import sys
import threading
import time
import types

_TICK_S = 0.005
_LAST_REQUESTS_S = 0.2
_END_MAX_S = 15


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # returns when the parent closes it, or is no more
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_END_MAX_S)
    os._exit(1)


def _shorten_waits() -> None:
    import ministack.services.sqs as sqs
    from hypercorn.config import Config

    async def sleep(delay: float) -> None:
        await asyncio.sleep(min(delay, _TICK_S))

    sqs.asyncio = types.SimpleNamespace(**{**vars(asyncio), "sleep": sleep})
    Config.graceful_timeout = _LAST_REQUESTS_S


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _shorten_waits()
    except (ImportError, AttributeError):
        pass
    from ministack.app import main as serve

    serve()


main()
