"""Routes of operations on one execution: /workflow/{id}/pause and its like."""

from __future__ import annotations

from batuta_core.engine import operations
from batuta_core.engine.ports import Ports
from batuta_core.model.error import InvalidInput
from batuta_core.model.names import ExecutionId
from batuta_server.api.request import current, empty_response, text_response
from batuta_server.api.resolver import Resolver
from batuta_server.api.response import Response
from batuta_server.api.schema import RerunBody, read_body


def add_routes(app: Resolver, ports: Ports) -> None:
    @app.route("/api/workflow/<workflow_id>/pause", "PUT")
    def pause(workflow_id: str) -> Response:
        operations.pause(ports, _execution(workflow_id))
        return empty_response()

    @app.route("/api/workflow/<workflow_id>/resume", "PUT")
    def resume(workflow_id: str) -> Response:
        operations.resume(ports, _execution(workflow_id))
        return empty_response()

    @app.route("/api/workflow/<workflow_id>/retry", "POST")
    def retry(workflow_id: str) -> Response:
        operations.retry(ports, _execution(workflow_id), is_deep=current().flag("resumeSubworkflowTasks"))
        return empty_response(204)

    @app.route("/api/workflow/<workflow_id>/restart", "POST")
    def restart(workflow_id: str) -> Response:
        operations.restart(ports, _execution(workflow_id), is_latest=current().flag("useLatestDefinitions"))
        return empty_response(204)

    @app.route("/api/workflow/<workflow_id>/rerun", "POST")
    def rerun(workflow_id: str) -> Response:
        body = read_body(RerunBody, current().json())
        operations.rerun(
            ports,
            _execution(workflow_id),
            task_id=body.task_id or None,
            task_input=body.task_input,
            workflow_input=body.workflow_input,
            correlation_id=body.correlation_id,
        )
        return text_response(workflow_id)

    @app.route("/api/workflow/<workflow_id>/skiptask/<ref>", "PUT")
    def skip_task(workflow_id: str, ref: str) -> Response:
        operations.skip(ports, _execution(workflow_id), ref)  # a body is ignored, as Conductor does (recorded)
        return empty_response()

    @app.route("/api/workflow/<workflow_id>/resetcallbacks", "POST")
    def reset_callbacks(workflow_id: str) -> Response:
        operations.reset_callbacks(ports, _execution(workflow_id))
        return empty_response(204)

    @app.route("/api/workflow/<workflow_id>/variables", "POST")
    def update_variables(workflow_id: str) -> Response:
        given = current().json()
        if not isinstance(given, dict):
            raise InvalidInput("The body holds the variables to set: it must be a JSON object.")
        operations.update_variables(ports, _execution(workflow_id), given)
        return empty_response()


def _execution(workflow_id: str) -> ExecutionId:
    return ExecutionId(current().namespace, workflow_id)
