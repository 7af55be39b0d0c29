"""Faults in events: what is published, and what handlers do about it."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutants

MUTANTS = Mutants()
add = MUTANTS.add

add(
    "event-not-published-again",
    "batuta_core.decider.tasks.event",
    "is_repeatable = True",
    "is_repeatable = False",
    "an event whose function died is lost for the handlers that had not acted",
)
add(
    "failing-handler-forgotten",
    "batuta_core.engine.handle",
    """                again = error
    if again is not None:
        raise again


def _is_passing""",
    """                pass


def _is_passing""",
    "an event that a handler could not deal with now counts as dealt with",
)
add(
    "action-looked-for-from-now-on",
    "batuta_core.engine.handle",
    "    note = ports.actions.begin(note) or note\n",
    "    ports.actions.begin(note)\n",
    "a repeat looks for the action behind where it finds the execution, and not where the first one did",
)
add(
    "action-recorded-before-it-is-done",
    "batuta_core.engine.handle",
    "    note = ports.actions.begin(note) or note\n",
    "    note = ports.actions.begin(replace(note, status=ActionStatus.COMPLETED)) or note\n",
    "an action whose function died before it is never done",
)
add(
    "started-by-event-under-a-new-id",
    "batuta_core.engine.handle",
    "workflow_id = ids.workflow_id_of_event(note.namespace, note.message_id, note.handler, note.index)",
    "workflow_id = ports.ids.workflow_id()",
    "an event that comes again starts another execution",
)
add(
    "event-of-a-rerun-taken-for-a-repeat",
    "batuta_core.engine.publish",
    'return f"{message.task_id}.{message.place.rerun}" if message.place.rerun else message.task_id',
    "return message.task_id",
    "handlers do nothing about the event of a task that is run anew",
)
add(
    "event-reported-first",
    "batuta_core.engine.publish",
    """        outcome = _outcome(ports, sinks, message)
        _report(ports, message, outcome, began_ms)""",
    """        _report(ports, message, _Outcome(TaskStatus.COMPLETED), began_ms)
        outcome = _outcome(ports, sinks, message)""",
    "a task says that its event is published before it is",
)
