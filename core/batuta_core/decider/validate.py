"""What is refused when a definition is registered or started inline: Conductor's rules, with exactly their reach.

Which rule looks where is Conductor's, and no tidier than there:

* Reference names must be unique in the whole tree of tasks (``definition.walk``: by type, loop bodies included).
* Expressions are checked in the input of top-level tasks only, there at any depth.
* The rules of a task (its name, its type's own) hold at the top level and, whatever its type, in its cases, default case
  and branches; not in the bodies of loops, where a TERMINATE may even compute its status. Inline sub-workflows and inline
  task definitions are not looked at.

What is refused elsewhere: wrong types, when the JSON is read (``definition.normalize_*``). A missing task definition is
never a fault.

``workflow_faults`` and ``task_definition_faults`` say both at once, of a body as it was sent. The rules then look at a copy
with defaults where a type is wrong, and what they find is dropped where it may come from such a default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from batuta_core.decider.expression.tokens import tokens
from batuta_core.decider.tasks import decision, switch
from batuta_core.decider.tasks.registry import task_type
from batuta_core.decider.tasks.rules import shown_name
from batuta_core.decider.tasks.task_type import WorkflowTask
from batuta_core.model.definition import read_task_definition, read_workflow_definition, task_names, walk
from batuta_core.model.error import Problem
from batuta_core.model.lenient import join_path

# Answers what is wrong with a piece of JavaScript, None when its syntax is right. It is not run.
IsJavascript = Callable[[str], str | None]

# The registered ones among the task definitions of the given names.
FindTaskDefinitions = Callable[[Collection[str]], Mapping[str, Mapping[str, Any]]]

_SCHEMA_VERSION = 2

# The scripts whose syntax is looked at; INLINE's and a loop's condition are not.
_SCRIPTS: Mapping[str, Callable[[WorkflowTask], str | None]] = {"SWITCH": switch.script, "DECISION": decision.script}

_TASK_MINIMA = {
    "retryCount": (0, "TaskDef retryCount: 0 must be >= 0"),
    "responseTimeoutSeconds": (1, "TaskDef responseTimeoutSeconds: {value} should be minimum 1 second"),
    "pollTimeoutSeconds": (0, "TaskDef pollTimeoutSeconds: 0 must be >= 0"),
    "backoffScaleFactor": (1, "Backoff scale factor. Applicable for LINEAR_BACKOFF"),
    "maxRetryDelaySeconds": (0, "TaskDef maxRetryDelaySeconds: 0 must be >= 0"),
    "backoffJitterMs": (0, "TaskDef backoffJitterMs: 0 must be >= 0"),
    "totalTimeoutSeconds": (0, "TaskDef totalTimeoutSeconds: 0 must be >= 0"),
}


def workflow_problems(
    definition: Mapping[str, Any],
    task_definitions: Mapping[str, Mapping[str, Any]],
    is_javascript: IsJavascript,
    path: str = "",
) -> list[Problem]:
    """All faults of a normalized definition, each with its path below ``path``. ``task_definitions`` are the registered ones."""
    return list(_workflow_problems(definition, task_definitions, is_javascript, path, has_all_refs=True))


def _workflow_problems(
    definition: Mapping[str, Any],
    task_definitions: Mapping[str, Mapping[str, Any]],
    is_javascript: IsJavascript,
    path: str,
    *,
    has_all_refs: bool,
) -> Iterator[Problem]:
    yield from _own_problems(definition, path)
    yield from _reference_name_problems(definition, path, has_all_refs=has_all_refs)
    yield from _expression_problems(definition, path, has_all_refs=has_all_refs)
    for task, place in _checked_tasks(definition["tasks"], join_path(path, "tasks")):
        yield from _task_problems(_with_definition(task, task_definitions), place, is_javascript)


def task_definition_problems(definition: Mapping[str, Any], path: str = "") -> list[Problem]:
    """All faults of a normalized task definition."""
    found = [] if definition.get("name") else [_missing(definition, "name", "TaskDef name cannot be null or empty", path)]
    for field, (minimum, message) in _TASK_MINIMA.items():
        value = definition.get(field)
        if value is not None and value < minimum:
            found.append(Problem(join_path(path, field), message.format(value=value), str(value)))
    name, response_s = definition.get("name", "null"), definition["responseTimeoutSeconds"]
    task_s, total_s = definition["timeoutSeconds"], definition["totalTimeoutSeconds"]
    if 0 < task_s < response_s:
        found.append(Problem(path, f"TaskDef: {name} responseTimeoutSeconds: {response_s} must be less than timeoutSeconds: {task_s}"))
    if 0 < total_s < task_s:
        found.append(
            Problem(path, f"TaskDef: {name} timeoutSeconds: {task_s} must be less than or equal to totalTimeoutSeconds: {total_s}")
        )
    return found


# --- wrong types and broken rules together

# Where a wrong type may hide tasks or their reference names: the lists of tasks, the tasks, and what makes a list one of tasks.
_HIDES_REFS = re.compile(
    r"(?:^|\.)(?:tasks|taskReferenceName|type|decisionCases|defaultCase|forkTasks|loopOver)$|\]$|\.decisionCases\.[^\[]*$"
)

_READ_UNNAMED = {"inputParameters", "taskDefinition"}  # rules read them and say so in other words; other fields are named


def workflow_faults(data: Any, find_task_definitions: FindTaskDefinitions, is_javascript: IsJavascript, path: str = "") -> list[Problem]:
    """All faults of a workflow definition as it was sent, its wrong types first, each with its path below ``path``."""
    definition, faults = read_workflow_definition(data, path)
    if definition is None:
        return faults
    known = find_task_definitions(task_names(definition))
    has_all_refs = not any(_HIDES_REFS.search(fault.path) for fault in faults)
    broken = _workflow_problems(definition, known, is_javascript, path, has_all_refs=has_all_refs)
    return [*faults, *_not_caused_by(faults, broken)]


def task_definition_faults(data: Any, path: str = "") -> list[Problem]:
    """The same for a task definition."""
    definition, faults = read_task_definition(data, path)
    return faults if definition is None else [*faults, *_not_caused_by(faults, task_definition_problems(definition, path))]


def _not_caused_by(faults: Sequence[Problem], broken: Iterable[Problem]) -> Iterator[Problem]:
    """Of the ``broken`` rules those that do not look at what has a wrong type."""
    places = {fault.path for fault in faults}
    fields: dict[str, set[str]] = {}  # by task: those of its fields that a fault lies in
    for fault in faults:
        owner, _, field = fault.path.rpartition("].")
        fields.setdefault(owner and f"{owner}]", set()).add(re.split(r"[.\[]", field, maxsplit=1)[0])
    for problem in broken:
        if places.isdisjoint(_upwards(problem.path)):
            ill_typed = fields.get(problem.path, ())
            if not any(field in _READ_UNNAMED or field in problem.message for field in ill_typed):
                yield problem


def _upwards(path: str) -> Iterator[str]:
    """The path, and the paths of all that it lies in."""
    yield path
    for joint in re.finditer(r"[.\[]", path):
        yield path[: joint.start()]
    yield ""


def _missing(data: Mapping[str, Any], field: str, message: str, path: str) -> Problem:
    return Problem(join_path(path, field), message, data.get(field))  # an empty text is shown, a missing one is not


def _own_problems(definition: Mapping[str, Any], path: str) -> Iterator[Problem]:
    if not definition.get("name"):
        yield _missing(definition, "name", "WorkflowDef name cannot be null or empty", path)
    if not definition["tasks"]:
        yield Problem(join_path(path, "tasks"), "WorkflowTask list cannot be empty")
    version = definition["schemaVersion"]
    if version != _SCHEMA_VERSION:
        message = f"workflowDef schemaVersion: {_SCHEMA_VERSION} is only supported"
        yield Problem(join_path(path, "schemaVersion"), message, str(version))


# --- reference names


def _reference_name_problems(definition: Mapping[str, Any], path: str, *, has_all_refs: bool) -> Iterator[Problem]:
    seen: set[str | None] = set()
    for task, place in walk(definition["tasks"], join_path(path, "tasks")):
        ref = task.get("taskReferenceName")
        if ref in seen and (ref is not None or has_all_refs):
            unique = f"taskReferenceName: {ref or 'null'} should be unique across tasks for a given workflowDefinition"
            yield Problem(join_path(place, "taskReferenceName"), f"{unique}: {shown_name(definition)}", ref)
        seen.add(ref)


# --- expressions


def _expression_problems(definition: Mapping[str, Any], path: str, *, has_all_refs: bool) -> Iterator[Problem]:
    roots = {task.get("taskReferenceName") for task, _path in walk(definition["tasks"])} | {"workflow"}
    for index, task in enumerate(definition["tasks"]):
        place = f"{join_path(path, 'tasks')}[{index}].inputParameters"
        for key, text, where in _texts(task["inputParameters"], "", place):
            for token in tokens(text):
                if not token.is_valid:
                    yield Problem(where, f"key: {key} input parameter value: {token.text} is not valid")
                elif has_all_refs and token.root is not None and token.root not in roots:
                    what = f"taskReferenceName: {token.root} for given task: {shown_name(task)} input value: {key}"
                    yield Problem(where, f"{what} of input parameter: {text} is not defined in workflow definition.")


def _texts(value: Any, key: str, path: str) -> Iterator[tuple[str, str, str]]:
    """The texts in a payload, each with the nearest key above it and its path."""
    if isinstance(value, str):
        yield key, value, path
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, name, join_path(path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, key, f"{path}[{index}]")


# --- tasks


def _checked_tasks(tasks: Sequence[WorkflowTask], path: str) -> Iterator[tuple[WorkflowTask, str]]:
    for index, task in enumerate(tasks):
        place = f"{path}[{index}]"
        yield task, place
        for case, children in task["decisionCases"].items():
            yield from _checked_tasks(children, f"{place}.decisionCases.{case}")
        yield from _checked_tasks(task["defaultCase"], f"{place}.defaultCase")
        for branch, children in enumerate(task["forkTasks"]):
            yield from _checked_tasks(children, f"{place}.forkTasks[{branch}]")


def _with_definition(task: WorkflowTask, task_definitions: Mapping[str, Mapping[str, Any]]) -> WorkflowTask:
    """The task with the task definition that counts for it: its own, else the registered one."""
    registered = None if "taskDefinition" in task else task_definitions.get(task.get("name", ""))
    return task if registered is None else {**task, "taskDefinition": registered}


def _task_problems(task: WorkflowTask, path: str, is_javascript: IsJavascript) -> Iterator[Problem]:
    if not task.get("name"):
        yield _missing(task, "name", "WorkflowTask name cannot be empty or null", path)
    if not task.get("taskReferenceName"):
        yield _missing(task, "taskReferenceName", "WorkflowTask taskReferenceName name cannot be empty or null", path)
    if task["startDelay"] < 0:
        yield Problem(join_path(path, "startDelay"), "must be greater than or equal to 0", str(task["startDelay"]))
    yield from task_type(task["type"]).problems(task, path)
    script = _SCRIPTS[task["type"]](task) if task["type"] in _SCRIPTS else None
    error = None if script is None else is_javascript(script)
    if error is not None:
        yield Problem(path, f"Expression is not well formatted: {error}, taskType: {task['type']} taskName {shown_name(task)}")
