"""What executions say to gates, over the decider queue."""

from __future__ import annotations

from collections.abc import Iterable

from batuta_core.engine.ports import Outgoing, Ports
from batuta_core.model.command import ReturnPermit
from batuta_core.model.gate import GateId, GateMessage, PermitReturned
from batuta_core.model.ids import short_hash
from batuta_core.model.message import InboxMessage
from batuta_core.model.names import ExecutionId


def to_gate(ports: Ports, execution: ExecutionId, message: GateMessage, dedup: str = "") -> Outgoing:
    """``dedup``: by default its text. What was said to a gate and taken in need not be said again."""
    text = InboxMessage(execution=execution, event=message).to_text(ports.signer)
    return Outgoing(text, group=GateId(execution.namespace, message.gate).group, dedup=dedup or short_hash(text))


def returning(ports: Ports, execution: ExecutionId, commands: Iterable[ReturnPermit]) -> list[Outgoing]:
    """The messages that carry ``commands`` out."""
    return [
        to_gate(
            ports,
            execution,
            PermitReturned(gate=one.gate, place=one.place, send=one.send, started_ms=one.started_ms, is_over=one.is_over),
        )
        for one in commands
    ]
