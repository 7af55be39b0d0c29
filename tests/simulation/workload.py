"""Random workflows and workers that misbehave: what a schedule runs, drawn from its seed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from batuta_core.model.execution import TaskStatus
from batuta_core.simulator.worker import Outcome
from tests.simulation import scripts

SIGNAL_TASK = "signal"
_MANY_SCRIPTS = 40  # the weight where a workflow is little else: more than one decision runs
LARGE = 40_000  # characters: more than a record takes in


@dataclass
class Workload:
    """One execution's definition and input, and how its workers behave. Behaviour depends on nothing but reference name,
    attempt and call, so that every repeat of a call does the same."""

    name: str
    tasks: list[dict[str, Any]]
    task_definitions: list[dict[str, Any]]
    input: dict[str, Any]
    outputs: dict[str, Any]
    seed: int
    timeout_s: int = 0
    has_timeouts: bool = False
    failing: float = 0.25
    large: float = 0.0  # how likely an output is one that does not fit into a record
    variables: dict[str, Any] = field(default_factory=dict)
    failure_workflow: str = ""

    @property
    def definition(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": self.name,
            "version": 1,
            "schemaVersion": 2,
            "tasks": self.tasks,
            "outputParameters": self.outputs,
            "variables": self.variables,
            "inputTemplate": {"fromTemplate": 7},
        }
        if self.timeout_s:
            found.update(timeoutSeconds=self.timeout_s, timeoutPolicy="TIME_OUT_WF")
        if self.failure_workflow:
            found["failureWorkflow"] = self.failure_workflow
        return found

    def outcome(self, ref: str, attempt: int, call: int) -> Outcome:
        """What the worker's function makes of its ``call``-th call (from 0) in an attempt."""
        random = Random(zlib.crc32(f"{self.seed}/{ref}/{attempt}/{min(call, 2)}".encode()))
        output = {
            "n": random.randint(0, 3),
            "ref": ref,
            "attempt": attempt,
            "text": "x" * random.choices((0, 3, 40, LARGE), (10, 10, 10, self.large))[0],
        }
        if call == 0 and random.random() < 0.12:
            callback = random.choice((0, 2, 40))
            return Outcome(status=TaskStatus.IN_PROGRESS, output={"part": call}, callback_after_s=callback, is_slow=random.random() < 0.3)
        if random.random() < self.failing:
            status = random.choices((TaskStatus.FAILED, TaskStatus.FAILED_WITH_TERMINAL_ERROR, TaskStatus.CANCELED), (8, 1, 0.3))[0]
            return Outcome(status=status, output=output, reason=f"{ref} broke", is_slow=random.random() < 0.2)
        return Outcome(output=output, is_slow=random.random() < 0.2)


def draw(random: Random, name: str, *, has_timeouts: bool, failure_workflow: str = "") -> Workload:
    """A workflow of one to some ten tasks."""
    drawer = _Drawer(random, name, has_timeouts)
    tasks = drawer.tasks(random.randint(6, 14) if drawer.scripts == _MANY_SCRIPTS else random.randint(1, 5), depth=0)
    outputs = {f"o{n}": drawer.expression() for n in range(random.randint(0, 3))}
    return Workload(
        name=name,
        tasks=tasks,
        task_definitions=drawer.definitions,
        input={"a": random.randint(0, 3), "text": "hello", "deep": {"k": [1, 2]}} if random.random() < 0.9 else {},
        outputs=outputs,
        seed=random.getrandbits(32),
        timeout_s=random.choice((20, 120, 4000)) if has_timeouts and random.random() < 0.3 else 0,
        has_timeouts=has_timeouts,
        failing=random.choice((0.0, 0.2, 0.5)),
        large=30.0 if random.random() < 0.25 else 0.0,
        variables={"v0": 1} if random.random() < 0.5 else {},
        failure_workflow=failure_workflow,
    )


class _Drawer:
    def __init__(self, random: Random, name: str, has_timeouts: bool) -> None:
        self.random = random
        self.name = name
        self.has_timeouts = has_timeouts
        self.scripts = random.choice((0, 0, 1.5, 1.5, 1.5, _MANY_SCRIPTS))
        self.refs: list[str] = []
        self.definitions: list[dict[str, Any]] = []

    def tasks(self, count: int, depth: int) -> list[dict[str, Any]]:
        found = []
        for _ in range(count):
            ref = f"t{len(self.refs)}"
            kinds = ("simple", "switch", "set", "wait", "terminate", "script")
            kind = self.random.choices(kinds, (10, 3 if depth < 2 else 0, 2, 1.5, 0.4, self.scripts))[0]
            self.refs.append(ref)
            found.append(getattr(self, kind)(ref, depth))
        return found

    def expression(self) -> Any:
        """Reads something that may be there: the input, a variable, the output of an earlier task or of none."""
        ref = self.random.choice(self.refs or ["t0"])
        return self.random.choice(
            (
                "${workflow.input.a}",
                "${workflow.input.deep.k[1]}",
                "${workflow.input.fromTemplate}",
                "${workflow.variables.v0}",
                f"${{{ref}.output.n}}",
                f"text ${{{ref}.output.ref}} and ${{workflow.input.text}}",
                f"${{{ref}.output}}",
                f"${{{ref}.output.text}}",
                {"inner": [f"${{{ref}.output.n}}", 5, None]},
                f"${{{ref}.status}}",
            )
        )

    def inputs(self) -> dict[str, Any]:
        # What comes before a task is decided when it is drawn; itself is among the refs, and reads as null.
        return {f"p{n}": self.expression() for n in range(self.random.randint(0, 3))}

    def common(self, ref: str, kind: str) -> dict[str, Any]:
        return {"name": f"{self.name}_{ref}", "taskReferenceName": ref, "type": kind, "inputParameters": self.inputs()}

    def simple(self, ref: str, _depth: int) -> dict[str, Any]:
        random, task = self.random, self.common(ref, "SIMPLE")
        definition: dict[str, Any] = {
            "name": task["name"],
            "retryCount": random.choice((0, 1, 2, 3)),
            "retryDelaySeconds": random.choice((0, 0, 1, 5, 70)) if random.random() < 0.95 else 1500,
            "retryLogic": random.choice(("FIXED", "LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF")),
            "backoffJitterMs": random.choice((0, 300)),
            "responseTimeoutSeconds": 7200,
            "timeoutSeconds": 0,
        }
        if self.has_timeouts:
            definition["responseTimeoutSeconds"] = random.choice((3, 20, 3600))
            definition["timeoutPolicy"] = random.choice(("RETRY", "TIME_OUT_WF", "ALERT_ONLY"))
            if random.random() < 0.3:
                definition["timeoutSeconds"] = definition["responseTimeoutSeconds"] + random.choice((0, 30))
            if random.random() < 0.3:
                definition["pollTimeoutSeconds"] = random.choice((5, 60))
            if random.random() < 0.2:
                definition["totalTimeoutSeconds"] = max(definition["timeoutSeconds"], random.choice((10, 300)))
        self.definitions.append(definition)
        task["optional"] = random.random() < 0.1
        task["permissive"] = random.random() < 0.1
        task["startDelay"] = random.choice((0, 0, 0, 3)) if random.random() < 0.98 else 1200
        if random.random() < 0.1:
            task["retryCount"] = random.choice((0, 1))
        return task

    def switch(self, ref: str, depth: int) -> dict[str, Any]:
        task = self.common(ref, "SWITCH")
        task["inputParameters"]["which"] = self.random.choice((f"${{{self.random.choice(self.refs)}.output.n}}", "${workflow.input.a}"))
        task.update(evaluatorType="value-param", expression="which")
        if self.random.random() < 0.3:
            task.update(evaluatorType="javascript", expression=self.random.choice(scripts.SWITCHES))
        task["decisionCases"] = {str(case): self.tasks(self.random.randint(0, 2), depth + 1) for case in range(self.random.randint(1, 3))}
        task["defaultCase"] = self.tasks(self.random.randint(0, 2), depth + 1)
        return task

    def script(self, ref: str, _depth: int) -> dict[str, Any]:
        random = self.random
        kind, key, sources = random.choice(
            (
                ("INLINE", "expression", scripts.INLINES),
                ("LAMBDA", "scriptExpression", scripts.LAMBDAS),
                ("JSON_JQ_TRANSFORM", "queryExpression", scripts.QUERIES),
            )
        )
        task = self.common(ref, kind)
        task["inputParameters"]["n"] = random.choice((f"${{{random.choice(self.refs)}.output.n}}", "${workflow.input.a}", 2, 3))
        task["inputParameters"][key] = random.choice(sources)
        task["optional"] = random.random() < 0.8
        task["permissive"] = random.random() < 0.1
        if random.random() < 0.6:
            delay_s = random.choice((0, 0, 1, 70, 1500))
            self.definitions.append({"name": task["name"], "retryCount": random.choice((0, 1, 2)), "retryDelaySeconds": delay_s})
        return task

    def set(self, ref: str, _depth: int) -> dict[str, Any]:
        task = self.common(ref, "SET_VARIABLE")
        task["inputParameters"]["v0"] = self.expression()
        return task

    def wait(self, ref: str, _depth: int) -> dict[str, Any]:
        task = self.common(ref, "WAIT")
        if self.random.random() < 0.25:
            task["name"] = SIGNAL_TASK  # ends when somebody signals
        else:
            length = self.random.choice(("3s", "1m 10s", "0s")) if self.random.random() < 0.9 else "2h"
            task["inputParameters"]["duration"] = length
        return task

    def terminate(self, ref: str, _depth: int) -> dict[str, Any]:
        task = self.common(ref, "TERMINATE")
        task["inputParameters"] = {
            "terminationStatus": self.random.choice(("COMPLETED", "FAILED", "TERMINATED")),
            "workflowOutput": self.random.choice(({"done": self.expression()}, "${workflow.input.a}", None)),
        }
        return task


def failure_definition(name: str) -> Mapping[str, Any]:
    return {
        "name": name,
        "version": 1,
        "tasks": [
            {"name": f"{name}_h", "taskReferenceName": "h", "type": "SIMPLE", "inputParameters": {"why": "${workflow.input.reason}"}}
        ],
    }
