"""FORK_JOIN_DYNAMIC: a fork whose branches its input lists, in one of three shapes (reference section 4.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batuta_core.decider import outcome, segments
from batuta_core.decider.expression.reading import Budget
from batuta_core.decider.expression.text import java_text
from batuta_core.decider.forked import TASKS_INPUT
from batuta_core.decider.known import Missing, Needs
from batuta_core.decider.step import Anew, Step
from batuta_core.decider.tasks.fork_join import WIRE_TYPE, join_of
from batuta_core.decider.tasks.rules import required, shown_name
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.definition import read_workflow_task
from batuta_core.model.error import Problem
from batuta_core.model.execution import TaskStatus, WorkflowStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.model.place import TaskPlace

_PAIR = ("dynamicForkTasksParam", "dynamicForkTasksInputParamName")
_ONE_TASK_EACH = ("FORK_JOIN", "FORK_JOIN_DYNAMIC", "DO_WHILE", "JOIN", "EXCLUSIVE_JOIN")  # what a branch cannot be

# Of branches that cannot run as segments all open ones stand in the head, which each record carries: some 10 bytes a branch as stored,
# 60 to parse. At 5,000 a decision takes a third of a second and 45 write units (measured 2026-11-22, ADR 21), and the messages of the
# first one half of a function's 30 s.
BRANCHES_MAX = 5000

Json = dict[str, Any]


class _Refused(Exception):
    """The input lists no branches that could be run; the text is Conductor's reason."""


class ForkJoinDynamic(TaskType):
    name = "FORK_JOIN_DYNAMIC"
    is_retried = False
    has_input_template = False
    is_fork = True

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if "forkTaskInputs" in task["inputParameters"]:
            return
        missing = [field for field in _PAIR if field not in task]
        if "dynamicForkJoinTasksParam" not in task:
            yield from (required(field, task, path) for field in missing)
        elif len(missing) < len(_PAIR):
            either = "dynamicForkJoinTasksParam or combination of dynamicForkTasksInputParamName and dynamicForkTasksParam"
            yield Problem(path, f"{either} cam be used for taskType: {self.name} taskName: {shown_name(task)}")

    def wire_type(self, task: WorkflowTask) -> str:
        return WIRE_TYPE

    def shown_name(self, task: WorkflowTask) -> str:
        return WIRE_TYPE

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        given = segments.given_to(step)
        task_input = step.inputs(node, hidden) if given is None else dict(given["fork"])
        width = len(segments.listed(node.task, task_input) or ())  # before any of them is looked at
        join = join_of(step.graph, node)
        is_wide = width > segments.WIDE and join is not None
        if is_wide and width <= segments.BRANCHES_MAX and (plan := segments.plan(step, node, task_input, hidden)):
            refs = [segments.segment_ref(node.ref, index) for index in range(plan["count"])]
            task_input = {**task_input, segments.PLAN: plan}
        elif width > BRANCHES_MAX:
            outcome.local_task_failed(step, node, task_input, TaskStatus.FAILED_WITH_TERMINAL_ERROR, _too_wide(width))
            return
        else:
            try:
                tasks = _with_definitions(step, _checked(step, node, _branches(step, node, task_input, given)))
            except _Refused as refused:
                outcome.finish(step, WorkflowStatus.FAILED, str(refused))
                return
            refs = [task["taskReferenceName"] for task in tasks]
            task_input = {**(task_input if given is None else {}), TASKS_INPUT: tasks, "forkedTasks": refs}
        if join is None:
            reason = "Dynamic join definition is not followed by a join task.  Check the workflow definition."
            outcome.finish(step, WorkflowStatus.FAILED, reason)
            return
        ended = step.local_task(node, TaskStatus.COMPLETED, task_input, {})
        step.has_forked = True
        if given is not None and segments.PLAN not in task_input:
            refs = _not_done(step, refs, ended.place, given)
        step.go_into([*refs, join.ref], hidden | {node.ref}, ended.place)


def _not_done(step: Step, refs: Sequence[str], fork: TaskPlace, given: Mapping[str, Any]) -> list[str]:
    """The branches of a segment that are to be run. Those that an earlier attempt has run end here as they did there."""
    left: list[str] = []
    for index, ref in enumerate(refs, given["first"]):
        former = given["former"].get(str(index))
        if former is None or "status" not in former:
            left.append(ref)
        if former is not None:
            step.anew[ref] = Anew(attempt=former["attempt"], retried_task_id=former.get("task"))
        if former is not None and "status" in former:
            status, output = TaskStatus(former["status"]), former["output"]
            step.local_task(step.forked_node(fork, ref), status, former["input"], output, former["reason"])
    return left


def _too_wide(width: int) -> str:
    most = max(segments.BRANCHES_MAX, BRANCHES_MAX)
    return (
        f"The fork has {width} branches. {most} can run at once where each is a single task that ends or fails by itself; {BRANCHES_MAX} "
        "where one is a SWITCH, DECISION, SET_VARIABLE or TERMINATE, is permissive, or reads what an expression computes. "
        "Give each branch a share of the work, or fork workflows (forkTaskWorkflow) that fork again."
    )


def _branches(step: Step, node: Node, task_input: Mapping[str, Any], given: Mapping[str, Any] | None) -> list[Json]:
    if isinstance(task_input.get("forkTaskInputs"), list):
        return list(_of_inputs(step, node, task_input, given))
    if "dynamicForkTasksParam" in node.task:
        return list(_of_tasks(node, task_input))
    return list(_of_legacy(node, task_input))


def _of_inputs(step: Step, node: Node, task_input: Mapping[str, Any], given: Mapping[str, Any] | None) -> Iterator[Json]:
    """One task, once for every element of a list."""
    kind = str(task_input.get("forkTaskType") or "SIMPLE")
    workflow = task_input.get("forkTaskWorkflow")
    name = task_input.get("forkTaskName") or (node.ref if kind == "SIMPLE" else kind)
    begin = segments.begin_of_names(node.task, task_input, has_forked=step.has_forked if given is None else given["named"])
    for index, element in enumerate(task_input["forkTaskInputs"], given["first"] if given else 0):
        own = element if isinstance(element, dict) else {}
        task = _read(own) or {}
        task |= {"name": str(workflow or name), "taskReferenceName": f"{begin}_{index}", "type": "SUB_WORKFLOW" if workflow else kind}
        task["inputParameters"] = {**(own if isinstance(element, dict) else {"input": element}), "__index": index}
        task["optional"] = task.get("optional", False) or node.is_optional
        if workflow:
            task["subWorkflowParam"] = _child(str(workflow), task_input.get("forkTaskWorkflowVersion"), own)
        yield _normal(task, "forkTaskInputs")


def _child(name: str, version: Any, element: Mapping[str, Any]) -> Json:
    found: Json = {"name": name}
    if isinstance(version, int) or (isinstance(version, str) and version.isdecimal()):
        found["version"] = int(version)
    if isinstance(element.get("taskToDomain"), dict):
        found["taskToDomain"] = element["taskToDomain"]
    return found


def _of_tasks(node: Node, task_input: Mapping[str, Any]) -> Iterator[Json]:
    """A list of tasks, and a map of their inputs."""
    param = node.task["dynamicForkTasksParam"]
    tasks = task_input.get(param)
    if not isinstance(tasks, list):
        raise _cannot_read(param, tasks)
    inputs = task_input.get(node.task.get("dynamicForkTasksInputParamName", ""))
    if not isinstance(inputs, dict):
        raise _Refused(f"Input to the dynamically forked tasks is not a map -> expecting a map of K,V  but found {_text(inputs)}")
    for task in tasks:
        if not isinstance(task, dict):
            raise _cannot_read(param, tasks)
        more = inputs.get(str(task.get("taskReferenceName")))
        own = task.get("inputParameters")
        overlaid = {**(own if isinstance(own, dict) else {}), **(more if isinstance(more, dict) else {})}
        yield _normal({**task, "inputParameters": overlaid}, param, tasks)


def _of_legacy(node: Node, task_input: Mapping[str, Any]) -> Iterator[Json]:
    """Conductor's DynamicForkJoinTaskList."""
    param = node.task.get("dynamicForkJoinTasksParam")
    found = task_input.get(param or "")
    tasks = found.get("dynamicTasks") if isinstance(found, dict) else None
    if not isinstance(tasks, list):
        shown = f"The value of {_text(param)} from task's input {_text(task_input)}"
        raise _Refused(f"Dynamic tasks could not be created. {shown} has no dynamic tasks to be scheduled")
    for task in tasks:
        given = task if isinstance(task, dict) else {}
        made: Json = {"name": given.get("taskName"), "taskReferenceName": given.get("referenceName"), "type": given.get("type") or "SIMPLE"}
        if given.get("workflowName"):
            made["subWorkflowParam"] = {"name": given["workflowName"]}
        yield _normal({**made, "inputParameters": given.get("input") or {}}, str(param), tasks)


def _read(task: Mapping[str, Any]) -> Json | None:
    """The canonical form of a task; None when it is none."""
    found, problems = read_workflow_task(task)
    return None if problems else found


def _normal(task: Mapping[str, Any], param: str, shown: Any = None) -> Json:
    found = _read(task)
    if found is None or not found.get("taskReferenceName") or not found.get("name"):
        raise _cannot_read(param, task if shown is None else shown)
    return found


def _cannot_read(param: str, value: Any) -> _Refused:
    return _Refused(f"Input '{param}' is invalid. Cannot deserialize a list of Workflow Tasks from '{_text(value)}'")


def _text(value: Any) -> str:
    return java_text(value, Budget())


def _checked(step: Step, node: Node, tasks: Sequence[Json]) -> Sequence[Json]:
    """Each reference name must be new; in a loop those of earlier iterations are."""
    taken = {*step.graph.nodes, *step.open}
    for task in tasks:
        ref = task["taskReferenceName"]
        if ref in taken or step.graph.segment(ref):  # a name of ours
            where = f"the Workflow: {step.execution.workflow_id}, Dynamic Fork Task: {node.ref}"
            reason = f"No dynamic tasks could be created for {where} attempted to create a duplicate task reference name: {ref}"
            raise _Refused(reason)
        if task["type"] in _ONE_TASK_EACH:
            raise _Refused(f"The task {ref} of the dynamic fork {node.ref} is a {task['type']}: put it into a workflow and fork that.")
        taken.add(ref)
    return tasks


def _with_definitions(step: Step, tasks: Sequence[Json]) -> list[Json]:
    """Each with its registered task definition, if there is one."""
    names = frozenset(task["name"] for task in tasks if "taskDefinition" not in task)
    missing = names - step.known.task_definitions.keys()
    if missing:
        raise Missing(Needs(task_definitions=missing))
    found = step.known.task_definitions
    return [{**task, "taskDefinition": found[task["name"]]} if found.get(task["name"]) else task for task in tasks]
