"""Limits that a registration changes: they hold at once, also for what waits already, and for executions that began without any."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from batuta_core.decider.compile import Graph
from batuta_core.engine import timers
from batuta_core.engine.fetch import LimitedTypes
from batuta_core.engine.ports import Outgoing, Ports
from batuta_core.engine.to_gates import to_gate
from batuta_core.model.definition import TaskDefinition
from batuta_core.model.error import BatutaError
from batuta_core.model.event import TaskLimited
from batuta_core.model.gate import NO_LIMITS, GateDue, GateId, Limits
from batuta_core.model.ids import short_hash
from batuta_core.model.message import InboxMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import OpenTask

_ASKED_MAX = 100  # at once: DynamoDB's quota of a BatchGetItem
_KNOWN_MAX = 10_000  # task types of a namespace, of which a process remembers whether they have limits


def limits_of(definition: Mapping[str, Any] | None) -> Limits:
    return TaskDefinition.from_dict(definition).limits if definition else NO_LIMITS


@contextmanager
def changing(ports: Ports, namespace: str, names: Sequence[str], wanted: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Around the write that puts ``wanted`` in place of the task definitions ``names``: the gates whose limits it changes are told to
    look. A guard sent before sees to it should the caller die in between; one that finds nothing to do does nothing."""
    old = ports.definitions.tasks(namespace, names)
    changed = [GateId(namespace, name) for name in names if limits_of(old.get(name)) != limits_of(wanted.get(name))]
    for gate in changed:
        timers.wake_gate(ports, gate, 0)
    yield
    if changed:
        ports.queues.send(timers.inbox_queue(ports), [_look(ports, gate) for gate in changed])


def _look(ports: Ports, gate: GateId) -> Outgoing:
    return to_gate(ports, ExecutionId(gate.namespace, ""), GateDue(gate=gate.name), dedup=ports.ids.op())


# How long a process believes what it knows of limits. Asking costs a read: within it a line's steps pay none.
KNOWN_MS = 5000


def limited_now(ports: Ports, namespace: str, names: Collection[str], graph: Graph) -> set[str]:
    """Those of ``names`` whose task definitions have limits now, or had some seconds ago. Where one must be asked for, the others of
    ``graph`` are, too: a line asks once."""
    if not names:
        return set()
    now_ms = ports.clock.now_ms()
    types = ports.cache.limited.get(namespace)
    try:
        if types is None or not 0 <= now_ms - types.looked_ms < KNOWN_MS:
            revision = ports.definitions.revision(namespace)
            known = types.known if types and types.revision == revision else {}
            types = LimitedTypes(revision, now_ms, known if len(known) < _KNOWN_MAX else {})
            ports.cache.limited.put(namespace, types)
        if unknown := [name for name in names if name not in types.known]:
            others = [node.shown_name for node in graph.nodes.values() if node.type.is_worker and not node.type.is_named_late]
            asked = [name for name in dict.fromkeys((*unknown, *others)) if name not in types.known][: max(_ASKED_MAX, len(unknown))]
            found = ports.definitions.tasks(namespace, asked)
            types.known.update((name, not limits_of(found.get(name)).is_none) for name in asked)
    except BatutaError as error:  # a first limit that holds some seconds later is better than a task that waits for the answer
        ports.log.info("limits_unknown", namespace=namespace, error=repr(error))
    return {name for name in names if types and types.known.get(name)}


def tell_limited(ports: Ports, execution: ExecutionId, tasks: Sequence[tuple[str, OpenTask]]) -> None:
    """Has the execution hear that these tasks wait for gates, each with its task definition's name."""
    outgoing = []
    for name, task in tasks:
        event = TaskLimited(place=task.place, send=task.sends, gate=name)
        text = InboxMessage(execution=execution, event=event).to_text(ports.signer)
        outgoing.append(Outgoing(text, group=str(execution), dedup=short_hash(text)))
    ports.queues.send(timers.inbox_queue(ports), outgoing)
