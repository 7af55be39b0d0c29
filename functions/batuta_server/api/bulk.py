"""Routes of operations on many executions: /workflow/bulk. One after the other; what speaks against one stops no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from batuta_core.engine import operate, operations, query
from batuta_core.engine.ports import Ports
from batuta_core.model.error import BatutaError, ExecutionTooLarge, InvalidInput, Problem, Unavailable
from batuta_core.model.names import ExecutionId
from batuta_server.api.request import current, json_response
from batuta_server.api.resolver import Resolver
from batuta_server.api.response import Response

IDS_MAX = 1000  # Conductor's limit
TIME_MAX_MS = 20_000  # API Gateway ends a request after 30 s; an execution takes some 50 ms

Operation = Callable[[ExecutionId], Any]  # what it gives goes into the answer; None: the execution's id


def add_routes(app: Resolver, ports: Ports) -> None:
    @app.route("/api/workflow/bulk/pause", "PUT")
    def pause() -> Response:
        return _each(ports, "pauseWorkflow", lambda execution: operations.pause(ports, execution))

    @app.route("/api/workflow/bulk/resume", "PUT")
    def resume() -> Response:
        return _each(ports, "resumeWorkflow", lambda execution: operations.resume(ports, execution))

    @app.route("/api/workflow/bulk/restart", "POST")
    def restart() -> Response:
        is_latest = current().flag("useLatestDefinitions")
        return _each(ports, "restart", lambda execution: operations.restart(ports, execution, is_latest=is_latest))

    @app.route("/api/workflow/bulk/retry", "POST")
    def retry() -> Response:
        return _each(ports, "retry", lambda execution: operations.retry(ports, execution))

    @app.route("/api/workflow/bulk/terminate", "POST")
    def terminate() -> Response:
        reason = current().text("reason") or None
        is_wanted = current().flag("triggerFailureWorkflow")
        return _each(
            ports, "terminate", lambda execution: operate.terminate(ports, execution, reason, is_failure_workflow_wanted=is_wanted)
        )

    @app.route("/api/workflow/bulk/remove", "DELETE")
    def remove() -> Response:
        is_archived = current().flag("archiveWorkflow", default=True)
        return _each(ports, "deleteWorkflow", lambda execution: operate.remove(ports, execution, is_archived=is_archived))

    @app.route("/api/workflow/bulk/terminate-remove", "DELETE")
    def terminate_and_remove() -> Response:
        request = current()
        reason, is_archived = request.text("reason") or None, request.flag("archiveWorkflow", default=True)
        terminated: list[str] = []

        def both(execution: ExecutionId) -> None:
            operate.terminate(ports, execution, reason)
            terminated.append(execution.workflow_id)  # named for each of the two, as Conductor does (recorded)
            operate.remove(ports, execution, is_archived=is_archived)

        return _each(ports, "terminateRemove", both, terminated)

    @app.route("/api/workflow/bulk/search", "POST")
    def search() -> Response:
        has_tasks = current().flag("includeTasks", default=True)
        left = [query.ANSWER_MAX_BYTES]

        def show(execution: ExecutionId) -> Any:
            shown = query.workflow_json(ports, execution, has_tasks=has_tasks)
            size = len(json.dumps(shown))
            if size > left[0]:
                raise ExecutionTooLarge("the answer is full: ask for this one again", workflow_id=execution.workflow_id)
            left[0] -= size
            return shown

        return _each(ports, "searchWorkflow", show)


def _each(ports: Ports, method: str, work: Operation, done: list[Any] | None = None) -> Response:
    """``work`` on each of the ids in the body. ``done`` may hold results that ``work`` itself notes."""
    namespace, wanted = current().namespace, _ids(method)
    done = [] if done is None else done
    failed: dict[str, str] = {}
    end_ms = ports.clock.now_ms() + TIME_MAX_MS
    for workflow_id in wanted:
        try:
            if ports.clock.now_ms() > end_ms:
                raise Unavailable("not done: the time of the request was over; send this one again")
            found = work(ExecutionId(namespace, workflow_id))
            done.append(workflow_id if found is None else found)
        except BatutaError as error:
            failed[workflow_id] = error.message
    return json_response({"bulkErrorResults": failed, "bulkSuccessfulResults": done})


def _ids(method: str) -> list[str]:
    """Raises InvalidInput for what is no list of ids, an empty one, or one that is too long; ``method`` is Conductor's, which it names."""
    given = current().json()
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise InvalidInput("The body must be a JSON array of execution ids.")
    text = ""
    if not given:
        text = "WorkflowIds list cannot be null."
    elif len(given) > IDS_MAX:
        text = f"Cannot process more than {IDS_MAX} workflows. Please use multiple requests."
    if text:
        raise InvalidInput("Validation failed, check below errors for detail.", problems=[Problem(f"{method}.arg0", text)])
    return given
