"""What expressions read: the roots of an execution and their fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

Need = tuple[str, str | None]  # (root, field); field None: the whole document of that root

NO_NEEDS: frozenset[Need] = frozenset()


class Scope(Protocol):
    """What expressions read. An exception of its own (the value is not at hand) passes through ``Template.resolve``."""

    def field(self, root: str, name: str, key: str | None = None) -> Any:
        """A field of a root, ``("workflow", "input")`` or ``("charge_ref", "status")``; None where there is none.

        ``key``: nothing else of it is read, so the rest need not be there.
        """

    def document(self, root: str) -> Any:
        """All of a root, for the path that does not begin with a plain field: its fields, or what else it is; None when it is not there."""

    def task_id(self) -> str | None:
        """The task being made; None where none is: ``${CPEWF_TASK_ID}`` then stays as it is."""


def read_need(scope: Scope, need: Need) -> Any:
    root, name = need
    if name is not None:
        return scope.field(root, name)
    document = scope.document(root)
    return dict(document) if isinstance(document, Mapping) else document


def read_document(scope: Scope, needs: Iterable[Need]) -> dict[str, Any]:
    """As much of the context document as the paths inside a path read."""
    found: dict[str, Any] = {}
    for need in needs:
        value = read_need(scope, need)
        if value is None:
            continue
        if need[1] is None and not isinstance(value, Mapping):
            found[need[0]] = value
        else:
            found.setdefault(need[0], {}).update(value if need[1] is None else {need[1]: value})
    return found
