"""A plain sequential interpreter: what a definition means, said again in the simplest way, to hold the decider against.

It knows nothing of heads, records, messages or time. Given how each attempt of each task ended, it walks the definition
from the first task to the last and says which tasks there were and how the execution ended. It shares the expression
language with the product (which has tests of its own) and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batuta_core.decider.expression.template_parser import compile_template
from tests.simulation import scripts

SCRIPT_TYPES = ("INLINE", "LAMBDA", "JSON_JQ_TRANSFORM")


@dataclass
class Ending:
    """How an attempt of a task ended, or ``OPEN``."""

    status: str
    output: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
    ends_workflow: str | None = None  # it ends the execution at once, in this status (a timeout with TIME_OUT_WF, a budget)


OPEN = Ending("OPEN")
RAN = Ending("RAN")  # a script: what came of it is said here
Attempts = Callable[[str, int], Ending]  # reference name, attempt from 1


@dataclass
class Result:
    status: str
    output: dict[str, Any]
    variables: dict[str, Any]
    tasks: list[tuple[str, int, str]]  # reference name, attempt, status; in order
    inputs: list[dict[str, Any]]  # of the same tasks


class _Ended(Exception):
    pass


class Interpreter:
    """Runs one execution. ``RUNNING`` is the answer when an attempt is still open."""

    def __init__(self, frozen: Mapping[str, Any], workflow_input: Mapping[str, Any], attempts: Attempts) -> None:
        self.definition = frozen
        self.attempts = attempts
        template = frozen["inputTemplate"]
        self.input = {**workflow_input, **{k: v for k, v in template.items() if workflow_input.get(k) is None}} if workflow_input else {}
        self.variables: dict[str, Any] = dict(frozen["variables"])
        self.outputs: dict[str, dict[str, Any]] = {}
        self.inputs: dict[str, dict[str, Any]] = {}
        self.statuses: dict[str, str] = {}
        self.tasks: list[tuple[str, int, str]] = []
        self.all_inputs: list[dict[str, Any]] = []
        self.permissive_failures = 0
        self.status = "RUNNING"
        self.output: dict[str, Any] = {}
        self.last: str | None = None
        self.hidden: set[str] = set()

    def run(self) -> Result:
        try:
            self.walk(self.definition["tasks"])
            self.finish("FAILED" if self.permissive_failures else "COMPLETED")
        except _Ended:
            pass
        return Result(self.status, self.output, self.variables, self.tasks, self.all_inputs)

    # Scope of expressions
    def field(self, root: str, name: str) -> Any:
        if root == "workflow":
            return {"input": self.input, "variables": self.variables, "output": {}}.get(name)
        if root in self.hidden or root not in self.outputs:
            return None
        of_tasks: dict[str, Mapping[str, Any]] = {"output": self.outputs, "input": self.inputs, "status": self.statuses}
        return of_tasks.get(name, {}).get(root)

    def document(self, root: str) -> Mapping[str, Any] | None:
        raise NotImplementedError("the generated workloads do not read whole documents")

    def task_id(self) -> str | None:
        raise NotImplementedError("the generated workloads do not read task ids")

    def inputs_of(self, task: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = compile_template(task["inputParameters"]).resolve(self)
        return found

    def walk(self, tasks: Sequence[Mapping[str, Any]], hidden: set[str] | None = None) -> None:
        for place, task in enumerate(tasks):
            self.hidden = hidden or set() if place == 0 else set()
            inputs = self.inputs_of(task)
            before, self.hidden = self.hidden, set()
            getattr(self, "do_" + task["type"].lower(), self.do_worker)(task, inputs, before)

    def note(self, task: Mapping[str, Any], inputs: dict[str, Any], attempt: int, status: str, output: dict[str, Any]) -> None:
        ref = task["taskReferenceName"]
        self.tasks.append((ref, attempt, status))
        self.all_inputs.append(inputs)
        self.inputs[ref], self.outputs[ref], self.statuses[ref], self.last = inputs, output, status, ref

    def do_set_variable(self, task: Mapping[str, Any], inputs: dict[str, Any], _hidden: set[str]) -> None:
        self.variables = {**self.variables, **inputs}
        self.note(task, inputs, 1, "COMPLETED", {})

    def do_switch(self, task: Mapping[str, Any], inputs: dict[str, Any], hidden: set[str]) -> None:
        if task["evaluatorType"] == "javascript":
            case = _text(scripts.TOLD[task["expression"]](inputs).value)
        else:
            case = _text(inputs.get(task["expression"]))
        branch = task["decisionCases"].get(case, task["defaultCase"])
        inputs = {**inputs, "case": case, **({"hasChildren": "true"} if branch else {})}
        self.note(task, inputs, 1, "COMPLETED", {"evaluationResult": [case], "selectedCase": case})
        self.walk(branch, hidden | {task["taskReferenceName"]})

    def do_terminate(self, task: Mapping[str, Any], inputs: dict[str, Any], _hidden: set[str]) -> None:
        given = inputs.get("workflowOutput")
        output = given if isinstance(given, dict) else {} if given is None else {"output": given}
        self.note(task, inputs, 1, "COMPLETED", output)
        self.finish(inputs["terminationStatus"], output)

    def do_worker(self, task: Mapping[str, Any], inputs: dict[str, Any], _hidden: set[str]) -> None:
        """Worker's tasks, and WAIT, which ends from outside too."""
        ref, attempt = task["taskReferenceName"], 1
        limit = task["retryCount"] if task.get("retryCount") is not None else task["taskDefinition"]["retryCount"]
        while True:
            ending = self.attempts(ref, attempt)
            if ending is RAN:
                ending = _of_script(task["type"], inputs)
            if ending is OPEN:
                self.tasks.append((ref, attempt, "OPEN"))
                self.all_inputs.append(inputs)
                raise _Ended
            if ending.ends_workflow:
                self.note(task, inputs, attempt, ending.status, ending.output)
                self.finish(ending.ends_workflow)
            is_bad = ending.status not in ("COMPLETED", "COMPLETED_WITH_ERRORS")
            if is_bad and ending.status in ("FAILED", "TIMED_OUT") and attempt <= limit:
                self.note(task, inputs, attempt, ending.status, ending.output)
                attempt += 1
                inputs = self.inputs_of(task)
                continue
            if is_bad and not task["optional"] and not task["permissive"]:
                self.note(task, inputs, attempt, ending.status, ending.output)
                self.finish({"CANCELED": "TERMINATED", "TIMED_OUT": "TIMED_OUT"}.get(ending.status, "FAILED"))
            shown = "COMPLETED_WITH_ERRORS" if is_bad and task["optional"] else ending.status
            self.permissive_failures += is_bad and not task["optional"]
            self.note(task, inputs, attempt, shown, ending.output)
            return

    do_wait = do_worker

    def finish(self, status: str, output: dict[str, Any] | None = None) -> None:
        self.status = status
        if output is not None:
            self.output = output
        elif self.definition["outputParameters"]:
            self.output = compile_template(self.definition["outputParameters"]).resolve(self)
        else:
            self.output = self.outputs[self.last] if self.last else {}
        raise _Ended


def _of_script(kind: str, inputs: Mapping[str, Any]) -> Ending:
    source = inputs[{"INLINE": "expression", "LAMBDA": "scriptExpression", "JSON_JQ_TRANSFORM": "queryExpression"}[kind]]
    said = scripts.TOLD[source](inputs)
    if said.error is not None:
        is_hopeless = kind == "INLINE" and not said.is_late
        return Ending("FAILED_WITH_TERMINAL_ERROR" if is_hopeless else "FAILED", {"error": said.error}, said.error)
    if kind == "JSON_JQ_TRANSFORM":
        return Ending("COMPLETED", {"result": said.value[0] if said.value else None, "resultList": said.value})
    return Ending("COMPLETED", {"result": said.value})


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
