"""Faults around both: what the model says, and the stage of the simulator itself, on which schedules rely."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutants

MUTANTS = Mutants()
add = MUTANTS.add

add(
    "acknowledge-first",
    "batuta_core.simulator.world",
    """            failed = set(handler(batch))
            done = [message.receipt for message in batch if message.message_id not in failed]
            self.io("queues.delete", self.queues.delete, queue, done)
""",
    """            self.io("queues.delete", self.queues.delete, queue, [message.receipt for message in batch])
            failed = set(handler(batch))
""",
    "a crash in the function loses the message",
)
add(
    "second-receive-begins-at-once",
    "batuta_core.simulator.worker",
    "if message.is_rated and received.receives > 1:",
    "if False:",
    "what a worker died over is started again without another permit",
)
add(
    "no-token-check",
    "batuta_core.model.message",
    """            is_proven = isinstance(event, _FROM_WORKERS) and signer.is_task_token(token, execution, event.place, attempt)
""",
    """            is_proven = True
""",
    "a right to send is a right to complete",
)
add(
    "summary-written-unconditionally",
    "batuta_core.simulator.store",
    """        if old is not None and old.record >= summary.record:
            return False
""",
    "",
    "a late writer brings an older status back",
)
add(
    "note-of-a-later-call-taken-for-all",
    "batuta_core.simulator.store",
    "if old is not None and after <= old.dispatched < record:",
    "if old is not None and old.dispatched < record:",
    "a call that comes to its end vouches for one before it that did not",
)
add(
    "newer-message-left-alone",
    "batuta_core.simulator.worker",
    """            if envelope.schema > self._schema:
                self._let_wait(queue, received, envelope)
                continue
""",
    """            if envelope.schema > self._schema:
                continue
""",
    "a task whose message the workers cannot read yet fails as if they had died",
)
add(
    "newer-message-hidden-for-no-time",
    "batuta_core.model.message",
    "return min(max(waited_s, NEWER_WAIT_MIN_S), NEWER_WAIT_MAX_S)",
    "return NEWER_WAIT_MIN_S",
    "a task that waits for a newer worker costs a record every half a minute",
)
