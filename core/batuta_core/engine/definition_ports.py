"""Where definitions are kept. As in ``ports``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from batuta_core.engine.ports import PollData


class Definitions(Protocol):
    """Definitions by name, and frozen ones by content. Names hold any characters; JSON goes in and out unchanged."""

    def revision(self, namespace: str) -> int:
        """Grows with every change of a definition in the namespace; strongly consistent."""

    def put_workflows(self, namespace: str, definitions: Sequence[Mapping[str, Any]], *, is_new: bool = False) -> None:
        """``is_new``: raises DefinitionExists when (name, version) is there."""

    def workflow(self, namespace: str, name: str, version: int | None) -> Mapping[str, Any] | None:
        """None as version: the highest."""

    def workflows(self, namespace: str, name: str = "") -> Sequence[Mapping[str, Any]]:
        """All versions of all, or of one name; by name, then version."""

    def names(self, namespace: str, task: str = "") -> Sequence[str]:
        """Every workflow name that was registered or started inline in the namespace, sorted; deleted ones may be among them.
        ``task``: without those of which it is known that none of their executions has a task of that type or name; there is none of a
        workflow that was registered and never noted."""

    def note_name(self, namespace: str, name: str, tasks: Collection[str]) -> None:
        """Adds to ``names``: a definition of that name can make tasks of these types and names, ``ANY_TASK`` among them if nobody
        can tell. Repeats do nothing more."""

    def delete_workflow(self, namespace: str, name: str, version: int) -> bool: ...

    def put_tasks(self, namespace: str, definitions: Sequence[Mapping[str, Any]]) -> None: ...

    def tasks(self, namespace: str, names: Collection[str] | None = None) -> Mapping[str, Mapping[str, Any]]:
        """Those of ``names`` that exist; None: all."""

    def delete_task(self, namespace: str, name: str) -> bool: ...

    def put_handler(self, namespace: str, handler: Mapping[str, Any], *, is_new: bool) -> bool:
        """Stores an event handler, so that whoever reads the handlers of its event from now on finds it. False when there is one of
        its name (``is_new``), or none."""

    def delete_handler(self, namespace: str, name: str) -> bool: ...

    def handlers(self, namespace: str, event: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Those of the event; None: all. By name, strongly consistent."""

    def put_frozen(self, namespace: str, content_hash: str, definition: Mapping[str, Any]) -> None:
        """Repeats do nothing more."""

    def frozen(self, namespace: str, content_hash: str) -> Mapping[str, Any] | None: ...

    def note_poll(self, namespace: str, poll: PollData) -> None: ...

    def polls(self, namespace: str, task_type: str = "") -> Sequence[PollData]: ...
