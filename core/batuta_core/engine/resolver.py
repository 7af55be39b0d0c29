"""References to payloads become payloads, as far as an answer may hold them."""

from __future__ import annotations

from typing import Any

from batuta_core.engine.fetch import read_payload
from batuta_core.engine.ports import Ports
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PAYLOAD_MAX_BYTES, PayloadPart, PayloadRef


class Resolver:
    """Called with a payload or its reference, gives the payload; a PayloadPart for one of more than ``inline_max`` bytes."""

    def __init__(self, ports: Ports, execution: ExecutionId, inline_max: int = PAYLOAD_MAX_BYTES) -> None:
        self._ports = ports
        self._execution = execution
        self._inline_max = inline_max

    def __call__(self, value: Any) -> Any:
        if isinstance(value, PayloadRef) and value.size_bytes > self._inline_max and not value.holes:
            return PayloadPart(value)
        return read_payload(self._ports, self._execution, value)
