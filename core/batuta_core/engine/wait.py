"""Waiting for an execution: a call that starts it, or signals to it, and wants to see how it went on."""

from __future__ import annotations

from collections.abc import Callable, Collection

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


def is_blocked(ports: Ports, execution: ExecutionId, newest: Record, refs: Collection[str], waits: Callable[[str], bool]) -> bool:
    """Conductor's end of a synchronous start: the execution has ended, a task waits for a signal for as long as it takes
    (``waits`` says so of a reference name), or one of the tasks ``refs`` has ended."""
    head = newest.head
    if head.status.is_terminal or any(waits(ref) and not task.due_ms for ref, task in head.open.items()):
        return True
    wanted = [ref for ref in refs if ref not in head.open]
    return bool(wanted) and any(_has_ended(ports, execution, newest, ref) for ref in wanted)


def _has_ended(ports: Ports, execution: ExecutionId, newest: Record, ref: str) -> bool:
    if ref in newest.head.ended:
        return True
    numbers: set[int] = set()
    for record in ports.journal.scan(execution):
        for change in record.changes:
            if change.fields.get("ref") == ref:
                numbers.add(change.number)
            status = change.fields.get("status")
            if change.number in numbers and status is not None and status.is_terminal:
                return True
    return False
