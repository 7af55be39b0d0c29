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
from batuta_core.model.definition import walk
from tests.simulation import scripts
from tests.simulation.lives import Lives

SCRIPT_TYPES = ("INLINE", "LAMBDA", "JSON_JQ_TRANSFORM")


@dataclass
class Ending:
    """How an attempt of a task ended, or ``OPEN``."""

    status: str
    output: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
    ends_workflow: str | None = None  # it ends the execution at once, in this status (a timeout with TIME_OUT_WF, a budget)


OPEN = Ending("OPEN")
ANYTHING: dict[str, Any] = {"anything": True}  # an input that is not compared
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

    def __init__(
        self,
        frozen: Mapping[str, Any],
        workflow_input: Mapping[str, Any],
        attempts: Attempts,
        told: Lives | None = None,
        registered: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """``registered``: the task definitions that branches of dynamic forks find."""
        self.told = told or Lives()
        self.registered = registered or {}
        self.forked: list[str] = []
        self.is_blocked = False
        self.ended_beside: str | None = None  # the status, when another branch has ended the execution
        self.definition = frozen
        self.attempts = attempts
        template = frozen["inputTemplate"]
        self.input = {**workflow_input, **{k: v for k, v in template.items() if workflow_input.get(k) is None}} if workflow_input else {}
        if self.told.input is not None:  # a rerun's input is taken as it is
            self.input = self.told.input
        self.variables: dict[str, Any] = dict(frozen["variables"]) if self.told.variables is None else dict(self.told.variables)
        self.outputs: dict[str, dict[str, Any]] = {ref: {} for ref in self.told.skipped}  # read as such from the skip on
        self.inputs: dict[str, dict[str, Any]] = {}
        self.statuses = dict.fromkeys(self.told.skipped, "SKIPPED")
        self.tasks: list[tuple[str, int, str]] = []
        self.all_inputs: list[dict[str, Any]] = []
        self.permissive_failures = 0
        self.status = "RUNNING"
        self.output: dict[str, Any] = {}
        self.given_output: dict[str, Any] | None = None  # by a TERMINATE
        self.last: str | None = None
        self.hidden: set[str] = set()
        self.suffix = ""  # of reference names, in a loop
        self.round_of: dict[str, str] = {}  # reference name -> the suffix under which it ran last

    def run(self) -> Result:
        try:
            self.walk(self.definition["tasks"])
            self.finish("FAILED" if self.permissive_failures else "COMPLETED")
        except _Ended:
            pass
        if self.status != "RUNNING":  # what ran beside what ended it
            self.hidden = set()
            self.output = self.final_output()
            self.tasks = [(ref, attempt, "CANCELED" if status == "OPEN" else status) for ref, attempt, status in self.tasks]
        return Result(self.status, self.output, self.variables, self.tasks, self.all_inputs)

    # Scope of expressions
    def field(self, root: str, name: str, key: str | None = None) -> Any:
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
        if task["type"] == "EVENT":
            found.update(sink=task["sink"], asyncComplete=False)
        if task["type"] == "SUB_WORKFLOW":
            param = task["subWorkflowParam"]
            inline = param.get("workflowDefinition")
            asked = {"subWorkflowName": param["name"], "subWorkflowVersion": None if inline else param["version"]}
            nothing = dict.fromkeys(("subWorkflowTaskToDomain", "priority", "idempotencyKey", "idempotencyStrategy"))
            return {**asked, **nothing, "subWorkflowDefinition": inline, "workflowInput": found}
        return found

    def walk(self, tasks: Sequence[Mapping[str, Any]], hidden: set[str] | None = None) -> None:
        for place, task in enumerate(tasks):
            if task["taskReferenceName"] in self.told.skipped:
                continue
            self.hidden = hidden or set() if place == 0 else set()
            inputs = self.begin(task, 1)
            before, self.hidden = self.hidden, set()
            getattr(self, "do_" + task["type"].lower(), self.do_worker)(task, inputs, before)

    def begin(self, task: Mapping[str, Any], attempt: int) -> dict[str, Any]:
        """The input of an attempt. One that a rerun began at has the input that it was given, and meets the variables of then."""
        given = self.told.reruns.get((task["taskReferenceName"] + self.suffix, attempt))
        if given is None:
            return self.inputs_of(task)
        self.variables = dict(given.variables)
        self.input = self.input if given.workflow_input is None else given.workflow_input
        return dict(given.input)

    def begin_again(self, task: Mapping[str, Any], attempt: int) -> dict[str, Any]:
        """The input of an attempt after the first."""
        inputs = self.begin(task, attempt)
        return {**(inputs.get("workflowInput") or {}), **inputs} if task["type"] == "SUB_WORKFLOW" else inputs

    def note(self, task: Mapping[str, Any], inputs: dict[str, Any], attempt: int, status: str, output: dict[str, Any]) -> None:
        ref = task["taskReferenceName"]
        self.tasks.append((ref + self.suffix, attempt, status))
        self.all_inputs.append(inputs)
        self.round_of[ref] = self.suffix
        self.inputs[ref], self.outputs[ref], self.statuses[ref], self.last = inputs, output, status, ref

    def note_open(self, task: Mapping[str, Any], inputs: dict[str, Any], attempt: int) -> None:
        """If anybody reads it, then at the end, when it was cancelled."""
        self.note(task, inputs, attempt, "OPEN", {})
        self.statuses[task["taskReferenceName"]] = "CANCELED"

    def do_set_variable(self, task: Mapping[str, Any], inputs: dict[str, Any], _hidden: set[str]) -> None:
        self.variables = {**self.variables, **inputs}
        self.note(task, inputs, 1, "COMPLETED", {})

    def do_switch(self, task: Mapping[str, Any], inputs: dict[str, Any], hidden: set[str]) -> None:
        if (task["taskReferenceName"] + self.suffix, 1) in self.told.reruns:
            hidden = set()  # what it stands in has ended long ago
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
            ending = self.attempts(ref + self.suffix, attempt)
            if ending is RAN:
                ending = _of_script(task["type"], inputs)
            if ending is OPEN:
                self.note_open(task, inputs, attempt)
                raise _Ended
            if (ref + self.suffix, attempt) in self.told.retried:
                self.note(task, inputs, attempt, ending.status, ending.output)
                attempt += 1
                inputs = self.begin_again(task, attempt)
                continue
            if ending.ends_workflow:
                self.note(task, inputs, attempt, ending.status, ending.output)
                self.finish(ending.ends_workflow)
            is_bad = ending.status not in ("COMPLETED", "COMPLETED_WITH_ERRORS")
            if is_bad and ending.status in ("FAILED", "TIMED_OUT") and attempt <= limit:
                self.note(task, inputs, attempt, ending.status, ending.output)
                attempt += 1
                inputs = self.begin_again(task, attempt)
                continue
            if is_bad and not task["optional"] and not task["permissive"]:
                self.note(task, inputs, attempt, ending.status, ending.output)
                self.finish({"CANCELED": "TERMINATED", "TIMED_OUT": "TIMED_OUT"}.get(ending.status, "FAILED"))
            shown = "COMPLETED_WITH_ERRORS" if is_bad and task["optional"] else ending.status
            self.permissive_failures += is_bad and not task["optional"]
            self.note(task, inputs, attempt, shown, ending.output)
            return

    def of_round(self, inner: list[str], loop: Mapping[str, Any]) -> dict[str, Any]:
        ends = {task["taskReferenceName"] for task, _path in walk(loop["loopOver"]) if task["type"] == "TERMINATE"}
        ran = [name for name in inner if self.round_of.get(name) == self.suffix]
        return {name: {} if name in ends else self.outputs[name] for name in ran if self.statuses[name] != "CANCELED"}

    do_wait = do_worker

    def do_dynamic(self, task: Mapping[str, Any], inputs: dict[str, Any], hidden: set[str]) -> None:
        self.do_worker(task, inputs, hidden)

    def do_noop(self, task: Mapping[str, Any], _inputs: dict[str, Any], _hidden: set[str]) -> None:
        self.note(task, {}, 1, "COMPLETED", {})

    def do_fork_join(self, task: Mapping[str, Any], inputs: dict[str, Any], hidden: set[str]) -> None:
        self.note(task, inputs, 1, "COMPLETED", {})
        self.branches([list(branch) for branch in task["forkTasks"]], hidden | {task["taskReferenceName"]})

    def do_fork_join_dynamic(self, task: Mapping[str, Any], inputs: dict[str, Any], hidden: set[str]) -> None:
        self.note(task, ANYTHING, 1, "COMPLETED", {})
        made = []
        for branch in inputs["dt"]:
            more = inputs["di"].get(branch["taskReferenceName"], {})
            definition = self.registered.get(branch["name"]) or {"retryCount": 0}
            made.append([{**branch, "inputParameters": {**branch["inputParameters"], **more}, "taskDefinition": definition}])
        self.forked = [branch[0]["taskReferenceName"] for branch in made]
        self.branches(made, hidden | {task["taskReferenceName"]})

    def branches(self, branches: Sequence[Sequence[Mapping[str, Any]]], hidden: set[str]) -> None:
        """One after the other: none reads anything of another. What one of them ends, is ended when all were looked at."""
        ended: str | None = None
        is_blocked = False
        for branch in branches:
            try:
                self.walk(branch, hidden)
            except _Ended:
                if self.status == "RUNNING":
                    is_blocked = True
                else:
                    ended, self.status = self.status, "RUNNING"
        self.is_blocked = is_blocked
        self.ended_beside = ended

    def do_join(self, task: Mapping[str, Any], _inputs: dict[str, Any], _hidden: set[str]) -> None:
        refs = task["joinOn"] or self.forked
        self.forked = []
        inputs = {"joinOn": refs if task["joinOn"] else [ref + self.suffix for ref in refs]}
        if self.ended_beside or self.is_blocked:
            self.note_open(task, inputs, 1)
            if self.ended_beside:
                self.status = self.ended_beside
            raise _Ended
        bad = [ref for ref in refs if self.statuses[ref] not in ("COMPLETED", "COMPLETED_WITH_ERRORS", "SKIPPED")]
        shown = refs[: refs.index(bad[0]) + 1] if bad else refs
        output = {ref + self.suffix: self.outputs[ref] for ref in shown if self.outputs[ref]}
        if bad:
            is_canceled = all(self.statuses[ref] == "CANCELED" for ref in bad)
            self.note(task, inputs, 1, "CANCELED" if is_canceled else "FAILED", output)
            self.finish("TERMINATED" if is_canceled else "FAILED")
        has_errors = any(self.statuses[ref] == "COMPLETED_WITH_ERRORS" for ref in refs)
        self.note(task, inputs, 1, "COMPLETED_WITH_ERRORS" if has_errors else "COMPLETED", output)

    def do_exclusive_join(self, task: Mapping[str, Any], _inputs: dict[str, Any], _hidden: set[str]) -> None:
        inputs = {key: task[key] for key in ("joinOn", "defaultExclusiveJoinTask")}
        ref = task["taskReferenceName"]
        found = next(
            (r for r in (*task["joinOn"], *task["defaultExclusiveJoinTask"]) if r != ref and self.round_of.get(r) is not None), None
        )
        if found is None:
            self.note(task, inputs, 1, "COMPLETED", {})
        elif self.statuses[found] in ("COMPLETED", "COMPLETED_WITH_ERRORS"):
            self.note(task, inputs, 1, "COMPLETED", self.outputs[found])
        else:
            self.note(task, inputs, 1, "FAILED", self.outputs[found])
            self.finish("FAILED")

    def do_do_while(self, task: Mapping[str, Any], inputs: dict[str, Any], _hidden: set[str]) -> None:
        ref, items = task["taskReferenceName"], inputs.get("_items")
        items = [] if items is None else items if isinstance(items, list) else [items]
        is_over_items = "_items" in task["inputParameters"]
        self.note(task, inputs, 1, "COMPLETED", {"iteration": 0})
        place, outer, inner = len(self.tasks) - 1, self.suffix, [item["taskReferenceName"] for item, _path in walk(task["loopOver"])]
        whole: dict[str, Any] = {}
        number, is_more = 0, bool(items) or not is_over_items
        while is_more:
            number += 1
            for name in inner:
                self.round_of.pop(name, None)
            self.suffix = f"__{number}"
            own = {"iteration": number, **({"loopIndex": number - 1, "loopItem": items[number - 1]} if is_over_items else {})}
            self.outputs[ref], self.statuses[ref] = {**whole, **own}, "IN_PROGRESS"
            try:
                self.walk(task["loopOver"])
            except _Ended:
                self.tasks[place] = (*self.tasks[place][:2], "OPEN")
                self.statuses[ref] = "CANCELED"
                is_bad = {name: self.statuses.get(name) in ("FAILED", "FAILED_WITH_TERMINAL_ERROR", "TIMED_OUT") for name in inner}
                ran = {name: output for name, output in self.of_round(inner, task).items() if not is_bad[name]}
                self.outputs[ref] = {**whole, **({str(number): ran} if ran else {}), **own}
                self.suffix = outer
                raise
            whole[str(number)] = self.of_round(inner, task)
            self.outputs[ref], self.statuses[ref] = {**whole, **own}, "COMPLETED"
            self.suffix = outer
            is_more = (not is_over_items or number < len(items)) and scripts.holds(task["loopCondition"], number)

    def finish(self, status: str, output: dict[str, Any] | None = None) -> None:
        self.status, self.given_output = status, output
        raise _Ended

    def final_output(self) -> dict[str, Any]:
        if self.given_output is not None:
            return self.given_output
        if self.definition["outputParameters"]:
            found: dict[str, Any] = compile_template(self.definition["outputParameters"]).resolve(self)
            return found
        return self.outputs[self.last] if self.last else {}


def _of_script(kind: str, inputs: Mapping[str, Any]) -> Ending:
    key = {"INLINE": "expression", "LAMBDA": "scriptExpression", "JSON_JQ_TRANSFORM": "queryExpression"}[kind]
    source = inputs.get(key)
    if source is None:  # a user's rerun gave other inputs
        if kind == "JSON_JQ_TRANSFORM":
            return Ending("FAILED", {}, "Missing 'queryExpression' in input parameters")
        reason = f"Empty '{key}' in {kind.capitalize()} task's input parameters. A non-empty String value must be provided."
        return Ending("FAILED_WITH_TERMINAL_ERROR" if kind == "INLINE" else "FAILED", {"error": reason}, reason)
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
