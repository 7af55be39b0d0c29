"""Routes of tasks: /tasks, which is what Conductor's workers call."""

from __future__ import annotations

from typing import Any

from batuta_core.engine import operate, query, requeue, synchronous
from batuta_core.engine import signal as signals
from batuta_core.engine.poll import poll
from batuta_core.engine.ports import PollData, Ports
from batuta_core.model.error import InvalidInput, TaskNotFound
from batuta_core.model.names import ExecutionId
from batuta_server.api.request import current, empty_response, json_response, note, return_strategy, text_response
from batuta_server.api.resolver import Resolver
from batuta_server.api.response import Response
from batuta_server.api.schema import TaskResultBody, read_body, reported_status

_POLL_MS = 100  # Conductor's default timeout of a poll
_POLL_MAX_MS = 5000  # Conductor's limit
_POLL_COUNT_MAX = 100


def add_routes(app: Resolver, ports: Ports) -> None:
    _add_polls(app, ports)
    _add_queues(app, ports)
    _add_updates(app, ports)

    @app.route("/api/tasks/<task_id>/log", "POST")
    def add_log(task_id: str) -> Response:
        request = current()
        operate.add_log(ports, request.namespace, task_id, request.raw_body)
        return empty_response()

    @app.route("/api/tasks/<task_id>/log", "GET")
    def get_log(task_id: str) -> Response:
        lines = query.log_lines(ports, current().namespace, task_id)
        return json_response(lines) if lines else empty_response(204)

    @app.route("/api/tasks/<task_id>", "GET")
    def get_task(task_id: str) -> Response:
        request = current()
        return json_response(query.task_json(ports, request.namespace, task_id, is_external=request.flag("externalPayloads")))


def _add_polls(app: Resolver, ports: Ports) -> None:
    @app.route("/api/tasks/poll/batch/<type_name>", "GET")
    def poll_batch(type_name: str) -> Response:
        request = current()
        timeout_ms = request.number("timeout", _POLL_MS)
        if timeout_ms > _POLL_MAX_MS:
            raise InvalidInput("Long Poll Timeout value cannot be more than 5 seconds")
        return json_response(_poll(type_name, request.number("count", 1), timeout_ms))

    @app.route("/api/tasks/poll/<type_name>", "GET")
    def poll_one(type_name: str) -> Response:
        found = _poll(type_name, 1, _POLL_MS)
        return json_response(found[0]) if found else empty_response(204)

    def _poll(type_name: str, count: int, timeout_ms: int) -> list[dict[str, Any]]:
        request = current()
        if not 0 <= count <= _POLL_COUNT_MAX:
            raise InvalidInput(f"count is {count}, it must be between 0 and {_POLL_COUNT_MAX}")
        found = poll(
            ports,
            request.namespace,
            type_name,
            worker_id=request.text("workerid"),
            domain=request.text("domain"),
            count=count,
            timeout_ms=max(timeout_ms, 0),
        )
        for task in found:
            note(task_id=task["taskId"])
        return found

    @app.route("/api/tasks/update-v2", "POST")
    def update_and_poll() -> Response:
        request = current()
        body = read_body(TaskResultBody, request.json())
        task = _update(ports, body)
        next_type = task and task["status"] not in ("SCHEDULED", "IN_PROGRESS") and task["taskType"]
        found = poll(ports, request.namespace, next_type, worker_id=body.worker_id or "", timeout_ms=0) if next_type else []
        return json_response(found[0]) if found else empty_response(204)


def _add_queues(app: Resolver, ports: Ports) -> None:
    @app.route("/api/tasks/queue/requeue/<type_name>", "POST")
    def requeue_tasks(type_name: str) -> Response:
        return text_response(str(requeue.requeue(ports, current().namespace, type_name)))

    @app.route("/api/admin/sweep/requeue/<workflow_id>", "POST")
    def send_again(workflow_id: str) -> Response:
        is_found = requeue.send_again(ports, ExecutionId(current().namespace, workflow_id))
        return text_response(f"{str(is_found).lower()}.{workflow_id}")

    @app.route("/api/tasks/queue/size", "GET")
    def queue_size() -> Response:
        request = current()
        return json_response(requeue.waiting(ports, request.namespace, _required("taskType"), request.text("domain")))

    @app.route("/api/tasks/queue/sizes", "GET")
    def queue_sizes() -> Response:
        _required("taskType")
        request = current()
        return json_response({name: requeue.waiting(ports, request.namespace, name) for name in request.texts("taskType")})

    @app.route("/api/tasks/queue/all", "GET")
    def all_queues() -> Response:
        namespace = current().namespace
        return json_response({name: requeue.waiting(ports, namespace, name) for name in requeue.queue_types(ports, namespace)})

    @app.route("/api/tasks/queue/polldata", "GET")
    def poll_data() -> Response:
        return json_response([_poll_json(item) for item in ports.definitions.polls(current().namespace, _required("taskType"))])

    @app.route("/api/tasks/queue/polldata/all", "GET")
    def all_poll_data() -> Response:
        return json_response([_poll_json(item) for item in ports.definitions.polls(current().namespace)])


def _add_updates(app: Resolver, ports: Ports) -> None:
    @app.route("/api/tasks", "POST")
    def update_task() -> Response:
        body = read_body(TaskResultBody, current().json())
        _update(ports, body, is_shown=False)
        return text_response(body.task_id or "")

    @app.route("/api/tasks/<workflow_id>/<status>/signal", "POST")
    def signal(workflow_id: str, status: str) -> Response:
        _signal(ExecutionId(current().namespace, workflow_id), status)
        return empty_response()

    @app.route("/api/tasks/<workflow_id>/<status>/signal/sync", "POST")
    def signal_and_wait(workflow_id: str, status: str) -> Response:
        request = current()
        execution = ExecutionId(request.namespace, workflow_id)
        timeout_ms, strategy = request.number("timeoutMillis", 5000), return_strategy()  # what can be refused comes before the signal
        if _signal(execution, status) is None:
            raise TaskNotFound(f"Found no blocked task in workflow {workflow_id} to signal", workflow_id=workflow_id)

        outcome = synchronous.wait_until_blocked(ports, execution, (), timeout_ms)
        shown = synchronous.answer(ports, execution, outcome, strategy, ports.ids.workflow_id())
        return json_response(shown) if shown else empty_response()

    @app.route("/api/tasks/<workflow_id>/<ref>/<status>", "POST")
    def update_by_ref(workflow_id: str, ref: str, status: str) -> Response:
        task_id = operate.update_by_ref(ports, ExecutionId(current().namespace, workflow_id), ref, _report(status))
        note(task_id=task_id or "")
        return text_response(task_id) if task_id else empty_response()

    @app.route("/api/tasks/<workflow_id>/<ref>/<status>/sync", "POST")
    def update_by_ref_and_show(workflow_id: str, ref: str, status: str) -> Response:
        execution = ExecutionId(current().namespace, workflow_id)
        if operate.update_by_ref(ports, execution, ref, _report(status)) is None:
            raise TaskNotFound(f"Found no running task {ref} of workflow {workflow_id} to update", workflow_id=workflow_id)
        return json_response(query.workflow_json(ports, execution))

    def _signal(execution: ExecutionId, status: str) -> str | None:
        return signals.signal(ports, execution, _report(status))


def _update(ports: Ports, body: TaskResultBody, *, is_shown: bool = True) -> dict[str, Any] | None:
    report = body.to_report()
    namespace = current().namespace
    note(workflow_id=body.workflow_instance_id or "", task_id=body.task_id or "")
    operate.update_task(ports, namespace, body.workflow_instance_id or "", body.task_id or "", report)
    return query.task_json(ports, namespace, body.task_id or "") if is_shown and not report.is_lease_extended else None


def _report(status: str) -> operate.TaskReport:
    """A report by reference: the output joins the one that is there."""
    request = current()
    output = request.json()
    if not isinstance(output, dict):
        raise InvalidInput("The body is the task's output: it must be a JSON object.")
    worker_id = request.text("workerid") or None
    return operate.TaskReport(status=reported_status(status), output=output, worker_id=worker_id, callback_after_s=None, is_merged=True)


def _required(name: str) -> str:
    found = current().text(name)
    if not found:
        raise InvalidInput(f"The query parameter {name} is missing.")
    return found


def _poll_json(item: PollData) -> dict[str, Any]:
    shown: dict[str, Any] = {"queueName": item.task_type, "workerId": item.worker_id, "lastPollTime": item.at_ms}
    return {**shown, "domain": item.domain} if item.domain else shown
