"""What must hold after a chaos run, told from what was accepted, what the journal says, and what the side effects left behind.

A side effect happens at least once for every attempt that completed, and exactly one call's result is accepted for each attempt: its
output is in the journal, the next task was given that very output, and every call of the next task saw it. An attempt's side effect
may happen more often than once only as often as its message was handed to a worker, which the proxy counted: a lease that ended with
a killed worker, a message that a queue delivered twice, a command that was carried out again since nobody knew whether it had been.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batuta.results import Execution, Task
from batuta_core.model.execution import TaskStatus
from tests.e2e.chaos_worker import REFS
from tests.e2e.faulty import Attempt


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a task's function: who made it, its own name, what it was given."""

    pid: int
    name: str
    x: str


@dataclass(slots=True)
class Effects:
    """The side effects of one attempt, in their order; ``ended``: the calls that came to their end."""

    calls: list[Call] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """``answers``: by idempotency key, the ids that starts were answered with. ``listed``: what search finds of the workflow's name."""

    answers: Mapping[str, Collection[str]]
    listed: Sequence[str]
    executions: Mapping[str, Execution]
    effects: Mapping[Attempt, Effects]
    deliveries: Mapping[Attempt, int]
    killed: Collection[int]  # process ids


@dataclass(frozen=True, slots=True)
class Repeats:
    """Side effects beyond an attempt's first: after a call whose worker was killed before its end, and others."""

    of_killed: int
    of_deliveries: int


def read_effects(folder: Path) -> dict[Attempt, Effects]:
    found: dict[Attempt, Effects] = {}
    for path in folder.iterdir():
        workflow_id, ref, attempt = path.name.split(".")
        effects = found.setdefault((workflow_id, ref, int(attempt)), Effects())
        for line in path.read_text().splitlines():
            said = json.loads(line)
            if "ended" in said:
                effects.ended.add(said["ended"])
            else:
                effects.calls.append(Call(said["pid"], said["call"], said["x"]))
    return found


def judge(evidence: Evidence) -> list[str]:
    """What is wrong, in words; empty: nothing."""
    return [
        *_starts(evidence),
        *(problem for key, ids in evidence.answers.items() for workflow_id in ids for problem in _execution(evidence, key, workflow_id)),
        *_effects(evidence),
    ]


def repeats(evidence: Evidence) -> Repeats:
    of_killed = of_deliveries = 0
    for effects in evidence.effects.values():
        cut = sum(call.pid in evidence.killed and call.name not in effects.ended for call in effects.calls)
        more = len(effects.calls) - 1
        of_killed += min(cut, more)
        of_deliveries += more - min(cut, more)
    return Repeats(of_killed, of_deliveries)


def _starts(evidence: Evidence) -> Iterable[str]:
    for key, ids in evidence.answers.items():
        if len(ids) != 1:
            yield f"{key}: its starts were answered with {len(ids)} ids: {sorted(ids)}"
    accepted = {workflow_id for ids in evidence.answers.values() for workflow_id in ids}
    for workflow_id, times in Counter(evidence.listed).items():
        if times > 1:
            yield f"{workflow_id}: listed {times} times"
        if workflow_id not in accepted:
            yield f"{workflow_id}: runs, but no start was answered with it: a key was started twice"
    for workflow_id in sorted(accepted - set(evidence.listed)):
        yield f"{workflow_id}: was accepted, but search does not know it"


def _execution(evidence: Evidence, key: str, workflow_id: str) -> Iterable[str]:
    execution = evidence.executions.get(workflow_id)
    if execution is None:
        yield f"{workflow_id}: was accepted, and is not there"
        return
    if execution.status != "COMPLETED":
        yield f"{workflow_id}: {execution.status}: {execution.reason}"
        return
    given = key  # to the first task; to each other the name of the call before it whose result was accepted
    for ref in REFS:
        attempts = [task for task in execution.tasks if task.ref == ref]
        yield from _attempts(workflow_id, ref, attempts)
        ended = [task for task in attempts if task.status is TaskStatus.COMPLETED]
        if len(ended) != 1:
            yield f"{workflow_id} {ref}: {len(ended)} completed attempts"
            return
        effects = evidence.effects.get((workflow_id, ref, ended[0].attempt), Effects())
        accepted = str(ended[0].output.get("call"))
        if accepted not in {call.name for call in effects.calls}:
            yield f"{workflow_id} {ref}: the accepted result {accepted} is of no call: {effects.calls}"
        for task in attempts:
            for call in evidence.effects.get((workflow_id, ref, task.attempt), Effects()).calls:
                if call.x != given:
                    yield f"{workflow_id} {ref} attempt {task.attempt}: was given {call.x}, but {given} was accepted"
        given = accepted
    if execution.output.get("call") != given:
        yield f"{workflow_id}: ended with {execution.output}, but {given} was accepted"


def _attempts(workflow_id: str, ref: str, attempts: Sequence[Task]) -> Iterable[str]:
    if [task.attempt for task in attempts] != list(range(1, len(attempts) + 1)):
        yield f"{workflow_id} {ref}: attempts {[task.attempt for task in attempts]}"
    if len({task.task_id for task in attempts}) != len(attempts):
        yield f"{workflow_id} {ref}: two attempts of one id"
    for task in attempts[:-1]:
        if task.status not in (TaskStatus.FAILED, TaskStatus.TIMED_OUT):
            yield f"{workflow_id} {ref} attempt {task.attempt}: {task.status}, and yet there is another"


def _effects(evidence: Evidence) -> Iterable[str]:
    known = {(execution.workflow_id, task.ref, task.attempt) for execution in evidence.executions.values() for task in execution.tasks}
    for attempt, effects in evidence.effects.items():
        if attempt not in known:
            yield f"{attempt}: a side effect of an attempt that the journal does not know"
        handed_out = evidence.deliveries.get(attempt, 0)
        if len(effects.calls) > handed_out:
            yield f"{attempt}: {len(effects.calls)} side effects, but its message was handed out {handed_out} times"
