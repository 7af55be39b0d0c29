"""Limits that a registration changes: they hold at once, also for what waits already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from batuta_core.engine import timers
from batuta_core.engine.ports import Outgoing, Ports
from batuta_core.engine.to_gates import to_gate
from batuta_core.model.definition import TaskDefinition
from batuta_core.model.gate import NO_LIMITS, GateDue, GateId, Limits
from batuta_core.model.names import ExecutionId


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
