"""Told schedules of dynamic forks: wide ones, the same one again, and one that is too much for a record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from batuta_core.engine import fetch
from batuta_core.simulator.faults import RandomFaults
from batuta_core.simulator.worker import Outcome, SdkWorker
from tests.simulation.invariants import Watcher, require
from tests.simulation.plan import Plan
from tests.simulation.schedule import run_plan
from tests.simulation.stage import DiesAfterRecord, begin, one_task, task, world_of

_WIDE = 60  # its list of branches is too large to stay in the record


def dynamic_fork(branches: list[dict[str, Any]] | str) -> list[dict[str, Any]]:
    fork = task("f", "FORK_JOIN_DYNAMIC", dynamicForkTasksParam="dt", dynamicForkTasksInputParamName="di")
    fork["inputParameters"] = {"dt": branches, "di": {}}
    return [fork, task("j", "JOIN", joinOn=[])]


def a_wide_fork_is_joined_once_whatever_breaks() -> None:
    for seed in range(4):
        workload = one_task()
        workload.input["branches"] = [task(f"b{n}") for n in range(_WIDE)]
        workload.tasks[:] = dynamic_fork("${workflow.input.branches}")
        faults = RandomFaults(Random(seed), rate=0.05, budget=10)
        run_plan(Plan([workload]), seed=seed, faults=faults)


def the_same_fork_in_a_loop_has_the_branches_of_its_iteration() -> None:
    """The last result of an iteration and the branches of the next come in one decision."""
    workload = one_task()
    read = task("b", inputParameters={"round": "${loop.output.iteration}"})
    loop = task("loop", "DO_WHILE", loopCondition="", inputParameters={"_items": [1, 2, 3]})
    workload.tasks[:] = [{**loop, "loopOver": dynamic_fork([read])}]
    run_plan(Plan([workload]), seed=1)


def what_no_record_can_hold_ends_the_execution() -> None:
    """The decider dies when it has written so, and before it has carried that out."""
    watcher = Watcher()
    workload = one_task()
    workload.tasks[:] = [task("list"), *dynamic_fork("${list.output.branches}")]
    world = world_of(workload, watcher)
    draw = Random(1)
    branches = [task(f"b{n}", inputParameters={"text": str(draw.random())}) for n in range(_WIDE)]
    SdkWorker(world, lambda _message: Outcome(output={"branches": branches}))
    with _small_records():
        execution = begin(world, workload)
        DiesAfterRecord(world, watcher, lambda record: record.head.status.is_terminal)
        world.run(limit_ms=3600_000)
    head = watcher.last[execution].head
    require(head.status.value == "FAILED", "it ends", head)
    require("Fork fewer branches at once" in (head.reason or ""), "with the reason", head.reason)
    summary = world.plain.summaries.get(execution)
    require(summary is not None and summary.status is head.status, "and its summary is written", summary)


@contextlib.contextmanager
def _small_records() -> Iterator[None]:
    """An item of the journal holds a three hundredth of what it does."""
    before = fetch.RECORD_MAX_BYTES, fetch.PACKED_MAX_BYTES
    fetch.RECORD_MAX_BYTES, fetch.PACKED_MAX_BYTES = (size // 300 for size in before)
    try:
        yield
    finally:
        fetch.RECORD_MAX_BYTES, fetch.PACKED_MAX_BYTES = before


SCENARIOS: list[Callable[[], None]] = [
    a_wide_fork_is_joined_once_whatever_breaks,
    the_same_fork_in_a_loop_has_the_branches_of_its_iteration,
    what_no_record_can_hold_ends_the_execution,
]
