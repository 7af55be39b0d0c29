"""What a stage costs in a month in which nothing happens, item by item; and what workers cost that wait for tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from batuta.worker.permits import Places
from batuta.worker.poller import Poller, Source
from batuta.worker.timing import Timing
from benchmarks import prices
from benchmarks.ledger import Ledger

MONTH_H = 730  # as AWS's own calculator has it
MONTH_MIN = MONTH_H * 60

# "Lambda begins with five batches at a time" (developer guide, "Using Lambda with Amazon SQS", scaling), each a long poll of 20 s;
# AWS does not say how long they are, 20 s is the most there is and what bills show. Taken for FIFO queues, too.
POLLERS = 5
POLL_S = 20

ALARMS = 6  # infra/alarms.py
TASK_TYPES = 50

# An idle function's environment is replaced now and then (AWS does not say when); each time it is initialized, and reads the keys.
ENVIRONMENT_LIFE_H = 2
INITIALIZATION_S = 0.5


def polls_a_month(pollers: float, wait_s: float) -> float:
    return pollers * MONTH_H * 3600 / wait_s


def items(tick: Ledger, memory_mb: Mapping[str, int]) -> list[dict[str, Any]]:
    """``tick`` is what one minute's tick used."""
    polls = polls_a_month(POLLERS, POLL_S)
    ticks = Ledger().less(tick, -MONTH_MIN)
    headings = ticks.by({"DynamoDB": "db", "SQS": "sqs", "Lambda": "lambda", "log": "log", "EventBridge": "rule"}, prices.MILLION)
    starts = MONTH_H / ENVIRONMENT_LIFE_H
    initializing_gb_s = starts * INITIALIZATION_S * (memory_mb["decider"] + memory_mb["timers"]) / 1024
    found = [
        (f"AWS's {POLLERS} pollers of decider.fifo, long polls of {POLL_S} s", prices.SQS_FIFO.of(polls)),
        (f"AWS's {POLLERS} pollers of timers, long polls of {POLL_S} s", prices.SQS_STANDARD.of(polls)),
        (f"{ALARMS} alarms", prices.ALARM.of(ALARMS)),
        ("the minute's tick: DynamoDB, 4 minutes of far timers in 4 shards, and the cursor", headings["db"]),
        ("the minute's tick: SQS, a look at each of 3 dead letter queues", headings["sqs"]),
        ("the minute's tick: Lambda, 2 functions", headings["lambda"]),
        ("the minute's tick: logs, a line each", headings["log"]),
        ("the minute's tick: EventBridge rule", headings["rule"]),
        (f"new environments of 2 functions, one in {ENVIRONMENT_LIFE_H} h", prices.LAMBDA_GB_S.of(initializing_gb_s)),
        ("their reads of the token keys, one an hour: KMS", prices.KMS_REQUEST.of(2 * MONTH_H)),
        ("SSM parameters (standard)", prices.SSM_PARAMETER.of(2)),
        ("API Gateway, the API function, S3", 0.0),
        (
            f"the http and events functions: no queue feeds them; {POLLERS} pollers were ${prices.SQS_STANDARD.of(polls):.2f} more each",
            0.0,
        ),
        ("DynamoDB storage and point-in-time recovery of empty tables", 0.0),
        (f"{TASK_TYPES} task queues: nobody polls them but workers", 0.0),
        ("custom metrics: not sent in a month without trouble", 0.0),
    ]
    return [{"item": item, "usd_per_month": round(usd, 4)} for item, usd in found]


# --- workers that wait


def waiting_workers() -> list[dict[str, Any]]:
    """A worker process a month, by how many queues it polls; with the numbers that its poller has set itself."""
    rows = []
    for what, queues in (
        ("1 task type", 1),
        (f"{TASK_TYPES} types on a shared queue", 1),
        (f"{TASK_TYPES} types on {TASK_TYPES} queues", TASK_TYPES),
    ):
        pollers, wait_s = asyncio.run(_polling(queues))
        polls = polls_a_month(pollers, wait_s)
        rows.append(
            {
                "one idle worker process": what,
                "polls at once": pollers,
                "each waits s": wait_s,
                "requests": round(polls),
                "usd_per_month": round(prices.SQS_STANDARD.of(polls), 2),
            }
        )
    return rows


async def _polling(queues: int) -> tuple[int, int]:
    process = Places(100)  # the worker's default

    async def receive(_queue: str, _limit: int, _wait_s: int) -> list[Any]:
        return []

    sources = [Source(queue=str(number), served={}, places=(process,)) for number in range(queues)]
    poller = Poller(sources, process, receive, lambda _source, _received: None, Timing())
    return min(queues, poller._quiet_max), poller._wait_s
