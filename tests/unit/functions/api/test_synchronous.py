"""Synchronous starts and signals, and what their answers tell of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.functions.api.caller import Answer, Api, JumpingClock, simple, workflow
from tests.unit.functions.api.tables import rows

from batuta_server.api.handler import make_handler

WAIT = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT", "inputParameters": {"x": 1}}
CHILD = {
    "name": "sub",
    "taskReferenceName": "sub",
    "type": "SUB_WORKFLOW",
    "subWorkflowParam": {"name": "child"},
    "inputParameters": {"v": 1},
}


class RunningClock(JumpingClock):
    """While a call waits, the functions of the stage do their work."""

    def sleep(self, ms: int) -> None:
        self._world.run(limit_ms=ms)
        super().sleep(ms)


@pytest.fixture
def api() -> Api:
    found = Api()
    found.function = make_handler(replace(found.ports, clock=RunningClock(found.world)), {"stage": "sim", "region": "eu-west-1"})
    found.register(workflow("child", WAIT), workflow("order", CHILD), workflow("flat", simple("pack")))
    return found


def execute(api: Api, name: str, strategy: str, more: str = "") -> Any:
    return api("POST", f"/api/workflow/execute/{name}/1?waitForSeconds=5&returnStrategy={strategy}{more}", {"input": {"k": 1}})


def child_of(api: Api, workflow_id: str) -> str:
    return str(api("GET", f"/api/workflow/{workflow_id}").body["tasks"][0]["outputData"]["subWorkflowId"])


def test_the_blocking_workflow_is_the_child_that_waits(api: Api) -> None:
    found = execute(api, "order", "BLOCKING_WORKFLOW").body
    assert (found["responseType"], found["signalTimeout"], found["targetWorkflowStatus"]) == ("BLOCKING_WORKFLOW", False, "RUNNING")
    assert found["workflowId"] == child_of(api, found["targetWorkflowId"])
    assert (found["input"], [task["referenceTaskName"] for task in found["tasks"]]) == ({"v": 1}, ["wait"])


@pytest.mark.parametrize("strategy", ["BLOCKING_TASK", "BLOCKING_TASK_INPUT"])
def test_the_blocking_task_is_the_wait_in_the_child(api: Api, strategy: str) -> None:
    found = execute(api, "order", strategy).body
    assert (found["responseType"], found["taskType"], found["referenceTaskName"], found["status"]) == (
        strategy,
        "WAIT",
        "wait",
        "IN_PROGRESS",
    )
    assert (found["input"], found["output"], found["workflowType"]) == ({"x": 1}, {}, "child")
    assert found["workflowId"] == child_of(api, found["targetWorkflowId"])
    assert api("GET", f"/api/tasks/{found['taskId']}").body["workflowInstanceId"] == found["workflowId"]


def test_the_target_is_what_was_called_and_does_not_wait_longer_than_its_child(api: Api) -> None:
    began_ms = api.world.now_ms
    found = execute(api, "order", "TARGET_WORKFLOW").body
    assert (found["workflowId"], found["signalTimeout"]) == (found["targetWorkflowId"], False)
    assert api.world.now_ms - began_ms < 1000


def test_without_a_blocking_task_there_is_nothing_to_tell_of(api: Api) -> None:
    answer = execute(api, "flat", "BLOCKING_TASK")
    assert (answer.status, answer.text) == (200, "")
    found = execute(api, "flat", "BLOCKING_WORKFLOW").body
    assert (found["responseType"], found["signalTimeout"], found["input"]) == ("BLOCKING_WORKFLOW", True, {"k": 1})


def test_a_task_that_was_named_and_has_ended_is_the_blocking_one(api: Api) -> None:
    named = {"name": "set", "taskReferenceName": "set", "type": "SET_VARIABLE", "inputParameters": {"x": 1}}
    api.register(workflow("child", named, simple("pack")))
    found = execute(api, "order", "BLOCKING_TASK", "&waitUntilTaskRef=set").body
    assert (found["referenceTaskName"], found["status"], found["variables"]) == ("set", "COMPLETED", {"x": 1})


def test_a_signal_tells_of_the_next_blocking_task(api: Api) -> None:
    api.register(workflow("child", WAIT, {**WAIT, "taskReferenceName": "next"}))
    target = execute(api, "order", "TARGET_WORKFLOW").body["workflowId"]
    found = api("POST", f"/api/tasks/{target}/COMPLETED/signal/sync?returnStrategy=BLOCKING_TASK", {"n": 1}).body
    assert (found["targetWorkflowId"], found["referenceTaskName"]) == (target, "next")


# --- the table of docs/reference/operations.md

BEHIND = {"a task waits, in a child": {**WAIT, "taskReferenceName": "next"}, "it has ended": None, "time is over": simple("pack")}
STRATEGIES = [(row[0], case, said) for row in rows("returnStrategy") for case, said in zip(BEHIND, row[1:], strict=True)]


@pytest.mark.parametrize(("strategy", "case", "said"), STRATEGIES)
@pytest.mark.parametrize("is_signal", [True, False], ids=["signal", "execute"])
def test_what_each_strategy_tells_of(api: Api, strategy: str, case: str, said: str, is_signal: bool) -> None:
    if is_signal:  # what is behind the WAIT that the signal ends
        api.register(workflow("child", *filter(None, [WAIT, BEHIND[case]])))
        target = execute(api, "order", "TARGET_WORKFLOW").body["workflowId"]
        answer = api("POST", f"/api/tasks/{target}/COMPLETED/signal/sync?timeoutMillis=5000&returnStrategy={strategy}", {})
    else:
        api.register(workflow("child", BEHIND[case] or {"name": "no", "taskReferenceName": "no", "type": "NOOP"}))
        answer = execute(api, "order", strategy)
    assert told(api, answer) == said


def told(api: Api, answer: Answer) -> str:
    if answer.status != 200 or not answer.text:
        return str(answer.status) if answer.text else "nothing"
    found = answer.body
    late = ", signalTimeout" if found["signalTimeout"] else ""
    if "taskId" in found:
        assert found["taskType"] == "WAIT"
        return "the task" + late
    if found["workflowId"] == found["targetWorkflowId"]:
        return "the execution" + late
    assert found["workflowId"] == child_of(api, found["targetWorkflowId"])
    return "the child" + late


def test_an_unknown_strategy_is_refused_before_anything_begins(api: Api) -> None:
    answer = execute(api, "order", "ALL")
    assert (answer.status, answer.body["code"]) == (400, "invalid_input")
    assert api("GET", "/api/workflow/search?query=workflowType=order").body["totalHits"] == 0
