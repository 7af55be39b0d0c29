"""Workflow and task definitions: their canonical JSON, what of them the decider reads, and how an execution pins one.

A definition travels and is stored as JSON with Conductor's names. ``normalize_*`` is the door:
what has passed it holds every field that has a default, no unknown field and no wrong type, so
the code behind it indexes without asking. Treat it as frozen: parts of it are shared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from batuta_core.model.definition_fields import TASK, WORKFLOW, WORKFLOW_TASK
from batuta_core.model.error import InvalidInput, Problem
from batuta_core.model.frozen import dataclass
from batuta_core.model.gate import Limits
from batuta_core.model.ids import short_hash
from batuta_core.model.lenient import DEPTH_MAX, Fields, Place, is_too_deep, read_object

Json = dict[str, Any]


def normalize_workflow_definition(data: Any, path: str = "") -> Json:
    """Conductor's canonical form of a WorkflowDef: defaults filled in, nulls and unknown fields dropped, at every level.

    A second time changes nothing. InvalidInput carries all faults at once, each with its
    path; ``path`` is where ``data`` itself lies in the body.
    """
    return _normalize(WORKFLOW, "workflow definition", data, path)


def normalize_task_definition(data: Any, path: str = "") -> Json:
    """The same for a TaskDef."""
    return _normalize(TASK, "task definition", data, path)


def _normalize(fields: Fields, what: str, data: Any, path: str) -> Json:
    found, problems = _read(fields, data, path)
    if found is None or problems:
        raise InvalidInput(f"This is no {what}, check below errors for detail.", problems=problems)
    return found


def read_workflow_definition(data: Any, path: str = "") -> tuple[Json | None, list[Problem]]:
    """The canonical form with defaults in place of what has a wrong type, and these faults. It is for looking for more
    faults only. None: it is nested too deeply to be looked at."""
    return _read(WORKFLOW, data, path)


def read_task_definition(data: Any, path: str = "") -> tuple[Json | None, list[Problem]]:
    """The same for a TaskDef."""
    return _read(TASK, data, path)


def read_workflow_task(data: Any) -> tuple[Json | None, list[Problem]]:
    """The canonical form of one task of a workflow, and what is wrong with it."""
    return _read(WORKFLOW_TASK, data, "")


def _read(fields: Fields, data: Any, path: str) -> tuple[Json | None, list[Problem]]:
    place = Place(path, [])
    if is_too_deep(data):
        place.refuse(f"is nested deeper than {DEPTH_MAX} levels", None)
        return None, place.problems
    return read_object(fields, data, place), place.problems


# --- the tree of tasks


def child_lists(task: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[Json]]]:
    """The lists of tasks that a control task runs, each with its path below it: ``("decisionCases.a", [...])``.

    By type, as Conductor walks: a list that the task's type does not run is not part of the tree.
    """
    match task["type"]:
        case "SWITCH" | "DECISION":
            for case, tasks in task["decisionCases"].items():
                yield f"decisionCases.{case}", tasks
            yield "defaultCase", task["defaultCase"]
        case "FORK_JOIN":
            for index, tasks in enumerate(task["forkTasks"]):
                yield f"forkTasks[{index}]", tasks
        case "DO_WHILE":
            yield "loopOver", task["loopOver"]


def walk(tasks: Sequence[Mapping[str, Any]], path: str = "tasks") -> Iterator[tuple[Mapping[str, Any], str]]:
    """All tasks of the tree with their paths, each before its children. Inline sub-workflows are trees of their own."""
    for index, task in enumerate(tasks):
        place = f"{path}[{index}]"
        yield task, place
        for below, children in child_lists(task):
            yield from walk(children, f"{place}.{below}")


def _with_children(task: Json, change: Callable[[Sequence[Json]], list[Json]]) -> Json:
    match task["type"]:
        case "SWITCH" | "DECISION":
            cases = {case: change(tasks) for case, tasks in task["decisionCases"].items()}
            return {**task, "decisionCases": cases, "defaultCase": change(task["defaultCase"])}
        case "FORK_JOIN":
            return {**task, "forkTasks": [change(tasks) for tasks in task["forkTasks"]]}
        case "DO_WHILE":
            return {**task, "loopOver": change(task["loopOver"])}
        case _:
            return dict(task)


# --- freezing


def task_names(definition: Mapping[str, Any]) -> frozenset[str]:
    """The names whose registered task definitions ``freeze`` wants, whatever the types of their tasks."""
    return frozenset(task["name"] for task, _path in walk(definition["tasks"]) if _wants_definition(task))


def inline_child(task: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The definition that a SUB_WORKFLOW brings along; one given as an expression is known only when it runs."""
    found = task.get("subWorkflowParam", {}).get("workflowDefinition")
    return found if isinstance(found, dict) else None


def _child_without_version(task: Mapping[str, Any]) -> str | None:
    param = task.get("subWorkflowParam", {}) if task["type"] == "SUB_WORKFLOW" else {}
    is_latest = bool(param) and "version" not in param and inline_child(task) is None
    return str(param.get("name", "null")) if is_latest else None


def unversioned_children(definition: Mapping[str, Any]) -> frozenset[str]:
    """The names of the children whose latest version ``freeze`` wants."""
    names = (_child_without_version(task) for task, _path in walk(definition["tasks"]))
    return frozenset(name for name in names if name is not None)


def freeze(
    definition: Mapping[str, Any], task_definitions: Mapping[str, Mapping[str, Any]], versions: Mapping[str, int] | None = None
) -> Json:
    """A copy in which every task carries its task definition: its own, else the registered one, else one made for it. A child named
    without a version gets that of ``versions``.

    What an execution pins is this, so that registering a definition anew changes nothing that runs.
    """

    def freeze_all(tasks: Sequence[Json]) -> list[Json]:
        return [freeze_one(task) for task in tasks]

    def freeze_one(task: Json) -> Json:
        frozen = _with_children(task, freeze_all)
        if "taskDefinition" not in task:
            registered = task_definitions.get(task["name"]) if _wants_definition(task) else None
            frozen["taskDefinition"] = _ad_hoc_definition(task) if registered is None else dict(registered)
        child = _child_without_version(task)
        if versions and child is not None and child in versions:
            frozen["subWorkflowParam"] = {**task["subWorkflowParam"], "version": versions[child]}
        return frozen

    return {**definition, "tasks": freeze_all(definition["tasks"])}


def _wants_definition(task: Mapping[str, Any]) -> bool:
    return "taskDefinition" not in task and bool(task.get("name", "").strip())


def _ad_hoc_definition(task: Mapping[str, Any]) -> Json:
    """Conductor's defaults for a worker's task; for any other type, and for one without a name, neither retries nor a
    response timeout."""
    name = task.get("name", "")
    if task["type"] == "SIMPLE" and name.strip():
        return normalize_task_definition({"name": name})
    return normalize_task_definition({"name": name, "retryCount": 0, "responseTimeoutSeconds": 0})


def definition_hash(frozen: Mapping[str, Any]) -> str:
    """The name of a frozen definition's content; the order of keys does not count."""
    return short_hash(json.dumps(frozen, sort_keys=True, separators=(",", ":")))


# --- what the decider reads of a task definition


class RetryLogic(StrEnum):
    FIXED = "FIXED"
    EXPONENTIAL_BACKOFF = "EXPONENTIAL_BACKOFF"
    LINEAR_BACKOFF = "LINEAR_BACKOFF"


class TimeoutPolicy(StrEnum):
    """What a missed task, poll or total timeout means; a missed response timeout always means another attempt."""

    RETRY = "RETRY"
    TIME_OUT_WF = "TIME_OUT_WF"
    ALERT_ONLY = "ALERT_ONLY"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """``limit`` counts the attempts after the first. ``max_delay_ms`` 0: no cap."""

    logic: RetryLogic = RetryLogic.FIXED
    limit: int = 0
    delay_ms: int = 0
    backoff_scale: int = 1  # counts for LINEAR_BACKOFF only
    max_delay_ms: int = 0
    jitter_ms: int = 0

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RetryPolicy:
        return cls(
            logic=RetryLogic(data["retryLogic"]),
            limit=max(data["retryCount"], 0),
            delay_ms=_ms(data["retryDelaySeconds"]),
            backoff_scale=max(data["backoffScaleFactor"], 0),
            max_delay_ms=_ms(data["maxRetryDelaySeconds"]),
            jitter_ms=max(data["backoffJitterMs"], 0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Limits of a task; 0 is none."""

    policy: TimeoutPolicy = TimeoutPolicy.TIME_OUT_WF
    task_ms: int = 0  # of one attempt, from its start
    response_ms: int = 0  # from one sign of life of the worker to the next
    poll_ms: int = 0  # from scheduling until a worker takes it
    total_ms: int = 0  # of all attempts together, from the first scheduling

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Timeouts:
        return cls(
            policy=TimeoutPolicy(data["timeoutPolicy"]),
            task_ms=_ms(data["timeoutSeconds"]),
            response_ms=_ms(data["responseTimeoutSeconds"]),
            poll_ms=_ms(data.get("pollTimeoutSeconds", 0)),
            total_ms=_ms(data["totalTimeoutSeconds"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    """``concurrent_limit`` tasks of this name may be in progress, ``rate_limit`` may start in ``rate_window_s``; 0 is no limit."""

    name: str
    retry: RetryPolicy
    timeouts: Timeouts
    input_template: Mapping[str, Any]
    concurrent_limit: int = 0
    rate_limit: int = 0
    rate_window_s: int = 1
    queue: str = ""  # the queue that this task shares with others; empty: one of its own
    secret_names: tuple[str, ...] = ()  # runtimeMetadata: resolved for the worker when it takes the task

    @property
    def limits(self) -> Limits:
        return Limits(self.concurrent_limit, self.rate_limit, self.rate_window_s)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskDefinition:
        """``data`` is normalized. An inline definition was never validated: what is out of range counts as none."""
        return cls(
            name=data.get("name", ""),
            retry=RetryPolicy.from_dict(data),
            timeouts=Timeouts.from_dict(data),
            input_template=data["inputTemplate"],
            concurrent_limit=max(data.get("concurrentExecLimit", 0), 0),
            rate_limit=max(data["rateLimitPerFrequency"], 0),
            rate_window_s=max(data["rateLimitFrequencyInSeconds"], 1),
            queue=data.get("queue", ""),
            secret_names=tuple(filter(None, data["runtimeMetadata"])),
        )


def _ms(seconds: int) -> int:
    return max(seconds, 0) * 1000  # Conductor takes a negative time for none
