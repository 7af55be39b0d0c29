"""From functions to queues: who is served from where, and which places each takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batuta.binding import Binding
from batuta.task_function import TaskFunction
from batuta.worker.held import Served
from batuta.worker.permits import Places
from batuta.worker.poller import Source
from batuta_core.model.names import task_queue_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A function, with what the worker says where the decorator is silent. ``queue`` None: the task type's own."""

    function: TaskFunction
    binding: Binding
    namespace: str
    queue: str | None

    def queue_name(self, stage: str) -> str:
        """A shared queue is named as the queue of a task type of its name would be, so that code does not depend on the stage."""
        if self.queue is not None:
            return task_queue_name(stage, self.namespace, self.queue)
        return task_queue_name(stage, self.namespace, self.function.task_type, self.function.domain)


def offers_of(functions: Sequence[TaskFunction], namespace: str, queue: str | None) -> list[Offer]:
    """Raises ValueError when two functions want the same tasks, TypeError when a parameter cannot be filled from JSON."""
    offers: list[Offer] = []
    seen: dict[tuple[str, str, str], str] = {}
    for function in functions:
        offer = Offer(
            function=function,
            binding=Binding(function.function, function.shown_name),
            namespace=function.namespace or namespace,
            queue=function.queue or queue,
        )
        key = (offer.namespace, function.task_type, offer.queue_name("any"))
        if key in seen:
            raise ValueError(f"{seen[key]} and {function.shown_name} both serve {function.task_type} in namespace {offer.namespace}")
        seen[key] = function.shown_name
        offers.append(offer)
    return offers


def sources_of(offers: Sequence[Offer], stage: str, process: Places, children: Places) -> list[Source]:
    """One source per queue. ``process`` are the places of the whole process, ``children`` those of its child processes."""
    queues: dict[str, list[Served]] = {}
    for offer in offers:
        function = offer.function
        places = [process]
        if function.max_in_progress is not None:
            places.append(Places(function.max_in_progress))
        if function.run_in_process:
            places.append(children)
        served = Served(function=function, namespace=offer.namespace, binding=offer.binding, places=tuple(places))
        queues.setdefault(offer.queue_name(stage), []).append(served)
    return [
        Source(
            queue=queue,
            served={(item.namespace, item.function.task_type): item for item in served},
            places=tuple(dict.fromkeys(place for item in served for place in item.places)),
        )
        for queue, served in queues.items()
    ]
