"""The decorator, the retry policies, and the definition that they describe."""

from __future__ import annotations

from typing import Any

import pytest

from batuta import Exponential, Fatal, Fixed, InProgress, InvalidInput, Linear, RetryLater, task
from batuta.task_function import TaskFunction, task_function
from batuta_core.decider.validate import task_definition_problems
from batuta_core.model.definition import normalize_task_definition


def definition(**options: Any) -> dict[str, Any] | None:
    @task("charge", **options)
    def charge() -> None: ...

    found = task_function(charge).definition()
    if found is not None:
        assert task_definition_problems(normalize_task_definition(found)) == []  # the server takes it as it is
    return found


def test_a_decorated_function_stays_what_it_was() -> None:
    def add(a: int, b: int = 2) -> int:
        """Adds."""
        return a + b

    decorated = task("add")(add)
    assert decorated is add
    assert decorated(1) == 3
    assert decorated.__doc__ == "Adds."


def test_methods_keep_their_object() -> None:
    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        @task("sell")
        def sell(self) -> str:
            return self.name

    assert task_function(Shop("a").sell).function() == "a"


def test_nothing_said_is_nothing_to_register() -> None:
    assert definition() is None
    assert definition(max_in_progress=5, namespace="shop") is None


def test_a_shared_queue_is_the_servers_business_and_a_decorators_comes_before_the_workers() -> None:
    assert definition(queue="shared") == {"name": "charge", "queue": "shared"}
    named, silent = (task_function(task("charge", queue=queue)(lambda: None)) for queue in ("mine", None))
    assert named.definition("worker's") == {"name": "charge", "queue": "mine"}
    assert silent.definition("worker's") == {"name": "charge", "queue": "worker's"}


def test_what_is_said_becomes_conductors_definition() -> None:
    assert definition(retry=Exponential(first_s=1, limit=3), timeout_s=30) == {
        "name": "charge",
        "retryLogic": "EXPONENTIAL_BACKOFF",
        "retryCount": 3,
        "retryDelaySeconds": 1,
        "timeoutSeconds": 30,
        "timeoutPolicy": "RETRY",
        "responseTimeoutSeconds": 30,
    }
    assert definition(retry=Linear(step_s=2, limit=4, max_s=5, jitter_ms=100)) == {
        "name": "charge",
        "retryLogic": "LINEAR_BACKOFF",
        "retryCount": 4,
        "retryDelaySeconds": 2,
        "maxRetryDelaySeconds": 5,
        "backoffJitterMs": 100,
    }
    assert definition(retry=Fixed(limit=0)) == {"name": "charge", "retryLogic": "FIXED", "retryCount": 0, "retryDelaySeconds": 0}
    assert definition(response_timeout_s=10) == {"name": "charge", "responseTimeoutSeconds": 10}
    assert definition(timeout_s=7200, total_timeout_s=9000, timeout_policy="TIME_OUT_WF", poll_timeout_s=5, concurrent_limit=2) == {
        "name": "charge",
        "timeoutSeconds": 7200,
        "totalTimeoutSeconds": 9000,
        "pollTimeoutSeconds": 5,
        "concurrentExecLimit": 2,
        "timeoutPolicy": "TIME_OUT_WF",
        "responseTimeoutSeconds": 3600,
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout_s": 0}, "timeout_s must be a whole number of 1 or more"),
        ({"timeout_s": 1.5}, "timeout_s must be a whole number"),
        ({"max_in_progress": True}, "max_in_progress must be a whole number"),
        ({"timeout_policy": "GIVE_UP"}, "timeout_policy must be one of RETRY, TIME_OUT_WF, ALERT_ONLY"),
        ({"timeout_s": 5, "response_timeout_s": 6}, "response_timeout_s=6 must not be more than timeout_s=5"),
        ({"timeout_s": 5, "total_timeout_s": 4}, "timeout_s=5 must not be more than total_timeout_s=4"),
        ({"run_in_process": True}, "run_in_process needs a function at the top of a module"),
    ],
)
def test_options_that_contradict_are_refused_at_once(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        definition(**options)


def test_a_namespace_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not a namespace"):
        definition(namespace="Big Shop")


def test_a_task_needs_a_type() -> None:
    with pytest.raises(ValueError, match="needs the name of its type"):
        task("  ")(lambda: None)
    forgot: Any = task(print)  # type: ignore[arg-type]  # @task without parentheses
    with pytest.raises(ValueError, match="needs the name of its type"):
        forgot(lambda: None)


def test_an_undecorated_function_is_no_task() -> None:
    with pytest.raises(TypeError, match="is not decorated with @task"):
        task_function(print)


async def coroutine() -> None: ...


def test_coroutines_are_told_apart_and_cannot_run_in_a_process() -> None:
    class Callable:
        async def __call__(self) -> None: ...

    assert TaskFunction(function=coroutine, task_type="a").is_async
    assert TaskFunction(function=Callable(), task_type="a").is_async
    assert not TaskFunction(function=print, task_type="a").is_async
    with pytest.raises(ValueError, match="an async one runs on the event loop"):
        TaskFunction(function=coroutine, task_type="a", run_in_process=True)


@pytest.mark.parametrize("make", [lambda: Fixed(limit=-1), lambda: Linear(step_s=1.5, limit=1), lambda: Exponential(first_s=1, limit=True)])  # type: ignore[arg-type]
def test_policies_refuse_what_is_no_whole_number(make: Any) -> None:
    with pytest.raises(ValueError, match="must be a whole number of 0 or more"):
        make()


def test_delays_of_outcomes_are_whole_seconds() -> None:
    assert InProgress(0.2).callback_after_s == 1
    assert RetryLater("busy", delay_s=61.5).delay_s == 62
    assert RetryLater().delay_s is None
    assert Fatal("no", {"a": 1}).output == {"a": 1}
    for make in (lambda: InProgress(-1), lambda: RetryLater(delay_s=float("inf")), lambda: InProgress(float("nan"))):
        with pytest.raises(ValueError, match="number of seconds, 0 or more"):
            make()
