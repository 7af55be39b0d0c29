"""Routes of event handlers: /event; and what they did about a published event."""

from __future__ import annotations

from typing import Any

from batuta_core.engine.event_ports import HandlerAction
from batuta_core.engine.ports import Ports
from batuta_server.api.request import current, empty_response, json_response
from batuta_server.api.resolver import Resolver
from batuta_server.api.response import Response


def add_routes(app: Resolver, ports: Ports) -> None:
    @app.route("/api/event", "POST")
    def register() -> Response:
        from batuta_core.engine import handlers  # late, here and below: what definitions of handlers need is seldom wanted

        request = current()
        handlers.register(ports, request.namespace, request.json())
        return empty_response()

    @app.route("/api/event", "PUT")
    def replace() -> Response:
        from batuta_core.engine import handlers

        request = current()
        handlers.replace(ports, request.namespace, request.json())
        return empty_response()

    @app.route("/api/event", "GET")
    def list_all() -> Response:
        return json_response(list(ports.definitions.handlers(current().namespace)))

    @app.route("/api/event/<name>", "DELETE")
    def delete(name: str) -> Response:
        from batuta_core.engine import handlers

        handlers.delete(ports, current().namespace, name)
        return empty_response()

    @app.route("/api/event/<name>", "GET")
    def list_of_event(name: str) -> Response:
        request = current()
        found = ports.definitions.handlers(request.namespace, name)
        is_active_only = request.flag("activeOnly", default=True)
        return json_response([handler for handler in found if handler["active"] or not is_active_only])

    @app.route("/api/event/execution/<message_id>", "GET")
    def list_actions(message_id: str) -> Response:
        return json_response([_shown(action) for action in ports.actions.of_message(current().namespace, message_id)])


def _shown(action: HandlerAction) -> dict[str, Any]:
    """Conductor's EventExecution, which its own API does not show."""
    return {
        "id": f"{action.message_id}_{action.index}",
        "messageId": action.message_id,
        "name": action.handler,
        "event": action.event,
        "created": action.at_ms,
        "status": action.status.value,
        "action": action.action,
        "output": dict(action.output),
    }
