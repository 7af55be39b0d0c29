"""How long the next attempt waits."""

from __future__ import annotations

from typing import Any

import pytest

from batuta_core.decider.retry import delay_s, jitter_ms
from batuta_core.model.definition import RetryLogic, RetryPolicy, normalize_task_definition

LARGEST_S = 2**31 - 1


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (RetryPolicy(delay_ms=3000), [3, 3, 3, 3]),
        (RetryPolicy(delay_ms=3000, backoff_scale=9), [3, 3, 3, 3]),
        (RetryPolicy(), [0, 0, 0, 0]),
        (RetryPolicy(logic=RetryLogic.LINEAR_BACKOFF, delay_ms=3000), [3, 6, 9, 12]),
        (RetryPolicy(logic=RetryLogic.LINEAR_BACKOFF, delay_ms=3000, backoff_scale=2), [6, 12, 18, 24]),
        (RetryPolicy(logic=RetryLogic.LINEAR_BACKOFF, delay_ms=3000, backoff_scale=0), [0, 0, 0, 0]),
        (RetryPolicy(logic=RetryLogic.EXPONENTIAL_BACKOFF, delay_ms=3000), [3, 6, 12, 24]),
        (RetryPolicy(logic=RetryLogic.EXPONENTIAL_BACKOFF, delay_ms=3000, backoff_scale=9), [3, 6, 12, 24]),
        (RetryPolicy(logic=RetryLogic.EXPONENTIAL_BACKOFF), [0, 0, 0, 0]),
        (RetryPolicy(delay_ms=9000, max_delay_ms=5000), [5, 5, 5, 5]),
        (RetryPolicy(logic=RetryLogic.LINEAR_BACKOFF, delay_ms=3000, max_delay_ms=7000), [3, 6, 7, 7]),
        (RetryPolicy(logic=RetryLogic.EXPONENTIAL_BACKOFF, delay_ms=3000, max_delay_ms=7000), [3, 6, 7, 7]),
    ],
)
def test_the_first_four_waits(policy: RetryPolicy, expected: list[int]) -> None:
    assert [delay_s(policy, failures) for failures in range(1, 5)] == expected


@pytest.mark.parametrize("logic", list(RetryLogic))
def test_a_wait_that_no_calendar_holds_is_the_largest_that_conductor_knows(logic: RetryLogic) -> None:
    policy = RetryPolicy(logic=logic, delay_ms=LARGEST_S * 1000, backoff_scale=LARGEST_S)
    assert delay_s(policy, 10_000) == LARGEST_S


def test_a_thousand_doublings_take_no_memory_and_stay_the_largest() -> None:
    policy = RetryPolicy(logic=RetryLogic.EXPONENTIAL_BACKOFF, delay_ms=1000)
    assert {delay_s(policy, failures) for failures in (40, 41, 1000, 10**9)} == {LARGEST_S}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [60, 60]),
        ({"retryDelaySeconds": -5}, [0, 0]),
        ({"retryLogic": "LINEAR_BACKOFF", "retryDelaySeconds": 2, "backoffScaleFactor": -1}, [0, 0]),
        ({"retryLogic": "EXPONENTIAL_BACKOFF", "retryDelaySeconds": 2, "maxRetryDelaySeconds": -1}, [2, 4]),
    ],
)
def test_what_is_below_zero_in_a_definition_counts_as_none(fields: dict[str, Any], expected: list[int]) -> None:
    policy = RetryPolicy.from_dict(normalize_task_definition({"name": "t", **fields}))
    assert [delay_s(policy, failures) for failures in (1, 2)] == expected


def test_without_jitter_nothing_is_added() -> None:
    assert {jitter_ms(RetryPolicy(), f"task-{number}", 1) for number in range(50)} == {0}


def test_jitter_stays_within_its_bound_and_reaches_it() -> None:
    found = {jitter_ms(RetryPolicy(jitter_ms=3), f"task-{number}", 1) for number in range(200)}
    assert found == {0, 1, 2, 3}


def test_jitter_is_the_same_at_every_repeat_and_differs_between_attempts() -> None:
    policy = RetryPolicy(jitter_ms=60_000)
    waits = [jitter_ms(policy, "task", failures) for failures in range(1, 20)]
    assert waits == [jitter_ms(policy, "task", failures) for failures in range(1, 20)]
    assert len(set(waits)) > 15
