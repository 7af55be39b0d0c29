"""Permits of a gate: how many are free, and what giving and returning one means. Pure.

* Of ``concurrent`` permits each is out from its admission until the delivery is over. What lies on the task queue counts, so that no
  number of workers can take more at once.
* Of ``rate`` permits each is out from its admission until a window after its start. The start is what the worker says it was, but
  not before the admission; where nobody says, it is the end. So whatever the queue does, and however late a worker takes a message, no
  window holds more starts than there are permits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from batuta_core.model.gate import Entry, GateState, Held, Limits, PermitReturned

STARTS_MAX = 64  # more are put together in pairs, as of the later moment: permits then come back a little late, never early
WAKE_MAX_MS = 15 * 60 * 1000  # as long as SQS can delay


def free(state: GateState, limits: Limits, now_ms: int) -> int | None:
    """How many more may be admitted; None: any number."""
    rooms = []
    if limits.concurrent:
        rooms.append(limits.concurrent - len(state.held))
    if limits.rate:
        rooms.append(limits.rate - _on_the_way(state) - sum(count for _at, count in _in_window(state, limits, now_ms)))
    return max(min(rooms), 0) if rooms else None


def _on_the_way(state: GateState) -> int:
    """Admitted, and not known to have started."""
    return sum(not held.is_started for held in state.held.values())


def _in_window(state: GateState, limits: Limits, now_ms: int) -> list[tuple[int, int]]:
    return [start for start in state.starts if start[0] + limits.window_s * 1000 > now_ms]


def admitted(state: GateState, entries: Sequence[Entry], limits: Limits, now_ms: int) -> GateState:
    """The state in which ``entries`` have permits, and are to be sent."""
    held = dict(state.held)
    if not limits.is_none:
        held.update((entry.permit, Held(now_ms, not limits.rate)) for entry in entries)
    return replace(state, held=held, unsent=(*state.unsent, *entries))


def returned(state: GateState, permit: str, told: PermitReturned, limits: Limits, now_ms: int) -> GateState:
    """The state after a start or an end. One that holds no permit (any more) changes nothing."""
    found = state.held.get(permit)
    if found is None:
        return state
    held, starts = dict(state.held), state.starts
    if not found.is_started:
        at_ms = min(max(told.started_ms, found.admitted_ms), now_ms) if told.started_ms else now_ms
        starts = _with_start(_in_window(state, limits, now_ms) if limits.rate else [], at_ms)
    if told.is_over or not limits.concurrent:
        del held[permit]
    else:
        held[permit] = Held(found.admitted_ms, True)
    return replace(state, held=held, starts=starts)


def _with_start(starts: Sequence[tuple[int, int]], at_ms: int) -> tuple[tuple[int, int], ...]:
    found = sorted([*starts, (at_ms, 1)])
    if len(found) <= STARTS_MAX:
        return tuple(found)
    pairs = [found[place : place + 2] for place in range(0, len(found), 2)]
    return tuple((pair[-1][0], sum(count for _at, count in pair)) for pair in pairs)


def wake_due_ms(state: GateState, limits: Limits, now_ms: int) -> int:
    """When time alone will let somebody in who waits; 0 when it will not: then a start or an end has to be heard first."""
    if not state.has_waiting:
        return 0
    if free(state, limits, now_ms) != 0:
        return now_ms  # this turn had no time for all of them
    if limits.concurrent and len(state.held) >= limits.concurrent:
        return 0
    starts = _in_window(state, limits, now_ms)
    return starts[0][0] + limits.window_s * 1000 if starts else 0
