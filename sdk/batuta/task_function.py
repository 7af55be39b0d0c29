"""The ``task`` decorator: which task type a function serves, and what the server and the worker should know about it.

Not ``task.py``: the import of a module ``batuta.task`` would put the module in the place of the public name ``batuta.task``.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from batuta.retry import RetryPolicy
from batuta_core.model.names import check_namespace

F = TypeVar("F", bound=Callable[..., Any])

TimeoutPolicy = Literal["RETRY", "TIME_OUT_WF", "ALERT_ONLY"]

# Conductor's default is TIME_OUT_WF: one slow attempt ends the whole workflow. Whoever sets retries wants them here, too.
TIMEOUT_POLICY: TimeoutPolicy = "RETRY"

RESPONSE_TIMEOUT_S = 3600  # Conductor's default; a definition whose timeoutSeconds is shorter must say less

_ATTRIBUTE = "__batuta_task__"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFunction:
    """A function and what its decorator said. None: not said."""

    function: Callable[..., Any]
    task_type: str
    namespace: str | None = None
    domain: str = ""
    queue: str | None = None
    retry: RetryPolicy | None = None
    timeout_s: int | None = None
    timeout_policy: TimeoutPolicy = TIMEOUT_POLICY
    response_timeout_s: int | None = None
    total_timeout_s: int | None = None
    poll_timeout_s: int | None = None
    concurrent_limit: int | None = None
    max_in_progress: int | None = None
    run_in_process: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.task_type, str) or not self.task_type.strip():
            raise ValueError(f"a task needs the name of its type, not {self.task_type!r}: @task('charge_card')")
        if self.namespace is not None:
            check_namespace(self.namespace)
        for name in ("timeout_s", "response_timeout_s", "total_timeout_s", "poll_timeout_s", "concurrent_limit", "max_in_progress"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"{self.task_type}: {name} must be a whole number of 1 or more, not {value!r}")
        policies = get_args(TimeoutPolicy)
        if self.timeout_policy not in policies:
            raise ValueError(f"{self.task_type}: timeout_policy must be one of {', '.join(policies)}, not {self.timeout_policy!r}")
        self._check_order("response_timeout_s", "timeout_s")
        self._check_order("timeout_s", "total_timeout_s")
        if self.run_in_process:
            self._check_process()

    def _check_order(self, shorter: str, longer: str) -> None:
        low, high = getattr(self, shorter), getattr(self, longer)
        if low is not None and high is not None and low > high:
            raise ValueError(f"{self.task_type}: {shorter}={low} must not be more than {longer}={high}")

    def _check_process(self) -> None:
        if self.is_async:
            raise ValueError(f"{self.task_type}: run_in_process is for plain functions; an async one runs on the event loop")
        name = getattr(self.function, "__qualname__", "")
        if not name or "<" in name or inspect.ismethod(self.function):
            raise ValueError(f"{self.task_type}: run_in_process needs a function at the top of a module, which another process can import")

    @property
    def is_async(self) -> bool:
        function = self.function
        return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004

    @property
    def shown_name(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))

    def definition(self, queue: str | None = None) -> dict[str, Any] | None:
        """The task definition that the decorator describes, in Conductor's JSON; None when it says nothing of the kind.
        ``queue`` is the worker's, for a decorator that names none."""
        limits = {
            "queue": self.queue or queue or None,
            "timeoutSeconds": self.timeout_s,
            "responseTimeoutSeconds": self.response_timeout_s,
            "totalTimeoutSeconds": self.total_timeout_s,
            "pollTimeoutSeconds": self.poll_timeout_s,
            "concurrentExecLimit": self.concurrent_limit,
        }
        found: dict[str, Any] = self.retry.to_definition() if self.retry is not None else {}
        found.update((field, value) for field, value in limits.items() if value is not None)
        if not found:
            return None
        if self.timeout_s or self.total_timeout_s or self.poll_timeout_s:
            found["timeoutPolicy"] = self.timeout_policy
        if self.timeout_s and self.response_timeout_s is None:
            found["responseTimeoutSeconds"] = min(RESPONSE_TIMEOUT_S, self.timeout_s)
        return {"name": self.task_type, **found}


def task(
    task_type: str,
    *,
    namespace: str | None = None,
    domain: str = "",
    queue: str | None = None,
    retry: RetryPolicy | None = None,
    timeout_s: int | None = None,
    timeout_policy: TimeoutPolicy = TIMEOUT_POLICY,
    response_timeout_s: int | None = None,
    total_timeout_s: int | None = None,
    poll_timeout_s: int | None = None,
    concurrent_limit: int | None = None,
    max_in_progress: int | None = None,
    run_in_process: bool = False,
) -> Callable[[F], F]:
    """Marks a function as the one that serves ``task_type``; it stays callable as it was.

    ``retry``, the time-outs, ``queue`` and ``concurrent_limit`` (tasks of the type in progress anywhere) are registered as the
    task's definition when the server has none; a different one that is there wins. ``timeout_s`` limits one attempt,
    ``total_timeout_s`` all of them together, ``response_timeout_s`` the silence of a worker, ``poll_timeout_s`` the wait for one.

    ``max_in_progress`` calls run at once in one worker process. ``run_in_process`` runs each in a process of its own, for work
    that keeps a CPU busy. ``queue`` names a queue that several task types share; whoever serves one of them must serve all.
    Executions pin their definitions, so those that began before a queue was named go on with the task type's own. ``domain``
    is Conductor's task domain; ``namespace`` is the worker's unless it is said here.
    """
    options = {name: value for name, value in locals().items() if name != "task_type"}

    def mark(function: F) -> F:
        found = TaskFunction(function=function, task_type=task_type, **options)
        setattr(function, _ATTRIBUTE, found)
        return function

    return mark


def task_function(function: Callable[..., Any]) -> TaskFunction:
    """What ``task`` said about ``function``, which may be a bound method. Raises TypeError when it was not decorated."""
    found = getattr(function, _ATTRIBUTE, None)
    if not isinstance(found, TaskFunction):
        raise TypeError(f"{function!r} is not decorated with @task(...)")
    return dataclasses.replace(found, function=function)
