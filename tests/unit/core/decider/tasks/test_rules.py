"""What each task type refuses at registration (reference section 1.4), in Conductor's words."""

from __future__ import annotations

from typing import Any

import pytest

from batuta_core.decider.tasks.registry import task_type
from batuta_core.model.definition import normalize_workflow_definition

CHILD = {"name": "c", "taskReferenceName": "c"}
CASES = {"decisionCases": {"x": [CHILD]}}


def messages(kind: str, fields: dict[str, Any]) -> list[str]:
    body = {"name": "w", "tasks": [{"name": "n", "taskReferenceName": "r", "type": kind, **fields}]}
    task = normalize_workflow_definition(body)["tasks"][0]
    found = list(task_type(kind).problems(task, "tasks[0]"))
    assert {problem.path for problem in found} <= {"tasks[0]"}
    return [problem.message for problem in found]


def required(kind: str, *fields: str) -> list[str]:
    return [f"{field} field is required for taskType: {kind} taskName: n" for field in fields]


def empty(kind: str, field: str) -> list[str]:
    return [f"{field} should have atleast one task for taskType: {kind} taskName: n"]


EITHER_FORK = (
    "dynamicForkJoinTasksParam or combination of dynamicForkTasksInputParamName and dynamicForkTasksParam cam be used"
    " for taskType: FORK_JOIN_DYNAMIC taskName: n"
)
PAIR = ("dynamicForkTasksParam", "dynamicForkTasksInputParamName")
NOT_OPTIONAL = "terminate task cannot be optional, taskName: n"
NO_STATUS = "terminate task must have an terminationStatus parameter and must be set to COMPLETED or FAILED, taskName: n"


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("EVENT", {}, required("EVENT", "sink")),
        ("DECISION", CASES, required("DECISION", "caseValueParam or caseExpression")),
        ("DECISION", {"caseValueParam": "v"}, empty("DECISION", "decisionCases")),
        ("SWITCH", CASES, required("SWITCH", "evaluatorType")),
        ("SWITCH", {**CASES, "evaluatorType": "value-param"}, required("SWITCH", "expression")),
        ("SWITCH", {"evaluatorType": "x", "expression": "v", "defaultCase": [CHILD]}, empty("SWITCH", "decisionCases")),
        ("SWITCH", {}, required("SWITCH", "evaluatorType") + empty("SWITCH", "decisionCases")),
        ("DYNAMIC", {}, required("DYNAMIC", "dynamicTaskNameParam")),
        ("FORK_JOIN_DYNAMIC", {}, required("FORK_JOIN_DYNAMIC", *PAIR)),
        ("FORK_JOIN_DYNAMIC", {PAIR[0]: "x"}, required("FORK_JOIN_DYNAMIC", PAIR[1])),
        ("FORK_JOIN_DYNAMIC", {PAIR[1]: "x"}, required("FORK_JOIN_DYNAMIC", PAIR[0])),
        ("FORK_JOIN_DYNAMIC", {"dynamicForkJoinTasksParam": "x", PAIR[1]: "y"}, [EITHER_FORK]),
        ("FORK_JOIN_DYNAMIC", {"dynamicForkJoinTasksParam": "x", PAIR[0]: "y", PAIR[1]: "z"}, [EITHER_FORK]),
        ("FORK_JOIN", {}, empty("FORK_JOIN", "forkTasks")),
        ("HTTP", {}, required("HTTP", "inputParameters.http_request or inputParameters.uri")),
        (
            "HTTP",
            {"taskDefinition": {"inputTemplate": {"uri": "x", "method": "GET"}}},
            required("HTTP", "inputParameters.http_request or inputParameters.uri"),
        ),
        ("KAFKA_PUBLISH", {}, required("KAFKA_PUBLISH", "inputParameters.kafka_request")),
        ("JSON_JQ_TRANSFORM", {}, required("JSON_JQ_TRANSFORM", "inputParameters.queryExpression")),
        ("TERMINATE", {}, [NO_STATUS]),
        ("TERMINATE", {"inputParameters": {"terminationStatus": "${x.output.s}"}, "optional": True}, [NOT_OPTIONAL, NO_STATUS]),
        ("TERMINATE", {"inputParameters": {"terminationStatus": ["COMPLETED"]}}, [NO_STATUS]),
        ("TERMINATE", {"inputParameters": {"terminationStatus": "RUNNING"}}, [NO_STATUS]),
        ("DO_WHILE", {}, required("DO_WHILE", "loopCondition", "loopOver")),
        ("DO_WHILE", {"items": "${x.output.l}", "loopOver": [CHILD]}, required("DO_WHILE", "loopCondition")),
        ("SUB_WORKFLOW", {}, required("SUB_WORKFLOW", "subWorkflowParam")),
    ],
)
def test_what_is_refused(kind: str, fields: dict[str, Any], expected: list[str]) -> None:
    assert messages(kind, fields) == expected


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("EVENT", {"sink": ""}),
        ("DECISION", {**CASES, "caseExpression": "1"}),
        ("SWITCH", {"decisionCases": {"x": []}, "evaluatorType": "cobol", "expression": ""}),
        ("DYNAMIC", {"dynamicTaskNameParam": "x"}),
        ("FORK_JOIN_DYNAMIC", {"inputParameters": {"forkTaskInputs": None}}),
        ("FORK_JOIN_DYNAMIC", {"dynamicForkJoinTasksParam": "x"}),
        ("FORK_JOIN_DYNAMIC", {PAIR[0]: "x", PAIR[1]: "y"}),
        ("FORK_JOIN", {"forkTasks": [[]]}),
        ("HTTP", {"inputParameters": {"uri": None}}),
        ("HTTP", {"inputParameters": {"method": "GET"}}),
        ("HTTP", {"inputParameters": {"http_request": "${workflow.input.r}"}}),
        ("HTTP", {"taskDefinition": {"inputTemplate": {"http_request": {}}}}),
        ("TERMINATE", {"inputParameters": {"terminationStatus": "TERMINATED"}}),
        ("DO_WHILE", {"loopCondition": "", "loopOver": [CHILD]}),
        ("SUB_WORKFLOW", {"subWorkflowParam": {}}),
        *(
            (kind, {})
            for kind in ("SIMPLE", "JOIN", "EXCLUSIVE_JOIN", "INLINE", "LAMBDA", "SET_VARIABLE", "HUMAN", "START_WORKFLOW", "NOOP")
        ),
        ("MINE", {}),
    ],
)
def test_what_passes(kind: str, fields: dict[str, Any]) -> None:
    assert messages(kind, fields) == []
