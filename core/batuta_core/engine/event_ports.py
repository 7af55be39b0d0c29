"""What events need from the world: records of what event handlers did, and sinks outside of Batuta. As in ``ports``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any, Protocol

from batuta_core.model.frozen import dataclass


class ActionStatus(StrEnum):
    """Conductor's words for what became of an action of an event handler."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"  # the handler's condition does not hold


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerAction:
    """What an action of an event handler did about a published event; ``index`` -1: that its condition let nothing be done.

    ``workflow_id`` and ``since``: the execution that it acts upon, and where that stood before.
    """

    namespace: str
    message_id: str
    handler: str
    index: int
    event: str
    action: str
    at_ms: int
    status: ActionStatus = ActionStatus.IN_PROGRESS
    workflow_id: str = ""
    since: int = 0
    output: Mapping[str, Any] = field(default_factory=dict)


# The record of an action outlives every copy of its event (SQS: 14 days at most).
ACTION_KEPT_S = 15 * 24 * 3600


class HandlerActions(Protocol):
    """What event handlers did. The record of an action is what makes its repeat harmless."""

    def begin(self, action: HandlerAction) -> HandlerAction | None:
        """Writes it unless it is there: then what is there, strongly consistent."""

    def end(self, action: HandlerAction) -> None:
        """Writes how it ended."""

    def of_message(self, namespace: str, message_id: str) -> Sequence[HandlerAction]:
        """By handler, then index."""


class SinkRefused(Exception):
    """The sink does not take the event, and would not another time. The message says why."""


class Sinks(Protocol):
    """Where EVENT tasks publish outside of Batuta."""

    def publish(self, sink: str, message_id: str, payload: str) -> None:
        """``sink`` is ``provider:name``. At least once. Raises SinkRefused, or Unavailable."""
