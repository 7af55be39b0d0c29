"""Told schedules of wide forks, whose branches run in segments."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from batuta_core.simulator.faults import RandomFaults
from tests.simulation.fork_scenarios import dynamic_fork
from tests.simulation.schedule import Plan, narrow, run_plan
from tests.simulation.stage import one_task, task


def a_fork_in_segments_of_segments_is_joined_as_any_other() -> None:
    for seed in range(4):
        workload = one_task()
        workload.input["branches"] = [task(f"b{n}", inputParameters={"n": n, "k": "${workflow.input.k}"}) for n in range(7)]
        workload.tasks[:] = [task("a"), *dynamic_fork("${workflow.input.branches}"), task("z", inputParameters={"all": "${j.output}"})]
        with narrow():
            faults = RandomFaults(Random(seed), rate=0.05 if seed else 0, budget=10)
            run_plan(Plan([workload]), seed=seed, faults=faults)


SCENARIOS: list[Callable[[], None]] = [
    a_fork_in_segments_of_segments_is_joined_as_any_other,
]
