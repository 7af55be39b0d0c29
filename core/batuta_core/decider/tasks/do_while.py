"""DO_WHILE: runs its tasks again and again, while a condition holds or a list has items."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batuta_core.decider import outcome
from batuta_core.decider.expression.template_parser import compile_template
from batuta_core.decider.known import Language
from batuta_core.decider.loop import OWN_KEYS
from batuta_core.decider.tasks.rules import required
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.definition import child_lists
from batuta_core.model.error import Problem
from batuta_core.model.execution import TaskStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step
    from batuta_core.model.record import OpenTask

_ITEMS_INPUT = "_items"


class DoWhile(TaskType):
    name = "DO_WHILE"
    is_retried = False
    is_loop = True
    is_waiting = True

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if "loopCondition" not in task:  # an empty one is one, and a loop over items needs one too
            yield required("loopCondition", task, path)
        if not task["loopOver"]:
            yield required("loopOver", task, path)

    def children(self, task: WorkflowTask) -> Iterator[tuple[str, Sequence[WorkflowTask]]]:
        return child_lists(task)

    def after_children(self, task: WorkflowTask, follower: str | None) -> str | None:
        return str(task["taskReferenceName"])

    def looks_at(self, task: WorkflowTask) -> Iterator[str]:
        yield from (root for root, _name in compile_template(task.get("items", "")).needs)
        yield from re.findall(r"[A-Za-z_]\w*", _condition(task))  # whatever it calls by name may be a task

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task = step.open.get(node.ref)
        if task is not None:  # the flow comes back from the end of the body
            step.keep(node, replace(task, is_over=True))
            step.has_news = True
            return
        task_input = step.inputs(node, hidden)
        items = _items(step, node, task_input)
        if items is not None and not items:
            step.local_task(node, TaskStatus.COMPLETED, task_input, {"iteration": 0})
            step.go_to(node.next)
            return
        task = step.new_task(node, status=TaskStatus.IN_PROGRESS, started_ms=step.now_ms, updated_ms=step.now_ms)
        _begin_round(step, node, step.open_task(node, task, task_input), 1, items)

    def look(self, step: Step, node: Node, task: OpenTask, *, is_last_chance: bool) -> bool:
        failed = [item for item in step.tolerated if step.graph.is_inside(item.ref, node)]
        if failed:  # a permissive task of the body
            reason = "".join(f"{item.reason} " for item in failed)
            outcome.task_failed(step, node, task, TaskStatus.FAILED, reason=reason)
            return True
        if not is_last_chance and (not task.is_over or any(step.graph.is_inside(ref, node) for ref in step.open)):
            return False
        _end_round(step, node, task)
        return True


def _begin_round(step: Step, node: Node, task: OpenTask, number: int, items: Sequence[Any] | None) -> None:
    own: dict[str, Any] = {"iteration": number}
    if items is not None:
        own.update(loopIndex=number - 1, loopItem=items[number - 1])
    step.change(task, {"iteration": number}, output=own)
    step.keep(node, replace(task, rounds=number, since=step.task_count, is_over=False, output_record=step.draft.seq))
    step.go_to(node.task["loopOver"][0]["taskReferenceName"])


def _end_round(step: Step, node: Node, task: OpenTask) -> None:
    inputs = step.evaluate(node.inputs)
    items = _items(step, node, inputs)
    is_more = items is None or task.rounds < len(items)
    condition = _condition(node.task)
    if is_more and condition.strip():
        result = step.run_script(Language.JAVASCRIPT, condition, _seen(step, node, task, inputs, items))
        if result.error is not None:
            reason = f"Unable to evaluate condition {condition}, exception {result.error}"
            outcome.task_failed(step, node, task, TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason=reason)
            return
        is_more = result.value > 0 if isinstance(result.value, int | float) else False
    elif is_more:
        is_more = items is not None
    if is_more:
        _begin_round(step, node, task, task.rounds + 1, items)
    else:
        step.close_task(task, TaskStatus.COMPLETED)
        outcome.task_succeeded(step, node)


def _condition(task: WorkflowTask) -> str:
    """JavaScript; expressions in it are not put in (recorded)."""
    return str(task.get("loopCondition") or "")


def _items(step: Step, node: Node, inputs: Mapping[str, Any]) -> Sequence[Any] | None:
    """What the loop runs over as it is now; None when it is one by condition alone."""
    if "items" in node.task:
        found = step.evaluate(compile_template({"items": node.task["items"]}))["items"]
    elif _ITEMS_INPUT in node.task["inputParameters"]:
        found = inputs.get(_ITEMS_INPUT)  # a user's rerun may give none
    else:
        return None
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def _seen(step: Step, node: Node, task: OpenTask, inputs: Mapping[str, Any], items: Sequence[Any] | None) -> dict[str, Any]:
    """The ``$`` of the condition: the inputs, the loop's output so far, and the last outputs of its tasks, as far as it names
    them."""
    condition = _condition(node.task)
    own: Mapping[str, Any] = step.field(node.ref, "output", "iteration")
    seen = {**inputs, task.shown_ref: own if _reads_only_own(condition, task.shown_ref) else step.field(node.ref, "output")}
    for ref in step.graph.nodes:
        if ref in condition and step.graph.is_inside(ref, node):
            seen[ref] = step.field(ref, "output") or {}
    if items is not None:
        seen.update(loopIndex=own["loopIndex"], loopItem=own["loopItem"])
    return seen


def _reads_only_own(condition: str, ref: str) -> bool:
    """Whether it reads nothing of the loop but its counter and item: then no earlier record is fetched."""
    name = re.escape(ref)
    named = len(re.findall(rf"(?<!\w){name}(?!\w)", condition))
    keys = "|".join(sorted(OWN_KEYS))
    own = len(re.findall(rf"(?<!\w){name}(?:['\"]\])?(?:\.(?:{keys})(?!\w)|\[['\"](?:{keys})['\"]\])", condition))
    return named == own
