"""Routes of executions: /workflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from batuta_core.engine import operate, query, search, synchronous
from batuta_core.engine.ports import Ports, SummaryQuery
from batuta_core.engine.start import StartRequest, start
from batuta_core.engine.wait import WAIT_MAX_MS
from batuta_core.model.error import InvalidInput
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.names import ExecutionId
from batuta_server.api.definitions import naming_all_workflow_faults
from batuta_server.api.javascript import syntax_error
from batuta_server.api.request import current, empty_response, json_response, note, return_strategy, text_response, version_of
from batuta_server.api.resolver import Resolver
from batuta_server.api.response import Response
from batuta_server.api.schema import StartWorkflowBody, read_body

_CORRELATED_MAX = 100  # each is a search of its own
_WAIT_DEFAULT_S = 10  # Conductor's waitForSeconds


def add_routes(app: Resolver, ports: Ports) -> None:
    @app.route("/api/workflow", "POST")
    def start_workflow() -> Response:
        request = current()
        body = read_body(StartWorkflowBody, request.json())
        return text_response(_start(ports, body.to_request(request.namespace)))

    @app.route("/api/workflow/execute/<name>/<version>", "POST")
    def execute_workflow(name: str, version: str) -> Response:
        number = version_of(version, ", 0 for the latest")
        request = current()
        wait_s = request.number("waitForSeconds", 0) or _WAIT_DEFAULT_S  # whatever can be refused comes before the start
        strategy = return_strategy()
        body = read_body(StartWorkflowBody, request.json()).to_request(request.namespace)
        workflow_id = _start(ports, replace(body, name=name, version=number or None))
        execution = ExecutionId(request.namespace, workflow_id)
        refs = [ref.strip() for ref in request.text("waitUntilTaskRef").split(",") if ref.strip()]
        outcome = synchronous.wait_until_blocked(ports, execution, refs, min(wait_s * 1000, WAIT_MAX_MS))
        shown = synchronous.answer(ports, execution, outcome, strategy, request.text("requestId") or ports.ids.workflow_id())
        return json_response(shown) if shown else empty_response()

    @app.route("/api/workflow/running/<name>", "GET")
    def list_running(name: str) -> Response:
        request = current()
        found = []
        for status in (WorkflowStatus.RUNNING, WorkflowStatus.PAUSED):
            wanted = search.Search(names=(name,), statuses=(status.value,))
            found += search.find(ports, request.namespace, wanted, 0, search.SIZE_MAX)[1]
        return json_response([summary.execution.workflow_id for summary in found])

    @app.route("/api/workflow/decide/<workflow_id>", "PUT")
    def decide(workflow_id: str) -> Response:
        operate.look(ports, ExecutionId(current().namespace, workflow_id))  # decisions need no push: this is for deadlines alone
        return empty_response()

    @app.route("/api/workflow/<name>/correlated/<correlation_id>", "GET")
    def list_correlated(name: str, correlation_id: str) -> Response:
        return json_response(_correlated(ports, name, correlation_id))

    @app.route("/api/workflow/<name>/correlated", "POST")
    def list_correlated_of_each(name: str) -> Response:
        wanted = current().json()
        if not isinstance(wanted, list) or not all(isinstance(item, str) for item in wanted):
            raise InvalidInput("The body is a list of correlation ids.")
        if len(wanted) > _CORRELATED_MAX:
            raise InvalidInput(f"There are {len(wanted)} correlation ids, the limit is {_CORRELATED_MAX}: ask for fewer at a time.")
        return json_response({item: _correlated(ports, name, item) for item in dict.fromkeys(wanted)})

    @app.route("/api/workflow/<workflow_id>/tasks", "GET")
    def list_tasks(workflow_id: str) -> Response:
        request = current()
        execution = ExecutionId(request.namespace, workflow_id)
        start_at, count = request.number("start", 0), request.number("count", 15)
        if start_at < 0 or count < 0:
            raise InvalidInput(f"start ({start_at}) and count ({count}) must not be negative.")
        is_external = request.flag("externalPayloads")
        return json_response(query.task_page(ports, execution, start_at, count, request.texts("status"), is_external=is_external))

    @app.route("/api/workflow/<workflow_id>/status", "GET")
    def get_status(workflow_id: str) -> Response:
        request = current()
        execution = ExecutionId(request.namespace, workflow_id)
        has_output, has_variables = request.flag("includeOutput"), request.flag("includeVariables")
        return json_response(query.status_json(ports, execution, has_output=has_output, has_variables=has_variables))

    @app.route("/api/workflow/<workflow_id>/remove", "DELETE")
    def remove_workflow(workflow_id: str) -> Response:
        request = current()
        operate.remove(ports, ExecutionId(request.namespace, workflow_id), is_archived=request.flag("archiveWorkflow", default=True))
        return empty_response()

    @app.route("/api/workflow/<workflow_id>/terminate-remove", "DELETE")
    def terminate_and_remove(workflow_id: str) -> Response:
        request = current()
        execution = ExecutionId(request.namespace, workflow_id)
        operate.terminate(ports, execution, request.text("reason") or None)
        operate.remove(ports, execution, is_archived=True)
        return empty_response()

    @app.route("/api/workflow/<workflow_id>", "DELETE")
    def terminate_workflow(workflow_id: str) -> Response:
        request = current()
        execution = ExecutionId(request.namespace, workflow_id)
        is_wanted = request.flag("triggerFailureWorkflow")
        operate.terminate(ports, execution, request.text("reason") or None, is_failure_workflow_wanted=is_wanted)
        return empty_response()

    @app.route("/api/workflow/<workflow_id>", "GET")
    def get_workflow(workflow_id: str) -> Response:
        request = current()
        execution, has_tasks = ExecutionId(request.namespace, workflow_id), request.flag("includeTasks", default=True)
        is_external = request.flag("externalPayloads")
        return json_response(query.workflow_json(ports, execution, has_tasks=has_tasks, is_external=is_external))

    @app.route("/api/workflow/<name>", "POST")
    def start_by_name(name: str) -> Response:
        request = current()
        given = request.json()
        if not isinstance(given, dict):
            raise InvalidInput("The body is the workflow's input: it must be a JSON object.")
        body = StartRequest(
            namespace=request.namespace,
            name=name,
            version=request.optional_number("version"),
            input=given,
            correlation_id=request.text("correlationId") or None,
            priority=request.number("priority", 0),
        )
        return text_response(start(body, ports, syntax_error))


def _correlated(ports: Ports, name: str, correlation_id: str) -> list[dict[str, Any]]:
    request = current()
    page = ports.summaries.find(SummaryQuery(namespace=request.namespace, correlation_id=correlation_id, limit=100))
    is_wanted: Callable[[WorkflowStatus], bool] = lambda status: request.flag("includeClosed") or status is WorkflowStatus.RUNNING  # noqa: E731
    chosen = [summary for summary in page.summaries if summary.name == name and is_wanted(summary.status)]
    return [query.workflow_json(ports, summary.execution, has_tasks=request.flag("includeTasks")) for summary in chosen]


def _start(ports: Ports, request: StartRequest) -> str:
    with naming_all_workflow_faults(ports, {} if request.definition is None else {"workflowDef": request.definition}):
        workflow_id = start(request, ports, syntax_error)
    note(workflow_id=workflow_id)
    return workflow_id
