"""Priority queues: where tasks of a priority above 0 overtake the others of their type.

A task type has one such queue beside its own, from the first such task on (ADR 23). Until it is there, and if it is ever gone, its tasks
go to the type's own queue. Who polls the type takes from the priority queue first, but from the other one every so often: nothing starves.
"""

from __future__ import annotations

import zlib

from batuta_core.engine import timers
from batuta_core.engine.fetch import Cache
from batuta_core.engine.ports import Incoming, Outgoing, Ports, QueueMissing
from batuta_core.model.error import Unavailable
from batuta_core.model.message import WantedQueue
from batuta_core.model.names import OWN_FIRST_OF, ExecutionId, is_priority_queue, priority_queue_name

LOOK_AGAIN_MS = 60_000  # for a priority queue that was not there: a look costs a request
LOOK_SOON_MS = 3000  # ... when a task of a priority came over the other queue: it is being made
_WAIT_MAX_S = 5  # at one of two queues: what comes to the other one waits for so long


# --- sending


def send(ports: Ports, execution: ExecutionId, record: int, queue: str, wanted: WantedQueue, messages: list[Outgoing]) -> None:
    """To the priority queue beside ``queue``; to ``queue`` itself where there is none yet, which is then made. Raises QueueMissing when
    that is missing, too."""
    name = priority_queue_name(queue)
    try:
        ports.queues.send(name, messages)
        if not is_there(ports.cache, name):
            ports.cache.priority_queues.put(name, 0)
    except QueueMissing:
        forget(ports.cache, name)
        timers.want_queues(ports, execution, record, [wanted._replace(is_priority=True)])
        ports.queues.send(queue, messages)


def is_doubtful(cache: Cache, queue: str) -> bool:
    """Whether it is a priority queue that is not known to be there."""
    return is_priority_queue(queue) and not is_there(cache, queue)


def is_there(cache: Cache, name: str) -> bool:
    return cache.priority_queues.get(name) == 0


def forget(cache: Cache, queue: str) -> None:
    """That it is there."""
    if is_priority_queue(queue):
        cache.priority_queues.put(queue, 1)


# --- receiving


def receive(ports: Ports, queue: str, limit: int, wait_s: int) -> list[tuple[str, Incoming]]:
    """Up to ``limit`` messages of ``queue`` and the priority queue beside it, each with the queue that it came from. Waits up to ``wait_s``
    for the first, less where there are two queues. Raises QueueMissing."""
    name = priority_queue_name(queue)
    order = [queue]
    if (ports.cache.priority_queues.get(name) or 0) <= ports.clock.now_ms():
        order = [queue, name] if is_there(ports.cache, name) and _is_own_first(ports) else [name, queue]
    found: list[tuple[str, Incoming]] = []
    for one in order:
        try:
            may_wait = one == order[-1] and not found
            received = ports.queues.receive(one, limit - len(found), _wait_s(ports, name, wait_s) if may_wait else 0)
        except QueueMissing:
            if one == queue:
                raise
            ports.cache.priority_queues.put(name, ports.clock.now_ms() + LOOK_AGAIN_MS)
            continue
        except Unavailable:
            if not found:
                raise
            break  # what is in hand must be dealt with
        if one == name and not is_there(ports.cache, name):
            ports.cache.priority_queues.put(name, 0)
        found.extend((one, message) for message in received)
        if len(found) == limit:
            break
    return found


def _is_own_first(ports: Ports) -> bool:
    """By chance, since processes that poll may live for one poll only."""
    return zlib.crc32(ports.ids.op().encode()) % OWN_FIRST_OF == 0


def _wait_s(ports: Ports, name: str, wait_s: int) -> int:
    return min(wait_s, _WAIT_MAX_S) if is_there(ports.cache, name) else wait_s


def note(ports: Ports, queue: str) -> None:
    """A task of a priority came over ``queue``: the priority queue will be there in a moment."""
    name = priority_queue_name(queue)
    soon_ms = ports.clock.now_ms() + LOOK_SOON_MS
    if (ports.cache.priority_queues.get(name) or 0) > soon_ms:
        ports.cache.priority_queues.put(name, soon_ms)
