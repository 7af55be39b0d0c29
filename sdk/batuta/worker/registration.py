"""What decorators say about retries and time-outs is registered where the server has no such task definition yet.

An existing definition wins: whoever runs the server may have tuned it. A difference is logged, field by field.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from batuta import backoff, calls
from batuta.http import Call
from batuta.task_function import TaskFunction
from batuta_core.model.definition import normalize_task_definition
from batuta_core.model.error import BatutaError, TaskDefinitionNotFound

logger = logging.getLogger("batuta.worker")

TRIES_MAX = 8  # with the waits below, two minutes: a server that starts beside its workers is up by then
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 30.0

Ask = Callable[[str, Call[Any]], Awaitable[Any]]


async def register(functions: Sequence[tuple[str, TaskFunction]], ask: Ask | None) -> None:
    """``functions`` with their namespaces. Never raises: a worker without definitions still works, by the server's defaults."""
    said = [(namespace, definition) for namespace, function in functions if (definition := function.definition()) is not None]
    if ask is None:
        if said:
            names = ", ".join(definition["name"] for _namespace, definition in said)
            logger.info("no URL is known, so nothing is registered of what decorators say: %s", names)
        return
    for namespace, definition in said:
        try:
            await _register_one(namespace, definition, ask)
        except BatutaError as error:
            logger.warning("task definition %s could not be registered: %s %s", definition["name"], error.message, error.remedy)


async def _register_one(namespace: str, definition: Mapping[str, Any], ask: Ask) -> None:
    for tries in range(1, TRIES_MAX + 1):
        try:
            await _compare_or_register(namespace, definition, ask)
            return
        except BatutaError as error:
            status = error.facts.get("http_status", error.http_status)
            if tries == TRIES_MAX or (status < 500 and not error.retryable):
                raise
            logger.info("task definition %s is not registered yet (try %d): %s", definition["name"], tries, error.message)
        await asyncio.sleep(backoff.delay_s(tries, first_s=RETRY_FIRST_S, max_s=RETRY_MAX_S))


async def _compare_or_register(namespace: str, definition: Mapping[str, Any], ask: Ask) -> None:
    try:
        existing = await ask(namespace, calls.task_definition(definition["name"]))
    except TaskDefinitionNotFound:
        await ask(namespace, calls.register_tasks([definition]))
        logger.info("registered task definition %s", definition["name"])
        return
    here, there = normalize_task_definition(dict(definition)), normalize_task_definition(existing)
    different = [field for field in definition if there.get(field) != here[field]]
    if different:
        shown = "; ".join(f"{field} is {there.get(field)!r} there, {here[field]!r} here" for field in different)
        logger.warning("task definition %s on the server differs from its decorator, and wins: %s", definition["name"], shown)
