"""What one capability leaves for another: payloads that are never loaded at the end of an execution, a rerun back into a pause."""

from __future__ import annotations

from tests.unit.core.engine.server import Server, simple
from tests.unit.core.engine.test_external import Json, complete, upload

from batuta_core.engine import operate, operations
from batuta_core.model.execution import TaskStatus

HOUR_MS = 3_600_000
ONCE = {"retryCount": 0}
AB: list[Json] = [
    {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": [[simple("a")], [simple("b")]]},
    {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["a", "b"]},
]


def test_a_join_that_is_cut_short_shows_a_payload_that_is_never_loaded() -> None:
    server = Server()
    server.register(*AB, task_definitions=[{"name": "b", **ONCE}])
    execution = server.start()
    complete(server, "a")
    server.report(server.taken("b"), TaskStatus.FAILED)
    server.settle(HOUR_MS)
    assert server.status(execution) == "FAILED"
    other = server.start()
    complete(server, "a")
    operate.terminate(server.ports, other, "enough")
    assert server.status(other) == "TERMINATED"


def test_a_template_joins_an_input_that_holds_parts() -> None:
    server = Server()
    server.register(simple("c"), name="child", inputTemplate={"z": 1})
    sub = {"name": "s", "taskReferenceName": "s", "type": "SUB_WORKFLOW", "subWorkflowParam": {"name": "child"}}
    server.register(simple("a"), {**sub, "inputParameters": {"doc": "${a.output.doc}"}})
    execution = server.start()
    complete(server, "a")
    server.settle(HOUR_MS)
    child = next(other for other in server.world.journal.executions() if other != execution)
    assert server.status(child) == "RUNNING"


def test_an_input_that_is_never_loaded_names_no_failure_workflow() -> None:
    server = Server()
    server.register(simple("a"), failureWorkflow="$workflow.input.n", task_definitions=[{"name": "a", **ONCE}])
    execution = server.start(external_input=upload(server))
    server.report(server.taken("a"), TaskStatus.FAILED)
    server.settle(HOUR_MS)
    assert server.status(execution) == "FAILED"
    assert "failed to start" in server.show(execution)["output"]["conductor.failure_workflow"]


def test_a_dynamic_task_is_not_called_like_a_payload() -> None:
    server = Server()
    dynamic = {"name": "d", "taskReferenceName": "d", "type": "DYNAMIC", "dynamicTaskNameParam": "t"}
    server.register(simple("a"), {**dynamic, "inputParameters": {"t": "${a.output.n}"}})
    execution = server.start()
    complete(server, "a")
    assert server.status(execution) == "FAILED"


def test_a_rerun_from_an_attempt_that_the_end_of_a_pause_began_takes_the_other_failures_along() -> None:
    server = Server()
    again = {"retryCount": 1, "retryDelaySeconds": 0}
    server.register(*AB, simple("c"), task_definitions=[{"name": "a", **again}, {"name": "b", **again}])
    execution = server.start()
    operations.pause(server.ports, execution)
    for ref in "ab":
        server.report(server.taken(ref), TaskStatus.FAILED)
    operations.resume(server.ports, execution)
    server.settle()
    second = server.taken("a")
    server.report(second)
    server.run_task("b")
    server.run_task("c")
    assert server.status(execution) == "COMPLETED"
    operations.rerun(server.ports, execution, task_id=second.task_id)
    server.settle()
    server.run_task("a")
    server.run_task("b")
    server.run_task("c")
    assert server.status(execution) == "COMPLETED"
