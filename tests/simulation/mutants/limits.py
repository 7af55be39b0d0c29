"""Faults in limits: permits, gates, and who gives permits back."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutants

MUTANTS = Mutants()
add = MUTANTS.add

add(
    "permit-kept-over-a-callback",
    "batuta_core.decider.outcome",
    """    step.return_permit(task)
    task = replace(task, status=TaskStatus.SCHEDULED""",
    "    task = replace(task, status=TaskStatus.SCHEDULED",
    "a task that is sent again has two permits",
)
add(
    "start-counted-from-its-admission",
    "batuta_core.decider.permits",
    """if told.started_ms else now_ms
""",
    """if told.started_ms else found.admitted_ms
""",
    "a start that nobody told is taken for an early one",
)
add(
    "rate-of-what-lies-in-the-queue",
    "batuta_core.decider.permits",
    "limits.rate - _on_the_way(state) - sum(",
    "limits.rate - sum(",
    "what is admitted and not yet started does not count",
)
add(
    "permits-forgotten-by-the-next-record",
    "batuta_core.engine.fetch",
    """    if newest is not None and newest.head.returned:
""",
    """    if newest is not None and newest.head.returned and False:
""",
    "a decider dies after its record, the next record hides what it returned",
)
add(
    "permits-forgotten-by-the-guard",
    "batuta_core.engine.advance",
    "            return command in head.returned\n",
    "            return False\n",
    "an API call dies after the record that ends a task: its permit stays out",
)
add(
    "permit-for-what-has-ended",
    "batuta_core.engine.gates",
    """        if newest is None or _task(newest, entry, self.gate) is None:
            return False
""",
    """        if newest is None:
            return False
""",
    "what ended while it waited has a permit for ever",
)
add(
    "admitted-and-not-sent",
    "batuta_core.engine.gates",
    """        for entry in state.unsent:
""",
    """        for entry in self.wanted:
""",
    "an admitter that dies before it sends leaves a task that nobody sends",
)
add(
    "wake-not-armed",
    "batuta_core.engine.gates",
    """        if state.is_wake_unsent:
            timers""",
    """        if state.is_wake_unsent and False:
            timers""",
    "nobody looks when the window is over",
)
add(
    "line-forgotten",
    "batuta_core.engine.gates",
    "has_waiting=len(page) == wanted)",
    "has_waiting=bool(self.gone))",
    "who stays in line is forgotten",
)
add(
    "line-not-noted",
    "batuta_core.engine.gates",
    """            state = replace(state, has_waiting=True)
""",
    """            pass
""",
    "who is put in line is not looked for",
)
add(
    "new-limits-told-without-a-guard",
    "batuta_core.engine.limits",
    """    for gate in changed:
        timers.wake_gate(ports, gate, 0)
""",
    "",
    "a raised limit lets nobody in when the caller dies",
)
