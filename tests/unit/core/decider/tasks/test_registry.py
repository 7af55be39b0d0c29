"""Which class answers for which type, and what the types answer about themselves."""

from __future__ import annotations

from typing import Any

import pytest

from batuta_core.decider.tasks.registry import TASK_TYPES, task_type
from batuta_core.model.definition import normalize_workflow_definition

# Conductor's enum TaskType without what only its AI module runs.
BUILT_IN = {
    "SIMPLE", "DYNAMIC", "FORK_JOIN", "FORK_JOIN_DYNAMIC", "DECISION", "SWITCH", "JOIN", "DO_WHILE", "SUB_WORKFLOW",
    "START_WORKFLOW", "EVENT", "WAIT", "HUMAN", "HTTP", "LAMBDA", "INLINE", "EXCLUSIVE_JOIN", "TERMINATE", "KAFKA_PUBLISH",
    "JSON_JQ_TRANSFORM", "SET_VARIABLE", "NOOP",
}  # fmt: skip


def test_every_type_has_one_class_and_answers_to_its_name() -> None:
    assert set(TASK_TYPES) == BUILT_IN
    assert all(task_type(name).name == name for name in BUILT_IN)


@pytest.mark.parametrize("name", ["MINE", "", "simple", "LLM_CHAT_COMPLETE", "CALL_MCP_TOOL", "USER_DEFINED"])
def test_an_unknown_type_is_a_workers(name: str) -> None:
    assert task_type(name).name == "USER_DEFINED"
    assert task_type(name).is_worker


def test_workers_run_these_types_only() -> None:
    assert {name for name in BUILT_IN if task_type(name).is_worker} == {"SIMPLE", "DYNAMIC", "KAFKA_PUBLISH"}


def test_control_tasks_are_never_retried() -> None:
    never = {"DECISION", "SWITCH", "FORK_JOIN", "FORK_JOIN_DYNAMIC", "JOIN", "EXCLUSIVE_JOIN", "DO_WHILE"}
    assert {name for name in BUILT_IN if not task_type(name).is_retried} == never


def test_these_types_take_defaults_from_their_task_definition() -> None:
    taking = {"SIMPLE", "DYNAMIC", "DO_WHILE", "HTTP", "INLINE", "LAMBDA", "JSON_JQ_TRANSFORM", "KAFKA_PUBLISH"}
    assert {name for name in BUILT_IN if task_type(name).has_input_template} == taking
    assert task_type("MINE").has_input_template


def task(kind: str, **fields: Any) -> dict[str, Any]:
    body = {"name": "w", "tasks": [{"name": "node", "taskReferenceName": "ref", "type": kind, **fields}]}
    found: dict[str, Any] = normalize_workflow_definition(body)["tasks"][0]
    return found


@pytest.mark.parametrize(
    ("kind", "wire_type", "shown_name"),
    [
        ("SIMPLE", "node", "node"),
        ("MINE", "MINE", "node"),
        ("KAFKA_PUBLISH", "KAFKA_PUBLISH", "node"),
        ("LLM_TEXT_COMPLETE", "LLM_TEXT_COMPLETE", "node"),
        ("FORK_JOIN", "FORK", "FORK"),
        ("FORK_JOIN_DYNAMIC", "FORK", "FORK"),
        ("JOIN", "JOIN", "JOIN"),
        ("EXCLUSIVE_JOIN", "EXCLUSIVE_JOIN", "EXCLUSIVE_JOIN"),
        ("SWITCH", "SWITCH", "SWITCH"),
        ("DECISION", "DECISION", "DECISION"),
        ("DO_WHILE", "DO_WHILE", "node"),
        ("WAIT", "WAIT", "node"),
        ("TERMINATE", "TERMINATE", "node"),
        ("NOOP", "NOOP", "node"),
    ],
)
def test_the_names_of_a_running_task_are_those_recorded(kind: str, wire_type: str, shown_name: str) -> None:
    assert (task_type(kind).wire_type(task(kind)), task_type(kind).shown_name(task(kind))) == (wire_type, shown_name)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("SWITCH", ["decisionCases.x", "defaultCase"]),
        ("DECISION", ["decisionCases.x", "defaultCase"]),
        ("FORK_JOIN", ["forkTasks[0]"]),
        ("DO_WHILE", ["loopOver"]),
        ("SIMPLE", []),
        ("FORK_JOIN_DYNAMIC", []),
    ],
)
def test_a_type_runs_its_own_lists_only(kind: str, expected: list[str]) -> None:
    child = [{"name": "c", "taskReferenceName": "c"}]
    found = task(kind, decisionCases={"x": child}, defaultCase=child, forkTasks=[child], loopOver=child)
    assert [path for path, _tasks in task_type(kind).children(found)] == expected


def test_a_loop_follows_the_last_task_of_its_body() -> None:
    assert task_type("DO_WHILE").after_children(task("DO_WHILE"), "next") == "ref"
    assert task_type("SWITCH").after_children(task("SWITCH"), "next") == "next"
