"""Where payloads that are too large for a request are written and read: Conductor's externalstoragelocation."""

from __future__ import annotations

from batuta_core.engine.external import location
from batuta_core.engine.ports import Ports
from batuta_server.api.request import current, json_response
from batuta_server.api.resolver import Resolver
from batuta_server.api.response import Response


def add_routes(app: Resolver, ports: Ports) -> None:
    @app.route("/api/workflow/externalstoragelocation", "GET")
    @app.route("/api/workflow/external-storage-location", "GET")
    @app.route("/api/tasks/externalstoragelocation", "GET")
    @app.route("/api/tasks/external-storage-location", "GET")
    def storage_location() -> Response:
        request = current()
        return json_response(
            location(ports, request.namespace, request.text("operation"), request.text("payloadType"), request.text("path"))
        )
