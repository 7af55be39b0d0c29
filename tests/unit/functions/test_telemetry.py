"""What a function writes to its log: JSON lines with facts, a metric for what must be counted, no traceback of what will pass."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from batuta_core.engine.ports import Log
from batuta_core.model.error import Unavailable
from batuta_server.telemetry import SERVICE, PowertoolsLog


@pytest.fixture(autouse=True)
def _logger_writes_to_this_test() -> None:
    """Powertools makes one logger per process, which keeps the standard output that it found."""
    logging.Logger.manager.loggerDict.pop(SERVICE, None)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_facts_are_keys_of_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    log: Log = PowertoolsLog("prod")
    log.info("execution_started", namespace="shop", workflow_id="w", task_id="t", size_bytes=3)
    (line,) = lines(capsys)
    assert (line["message"], line["level"]) == ("execution_started", "INFO")
    assert (line["namespace"], line["workflow_id"], line["task_id"], line["size_bytes"]) == ("shop", "w", "t", 3)


def test_facts_never_get_in_the_way_of_the_logger(capsys: pytest.CaptureFixture[str]) -> None:
    log = PowertoolsLog("prod")
    log.warning("odd", name="n", message="m", args=(1,), level="l", error="e" * 5000, thing=object())
    (line,) = lines(capsys)
    assert (line["message"], line["level"], line["name_"], line["message_"], line["level_"]) == ("odd", "WARNING", "n", "m", "l")
    assert len(line["error"]) == 1000


def test_what_must_be_counted_is_a_metric(capsys: pytest.CaptureFixture[str]) -> None:
    log = PowertoolsLog("prod")
    log.warning("message_refused", queue="decider")
    log.warning("something_else")
    log.failed("decision_failed", raised(KeyError("x")))
    found = [line for line in lines(capsys) if "_aws" in line]
    assert [(line.get("MessageRefused"), line.get("DecisionFailed"), line["stage"]) for line in found] == [
        ([1.0], None, "prod"),
        (None, [1.0], "prod"),
    ]
    assert {line["_aws"]["CloudWatchMetrics"][0]["Namespace"] for line in found} == {"Batuta"}


def test_only_the_unexpected_has_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    log = PowertoolsLog("prod")
    log.failed("x", raised(Unavailable("throttled")), workflow_id="w")
    log.failed("x", raised(KeyError("bug")), workflow_id="w")
    expected, unexpected = lines(capsys)
    assert "exception" not in expected
    assert "Traceback" in unexpected["exception"]
    assert "throttled" in expected["error"]
    assert expected["workflow_id"] == unexpected["workflow_id"] == "w"
