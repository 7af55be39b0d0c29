"""What becomes of a message that a poll brought.

* One that is not ours is left alone: SQS gives it up after five receives.
* One of a newer schema is handed back, and hidden for a while: it waits for a newer worker, however long that takes.
* A task that this worker does not serve, or that arrives while it stops, is handed back at once.
* A task that runs here already is not run twice: its second message goes with the first.
* One whose type has a limit on starts, and that somebody received before, is sent back into line: another start needs another permit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from batuta.worker.handler import TaskHandler
from batuta.worker.permits import Places, give_back
from batuta.worker.poller import Source
from batuta.worker.queues import Received
from batuta.worker.timing import Timing
from batuta_core.model.error import NewerSchema
from batuta_core.model.message import NotOurs, TaskEnvelope, TaskMessage

logger = logging.getLogger("batuta.worker")


class Intake:
    def __init__(self, handler: TaskHandler, timing: Timing, on_free: Callable[[], None]) -> None:
        self._handler = handler
        self._timing = timing
        self._on_free = on_free
        self.is_stopping = False

    def take(self, source: Source, received: Received) -> None:
        """A place is reserved for the message in all of the source's ``places``: those it does not need are given back."""
        try:
            message = TaskMessage.parse(received.text)
        except NewerSchema as error:
            self._let_wait(source, received, error)
            return
        except NotOurs as error:
            self._leave(source, received, error)
            return
        if message.priority and source.beside is not None and source is source.beside.own:
            source.beside.hint()
        served = source.served.get((message.execution.namespace, message.task_type))
        is_new = self._handler.is_new(message)
        if is_new and message.is_rated and received.receives > 1:
            self._free(source.places)
            self._handler.send_back(message, source.queue, received)
            return
        if served is not None and is_new and not self.is_stopping:
            self._free([place for place in source.places if place not in served.places])
            self._handler.begin(message, served, source.queue, received)
            return
        self._free(source.places)
        if served is None:
            namespace = message.execution.namespace
            logger.warning("%s in namespace %s is not served here: handed back to %s", message.task_type, namespace, source.queue)
            source.pause(self._timing.stranger_pause_s)
            self._handler.hand_back(message, source.queue, received)
        elif not is_new:
            self._handler.take_again(message, source.queue, received)
        else:
            self._handler.hand_back(message, source.queue, received)

    def _let_wait(self, source: Source, received: Received, reason: NewerSchema) -> None:
        try:
            envelope = TaskEnvelope.parse(received.text)
        except NotOurs as error:
            self._leave(source, received, error)
            return
        logger.warning("task %s on %s waits for a newer worker: %s", envelope.task_id, source.queue, reason)
        self._free(source.places)
        source.pause(self._timing.stranger_pause_s)
        self._handler.let_wait(envelope, source.queue, received)

    def _leave(self, source: Source, received: Received, error: NotOurs) -> None:
        logger.warning("message %s on %s is left alone: %s", received.message_id, source.queue, error)
        self._free(source.places)

    def _free(self, places: Collection[Places]) -> None:
        give_back(places)
        self._on_free()
