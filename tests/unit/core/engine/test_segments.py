"""Forks so wide that their branches run in segments: what users see, and may do, is as with any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.core.engine.server import NAMESPACE, Json, Server, simple

from batuta_core.decider import segments
from batuta_core.engine import operate, operations, poll, query, search, search_tasks, signal
from batuta_core.engine.export import export
from batuta_core.engine.fetch import load_json
from batuta_core.engine.operate import TaskReport
from batuta_core.engine.replay import replay
from batuta_core.engine.search import Search
from batuta_core.model import ids
from batuta_core.model.error import OperationRefused, WorkflowNotFound
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import ExecutionId, is_segment
from batuta_core.model.payload import PayloadRef, holes_of

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


# --- odd rounds, sizes, lists and names; attempts upon attempts


def fork_of_tasks(tasks: list[Json], inputs: Json) -> Json:
    given = {"dt": tasks, "di": inputs}
    return {**fork(), "dynamicForkTasksParam": "dt", "dynamicForkTasksInputParamName": "di", "inputParameters": given}


def fail_one(server: Server) -> str:
    """A branch fails, and what the others had on their queue is gone: its id."""
    failing = server.taken("work")
    server.report(failing, TaskStatus.FAILED, reason="no luck")
    while server.take("work"):
        pass
    return failing.task_id


def complete(server: Server, count: int) -> set[str]:
    """So many branches end well: their names."""
    done = set()
    for _ in range(count):
        message = server.taken("work")
        done.add(message.ref)
        server.report(message, output={"sum": 7})
    return done


def complete_all(server: Server) -> set[str]:
    done = set()
    while message := server.take("work"):
        done.add(message.ref)
        server.report(message, output={"sum": 1})
    return done


def test_in_a_loop_a_round_may_be_wide_and_the_next_not() -> None:
    rounds = [[{"n": 0}] * width for width in (5, 2, 7, 0)]
    loop = {
        "name": "loop", "taskReferenceName": "loop", "type": "DO_WHILE", "loopCondition": "", "inputParameters": {"_items": rounds},
        "loopOver": [fork("${loop.output.loopItem}"), JOIN],
    }  # fmt: skip
    server, execution = started(loop)
    run_all(server)
    joins = [task for task in server.show(execution)["tasks"] if task["taskType"] == "JOIN"]
    assert [len(join["outputData"]) for join in joins] == [5, 2, 7, 0]


@pytest.mark.parametrize("width", [5, WIDTH])
def test_what_branches_gave_may_be_too_large_to_be_looked_into(width: int) -> None:
    server, execution = started(fork(), JOIN, simple("after", inputParameters={"n": "${j.output._work_3.n}"}), width=width)
    while message := server.take("work"):
        output = {"n": message.input["n"], "large": "x" * 3_000_000}
        operate.update_task(server.ports, NAMESPACE, execution.workflow_id, message.task_id, replace(DONE, output=output))
        server.settle()
    assert isinstance(server.taken("after").input, PayloadRef)
    (change,) = [change for change in server.newest(execution).changes if change.fields.get("ref") == "after"]
    (hole,) = holes_of(change.input)
    assert hole.part.keys == ("outputs", "_work_3", "n")
    found = load_json(server.ports.payloads.get(execution, hole.part.ref))
    assert found["outputs"]["_work_3"]["n"] == 3


def test_the_branches_of_an_optional_fork_are_optional() -> None:
    server, execution = started({**fork(), "optional": True}, JOIN)
    server.report(server.taken("work"), TaskStatus.FAILED, reason="no luck")
    run_all(server)
    assert server.status(execution) == "COMPLETED"


def test_a_retry_knows_what_was_done_before_an_attempt_that_never_began() -> None:
    server, execution = started(fork(), JOIN)
    done = complete(server, 5)
    fail_one(server)
    operations.retry(server.ports, execution)
    operate.terminate(server.ports, execution, "too early")
    server.settle()
    operations.retry(server.ports, execution)
    server.settle()
    assert complete_all(server) == {f"_work_{n}" for n in range(WIDTH)} - done
    assert server.status(execution) == "COMPLETED"


def test_a_retry_knows_what_was_done_since_a_rerun() -> None:
    server, execution = started(fork(), JOIN)
    operations.rerun(server.ports, execution, task_id=fail_one(server))
    server.settle()
    done = complete(server, 6)
    fail_one(server)
    operations.retry(server.ports, execution)
    server.settle()
    assert complete_all(server) == {f"_work_{n}" for n in range(WIDTH)} - done
    assert server.status(execution) == "COMPLETED"


@pytest.mark.parametrize("fields", [{"type": ["x"]}, {"taskReferenceName": ["x"]}, {"taskReferenceName": {}}])
def test_a_list_of_branches_that_are_none_fails_the_execution(fields: Json) -> None:
    tasks = [{**simple(f"t{n}"), **fields} for n in range(4)]
    for wrong in (tasks, [*tasks[:1], *(simple(f"t{n}") for n in range(1, 5))]):
        server = Server()
        server.register({**fork_of_tasks([], {}), "inputParameters": {"dt": "${workflow.input.tasks}", "di": {}}}, JOIN)
        execution = server.start(input={"tasks": wrong})
        server.settle()
        assert server.status(execution) == "FAILED"
        assert "Cannot deserialize" in server.show(execution)["reasonForIncompletion"]


def test_a_type_of_all_branches_that_is_none_is_taken_as_its_text() -> None:
    server, execution = started(fork(forkTaskType=["x"]), JOIN)
    assert server.status(execution) == "RUNNING"


def test_inputs_are_found_by_names_that_were_numbers() -> None:
    tasks = [{**simple("work"), "taskReferenceName": n} for n in range(5)]
    server = Server()
    inputs = {"dt": "${workflow.input.tasks}", "di": "${workflow.input.inputs}"}
    server.register({**fork_of_tasks([], {}), "inputParameters": inputs}, JOIN, task_definitions=[{"name": "work"}])
    execution = server.start(input={"tasks": tasks, "inputs": {"3": {"x": 1}}})
    server.settle()
    assert [task["inputData"] for task in branches(server.show(execution))] == [{}, {}, {}, {"x": 1}, {}]


def test_forks_and_joins_may_be_called_as_segments_are() -> None:
    def called(task: Json, ref: str) -> Json:
        return {**task, "name": ref, "taskReferenceName": ref}

    server, execution = started(called(fork(), "f#1"), called(JOIN, "j#0"), called(fork(), "f"), called(JOIN, "f#0"))
    run_all(server)
    assert server.status(execution) == "COMPLETED"
    assert len(branches(server.show(execution))) == 2 * WIDTH


def test_a_branch_is_found_by_its_id() -> None:
    server, execution = started(fork(), JOIN)
    task_id = branches(server.show(execution))[4]["taskId"]
    for text in (f"taskId = '{task_id}'", f"taskId = '{task_id}' AND workflowId = '{execution.workflow_id}'"):
        total, found = search_tasks.find(server.ports, NAMESPACE, search_tasks.parse_query(text), 0, 9)
        assert total == 1
        assert [one.task.task_id for one in found] == [task_id]
    other = search_tasks.parse_query(f"taskId = '{task_id}' AND workflowId = 'another'")
    assert search_tasks.find(server.ports, NAMESPACE, other, 0, 9)[0] == 0


def test_a_failure_workflow_is_told_the_branch_that_failed() -> None:
    server = Server()
    server.register(simple("mend"), name="mending", task_definitions=[{"name": "mend"}, {"name": "work", "retryCount": 0}])
    server.register(fork(), JOIN, failureWorkflow="mending")
    server.start(input={"items": [{}] * WIDTH})
    server.settle()
    task_id = fail_one(server)
    mending = server.taken("mend").execution
    assert server.show(mending)["input"]["failureTaskId"] == task_id


def test_a_retry_takes_large_outputs_along() -> None:
    server, execution = started(fork(), JOIN, simple("after", inputParameters={"n": "${j.output._work_3.n}"}))
    while (message := server.taken("work")).ref != "_work_10":
        output = {"n": message.input["n"], "large": "x" * 3_000_000}
        operate.update_task(server.ports, NAMESPACE, execution.workflow_id, message.task_id, replace(DONE, output=output))
        server.settle()
    for _ in range(2):
        server.report(message, TaskStatus.FAILED, reason="no luck")
        while server.take("work"):
            pass
        before = {task["referenceTaskName"] for task in query.task_page(server.ports, execution, 0, 99, ["COMPLETED"])["results"]}
        operations.retry(server.ports, execution)
        server.settle()
        message = server.taken("work")
    assert "_work_10" not in before
    server.report(message)
    assert complete_all(server).isdisjoint(before)
    assert server.waiting(server.queue("after"))


def test_branches_are_kept_for_as_long_as_the_execution() -> None:
    server = Server(retention_s=3600)
    server.register(fork(), JOIN, task_definitions=[{"name": "work", "responseTimeoutSeconds": 360_000}])
    execution = server.start(input={"items": [{"n": n} for n in range(WIDTH)]})
    server.settle()
    complete(server, WIDTH - 1)
    server.settle(for_ms=7_200_000)
    assert len(branches(server.show(execution))) == WIDTH
    complete_all(server)
    assert server.status(execution) == "COMPLETED"
    server.settle(for_ms=7_200_000)
    assert {server.status(one) for one in (execution, *in_segments(server))} == {"REMOVED"}


def test_a_signal_reaches_the_children_of_branches() -> None:
    server = Server()
    server.register({"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}, name="below")
    server.register(fork(forkTaskWorkflow="below"), JOIN)
    execution = server.start(input={"items": [{}] * 5})
    server.settle()
    for _ in range(5):
        assert signal.signal(server.ports, execution, DONE)
        server.settle()
    assert server.status(execution) == "COMPLETED"
