"""The canonical form field by field: defaults, nulls, what is dropped, and every fault with its path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batuta_core.model.definition import definition_hash, freeze, normalize_task_definition, normalize_workflow_definition
from batuta_core.model.definition_fields import TASK, WORKFLOW, WORKFLOW_TASK
from batuta_core.model.error import InvalidInput
from batuta_core.model.lenient import DEPTH_MAX

Json = dict[str, Any]


def simple(ref: str, **fields: Any) -> Json:
    return {"name": f"{ref}_task", "taskReferenceName": ref, **fields}


def workflow(*tasks: Json, **fields: Any) -> Json:
    return normalize_workflow_definition({"name": "w", "tasks": list(tasks), **fields})


def only_task(**fields: Any) -> Json:
    task: Json = workflow(simple("a", **fields))["tasks"][0]
    return task


def faults(data: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        normalize_workflow_definition(data)
    return {problem.path: problem.message for problem in caught.value.problems}


def recorded(shared: Path, name: str, step: int) -> Json:
    text = (shared / "golden" / "expected" / f"{name}.json").read_text(encoding="utf-8")
    body: Json = json.loads(text.replace("{{run}}", "r").replace('"<time>"', "0"))["steps"][step]["http"]["body"]
    return body


def scenario(shared: Path, name: str) -> Json:
    found: Json = json.loads((shared / "golden" / "scenarios" / f"{name}.json").read_text(encoding="utf-8").replace("{{run}}", "r"))
    return found


def test_a_workflow_definition_comes_back_as_conductor_prints_it(shared: Path) -> None:
    sent = scenario(shared, "wire/definition_round_trip")
    assert normalize_workflow_definition(sent["workflows"][0]) == recorded(shared, "wire/definition_round_trip", 1)
    assert normalize_task_definition(sent["taskDefs"][0]) == recorded(shared, "wire/definition_round_trip", 2)


def test_a_task_definition_with_a_name_only_has_conductors_defaults(shared: Path) -> None:
    assert normalize_task_definition({"name": "t_r"}) == recorded(shared, "definitions/taskdef_defaults", 2)


AUDIT = {"ownerApp": "app", "createTime": 1, "updateTime": 2, "createdBy": "x", "updatedBy": "y"}
SCHEMA = {**AUDIT, "name": "s", "version": 4, "type": "AVRO", "data": {"k": None}, "externalRef": "e"}
FULL_TASK_DEFINITION = {
    "queue": "shared",
    **AUDIT,
    "name": "t",
    "description": "d",
    "retryCount": 1,
    "timeoutSeconds": 2,
    "inputKeys": ["i"],
    "outputKeys": ["o"],
    "runtimeMetadata": ["KEY"],
    "timeoutPolicy": "ALERT_ONLY",
    "retryLogic": "EXPONENTIAL_BACKOFF",
    "retryDelaySeconds": 3,
    "responseTimeoutSeconds": 4,
    "concurrentExecLimit": 5,
    "inputTemplate": {"k": [None]},
    "rateLimitPerFrequency": 6,
    "rateLimitFrequencyInSeconds": 7,
    "isolationGroupId": "g",
    "executionNameSpace": "n",
    "ownerEmail": "o@example.com",
    "pollTimeoutSeconds": 8,
    "backoffScaleFactor": 9,
    "maxRetryDelaySeconds": 10,
    "backoffJitterMs": 11,
    "baseType": "b",
    "totalTimeoutSeconds": 12,
    "taskStatusListenerEnabled": False,
    "inputSchema": SCHEMA,
    "outputSchema": SCHEMA,
    "enforceSchema": True,
}
FULL_TASK = {
    "name": "n",
    "taskReferenceName": "r",
    "description": "d",
    "inputParameters": {"k": {"n": None}},
    "type": "MINE",
    "dynamicTaskNameParam": "a",
    "caseValueParam": "b",
    "caseExpression": "c",
    "scriptExpression": "d",
    "decisionCases": {"z": [only_task()], "a": []},
    "dynamicForkJoinTasksParam": "e",
    "dynamicForkTasksParam": "f",
    "dynamicForkTasksInputParamName": "g",
    "defaultCase": [only_task()],
    "forkTasks": [[only_task()], []],
    "startDelay": 1,
    "subWorkflowParam": {
        "name": "c",
        "version": 2,
        "taskToDomain": {"*": "d"},
        "workflowDefinition": "${workflow.input.d}",
        "idempotencyKey": "k",
        "idempotencyStrategy": "FAIL_ON_RUNNING",
        "priority": "${workflow.input.p}",
    },
    "joinOn": ["x"],
    "sink": "conductor",
    "optional": True,
    "taskDefinition": FULL_TASK_DEFINITION,
    "rateLimited": True,
    "defaultExclusiveJoinTask": ["y"],
    "asyncComplete": True,
    "loopCondition": "",
    "loopOver": [only_task()],
    "items": "${workflow.input.l}",
    "retryCount": 0,
    "evaluatorType": "javascript",
    "expression": "e",
    "onStateChange": {"onScheduled": [{"type": "t", "payload": {"k": None}}]},
    "joinStatus": "j",
    "joinMode": "ASYNC",
    "cacheConfig": {"key": "k", "ttlInSecond": 3},
    "permissive": True,
    "metadata": {"k": 1},
}
FULL_WORKFLOW = {
    **AUDIT,
    "name": "w",
    "description": "d",
    "version": 0,
    "tasks": [FULL_TASK],
    "inputParameters": ["i"],
    "outputParameters": {"o": None},
    "failureWorkflow": "f",
    "failureWorkflowVersion": 1,
    "schemaVersion": 3,
    "restartable": False,
    "workflowStatusListenerEnabled": True,
    "workflowStatusListenerSink": "s",
    "ownerEmail": "o@example.com",
    "timeoutPolicy": "TIME_OUT_WF",
    "timeoutSeconds": 2,
    "variables": {"v": None},
    "inputTemplate": {"i": None},
    "rateLimitConfig": {"rateLimitKey": "k", "concurrentExecLimit": 4, "policy": "REJECT"},
    "inputSchema": SCHEMA,
    "outputSchema": SCHEMA,
    "enforceSchema": False,
    "metadata": {"m": None},
    "cacheConfig": {"key": "k", "ttlInSecond": 5},
    "maskedFields": ["m"],
}


def test_every_field_comes_back_as_it_was_sent() -> None:
    assert normalize_workflow_definition(FULL_WORKFLOW) == FULL_WORKFLOW
    assert normalize_task_definition(FULL_TASK_DEFINITION) == FULL_TASK_DEFINITION
    assert set(FULL_WORKFLOW) == set(WORKFLOW)
    assert set(FULL_TASK) == set(WORKFLOW_TASK)
    assert set(FULL_TASK_DEFINITION) == set(TASK)


def test_cases_keep_their_order() -> None:
    assert list(normalize_workflow_definition(FULL_WORKFLOW)["tasks"][0]["decisionCases"]) == ["z", "a"]


def test_unknown_fields_are_dropped_at_every_level() -> None:
    task = simple("a", mine=1, taskDefinition={"name": "t", "mine": 1}, subWorkflowParam={"mine": 1}, cacheConfig={"key": "k", "mine": 1})
    found = workflow(task, mine=1, rateLimitConfig={"mine": 1}, inputSchema={"mine": 1})
    assert "mine" not in json.dumps(found)


def test_payloads_keep_nulls_and_unknown_keys() -> None:
    payload = {"a": None, "b": [{"c": None}], "name": 5}
    found = workflow(simple("a", inputParameters=payload), outputParameters=payload, variables=payload)
    assert found["tasks"][0]["inputParameters"] == found["outputParameters"] == found["variables"] == payload


def test_nested_objects_get_their_own_defaults() -> None:
    found = workflow(simple("a"), rateLimitConfig={"rateLimitKey": "k"}, cacheConfig={}, inputSchema={"name": "s", "type": "JSON"})
    assert found["rateLimitConfig"] == {"rateLimitKey": "k", "concurrentExecLimit": 0, "policy": "QUEUE"}
    assert found["cacheConfig"] == {"ttlInSecond": 0}
    assert found["inputSchema"] == {"name": "s", "type": "JSON", "version": 1, "createTime": 0, "updateTime": 0}


def test_null_in_a_primitive_is_zero_and_elsewhere_the_default() -> None:
    found = workflow(simple("a", asyncComplete=None, joinOn=None, type=None, optional=None), restartable=None, schemaVersion=None)
    assert (found["restartable"], found["schemaVersion"]) == (False, 0)
    assert [found["tasks"][0][name] for name in ("asyncComplete", "joinOn", "type", "optional")] == [False, [], "SIMPLE", False]
    definition = normalize_task_definition({"name": "t", "rateLimitFrequencyInSeconds": None, "retryCount": None, "retryLogic": None})
    assert (definition["rateLimitFrequencyInSeconds"], definition["retryCount"], definition["retryLogic"]) == (1, 0, "FIXED")


def test_an_inline_sub_workflow_overrules_name_and_version_beside_it() -> None:
    inline = {"name": "inner", "version": 7, "tasks": [simple("b")]}
    param = only_task(subWorkflowParam={"name": "outer", "version": 1, "workflowDefinition": inline})["subWorkflowParam"]
    assert (param["name"], param["version"]) == ("inner", 7)
    assert param["workflowDefinition"] == normalize_workflow_definition(inline)


@pytest.mark.parametrize("text", ["plain text", "${x", "x}", ""])
def test_a_sub_workflow_may_be_an_expression_but_no_other_text(text: str) -> None:
    assert only_task(subWorkflowParam={"workflowDefinition": "${x.output.d}"})["subWorkflowParam"] == {
        "workflowDefinition": "${x.output.d}"
    }
    body = {"name": "w", "tasks": [simple("a", subWorkflowParam={"workflowDefinition": text})]}
    assert faults(body) == {
        "tasks[0].subWorkflowParam.workflowDefinition": "workflowDefinition is a string, but not a valid DSL string",
    }


def test_the_second_name_of_a_tasks_type_is_read() -> None:
    assert only_task(workflowTaskType="HTTP")["type"] == "HTTP"
    assert only_task(workflowTaskType="HTTP", type="WAIT")["type"] == "WAIT"


def test_all_faults_are_told_at_once_each_with_its_path() -> None:
    inner = simple("c", retryCount="many", startDelay=True)
    branch = {"type": "SWITCH", "decisionCases": {"a": [simple("b"), inner]}, "onStateChange": {"x": [1]}}
    body = {
        "name": ["w"],
        "timeoutPolicy": "NEVER",
        "tasks": [{**simple("a", **branch)}, None, simple("d", forkTasks=[[simple("e", taskDefinition={"retryLogic": "SOMETIMES"})]])],
    }
    assert faults(body) == {
        "name": "must be text",
        "timeoutPolicy": "must be one of TIME_OUT_WF, ALERT_ONLY",
        "tasks[0].decisionCases.a[1].retryCount": "must be a whole number",
        "tasks[0].decisionCases.a[1].startDelay": "must be a whole number",
        "tasks[0].onStateChange.x[0]": "must be an object",
        "tasks[1]": "must be an object",
        "tasks[2].forkTasks[0][0].taskDefinition.retryLogic": "must be one of FIXED, EXPONENTIAL_BACKOFF, LINEAR_BACKOFF",
    }


@pytest.mark.parametrize("body", [None, [], "w", 5])
def test_what_is_no_object_is_refused(body: Any) -> None:
    assert faults(body) == {"": "must be an object"}


def test_paths_begin_where_the_caller_says() -> None:
    with pytest.raises(InvalidInput) as caught:
        normalize_task_definition({"retryCount": "x"}, "[3]")
    assert [problem.path for problem in caught.value.problems] == ["[3].retryCount"]


def nested_workflow(levels: int) -> Json:
    body: Json = {"name": "w", "tasks": [simple("a")]}
    for _ in range(levels // 4):
        body = {"name": "w", "tasks": [simple("a", type="SUB_WORKFLOW", subWorkflowParam={"workflowDefinition": body})]}
    return body


def nested_switches(levels: int) -> Json:
    task = simple("leaf")
    for number in range(levels // 3 - 2):
        task = simple(f"s{number}", type="SWITCH", decisionCases={"x": [task]})
    return {"name": "w", "tasks": [task]}


@pytest.mark.parametrize("nest", [nested_workflow, nested_switches])
def test_the_deepest_definition_passes_everything_and_a_deeper_one_is_refused(nest: Any) -> None:
    found = normalize_workflow_definition(nest(DEPTH_MAX - 8))
    frozen = freeze(found, {})
    assert normalize_workflow_definition(frozen) == frozen
    assert definition_hash(frozen)
    assert faults(nest(DEPTH_MAX + 40)) == {"": f"is nested deeper than {DEPTH_MAX} levels"}


def test_a_deep_payload_is_refused_without_recursion() -> None:
    payload: Any = {}
    for _ in range(20_000):
        payload = {"k": payload}
    assert faults({"name": "w", "tasks": [], "variables": payload}) == {"": f"is nested deeper than {DEPTH_MAX} levels"}
