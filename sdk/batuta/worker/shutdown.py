"""SIGTERM and SIGINT: the first lets the worker finish and hand back, the second ends the process now."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def signals(stop: Callable[[], None]) -> Iterator[None]:
    """While it lasts the first signal calls ``stop``, which must not block; the second raises SystemExit in the main thread,
    with the exit code that shells use (128 + signal). Outside the main thread Python allows no handlers, so nothing is installed there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    count = 0

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > 1:
            raise SystemExit(128 + number)
        stop()

    before: dict[signal.Signals, Any] = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
