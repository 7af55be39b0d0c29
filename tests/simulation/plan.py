"""What a schedule is to do, drawn from its seed, and what has become of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from batuta_core.model.names import ExecutionId
from batuta_core.simulator.world import World
from tests.simulation import family, invariants
from tests.simulation.workload import Workload, draw

NAMESPACE = "sim"


@dataclass
class Plan:
    """What a schedule does besides its workload."""

    workloads: list[Workload]
    has_sdk: bool = True
    has_http: bool = False
    has_operations: bool = False
    retention_s: int = 0
    is_calm: bool = False  # no faults at all: then nothing may be sent twice
    is_losing: float = 0.0  # how likely a worker dies over a task
    is_handing_back: float = 0.0
    is_fifo_kept: bool = True
    skew_ms: int = 0
    failure_name: str = ""
    new_limits: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # task definitions registered anew, and when
    children: list[Workload] = field(default_factory=list)  # what tasks of the workloads, and of each other, start
    priorities: dict[str, int] = field(default_factory=dict)  # of workloads, by name


@dataclass
class Run:
    """A schedule that has been run."""

    world: World
    watcher: invariants.Watcher
    has_new_limits: bool = False
    priorities: Mapping[str, int] = field(default_factory=dict)
    executions: dict[str, ExecutionId] = field(default_factory=dict)  # workload name -> its execution


def draw_plan(random: Random, *, is_wide: bool = False) -> Plan:
    failure_name = "handler" if random.random() < 0.2 else ""
    has_timeouts = random.random() < 0.4
    workloads = [
        draw(random, f"w{n}", has_timeouts=has_timeouts, failure_workflow=failure_name, is_wide=is_wide)
        for n in range(random.choice((1, 1, 2)))
    ]
    children = family.draw_family(random, workloads, failure_name) if random.random() < 0.4 else []
    kind = random.random()
    if random.random() < 0.1:
        return Plan(workloads=workloads, failure_name=failure_name, is_calm=True, children=children)
    return Plan(
        workloads=workloads,
        children=children,
        has_sdk=kind < 0.8,
        has_http=kind > 0.6,
        has_operations=random.random() < 0.4,
        retention_s=random.choice((60, 5000)) if random.random() < 0.15 else 0,
        is_losing=random.choice((0.0, 0.0, 0.1, 0.5)),
        is_handing_back=random.choice((0.0, 0.0, 0.2, 0.7)),
        is_fifo_kept=random.random() < 0.7,
        skew_ms=random.choice((0, 0, 3000)),
        failure_name=failure_name,
    )


def draw_priorities(random: Random, plan: Plan) -> None:
    if random.random() < 0.3:
        plan.priorities = {workload.name: random.choice((0, 1, 99)) for workload in plan.workloads}
