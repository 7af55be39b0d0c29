"""Powertools' HTTP resolver, with names in paths by our own rule, and for several threads of one process."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.utilities.data_classes.common import BaseProxyEvent

from batuta_server.api.request import name_of, note

Handler = Callable[..., Response[str]]


class Resolver(APIGatewayHttpResolver):
    """One per thread. The resolver keeps the event on a class that all resolvers share, which suits Lambda, where a process
    answers one request at a time; here each keeps its own."""

    def _to_proxy_event(self, event: dict[str, Any]) -> BaseProxyEvent:
        self._event = super()._to_proxy_event(event)
        return self._event

    @property
    def current_event(self) -> BaseProxyEvent:  # type: ignore[override]
        return self._event

    def route(self, rule: str, method: str, **options: Any) -> Callable[[Handler], Handler]:  # type: ignore[override]
        """Registers a route whose ``<variables>`` arrive as the names they stand for."""

        def register(handler: Handler) -> Handler:
            @functools.wraps(handler)
            def with_names(**segments: str) -> Response[str]:
                names = {key: name_of(unquote(segment)) for key, segment in segments.items()}
                note(workflow_id=names.get("workflow_id", ""), task_id=names.get("task_id", ""))
                return handler(**names)

            register_raw(with_names)
            return handler

        register_raw = super().route(rule, method, **options)
        return register

    def methods_of(self, path: str) -> set[str]:
        """The methods for which ``path`` has a route."""
        return {
            method for route in (*self._static_routes, *self._dynamic_routes) if route.rule.match(path) for method in _methods(route.method)
        }


def _methods(method: str | list[str] | tuple[str, ...]) -> Mapping[str, None]:
    return dict.fromkeys([method] if isinstance(method, str) else method)
