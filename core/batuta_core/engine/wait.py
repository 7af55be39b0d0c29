"""Waiting for an execution: a call that starts it, or signals to it, and wants to see how it went on."""

from __future__ import annotations

from collections.abc import Callable

from batuta_core.engine.ports import Ports
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record

# HTTP APIs end a request after 30 s (API Gateway's integration timeout). The rest is for the call itself and its answer.
WAIT_MAX_MS = 20_000
_FIRST_LOOK_MS = 25
_LOOK_MAX_MS = 1000


def wait_until(ports: Ports, execution: ExecutionId, is_reached: Callable[[Record], bool], timeout_ms: int) -> bool:
    """Looks at the newest record until ``is_reached`` holds; False when the time (at most ``WAIT_MAX_MS``) was over before.

    Looks less often the longer it takes: a read costs money each time.
    """
    end_ms = ports.clock.now_ms() + min(timeout_ms, WAIT_MAX_MS)
    look_ms = _FIRST_LOOK_MS
    while True:
        newest = ports.journal.newest(execution)
        if newest is not None and is_reached(newest):
            return True
        left_ms = end_ms - ports.clock.now_ms()
        if left_ms <= 0:
            return False
        ports.clock.sleep(min(look_ms, left_ms))
        look_ms = min(look_ms * 3 // 2, _LOOK_MAX_MS)
