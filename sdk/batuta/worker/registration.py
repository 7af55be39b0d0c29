"""What decorators say about retries, time-outs and queues is registered where the server has no such task definition yet.

An existing definition wins: whoever runs the server may have tuned it. A difference is logged, field by field; where it is the
queue, the worker polls the one that the server sends to, too. Conductor's API registers over what is there and knows no other way,
so a definition that somebody registers in the milliseconds between our look and our word is lost. Of two workers that begin
at once with different decorators the last one wins; the look after the word tells the other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from batuta import backoff, calls
from batuta.http import Call
from batuta.worker.sources import Offer
from batuta_core.model.definition import normalize_task_definition
from batuta_core.model.error import BatutaError, TaskDefinitionNotFound

logger = logging.getLogger("batuta.worker")

TRIES_MAX = 8  # with the waits below, two minutes: a server that starts beside its workers is up by then
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 30.0

Ask = Callable[[str, Call[Any]], Awaitable[Any]]


async def register(offers: Sequence[Offer], ask: Ask | None) -> list[Offer]:
    """The offers, each with the ``further`` queues that the server may use for it. Never raises: a worker without definitions still
    works, by the server's defaults."""
    if ask is None:
        _say_that_nothing_is_registered(offers)
        return list(offers)
    found: list[Offer] = []
    for offer in offers:
        try:
            found.append(await _register_one(offer, ask))
        except BatutaError as error:
            found.append(offer)
            doing = "looked at" if offer.definition() is None else "registered"
            logger.warning("task definition %s could not be %s: %s %s", offer.function.task_type, doing, error.message, error.remedy)
    return found


def _say_that_nothing_is_registered(offers: Sequence[Offer]) -> None:
    if said := [offer.function.task_type for offer in offers if offer.definition() is not None]:
        logger.info("no URL is known, so nothing is registered of what decorators say: %s", ", ".join(said))
    if shared := [f"{offer.function.task_type} on {offer.queue}" for offer in offers if offer.queue]:
        logger.warning("no URL is known: tasks come to a shared queue only if their registered definitions name it: %s", ", ".join(shared))


async def _register_one(offer: Offer, ask: Ask) -> Offer:
    for tries in range(1, TRIES_MAX + 1):
        try:
            return await _compare_or_register(offer, ask)
        except BatutaError as error:
            status = error.facts.get("http_status", error.http_status)
            if tries == TRIES_MAX or (status < 500 and not error.retryable):
                raise
            logger.info("task definition %s is not registered yet (try %d): %s", offer.function.task_type, tries, error.message)
        await asyncio.sleep(backoff.delay_s(tries, first_s=RETRY_FIRST_S, max_s=RETRY_MAX_S))
    raise AssertionError("the last try returns or raises")


async def _compare_or_register(offer: Offer, ask: Ask) -> Offer:
    name, definition = offer.function.task_type, offer.definition()
    further: list[str] = []
    try:
        existing = await ask(offer.namespace, calls.task_definition(name))
    except TaskDefinitionNotFound:
        if definition is None:
            return offer
        await ask(offer.namespace, calls.register_tasks([definition]))
        existing = await ask(offer.namespace, calls.task_definition(name))
        logger.info("registered task definition %s", name)
        if not offer.is_same_queue(""):
            logger.info("executions that began before send %s to its own queue: until it stops, this worker polls that, too", name)
            further.append("")
    there = normalize_task_definition(existing)
    if definition is not None:
        _say_what_differs(offer, normalize_task_definition(dict(definition)), there, definition.keys())
    queue = there.get("queue") or ""
    if not offer.is_same_queue(queue):
        level = logging.WARNING if offer.queue else logging.INFO
        logger.log(level, "by its definition on the server %s is sent to %s, which is polled, too", name, _shown_queue(queue))
        further.append(queue)
    return replace(offer, further=tuple(dict.fromkeys(further)))


def _say_what_differs(offer: Offer, here: dict[str, Any], there: dict[str, Any], fields: Collection[str]) -> None:
    different = [field for field in fields if there.get(field) != here[field]]
    if offer.is_same_queue(there.get("queue") or ""):
        different = [field for field in different if field != "queue"]  # a task type's own queue, by its name or by none
    if different:
        shown = "; ".join(f"{field} is {there.get(field)!r} there, {here[field]!r} here" for field in different)
        logger.warning("task definition %s on the server differs from its decorator, and wins: %s", offer.function.task_type, shown)


def _shown_queue(queue: str) -> str:
    return f"the queue {queue!r}" if queue else "a queue of its own"
