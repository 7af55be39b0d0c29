"""Journal records as tests need them: real ones, of a chosen number, size and status."""

from __future__ import annotations

import base64
import random

from batuta_core.model.event import WorkflowStarted
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.record import Head, Record


def record(seq: int, text: str = "", status: WorkflowStatus = WorkflowStatus.RUNNING, at_ms: int = 1_764_000_000_000) -> Record:
    started = WorkflowStarted(op=f"op{seq}", definition="hash", name="order", version=1, input={"text": text})
    head = Head(status=status, definition="hash", created_ms=at_ms)
    return Record(seq=seq, at_ms=at_ms, events=(started,), changes=(), commands=(), head=head)


def record_of_size(seq: int, size_bytes: int) -> tuple[Record, bytes]:
    """A record and its bytes, as many as asked for: of what no compression makes less."""
    plain = len(record(seq).to_json())
    noise = base64.b64encode(random.Random(seq).randbytes(size_bytes)).decode()[: size_bytes - plain]
    made = record(seq, noise)
    raw = made.to_json()
    assert len(raw) == size_bytes
    return made, raw
