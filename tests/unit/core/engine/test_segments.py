"""Forks so wide that their branches run in segments: what users see, and may do, is as with any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.core.engine.server import NAMESPACE, Json, Server, simple

from batuta_core.decider import segments
from batuta_core.engine import operate, operations, poll, query, search, search_tasks
from batuta_core.engine.export import export
from batuta_core.engine.operate import TaskReport
from batuta_core.engine.replay import replay
from batuta_core.engine.search import Search
from batuta_core.model import ids
from batuta_core.model.error import OperationRefused, WorkflowNotFound
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import ExecutionId, is_segment

WIDTH = 11  # two levels of segments
JOIN = {"name": "j", "taskReferenceName": "j", "type": "JOIN"}
DONE = TaskReport(status=TaskStatus.COMPLETED, output={"by": "hand"})


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WIDE", 3), ("WIDTH", 2), ("SEGMENTS_MAX", 3)):
        monkeypatch.setattr(segments, name, value)


def fork(inputs: Any = "${workflow.input.items}", **fields: Any) -> Json:
    given = {"forkTaskName": "work", "forkTaskInputs": inputs, **fields}
    return {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC", "inputParameters": given}


def started(*tasks: Json, width: int = WIDTH, work: Json | None = None, **fields: Any) -> tuple[Server, ExecutionId]:
    server = Server()
    server.register(*tasks, task_definitions=[{"name": "work", "retryCount": 0, "responseTimeoutSeconds": 3600, **(work or {})}], **fields)
    execution = server.start(input={"items": [{"n": n} for n in range(width)], "k": "v"})
    server.settle()
    return server, execution


def branches(shown: Json) -> list[Json]:
    return [task for task in shown["tasks"] if task["taskDefName"] == "work"]


def in_segments(server: Server) -> set[ExecutionId]:
    found = server.world.journal.executions()
    return {execution for execution in found if is_segment(server.newest(execution).head.definition)}


def run_all(server: Server) -> None:
    while message := server.take("work"):
        server.report(message, output={"sum": message.input["n"] + 1})


def test_the_branches_look_like_tasks_of_the_execution() -> None:
    server, execution = started(fork(), JOIN, simple("after", inputParameters={"third": "${j.output._work_3.sum}"}))
    shown = server.show(execution)
    assert [task["referenceTaskName"] for task in shown["tasks"]] == ["f", *(f"_work_{n}" for n in range(WIDTH)), "j"]
    assert [task["seq"] for task in shown["tasks"]] == list(range(1, WIDTH + 3))
    assert {task["workflowInstanceId"] for task in shown["tasks"]} == {execution.workflow_id}
    assert [task["inputData"] for task in branches(shown)] == [{"n": n, "__index": n} for n in range(WIDTH)]
    assert [task["workflowTask"]["type"] for task in branches(shown)] == ["SIMPLE"] * WIDTH
    assert shown["tasks"][-1]["inputData"]["joinOn"] == [f"_work_{n}" for n in range(WIDTH)]
    run_all(server)
    shown = server.show(execution)
    assert list(shown["tasks"][-2]["outputData"].items()) == [(f"_work_{n}", {"sum": n + 1}) for n in range(WIDTH)]
    assert server.taken("after").input == {"third": 4}
    assert len(in_segments(server)) > WIDTH // 2


def test_workers_are_told_the_execution_that_users_know() -> None:
    server, execution = started(fork(), JOIN)
    assert server.taken("work").workflow_id == execution.workflow_id
    (polled,) = poll.poll(server.ports, NAMESPACE, "work", worker_id="me")
    assert polled["workflowInstanceId"] == execution.workflow_id


def test_results_are_taken_by_id_and_by_reference() -> None:
    server, execution = started(fork(), JOIN)
    task = branches(server.show(execution))[4]
    operate.update_task(server.ports, NAMESPACE, execution.workflow_id, task["taskId"], DONE)
    assert operate.update_by_ref(server.ports, execution, "_work_7", DONE) == branches(server.show(execution))[7]["taskId"]
    assert operate.update_by_ref(server.ports, execution, "_work_99", DONE) is None
    ended = [task["referenceTaskName"] for task in branches(server.show(execution)) if task["status"] == "COMPLETED"]
    assert ended == ["_work_4", "_work_7"]
    assert query.task_json(server.ports, NAMESPACE, task["taskId"])["workflowInstanceId"] == execution.workflow_id


def test_a_page_holds_the_tasks_of_its_places() -> None:
    server, execution = started(fork(), JOIN)
    server.run_task("work", {"sum": 1})
    whole = server.show(execution)["tasks"]
    for start in range(0, len(whole), 3):
        page = query.task_page(server.ports, execution, start, 3, ())
        assert page["totalHits"] == len(whole)
        assert [task["taskId"] for task in page["results"]] == [task["taskId"] for task in whole[start : start + 3]]
        assert [task["inputData"] for task in page["results"]] == [task["inputData"] for task in whole[start : start + 3]]
    open_ = query.task_page(server.ports, execution, 2, 5, ["SCHEDULED"])
    assert open_["totalHits"] == WIDTH - 1
    scheduled = [task["taskId"] for task in whole if task["status"] == "SCHEDULED"]
    assert [task["taskId"] for task in open_["results"]] == scheduled[2:7]


def test_what_branches_read_from_outside_is_as_it_was_when_the_fork_began() -> None:
    source = "${workflow.input.k} ${first.output.x} ${workflow.workflowId} ${nobody.output.x}"
    items = [{"text": source}] * 5
    server = Server()
    server.register(simple("first"), fork("${first.output.items}"), JOIN, task_definitions=[{"name": "work"}, {"name": "first"}])
    execution = server.start(input={"k": "v"})
    server.run_task("first", {"x": 7, "items": items})
    found = {task["inputData"]["text"] for task in branches(server.show(execution))}
    assert found == {f"v 7 {execution.workflow_id} null"}
    assert in_segments(server)


def test_a_branch_that_fails_fails_the_execution_with_its_own_words() -> None:
    server, execution = started(fork(), JOIN)
    message = server.taken("work")
    server.report(message, TaskStatus.FAILED, reason="no luck")
    shown = server.show(execution)
    assert shown["status"] == "FAILED"
    assert shown["reasonForIncompletion"] == f"Task {message.task_id} failed with status: FAILED and reason: 'no luck'"
    assert shown["failedReferenceTaskNames"] == [message.ref]
    assert shown["failedTaskNames"] == ["work"]
    assert {task["status"] for task in branches(shown)} == {"FAILED", "CANCELED"}
    assert {server.status(segment) for segment in in_segments(server)} <= {"FAILED", "TERMINATED"}


def test_a_retry_does_again_what_had_not_ended_well() -> None:
    server, execution = started(fork(), JOIN)
    for _ in range(5):
        server.run_task("work", {"sum": 0})
    before = {task["referenceTaskName"] for task in branches(server.show(execution)) if task["status"] == "COMPLETED"}
    failing = server.taken("work")
    server.report(failing, TaskStatus.FAILED, reason="no luck")
    while server.take("work"):
        pass
    operations.retry(server.ports, execution)
    server.settle()
    again = set()
    while message := server.take("work"):
        again.add(message.ref)
        assert message.attempt == 2
        server.report(message, output={"sum": 1})
    assert again == {f"_work_{n}" for n in range(WIDTH)} - before
    shown = server.show(execution)
    assert shown["status"] == "COMPLETED"
    assert shown["output"] == {f"_work_{n}": {"sum": 0 if f"_work_{n}" in before else 1} for n in range(WIDTH)}
    assert [task["retried"] for task in branches(shown) if task["taskId"] == failing.task_id] == [True]


def test_a_rerun_begins_at_a_branch_that_failed() -> None:
    server, execution = started(fork(), JOIN)
    failing = server.taken("work")
    server.report(failing, TaskStatus.FAILED, reason="no luck")
    while server.take("work"):
        pass
    operations.rerun(server.ports, execution, task_id=failing.task_id, task_input={"n": 40})
    server.settle()
    inputs = {}
    while message := server.take("work"):
        inputs[message.ref] = (message.task_id, message.input)
        server.report(message, output={"sum": message.input["n"] + 1})
    assert inputs.pop(failing.ref) == (failing.task_id, {"n": 40})
    assert len(inputs) == WIDTH - 1
    shown = server.show(execution)
    assert shown["status"] == "COMPLETED"
    assert shown["output"] == {f"_work_{n}": {"sum": 41 if f"_work_{n}" == failing.ref else n + 1} for n in range(WIDTH)}


def test_a_rerun_from_a_branch_that_ended_well_is_refused() -> None:
    server, execution = started(fork(), JOIN)
    run_all(server)
    task = branches(server.show(execution))[3]
    with pytest.raises(OperationRefused, match="is over: restart, retry or rerun that workflow"):
        operations.rerun(server.ports, execution, task_id=task["taskId"])
    first = server.show(execution)["tasks"][0]
    operations.rerun(server.ports, execution, task_id=first["taskId"])
    server.settle()
    run_all(server)
    assert server.status(execution) == "COMPLETED"


def test_a_restart_forks_anew() -> None:
    server, execution = started(fork(), JOIN)
    run_all(server)
    operations.restart(server.ports, execution)
    server.settle()
    run_all(server)
    assert server.status(execution) == "COMPLETED"
    assert len(branches(server.show(execution))) == WIDTH


def test_removal_leaves_nothing() -> None:
    server, execution = started(fork(), JOIN)
    run_all(server)
    segments_before = in_segments(server)
    operate.remove(server.ports, execution, is_archived=False)
    server.settle(for_ms=3_600_000)
    for one in (execution, *segments_before):
        assert [record.head.status.value for record in server.world.journal.scan(one)] in ([], ["REMOVED"])
    assert not server.world.payloads.objects


def test_removal_finds_the_segments_of_a_definition_that_a_restart_left() -> None:
    server, execution = started(fork(), JOIN)
    run_all(server)
    before = in_segments(server)
    server.register(simple("other"), task_definitions=[{"name": "other"}], version=2)
    operations.restart(server.ports, execution, is_latest=True)
    server.settle()
    operate.remove(server.ports, execution, is_archived=False)
    server.settle(for_ms=3_600_000)
    for one in before:
        assert [record.head.status.value for record in server.world.journal.scan(one)] in ([], ["REMOVED"])


def test_a_terminate_reaches_all_branches() -> None:
    server, execution = started(fork(), JOIN)
    operate.terminate(server.ports, execution, "enough")
    server.settle()
    assert {task["status"] for task in branches(server.show(execution))} == {"CANCELED"}
    assert {server.status(segment) for segment in in_segments(server)} == {"TERMINATED"}


def test_nobody_finds_or_names_a_segment() -> None:
    server, execution = started(fork(), JOIN)
    found = search.find(server.ports, NAMESPACE, Search(), 0, 100)[1]
    assert [summary.execution for summary in found] == [execution]
    tasks = search_tasks.find(server.ports, NAMESPACE, search_tasks.parse_query("taskDefName = 'work'", ""), 0, 100)
    assert tasks[0] == WIDTH
    segment = min(in_segments(server))
    calls: list[Callable[[], object]] = [
        lambda: operate.terminate(server.ports, segment, None),
        lambda: operate.remove(server.ports, segment, is_archived=False),
        lambda: operations.pause(server.ports, segment),
        lambda: operations.restart(server.ports, segment),
        lambda: operations.rerun(server.ports, segment),
    ]
    for call in calls:
        with pytest.raises(WorkflowNotFound):
            call()


def test_in_a_loop_the_branches_bear_the_iteration() -> None:
    loop = {
        "name": "loop", "taskReferenceName": "loop", "type": "DO_WHILE", "loopCondition": "", "inputParameters": {"_items": [1, 2]},
        "loopOver": [fork(), JOIN],
    }  # fmt: skip
    server, execution = started(loop, width=5)
    run_all(server)
    shown = server.show(execution)
    assert shown["status"] == "COMPLETED"
    refs = [task["referenceTaskName"] for task in branches(shown)]
    assert refs == [*(f"_work_{n}__1" for n in range(5)), *(f"_f_work_{n}__2" for n in range(5))]
    joins = [task for task in shown["tasks"] if task["taskType"] == "JOIN"]
    assert [list(join["outputData"]) for join in joins] == [refs[:5], refs[5:]]


def test_a_fork_in_a_loop_may_be_wide_in_one_iteration_and_not_in_the_next() -> None:
    source = "${workflow.input.lists[${loop.output.iteration}]}"
    loop = {
        "name": "loop", "taskReferenceName": "loop", "type": "DO_WHILE", "loopCondition": "", "inputParameters": {"_items": [1, 2, 3]},
        "loopOver": [fork(source), JOIN],
    }  # fmt: skip
    server = Server()
    server.register(loop, task_definitions=[{"name": "work"}])
    execution = server.start(input={"lists": [[], [{"n": n} for n in range(7)], [{"n": 0}], [{"n": n} for n in range(4)]]})
    server.settle()
    run_all(server)
    shown = server.show(execution)
    assert shown["status"] == "COMPLETED"
    joins = [task for task in shown["tasks"] if task["taskType"] == "JOIN"]
    assert [len(join["outputData"]) for join in joins] == [7, 1, 4]


def test_children_of_branches_name_the_execution_that_users_know() -> None:
    server = Server()
    server.register(simple("inner"), name="below", task_definitions=[{"name": "inner"}])
    server.register(fork(forkTaskWorkflow="below"), JOIN)
    execution = server.start(input={"items": [{}] * 5})
    server.settle()
    below = server.taken("inner").execution
    assert server.show(below)["parentWorkflowId"] == execution.workflow_id
    found = search.find(server.ports, NAMESPACE, Search(names=("below",)), 0, 9)[1]
    assert {summary.parent_workflow_id for summary in found} == {execution.workflow_id}


@pytest.mark.parametrize("task", [{"type": "SET_VARIABLE"}, {"permissive": True}, {"inputParameters": {"x": "${t0.status}"}}])
def test_branches_that_are_no_tasks_alone_stand_in_the_head(task: Json) -> None:
    tasks = [simple(f"t{n}", **task) for n in range(5)]
    fields = {"dynamicForkTasksParam": "dt", "dynamicForkTasksInputParamName": "di"}
    given = {"inputParameters": {"dt": "${workflow.input.tasks}", "di": {}}}
    server = Server()
    server.register({**fork(), **fields, **given}, JOIN)
    server.start(input={"tasks": tasks})
    server.settle()
    assert not in_segments(server)


def test_a_segment_is_exported_and_decided_again() -> None:
    server, execution = started(fork(), JOIN)
    run_all(server)
    for one in (execution, *in_segments(server)):
        assert replay(export(server.ports, one)) is None


def test_a_task_id_says_where_the_branch_ran() -> None:
    server, execution = started(fork(), JOIN)
    key = ids.parse_task_id(branches(server.show(execution))[0]["taskId"])
    assert key is not None
    assert ExecutionId(NAMESPACE, key.workflow_id) in in_segments(server)
