"""From functions to queues: who is served from where, and which places each takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from batuta.binding import Binding
from batuta.task_function import TaskFunction
from batuta.worker.beside import Beside
from batuta.worker.held import Served
from batuta.worker.permits import Places
from batuta.worker.poller import Source
from batuta.worker.timing import Timing
from batuta_core.model.names import priority_queue_name, task_queue_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A function, with what the worker says where the decorator is silent. ``queue`` is empty for the task type's own, as in
    ``further``: queues that the server may send its tasks to besides. ``own_places`` are those of its ``max_in_progress``."""

    function: TaskFunction
    binding: Binding
    namespace: str
    queue: str
    further: tuple[str, ...] = ()
    own_places: tuple[Places, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.function.task_type

    def queue_name(self, stage: str, queue: str | None = None) -> str:
        """Of ``queue``, else of the offer's. A shared queue is named as the queue of a task type of its name would be, so that code
        does not depend on the stage."""
        queue = self.queue if queue is None else queue
        return task_queue_name(stage, self.namespace, queue or self.function.task_type, self.function.domain)

    def is_same_queue(self, queue: str) -> bool:
        return (queue or self.function.task_type) == (self.queue or self.function.task_type)

    def definition(self) -> dict[str, Any] | None:
        return self.function.definition(self.queue)


def offers_of(functions: Sequence[TaskFunction], namespace: str, queue: str | None) -> list[Offer]:
    """Raises ValueError when two functions want the same tasks, TypeError when a parameter cannot be filled from JSON."""
    offers: list[Offer] = []
    seen: dict[tuple[str, str, str], str] = {}
    for function in functions:
        offer = Offer(
            function=function,
            binding=Binding(function.function, function.shown_name),
            namespace=function.namespace or namespace,
            queue=function.queue or queue or "",
            own_places=() if function.max_in_progress is None else (Places(function.max_in_progress),),
        )
        key = (offer.namespace, function.task_type, offer.queue_name("any"))
        if key in seen:
            raise ValueError(f"{seen[key]} and {function.shown_name} both serve {function.task_type} in namespace {offer.namespace}")
        seen[key] = function.shown_name
        offers.append(offer)
    return offers


def sources_of(
    offers: Sequence[Offer], stage: str, process: Places, children: Places, timing: Timing, before: Sequence[Source] = ()
) -> list[Source]:
    """Two sources per queue: the priority queue beside it comes first. ``process`` are the places of the whole process, ``children``
    those of its child processes. Sources of ``before`` that would be made again as they are stay."""
    queues: dict[str, dict[tuple[str, str], Served]] = {}
    for offer in offers:
        queues.setdefault(offer.queue_name(stage), {})[offer.key] = _served(offer, process, children)
    for offer in offers:
        for queue in offer.further:  # where another function serves the type, that one was meant
            queues.setdefault(offer.queue_name(stage, queue), {}).setdefault(offer.key, _served(offer, process, children))
    known = {source.queue: source.beside for source in before}
    found: list[Source] = []
    for queue, served in queues.items():
        beside = known.get(queue)
        if beside is None or beside.own.served != served:
            beside = _beside(queue, served, timing)
        found += [beside.priority, beside.own]
    return found


def _beside(queue: str, served: dict[tuple[str, str], Served], timing: Timing) -> Beside:
    places = tuple(dict.fromkeys(place for item in served.values() for place in item.places))
    own, priority = (Source(queue=name, served=served, places=places) for name in (queue, priority_queue_name(queue)))
    beside = Beside(own=own, priority=priority, timing=timing)
    own.beside = priority.beside = beside
    return beside


def _served(offer: Offer, process: Places, children: Places) -> Served:
    places = (process, *offer.own_places, *((children,) if offer.function.run_in_process else ()))
    return Served(function=offer.function, namespace=offer.namespace, binding=offer.binding, places=places)
