"""The API function: HTTP API events (payload format 2.0) in, answers out. It wires; the engine thinks."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

from batuta_core.engine.ports import Ports
from batuta_core.model.error import BatutaError
from batuta_server.api import bulk, events, external, journal, metadata, operations, searches, tasks, workflow_tests, workflows
from batuta_server.api.request import current, enter, json_response, leave, noted, text_response
from batuta_server.api.resolver import Resolver
from batuta_server.api.response import Response

Handler = Any  # (event, context) -> answer


def make_handler(ports: Ports, about: Mapping[str, str], namespaces: Collection[str] = (), *, takes_header: bool = True) -> Handler:
    """The function for one stage. ``about`` is what a worker has to know to find its queues; ``namespaces`` are those that there
    may be, none named: any; ``takes_header``: whether a header may name the namespace, too, since IAM sees paths only.

    In Lambda one request comes at a time; the local server calls it from several threads.
    """
    app = _make_app(ports, about)

    def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        began = time.perf_counter()
        answer = _answer(app, event, ports, namespaces, takes_header)
        request = event.get("requestContext", {}).get("http", {})
        took_ms = round((time.perf_counter() - began) * 1000, 1)
        facts = {"path": event.get("rawPath"), "status": answer["statusCode"], **noted(), "ms": took_ms}
        ports.log.info("request", method=request.get("method"), **facts)
        leave()
        return answer

    return handler


def _answer(app: Resolver, event: Mapping[str, Any], ports: Ports, namespaces: Collection[str], takes_header: bool) -> dict[str, Any]:
    try:
        path = enter(event, namespaces, takes_header=takes_header)
        return app.answer(event["requestContext"]["http"]["method"], path).to_dict()
    except BatutaError as error:
        refused = error
        if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:  # ours or AWS's doing: the request's own line has but the status
            ports.log.failed("request_failed", error, **noted())
    except Exception as error:  # a bug: its text may hold data, so it goes to the log only
        ports.log.failed("request_failed", error, **noted())
        request_id = str(event.get("requestContext", {}).get("requestId", ""))
        refused = BatutaError("Something went wrong in Batuta.", request_id=request_id)
    return json_response(refused.to_dict(), refused.http_status).to_dict()


def _make_app(ports: Ports, about: Mapping[str, str]) -> Resolver:
    app = Resolver()
    metadata.add_routes(app, ports)
    external.add_routes(app, ports)  # before those whose paths hold any name in that place
    workflow_tests.add_routes(app, ports)
    workflows.add_routes(app, ports)
    searches.add_routes(app, ports)
    journal.add_routes(app, ports)
    operations.add_routes(app, ports)
    bulk.add_routes(app, ports)
    tasks.add_routes(app, ports)
    events.add_routes(app, ports)

    @app.route("/health", "GET")
    @app.route("/api/health", "GET")
    def health() -> Response:
        return json_response({"healthResults": [], "suppressedHealthResults": [], "healthy": True})

    @app.route("/api/version", "GET")
    def version() -> Response:
        return text_response(_version())

    @app.route("/api/batuta", "GET")
    def show_about() -> Response:
        return json_response({**about, "version": _version(), "namespace": current().namespace})

    return app


def _version() -> str:
    """Imported here: it takes 17 ms, which a cold start need not spend."""
    from importlib import metadata

    return metadata.version("batuta-server")
