"""Definitions by name: registered, listed, and made ready to start.

An execution pins the content hash of its *frozen* definition, the one with every task definition
embedded. Freezing reads many definitions, so its result is kept per namespace for as long as the
namespace's revision stands; reading the revision is the only call that a start pays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batuta_core.decider.compile import compile_definition
from batuta_core.decider.known import DefinitionName, FoundDefinition, InlineDefinition, Wanted
from batuta_core.decider.tasks.registry import task_type
from batuta_core.decider.tasks.task_type import WorkflowTask
from batuta_core.decider.validate import task_definition_problems, workflow_problems
from batuta_core.engine import limits
from batuta_core.engine.fetch import LruCache
from batuta_core.engine.ports import ANY_TASK, Ports
from batuta_core.model import definition as definitions
from batuta_core.model.error import InvalidInput, Problem, TaskDefinitionNotFound, WorkflowDefinitionNotFound
from batuta_core.model.names import task_queue_name

JavascriptCheck = Callable[[str], str | None]  # source -> what is wrong with its syntax, None when nothing is

_NAMESPACES_KEPT = 50
_KEPT_MAX = 5000  # definitions of a namespace; inline ones may be different each time


def no_javascript(_source: str) -> str | None:
    """The check that finds nothing wrong, for where scripts do not matter."""
    return None


class Catalog:
    """What was frozen under the present revision of each namespace."""

    def __init__(self) -> None:
        self._kept: LruCache[str, tuple[int, dict[Wanted, FoundDefinition]]] = LruCache(_NAMESPACES_KEPT)

    def require(self, ports: Ports, namespace: str, wanted: Wanted) -> FoundDefinition:
        """The definition, frozen and stored. Raises WorkflowDefinitionNotFound, in the words of Conductor's start, and what
        ``require_runnable`` raises."""
        revision = ports.definitions.revision(namespace)
        kept = self._kept.get(namespace)
        if kept is None or kept[0] != revision:
            kept = (revision, {})
            self._kept.put(namespace, kept)
        if wanted in kept[1]:
            return kept[1][wanted]
        registered = _inline(ports, namespace, wanted) if isinstance(wanted, InlineDefinition) else _registered(ports, namespace, wanted)
        found = freeze(ports, namespace, registered)
        if len(kept[1]) < _KEPT_MAX:
            kept[1][wanted] = found
        return found


def _registered(ports: Ports, namespace: str, wanted: DefinitionName) -> Mapping[str, Any]:
    found = ports.definitions.workflow(namespace, wanted.name, wanted.version)
    if found is None:
        shown = "null" if wanted.version is None else wanted.version
        raise WorkflowDefinitionNotFound(f"No such workflow defined. name={wanted.name}, version={shown}", name=wanted.name)
    return found


def _inline(ports: Ports, namespace: str, wanted: InlineDefinition) -> Mapping[str, Any]:
    """The definition that a task brought along. Raises InvalidInput with all its faults in the message."""
    try:
        definition = check_workflow(ports, namespace, json.loads(wanted.text), no_javascript)
    except InvalidInput as error:
        faults = "; ".join(f"{problem.path}: {problem.message}" if problem.path else problem.message for problem in error.problems[:10])
        raise InvalidInput(f"The inline workflow definition is not valid: {faults or error.message}") from error
    require_runnable(definition["tasks"])
    return definition


def freeze(ports: Ports, namespace: str, registered: Mapping[str, Any]) -> FoundDefinition:
    """Embeds the task definitions and stores the result under its hash; raises what ``require_runnable`` raises."""
    require_runnable(registered["tasks"])
    tasks = ports.definitions.tasks(namespace, definitions.task_names(registered))
    frozen = definitions.freeze(registered, tasks, _children_versions(ports, namespace, registered))
    content_hash = definitions.definition_hash(frozen)
    if not ports.cache.stored.get((namespace, content_hash)):
        ports.definitions.put_frozen(namespace, content_hash, frozen)
        ports.definitions.note_name(namespace, frozen["name"], _tasks_shown(frozen))
        ports.cache.graphs.put((namespace, content_hash), compile_definition(frozen, content_hash))
        ports.cache.stored.put((namespace, content_hash), True)
    return FoundDefinition(frozen["name"], frozen["version"], content_hash)


def _tasks_shown(frozen: Mapping[str, Any]) -> set[str]:
    """Types and names of the tasks that its executions may show, as Conductor's taskType and taskDefName."""
    found: set[str] = set()
    for task, _path in definitions.walk(frozen["tasks"]):
        kind = task_type(task["type"])
        if kind.is_named_late or kind.name == "FORK_JOIN_DYNAMIC":
            return {ANY_TASK}
        found |= {kind.wire_type(task), kind.shown_name(task)}
    return found


def _children_versions(ports: Ports, namespace: str, registered: Mapping[str, Any]) -> dict[str, int]:
    """The latest versions of the children that are named without one: an execution keeps to those that it found at its start. Raises
    WorkflowDefinitionNotFound in Conductor's words."""
    found = {}
    for name in sorted(definitions.unversioned_children(registered)):
        child = ports.definitions.workflow(namespace, name, None)
        if child is None:
            raise WorkflowDefinitionNotFound(f"The Task {name} defined as a sub-workflow has no workflow definition available ", name=name)
        found[name] = int(child["version"])
    return found


def require_runnable(tasks: Sequence[WorkflowTask]) -> None:
    """Raises InvalidInput for a task, nested ones included, that registration lets pass, as Conductor's does, though nothing can run it."""
    for task, path in definitions.walk(tasks):
        for field in ("name", "taskReferenceName"):
            if not task.get(field):
                raise InvalidInput(
                    f"A task of type {task['type']} has no {field}, so it cannot be run.",
                    problems=[Problem(f"{path}.{field}", "is missing")],
                )


def make_queues(ports: Ports, namespace: str, task_types: Sequence[str]) -> None:
    """A queue for each of the task types, unless it is there."""
    for name in dict.fromkeys(task_types):
        ports.queues.ensure_task_queue(task_queue_name(ports.stage, namespace, name))


def worker_types(definition: Mapping[str, Any]) -> list[str]:
    """The task types of a definition, and of the inline ones in it, that workers serve. A task without a name has none until it gets
    one."""
    found = []
    for task, _path in definitions.walk(definition["tasks"]):
        kind = task_type(task["type"])
        if kind.is_worker and not kind.is_named_late and task.get("name"):
            found.append(kind.wire_type(task))
        elif kind.runs_child and (inline := definitions.inline_child(task)):
            found.extend(worker_types(inline))
    return found


# --- registration: whole or not at all


def check_workflow(ports: Ports, namespace: str, body: Any, is_javascript: JavascriptCheck, path: str = "") -> dict[str, Any]:
    """The definition in canonical form; raises InvalidInput with all its problems, each with its path below ``path``."""
    definition = definitions.normalize_workflow_definition(body)
    tasks = ports.definitions.tasks(namespace, definitions.task_names(definition))
    problems = workflow_problems(definition, tasks, is_javascript)
    if problems:
        raise InvalidInput("Validation failed, check below errors for detail.", problems=[_below(path, problem) for problem in problems])
    return definition


def _below(path: str, problem: Problem) -> Problem:
    joint = "." if path and problem.path and not problem.path.startswith("[") else ""
    return Problem(f"{path}{joint}{problem.path}", problem.message, problem.invalid_value)


def register_workflows(
    ports: Ports, namespace: str, bodies: Sequence[Any], is_javascript: JavascriptCheck, *, is_new: bool = False, is_upsert: bool = True
) -> list[str]:
    """Stores all of them, or none: the names, in order. ``is_new``: raises DefinitionExists over an existing version.
    ``is_upsert``: what was not there counts as updated, too (Conductor's PUT, recorded)."""
    checked: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for place, body in enumerate(bodies):
        try:
            checked.append(check_workflow(ports, namespace, body, is_javascript, f"[{place}]" if len(bodies) > 1 else ""))
        except InvalidInput as error:
            problems.extend(error.problems)
    if problems:
        raise InvalidInput("Validation failed, check below errors for detail.", problems=problems)
    now_ms = ports.clock.now_ms()
    for definition in checked:
        registered = None if is_upsert or is_new else ports.definitions.workflow(namespace, definition["name"], definition["version"])
        definition["updateTime" if is_upsert or registered else "createTime"] = now_ms
        make_queues(ports, namespace, worker_types(definition))
    ports.definitions.put_workflows(namespace, checked, is_new=is_new)
    return [definition["name"] for definition in checked]


def register_tasks(ports: Ports, namespace: str, bodies: Sequence[Any]) -> None:
    """Stores all of them, or none, over what is there."""
    now_ms = ports.clock.now_ms()
    checked = []
    problems: list[Problem] = []
    for place, body in enumerate(bodies):
        try:
            definition = definitions.normalize_task_definition(body)
        except InvalidInput as error:
            problems.extend(_below(f"[{place}]", problem) for problem in error.problems)
            continue
        problems.extend(_below(f"[{place}]", problem) for problem in task_definition_problems(definition))
        checked.append({**definition, "createTime": now_ms, "updateTime": 0})
    if not bodies:
        problems.append(Problem("", "TaskDefList is empty"))
    if problems:
        raise InvalidInput("Validation failed, check below errors for detail.", problems=problems)
    make_queues(ports, namespace, [definition.get("queue") or definition["name"] for definition in checked])
    wanted = {definition["name"]: definition for definition in checked}
    with limits.changing(ports, namespace, list(wanted), wanted):
        ports.definitions.put_tasks(namespace, checked)


def update_task(ports: Ports, namespace: str, body: Any) -> None:
    """Replaces one task definition; raises TaskDefinitionNotFound when there is none of its name."""
    definition = definitions.normalize_task_definition(body)
    problems = task_definition_problems(definition)
    if problems:
        raise InvalidInput("Validation failed, check below errors for detail.", problems=problems)
    name = definition["name"]
    old = ports.definitions.tasks(namespace, [name]).get(name)
    if old is None:
        raise TaskDefinitionNotFound(f"No such task by name {name}", name=name)
    make_queues(ports, namespace, [definition.get("queue") or name])
    kept = {key: old[key] for key in ("createTime", "createdBy") if key in old}
    with limits.changing(ports, namespace, [name], {name: definition}):
        ports.definitions.put_tasks(namespace, [{**definition, **kept, "updateTime": ports.clock.now_ms()}])


def delete_task(ports: Ports, namespace: str, name: str) -> bool:
    """Whether there was one. Executions keep the definition that they began with, limits included."""
    with limits.changing(ports, namespace, [name], {}):
        return ports.definitions.delete_task(namespace, name)
