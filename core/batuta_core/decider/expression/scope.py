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

    def document(self, root: str) -> Mapping[str, Any] | None:
        """All fields of a root, for the rare path that does not begin with a plain field."""

    def task_id(self) -> str | None:
        """The task being made; None where none is: ``${CPEWF_TASK_ID}`` then stays as it is."""


def read_need(scope: Scope, need: Need) -> Any:
    root, name = need
    if name is not None:
        return scope.field(root, name)
    document = scope.document(root)
    return None if document is None else dict(document)


def read_document(scope: Scope, needs: Iterable[Need]) -> dict[str, Any]:
    """As much of the context document as the paths inside a path read."""
    found: dict[str, Any] = {}
    for need in needs:
        value = read_need(scope, need)
        if value is not None:
            found.setdefault(need[0], {}).update(value if need[1] is None else {need[1]: value})
    return found
