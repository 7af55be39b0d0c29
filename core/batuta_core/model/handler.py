"""Event handlers, field by field (reference section 1, EventHandler): what is done about a published event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batuta_core.model.error import InvalidInput, Problem
from batuta_core.model.lenient import (
    DEPTH_MAX,
    Field,
    Fields,
    Place,
    is_too_deep,
    list_of,
    map_of,
    object_of,
    one_of,
    read_anything,
    read_flag,
    read_object,
    read_text,
    whole_number,
)

START_WORKFLOW = "start_workflow"
COMPLETE_TASK = "complete_task"
FAIL_TASK = "fail_task"
TERMINATE_WORKFLOW = "terminate_workflow"
UPDATE_VARIABLES = "update_workflow_variables"
START_AGENT = "start_agent"  # stored, never done: there are no agents here
ACTIONS = (START_WORKFLOW, COMPLETE_TASK, FAIL_TASK, TERMINATE_WORKFLOW, UPDATE_VARIABLES, START_AGENT)  # in Java's order

ACTIONS_MAX = 100  # each is a call or more of a function that lives for 30 s

_TEXT = Field(read_text)
_PAYLOAD = Field(map_of(read_anything), dict, dict)
_TASK: Fields = {
    "workflowId": _TEXT,
    "taskRefName": _TEXT,
    "output": _PAYLOAD,
    "taskId": _TEXT,
    "reasonForIncompletion": _TEXT,
}
_ACTION: Fields = {
    "action": Field(one_of(*ACTIONS)),
    START_WORKFLOW: Field(
        object_of(
            lambda: {
                "name": _TEXT,
                "version": Field(whole_number(32)),
                "correlationId": _TEXT,
                "input": _PAYLOAD,
                "inputMessage": Field(read_anything),
                "taskToDomain": Field(map_of(read_text)),
            }
        )
    ),
    COMPLETE_TASK: Field(object_of(lambda: _TASK)),
    FAIL_TASK: Field(object_of(lambda: _TASK)),
    TERMINATE_WORKFLOW: Field(object_of(lambda: {"workflowId": _TEXT, "terminationReason": _TEXT})),
    UPDATE_VARIABLES: Field(object_of(lambda: {"workflowId": _TEXT, "variables": _PAYLOAD, "appendArray": Field(read_flag)})),
    START_AGENT: Field(read_anything),
    "expandInlineJSON": Field(read_flag, False, False),
}
_HANDLER: Fields = {
    "name": _TEXT,
    "event": _TEXT,
    "condition": _TEXT,
    "actions": Field(list_of(object_of(lambda: _ACTION)), list, list),
    "active": Field(read_flag, False, False),
    "evaluatorType": _TEXT,
}


def normalize_event_handler(data: Any) -> dict[str, Any]:
    """The handler in canonical form; raises InvalidInput with all its problems."""
    if is_too_deep(data, DEPTH_MAX):
        raise InvalidInput(f"The event handler is nested deeper than {DEPTH_MAX} levels.")
    place = Place("", [])
    found = read_object(_HANDLER, data, place)
    problems = [*place.problems, *_problems(found)]
    if problems:
        raise InvalidInput("Validation failed, check below errors for detail.", problems=problems)
    return found


def _problems(handler: Mapping[str, Any]) -> list[Problem]:
    """Conductor's rules and words, and that an action says what to do: there, such an action fails whenever it is due."""
    found = []
    if not handler.get("name"):
        found.append(Problem("name", "Missing event handler name"))
    if not handler.get("event"):
        found.append(Problem("event", "Missing event location"))
    if not handler["actions"]:
        found.append(Problem("actions", "No actions specified. Please specify at-least one action"))
    if len(handler["actions"]) > ACTIONS_MAX:
        found.append(Problem("actions", f"at most {ACTIONS_MAX}"))
    for index, action in enumerate(handler["actions"]):
        kind = action.get("action")
        if kind is None:
            found.append(Problem(f"actions[{index}].action", f"must be one of {', '.join(ACTIONS)}"))
        elif kind != START_AGENT and kind not in action:
            found.append(Problem(f"actions[{index}].{kind}", f"says what {kind} is to do, and is missing"))
    return found
