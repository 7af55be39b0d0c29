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
TOLD_SINK = "conductor:told"
_MANY_SCRIPTS = 40.0  # the weight where a workflow is little else: more than one decision runs
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
    late_types: list[str] = field(default_factory=list)  # task types that nobody registered

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


def draw(random: Random, name: str, *, has_timeouts: bool, failure_workflow: str = "", is_wide: bool = False) -> Workload:
    """A workflow of one to some ten tasks. ``is_wide``: dynamic forks are many, and have more branches."""
    drawer = _Drawer(random, name, has_timeouts, has_branches=is_wide or random.random() < 0.4, is_wide=is_wide)
    tasks = drawer.tasks(random.randint(6, 14) if drawer.scripts == _MANY_SCRIPTS else random.randint(1, 5), depth=0)
    outputs = {f"o{n}": drawer.expression() for n in range(random.randint(0, 3))}
    if drawer.has_branches:
        outputs["fixed"] = 1  # else it is the output of the last task, whichever branch that is in
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
        late_types=drawer.late_types,
    )


class _Drawer:
    """``has_branches``: forks and loops, too. What runs beside each other reads nothing of each other, nor changes what others read, so
    that it does not matter which is first."""

    def __init__(self, random: Random, name: str, has_timeouts: bool, *, has_branches: bool, is_wide: bool) -> None:
        self.random = random
        self.name = name
        self.has_timeouts = has_timeouts
        self.has_branches = has_branches
        self.is_wide = is_wide
        self.scripts = random.choice((0, 0, 1.5, 1.5, 1.5, _MANY_SCRIPTS))
        self.is_in_fork = False
        self.in_loop = ""
        self.count = 0
        self.refs: list[str] = []  # what may be read
        self.definitions: list[dict[str, Any]] = []
        self.late_types: list[str] = []

    def forget(self, name: str) -> None:
        """Nobody registers the task type."""
        self.definitions = [item for item in self.definitions if item["name"] != name]
        self.late_types.append(name)

    def new_ref(self) -> str:
        self.count += 1
        return f"t{self.count - 1}"

    def tasks(self, count: int, depth: int) -> list[dict[str, Any]]:
        found = []
        for _ in range(count):
            ref = self.new_ref()
            nested = 2.5 if self.has_branches and depth < 2 else 0
            kinds = {
                "simple": 10,
                "switch": 3 if depth < 2 else 0,
                "set": 0 if self.is_in_fork else 2,
                "wait": 1.5,
                "event": 1,
                "terminate": 0 if self.is_in_fork else 0.4,
                "script": self.scripts,
                "fork": nested,
                "dynamic_fork": 12 if self.is_wide and depth < 2 else nested / 2,
                "do_while": 0 if self.in_loop else nested,
                "dynamic": nested / 2,
                "noop": nested / 3,
                "exclusive_join": nested / 3,
            }
            kind = self.random.choices(list(kinds), list(kinds.values()))[0]
            self.refs.append(ref)
            made = getattr(self, kind)(ref, depth)
            found.extend(made if isinstance(made, list) else [made])
        return found

    def fork(self, ref: str, depth: int) -> list[dict[str, Any]]:
        task = self.common(ref, "FORK_JOIN")
        seen, was_in_fork = self.refs, self.is_in_fork
        self.is_in_fork = True
        task["forkTasks"] = []
        for _ in range(self.random.randint(1, 3)):
            self.refs = list(seen)
            branch = self.tasks(self.random.randint(0, 2), depth + 1)
            last = self.new_ref()
            task["forkTasks"].append([*branch, self.simple(last, depth)])
        self.refs, self.is_in_fork = seen, was_in_fork
        return [task, self.join(task, [branch[-1]["taskReferenceName"] for branch in task["forkTasks"]])]

    def join(self, fork: dict[str, Any], refs: list[str]) -> dict[str, Any]:
        ref = f"{fork['taskReferenceName']}j"
        self.refs.append(ref)
        return {"name": ref, "taskReferenceName": ref, "type": "JOIN", "inputParameters": {}, "joinOn": refs}

    def dynamic_fork(self, ref: str, depth: int) -> list[dict[str, Any]]:
        many = 8 if self.scripts == _MANY_SCRIPTS else 7 if self.is_wide else 3
        kinds = self.random.choices((self.simple, self.script), (10, self.scripts), k=self.random.randint(0, many))
        branches = [kind(self.new_ref(), depth) for kind in kinds]
        for branch in branches:
            if self.is_wide:
                branch["permissive"] = False  # such a fork has no segments
            if branch["type"] == "SIMPLE" and self.random.random() < 0.3:  # a task type that nobody has registered
                self.forget(branch["name"])
        inputs = {branch["taskReferenceName"]: {"own": self.expression()} for branch in branches}
        task = self.common(ref, "FORK_JOIN_DYNAMIC")
        task["inputParameters"] = {"dt": branches, "di": inputs}
        task.update(dynamicForkTasksParam="dt", dynamicForkTasksInputParamName="di")
        return [task, self.join(task, [])]

    def do_while(self, ref: str, depth: int) -> dict[str, Any]:
        task = self.common(ref, "DO_WHILE")
        items: Any = self.random.choice(([], [1], ["x", {"k": 2}], [1, 2, 3], "one", None))
        is_scripted = self.random.random() < 0.5
        task["loopCondition"] = scripts.condition(ref, self.random.choice((1, 2, 3, 7))) if is_scripted else ""
        if not is_scripted or self.random.random() < 0.3:
            task["inputParameters"]["_items"] = items
        seen = self.refs
        self.refs, self.in_loop = [name for name in seen if name != ref], ref
        task["loopOver"] = self.tasks(self.random.randint(1, 3), depth + 1)
        self.refs, self.in_loop = seen, ""
        return task

    def dynamic(self, ref: str, depth: int) -> dict[str, Any]:
        task = self.simple(ref, depth)
        name = task["name"]
        task.update(type="DYNAMIC", dynamicTaskNameParam="which", name=f"{name}_node")
        task["inputParameters"]["which"] = name
        if self.random.random() < 0.5:
            self.forget(name)
        return task

    def noop(self, ref: str, _depth: int) -> dict[str, Any]:
        return self.common(ref, "NOOP")

    def exclusive_join(self, ref: str, _depth: int) -> dict[str, Any]:
        task = self.common(ref, "EXCLUSIVE_JOIN")
        joined, default = (self.random.sample(self.refs, min(count, len(self.refs))) for count in (2, 1))
        task.update(joinOn=joined, defaultExclusiveJoinTask=default, inputParameters={})
        return task

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
        own = {"round": f"${{{self.in_loop}.output.iteration}}", "item": f"${{{self.in_loop}.output.loopItem}}"} if self.in_loop else {}
        return {f"p{n}": self.expression() for n in range(self.random.randint(0, 3))} | own

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
        task["permissive"] = not self.in_loop and random.random() < 0.1  # there it ends the loop while what follows it is begun
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
        task["permissive"] = not self.in_loop and random.random() < 0.1
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

    def event(self, ref: str, _depth: int) -> dict[str, Any]:
        return {**self.common(ref, "EVENT"), "sink": TOLD_SINK}

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
