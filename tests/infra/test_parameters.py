from __future__ import annotations

from typing import Any

import pytest

from infra.parameters import ParameterError, StageParameters, TaskType


def from_context(**context: Any) -> StageParameters:
    return StageParameters.from_context(context.get)


def test_nothing_has_to_be_said() -> None:
    assert from_context() == StageParameters()


def test_texts_of_the_command_line_are_read() -> None:
    found = from_context(
        stage="blue",
        retention_s="3600",
        retain="false",
        namespaces="default, shop",
        task_types="shop/charge card,mail",
        decider_reserved_concurrency="100",
        dashboard="True",
    )
    assert found.stage == "blue"
    assert found.retention_s == 3600
    assert found.namespaces == ("default", "shop")
    assert found.task_types == (TaskType("shop", "charge card"), TaskType("default", "mail"))
    assert found.decider_reserved_concurrency == 100
    assert found.dashboard
    assert not found.retain


def test_json_of_cdk_json_is_read() -> None:
    found = from_context(retention_s=3600.0, retain=False, deletion_protection=True, task_types=["default/a,b/c"], namespaces=["default"])
    assert found.retention_s == 3600
    assert found.deletion_protection
    assert not found.retain
    assert found.task_types == (TaskType("default", "a,b/c"),)


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ({"stage": "Prod"}, "stage"),
        ({"stage": "x" * 17}, "stage"),
        ({"namespaces": ""}, "namespaces"),
        ({"namespaces": "*,shop"}, "namespaces"),
        ({"task_types": "shop/charge"}, "add shop to namespaces"),
        ({"task_types": "shop/"}, "names no task type"),
        ({"retention_s": "a month"}, "retention_s"),
        ({"retention_s": "-1"}, "retention_s"),
        ({"retention_s": True}, "retention_s"),
        ({"log_retention_days": "15"}, "log_retention_days"),
        ({"retain": "maybe"}, "retain"),
        ({"api_memory_mb": "64"}, "api_memory_mb"),
        ({"decider_concurrency": "1"}, "decider_concurrency"),
        ({"decider_reserved_concurrency": "50"}, "decider_reserved_concurrency must be more than decider_concurrency, which is 50"),
        ({"alarm_email": "nobody"}, "alarm_email"),
        ({"arch": "riscv"}, "arch"),
        ({"endpoint_url": "https://sqs.us-east-1.amazonaws.com"}, "endpoint_url"),
        ({"token_key_generation": "0"}, "token_key_generation"),
        ({"http_memory_mb": "64"}, "http_memory_mb"),
        ({"http_reserved_concurrency": "0"}, "http_reserved_concurrency"),
        ({"events_reserved_concurrency": "0"}, "events_reserved_concurrency"),
        ({"event_sinks": "orders"}, "event_sinks must be names like"),
        ({"event_sinks": "sqs:"}, "event_sinks must be names like"),
        ({"event_sinks": "sqs:*"}, "event_sinks must be names like"),
        ({"event_sinks": "kafka:orders"}, "event_sinks must be names like"),
        ({"event_sinks": "sqs:batuta-prod--decider"}, "queues of others, not batuta-prod--decider"),
        ({"event_sources": "orders"}, "event_sources must be names like"),
        ({"event_sources": "shop/orders"}, "add shop to namespaces"),
        ({"event_sources": "default/a,shop/a", "namespaces": "default,shop"}, "each queue once"),
        ({"event_sources": "default/batuta-prod--timers"}, "queues of others"),
        ({"http_allowed": "lan"}, "http_allowed must be ranges like"),
        ({"http_allowed": "10.1.0.1/16"}, "http_allowed must be ranges like"),
        ({"http_allowed": "10.0.0.0/8,127.0.0.1/32"}, "127.0.0.0/8, which are the function's own: 127.0.0.1/32"),
        ({"http_allowed": "0.0.0.0/0"}, "http_allowed"),
        ({"http_allowed": "169.254.169.254/32"}, "http_allowed"),
        ({"http_allowed": "::/0"}, "http_allowed"),
        ({"http_allowed": "::1/128"}, "http_allowed"),
        ({"alarm_email": 3}, "alarm_email"),
        ({"namespaces": 3}, "namespaces"),
    ],
)
def test_what_cannot_be_deployed_is_refused_by_name(context: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=r"parameter|task_types") as refused:
        from_context(**context)
    assert said in str(refused.value)
