"""Routes of an execution's journal, which ``batuta export`` reads: ours, Conductor has none."""

from __future__ import annotations

from batuta_core.engine.ports import Ports
from batuta_core.model.names import ExecutionId
from batuta_server.api.request import current, json_response
from batuta_server.api.resolver import Resolver
from batuta_server.api.response import Response


def add_routes(app: Resolver, ports: Ports) -> None:
    @app.route("/api/workflow/<workflow_id>/journal", "GET")
    def get_journal(workflow_id: str) -> Response:
        from batuta_core.engine import export  # 3 ms of a cold start (2026-11), for a route that is seldom asked

        request = current()
        return json_response(export.page(ports, ExecutionId(request.namespace, workflow_id), request.number("from", 1)))

    @app.route("/api/workflow/<workflow_id>/journal/payloads/<key>", "GET")
    def get_payload(workflow_id: str, key: str) -> Response:
        from batuta_core.engine import export

        return json_response(export.payload(ports, ExecutionId(current().namespace, workflow_id), key))
