"""When the permits that a record returned have been returned for certain."""

from __future__ import annotations

from batuta_core.engine.ports import Ports
from batuta_core.engine.timers import inbox_queue
from batuta_core.engine.to_gates import returning
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record


def return_permits(ports: Ports, execution: ExecutionId, newest: Record) -> None:
    """Before another record hides that ``newest`` returned permits: whoever wrote it may have died before it said so. Saying it twice
    is harmless; the process that said it knows."""
    if not ports.cache.returned.get((execution, newest.seq)):
        ports.queues.send(inbox_queue(ports), returning(ports, execution, newest.head.returned))
        ports.cache.returned.put((execution, newest.seq), True)
