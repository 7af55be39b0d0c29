"""A crash before and after every single I/O call of the reference workflows, and every pair of crashes of the smallest."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from batuta_core.model.execution import TaskStatus
from batuta_core.simulator.faults import Fault, ToldFaults
from batuta_core.simulator.worker import Outcome
from tests.simulation.plan import Plan
from tests.simulation.schedule import run_plan
from tests.simulation.workload import LARGE, SIGNAL_TASK, Workload

_LONGER = 60  # calls that a schedule makes beyond those of its undisturbed run, when it recovers
_EVERY_KIND = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST_REPLY, Fault.THROTTLE)


class Told(Workload):
    """A workload whose workers do as told: outcomes by reference name, one per attempt or call, the last for all later ones."""

    told: dict[str, list[Outcome]]

    def outcome(self, ref: str, attempt: int, call: int) -> Outcome:
        outcomes = self.told.get(ref) or [Outcome(output={"ref": ref, "n": 1})]
        return outcomes[min(attempt - 1 + call, len(outcomes) - 1)]


def simple(ref: str, **more: Any) -> dict[str, Any]:
    return {"name": f"w0_{ref}", "taskReferenceName": ref, "type": "SIMPLE", "inputParameters": {"in": "${workflow.input.a}"}, **more}


def definition(ref: str, **more: Any) -> dict[str, Any]:
    return {"name": f"w0_{ref}", "retryCount": 1, "retryDelaySeconds": 0, "responseTimeoutSeconds": 600, **more}


def workload(tasks: list[dict[str, Any]], definitions: list[dict[str, Any]] | None = None, **more: Any) -> Told:
    told = more.pop("told", {})
    found = Told(
        name="w0", tasks=tasks, task_definitions=definitions or [], input={"a": 1}, outputs=more.pop("outputs", {}), seed=0, **more
    )
    found.told = told
    return found


def two_tasks() -> Plan:
    tasks = [simple("t0"), simple("t1", inputParameters={"x": "${t0.output.n}"})]
    return Plan([workload(tasks, [definition("t0"), definition("t1")])])


def two_tasks_over_http() -> Plan:
    return Plan(two_tasks().workloads, has_sdk=False, has_http=True)


def retries_and_branches() -> Plan:
    tasks = [
        simple("t0"),
        {
            "name": "w0_s",
            "taskReferenceName": "s",
            "type": "SWITCH",
            "evaluatorType": "value-param",
            "expression": "which",
            "inputParameters": {"which": "${t0.output.n}"},
            "decisionCases": {
                "1": [simple("t1"), {"name": "w0_v", "taskReferenceName": "v", "type": "SET_VARIABLE", "inputParameters": {"v0": 5}}]
            },
        },
        {"name": "w0_w", "taskReferenceName": "w", "type": "WAIT", "inputParameters": {"duration": "3s"}},
        simple("t2", inputParameters={"v": "${workflow.variables.v0}", "t": "${t1.output.n}"}),
    ]
    told = {
        "t0": [Outcome(status=TaskStatus.FAILED, reason="once"), Outcome(output={"n": 1})],
        "t1": [Outcome(status=TaskStatus.IN_PROGRESS, output={"part": 1}, callback_after_s=2, is_slow=True), Outcome(output={"n": 7})],
    }
    return Plan([workload(tasks, [definition("t0"), definition("t1")], told=told, outputs={"o": "${t2.output}"})])


def failure_workflow() -> Plan:
    told = {"t0": [Outcome(status=TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason="broken")]}
    return Plan([workload([simple("t0")], told=told, failure_workflow="handler")], failure_name="handler")


def signal_and_large_payload() -> Plan:
    tasks = [
        {"name": SIGNAL_TASK, "taskReferenceName": "w", "type": "WAIT", "inputParameters": {}},
        simple("t0"),
        simple("t1", inputParameters={"x": "${t0.output}"}),
    ]
    return Plan([workload(tasks, told={"t0": [Outcome(output={"text": "x" * LARGE})]})])


def slow_retry_and_retention() -> Plan:
    told = {"t0": [Outcome(status=TaskStatus.FAILED, reason="once"), Outcome(output={"n": 1})]}
    return Plan([workload([simple("t0")], [definition("t0", retryDelaySeconds=1500)], told=told)], retention_s=30)


REFERENCE: list[Callable[[], Plan]] = [
    two_tasks,
    two_tasks_over_http,
    retries_and_branches,
    failure_workflow,
    signal_and_large_payload,
    slow_retry_and_retention,
]


@functools.cache
def calls_of(make: Callable[[], Plan]) -> int:
    return run_plan(make(), seed=1).world.calls


@pytest.mark.parametrize("make", REFERENCE, ids=lambda make: make.__name__)
@pytest.mark.parametrize("fault", _EVERY_KIND)
def test_a_fault_at_any_call_loses_nothing(make: Callable[[], Plan], fault: Fault) -> None:
    for call in range(1, calls_of(make) + 1):
        run_plan(make(), seed=1, faults=ToldFaults({call: fault}))


def test_an_echoed_write_at_any_call_loses_nothing() -> None:
    for make in REFERENCE:
        for call in append_calls(make):
            run_plan(make(), seed=1, faults=ToldFaults({call: Fault.ECHO}))


def append_calls(make: Callable[[], Plan]) -> Iterator[int]:
    trace: list[str] = []
    run_plan(make(), seed=1, trace=trace)
    calls = [line for line in trace if "." in line.split(": ")[-1] and "(" not in line]
    return (place for place, line in enumerate(calls, 1) if "journal.append" in line)


@pytest.mark.slow
@pytest.mark.parametrize("first", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("second", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_every_pair_of_crashes_of_two_tasks_loses_nothing(first: Fault, second: Fault) -> None:
    count = calls_of(two_tasks)
    for one in range(1, count + 1):
        for other in range(one + 1, count + _LONGER):
            run_plan(two_tasks(), seed=1, faults=ToldFaults({one: first, other: second}))
