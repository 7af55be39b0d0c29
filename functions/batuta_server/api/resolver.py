"""From method and path to the route: a dozen lines of our own in place of Powertools' resolver, whose import was a fifth of the API's
cold start (docs/adr/0024).

A variable stands for one segment of the path, and arrives as the name that it means. Paths without variables come before those with any,
these in the order in which they were registered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from batuta_core.model.error import RouteNotFound
from batuta_server.api.request import name_of, note
from batuta_server.api.response import Response

Handler = Callable[..., Response]


class Route(NamedTuple):
    method: str
    rule: str  # "/api/workflow/<workflow_id>"
    handler: Handler


class Resolver:
    def __init__(self) -> None:
        self.routes: list[Route] = []
        self._static: dict[str, list[Route]] = {}
        self._dynamic: dict[int, list[tuple[Sequence[str], Route]]] = {}  # by the number of segments

    def route(self, rule: str, method: str) -> Callable[[Handler], Handler]:
        """Registers the function as the answer to ``method`` on ``rule``; its ``<variables>`` are the names of its arguments."""

        def register(handler: Handler) -> Handler:
            route = Route(method, rule, handler)
            self.routes.append(route)
            if "<" in rule:
                segments = rule.split("/")
                self._dynamic.setdefault(len(segments), []).append((segments, route))
            else:
                self._static.setdefault(rule, []).append(route)
            return handler

        return register

    def answer(self, method: str, path: str) -> Response:
        """The route's answer; where only the method is wrong, 405 with the right ones. Raises RouteNotFound, and what the route raises."""
        found = self._matching(path)
        for route, names in found:
            if route.method == method:
                note(workflow_id=names.get("workflow_id", ""), task_id=names.get("task_id", ""))
                return route.handler(**names)
        if not found:
            raise RouteNotFound(f"There is nothing at {method} {path}.")
        return Response(405, "", headers={"Allow": ", ".join(sorted({route.method for route, _names in found}))})

    def _matching(self, path: str) -> list[tuple[Route, dict[str, str]]]:
        found: list[tuple[Route, dict[str, str]]] = [(route, {}) for route in self._static.get(path, ())]
        given = path.split("/")
        for segments, route in self._dynamic.get(len(given), ()):
            names = _names(segments, given)
            if names is not None:
                found.append((route, names))
        return found


def _names(segments: Sequence[str], given: Sequence[str]) -> dict[str, str] | None:
    """What the variables stand for; None when ``given`` does not match. A variable matches any text but the empty one."""
    names = {}
    for segment, text in zip(segments, given, strict=True):
        if segment[:1] == "<" and text:
            names[segment[1:-1]] = name_of(text)
        elif segment != text:
            return None
    return names
