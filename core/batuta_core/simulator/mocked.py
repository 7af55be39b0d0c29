"""Conductor's ``POST /workflow/test``: an execution whose tasks are answered by mocks, played in memory and then kept.

The journal is written when the play is over, so nobody ever takes it for an execution that goes on: what the mocks did not bring to
its end is terminated with the reason. Nothing is sent to a worker, and no request is made. A call that dies while it writes leaves
records that no summary names and whose id nobody was told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from batuta_core.engine import operate, query, timers
from batuta_core.engine.catalog import JavascriptCheck
from batuta_core.engine.fetch import Cache
from batuta_core.engine.operate import TaskReport
from batuta_core.engine.ports import Ports
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.error import InvalidInput
from batuta_core.model.event import TaskUpdated
from batuta_core.model.names import ExecutionId
from batuta_core.simulator.rehearsal import Asked, Rehearsal

# An API call ends within 30 s (API Gateway's integration timeout): ten to play, and some 10 ms for each record that is then written.
PLAY_MAX_MS = 10_000
STEPS_MAX = 1000  # answers and batches of messages; each makes a record or less
_REMEDY = "Test a part of the workflow, or run it for real."


@dataclass(frozen=True, slots=True, kw_only=True)
class Mocks:
    """For each reference name what the task's attempts come to, in order; ``children`` for the tasks of sub-workflows."""

    of_ref: Mapping[str, Sequence[TaskReport]] = field(default_factory=dict)
    children: Mapping[str, Mocks] = field(default_factory=dict)


def play(request: StartRequest, mocks: Mocks, ports: Ports, is_javascript: JavascriptCheck) -> dict[str, Any]:
    """The execution in Conductor's JSON as far as the mocks brought it. Raises what a start raises, and InvalidInput when it takes too
    long; then nothing is kept."""
    test = _Test(mocks, ports)
    # In a domain of its own, as Conductor has it. An idempotency key would name a real execution.
    alone = replace(request, task_to_domain={"*": ports.ids.workflow_id()}, idempotency_key=None)
    execution = ExecutionId(request.namespace, start(alone, test.rehearsal.ports, is_javascript))
    test.rehearsal.go_on()
    found = query.workflow_json(test.rehearsal.ports, execution)
    test.end()
    _keep(test.rehearsal, ports)
    return found


class _Test:
    def __init__(self, mocks: Mocks, ports: Ports) -> None:
        self._mocks = mocks
        self._clock = ports.clock
        self._end_ms = ports.clock.now_ms() + PLAY_MAX_MS
        self._steps = 0
        self._used: dict[tuple[ExecutionId, str], int] = defaultdict(int)
        self.rehearsal = Rehearsal(
            self._answer,
            now_ms=ports.clock.now_ms(),
            check=self._check,
            definitions=ports.definitions,
            catalog=ports.catalog,
            payloads=ports.payloads,
            scripts=ports.scripts,
            ids=ports.ids,
            cache=Cache(),  # the engine's own also says what of the real timers is begun
            retention_s=ports.retention_s,
        )

    def end(self) -> None:
        """Terminates what is still running."""
        open_refs = [asked.message.ref for asked in self.rehearsal.asked()]
        reason = f"the test has ended: no mock is left for {', '.join(open_refs)}" if open_refs else "the test has ended"
        for execution in self.rehearsal.executions():
            newest = self.rehearsal.newest(execution)
            if newest is not None and not newest.head.status.is_terminal:
                operate.terminate(self.rehearsal.ports, execution, reason)
        self.rehearsal.run_to(self.rehearsal.world.now_ms)

    def _answer(self, asked: Asked) -> TaskUpdated | None:
        """From the next mock of the task: in Conductor, too, no matter whether the task is due."""
        mocks: Mocks | None = self._mocks
        for ref in asked.parents:
            mocks = mocks.children.get(ref) if mocks else None
        for ref in dict.fromkeys((asked.message.ref, asked.base_ref)):
            reports = mocks.of_ref.get(ref, ()) if mocks else ()
            used = self._used[asked.execution, ref]
            if used < len(reports):
                self._used[asked.execution, ref] += 1
                self._check()
                report, op = reports[used], f"mock{self._steps}"
                return TaskUpdated(place=asked.message.place, status=report.status, op=op, output=dict(report.output))
        return None

    def _check(self) -> None:
        self._steps += 1
        if self._steps > STEPS_MAX:
            raise InvalidInput(f"The test was stopped after {STEPS_MAX} steps. {_REMEDY}")
        if self._clock.now_ms() > self._end_ms:
            raise InvalidInput(f"The test was stopped after {PLAY_MAX_MS // 1000} s. {_REMEDY}")


def _keep(rehearsal: Rehearsal, ports: Ports) -> None:
    """Writes the journals, then the summaries by which they are found; and the timers that will remove them."""
    for execution in rehearsal.executions():
        newest = None
        for record in rehearsal.world.journal.scan(execution):
            ports.journal.append(execution, record, record.to_json())
            newest = record
        if newest is not None and newest.head.mark is not None:
            timers.arm(ports, execution, newest.head.mark.timer, newest.head.mark.due_ms)
    for execution in rehearsal.executions():
        if summary := rehearsal.world.summaries.get(execution):
            ports.summaries.write(summary)
