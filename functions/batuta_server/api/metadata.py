"""Routes of definitions: /metadata/workflow and /metadata/taskdefs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batuta_core.engine import catalog
from batuta_core.engine.ports import Ports
from batuta_core.model.error import InvalidInput, Problem, TaskDefinitionNotFound, WorkflowDefinitionNotFound
from batuta_server.api.definitions import by_place, naming_all_task_faults, naming_all_workflow_faults
from batuta_server.api.javascript import syntax_error
from batuta_server.api.request import current, empty_response, json_response, version_of
from batuta_server.api.resolver import Resolver
from batuta_server.api.response import Response

_DEFINITIONS_MAX = 5000  # in one registration: a body of two million empty ones would be refused one by one, for minutes
_SUMMARY_FIELDS = ("name", "version", "createTime", "updateTime")


def add_routes(app: Resolver, ports: Ports) -> None:
    @app.route("/api/metadata/workflow", "POST")
    def register_workflow() -> Response:
        request = current()
        body, is_new = request.json(), not request.flag("overwrite")
        with naming_all_workflow_faults(ports, {"": body}):
            catalog.register_workflows(ports, request.namespace, [body], syntax_error, is_new=is_new, is_upsert=False)
        return empty_response()

    @app.route("/api/metadata/workflow/validate", "POST")
    def validate_workflow() -> Response:
        request = current()
        body = request.json()
        with naming_all_workflow_faults(ports, {"": body}):
            catalog.check_workflow(ports, request.namespace, body, syntax_error)
        return empty_response()

    @app.route("/api/metadata/workflow", "PUT")
    def replace_workflows() -> Response:
        request = current()
        bodies = _list(request.json(), "WorkflowDefList is empty")
        with naming_all_workflow_faults(ports, by_place(bodies) if len(bodies) > 1 else {"": bodies[0]}):
            names = catalog.register_workflows(ports, request.namespace, bodies, syntax_error)
        return json_response({"bulkErrorResults": {}, "bulkSuccessfulResults": names})

    @app.route("/api/metadata/workflow", "GET")
    def list_workflows() -> Response:
        return json_response(list(ports.definitions.workflows(current().namespace)))

    @app.route("/api/metadata/workflow/names", "GET")
    def list_names() -> Response:
        return json_response(list(_by_name(ports)))

    @app.route("/api/metadata/workflow/names-and-versions", "GET")
    def list_names_and_versions() -> Response:
        return json_response({name: [_summary(item) for item in items] for name, items in _by_name(ports).items()})

    @app.route("/api/metadata/workflow/latest-versions", "GET")
    def list_latest() -> Response:
        return json_response([items[-1] for items in _by_name(ports).values()])

    @app.route("/api/metadata/workflow/<name>", "GET")
    def get_workflow(name: str) -> Response:
        request = current()
        version = request.optional_number("version")
        found = ports.definitions.workflow(request.namespace, name, version)
        if found is None:
            shown = "null" if version is None else version
            raise WorkflowDefinitionNotFound(f"No such workflow found by name: {name}, version: {shown}", name=name)
        return json_response(found)

    @app.route("/api/metadata/workflow/<name>/versions", "GET")
    def list_versions(name: str) -> Response:
        return json_response([_summary(item) for item in ports.definitions.workflows(current().namespace, name)])

    @app.route("/api/metadata/workflow/<name>/<version>", "DELETE")
    def delete_workflow(name: str, version: str) -> Response:
        if not ports.definitions.delete_workflow(current().namespace, name, version_of(version)):
            raise WorkflowDefinitionNotFound(f"No such workflow definition: {name} version: {version}", name=name)
        return empty_response()

    @app.route("/api/metadata/taskdefs", "POST")
    def register_tasks() -> Response:
        request = current()
        bodies = _list(request.json(), "TaskDefList is empty")
        with naming_all_task_faults(by_place(bodies)):
            catalog.register_tasks(ports, request.namespace, bodies)
        return empty_response()

    @app.route("/api/metadata/taskdefs", "PUT")
    def update_task() -> Response:
        request = current()
        body = request.json()
        with naming_all_task_faults({"": body}):
            catalog.update_task(ports, request.namespace, body)
        return empty_response()

    @app.route("/api/metadata/taskdefs", "GET")
    def list_tasks() -> Response:
        return json_response(list(ports.definitions.tasks(current().namespace).values()))

    @app.route("/api/metadata/taskdefs/<name>", "GET")
    def get_task(name: str) -> Response:
        found = ports.definitions.tasks(current().namespace, [name]).get(name)
        if found is None:
            raise TaskDefinitionNotFound(f"No such taskType found by name: {name}", name=name)
        return json_response(found)

    @app.route("/api/metadata/taskdefs/<name>", "DELETE")
    def delete_task(name: str) -> Response:
        if not catalog.delete_task(ports, current().namespace, name):
            raise TaskDefinitionNotFound("No such task definition", name=name)
        return empty_response()


def _by_name(ports: Ports) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for item in ports.definitions.workflows(current().namespace):
        found.setdefault(item["name"], []).append(item)
    return found


def _summary(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {field: definition[field] for field in _SUMMARY_FIELDS}


def _list(body: Any, when_empty: str) -> list[Any]:
    if not isinstance(body, list) or not body:
        problem = Problem("", when_empty if isinstance(body, list) else "must be a list")
        raise InvalidInput("Validation failed, check below errors for detail.", problems=[problem])
    if len(body) > _DEFINITIONS_MAX:
        raise InvalidInput(f"There are {len(body)} definitions, the limit is {_DEFINITIONS_MAX}: register fewer at a time.")
    return body
