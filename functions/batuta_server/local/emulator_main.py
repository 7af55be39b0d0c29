"""Runs in the emulator's own environment: ends with its parent, and with two fixed waits of the emulator shortened.

ministack looks every 100 ms whether a long poll has something to give (a chain of tasks would spend most of its time
there), and at its end gives long polls three seconds. Here a long poll looks again when something was asked of its queue, and every
20 ms for what only time brings: the end of a delay or of a lease. The names are private ones of the version that is pinned; should
they be gone, it is only slower.
"""

import asyncio
import contextvars
import os
import signal
import sys
import threading
import time
import types
from collections import defaultdict
from typing import Any

_TICK_S = 0.02
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

    plain_dispatch = sqs._dispatch
    asked: contextvars.ContextVar[str] = contextvars.ContextVar("asked", default="")  # the URL of the queue that a request is about
    waiting: defaultdict[str, list[asyncio.Future[None]]] = defaultdict(list)

    async def dispatch(action: str, data: dict[str, Any], url: str) -> dict[str, Any]:
        queue = data.get("QueueUrl") or url
        asked.set(queue)
        try:
            answer: dict[str, Any] = await plain_dispatch(action, data, url)
            return answer
        finally:
            if action != "ReceiveMessage":
                for waiter in waiting.pop(queue, ()):
                    _end(waiter)

    async def sleep(delay: float) -> None:
        """Of a long poll: the only thing in that module that sleeps."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        waiting[asked.get()].append(waiter)
        timer = loop.call_later(min(delay, _TICK_S), _end, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            if waiter in waiting[asked.get()]:
                waiting[asked.get()].remove(waiter)

    sqs._dispatch = dispatch
    sqs.asyncio = types.SimpleNamespace(**{**vars(asyncio), "sleep": sleep})
    Config.graceful_timeout = _LAST_REQUESTS_S


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _shorten_waits()
    except (ImportError, AttributeError):
        pass
    from ministack.app import main as serve

    serve()


main()
