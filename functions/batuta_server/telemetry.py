"""What the functions write to their logs and count, and the names in it.

Log lines carry the name of an event and facts (ids, sizes, codes), never payloads. The ids' keys are in ``facts.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from batuta_core.model.error import BatutaError

SERVICE = "batuta_server"  # also the name of the logger: "batuta" is that of the SDK
METRICS_NAMESPACE = "Batuta"

# What is counted when the engine warns of it; a metric costs nothing in a month in which it is never sent. Dead letters that
# cannot be looked at count as such: one alarm for both.
METRICS: Mapping[str, str] = {
    "decision_failed": "DecisionFailed",
    "execution_broken": "ExecutionBroken",
    "dead_letters": "DeadLetters",
    "sweep_failed": "DeadLetters",
    "message_refused": "MessageRefused",
    "message_not_ours": "MessageNotOurs",
}

_FACT_MAX_CHARS = 1000  # an error's text may quote what it met; a log line is no place for much of it
# logging refuses to have the attributes of its records overwritten, and Powertools has keys of its own.
_TAKEN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "level", "location", "timestamp", "service"})


class PowertoolsLog:
    """The engine's Log, as JSON lines on standard output. A counted event is a line of its own, which CloudWatch takes for a
    metric; they are rare, so nothing is gathered and no handler has to remember to flush."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        # Without what says nothing here and is paid by the byte: the location is always this file, nothing is traced, and the log
        # group names the stage.
        self._logger = Logger(service=SERVICE, location=None, xray_trace_id=None)
        self._logger.remove_keys(["service"])

    def info(self, event: str, **facts: Any) -> None:
        self._logger.info(event, extra=_shown(facts))

    def warning(self, event: str, **facts: Any) -> None:
        self._logger.warning(event, extra=_shown(facts))
        self._count(event)

    def failed(self, event: str, error: Exception, **facts: Any) -> None:
        is_expected = isinstance(error, BatutaError) and error.retryable
        self._logger.error(event, exc_info=None if is_expected else error, extra=_shown({**facts, "error": repr(error)}))
        self._count(event)

    def _count(self, event: str) -> None:
        if event in METRICS:
            with single_metric(METRICS[event], MetricUnit.Count, 1, namespace=METRICS_NAMESPACE) as metric:
                metric.add_dimension("stage", self._stage)


def _shown(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}_" if name in _TAKEN else name: _cut(value) for name, value in facts.items()}


def _cut(value: Any) -> Any:
    return value[:_FACT_MAX_CHARS] if isinstance(value, str) else value
