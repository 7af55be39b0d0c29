"""A segment of a wide fork: an internal task that no definition can name, for which a part of the branches runs as a child."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batuta_core.decider import segments
from batuta_core.decider.forked import input_of
from batuta_core.decider.tasks.task_type import TaskType
from batuta_core.model import ids
from batuta_core.model.command import StartChild
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import segment_definition
from batuta_core.model.place import TaskPlace

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step
    from batuta_core.model.record import OpenTask


class Segment(TaskType):
    name = "SEGMENT"
    is_retried = False  # its branches are
    has_input_template = False
    runs_child = True
    is_segment = True

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        fork, index = segments.parse_ref(node.ref) or ("", 0)
        anew = step.anew.get(node.ref)
        former = ids.parse_task_id(anew.retried_task_id) if anew and anew.retried_task_id else None
        if former is not None:  # the same share; what its branches had done by then is not done again
            task_input = {"share": step.old_input(0, TaskPlace(former.record, former.nth))["share"]}
            if anew and (rerun := anew.retried_rerun or (anew.input or {}).get(segments.FORMER_RERUN)):
                task_input[segments.FORMER_RERUN] = rerun
        else:
            plan = input_of(step.forked[node.ref][1], step.reader)[segments.PLAN]
            task_input = {"share": list(segments.shares(plan["width"])[index])}
        task = step.new_task(
            node,
            status=TaskStatus.IN_PROGRESS,
            started_ms=step.now_ms,
            updated_ms=step.now_ms,
            sent_ms=step.now_ms,
            child=segment_definition(step.graph.hash, fork),
        )
        self._start(step, step.open_task(node, task, task_input))

    def deliver(self, step: Step, node: Node, task: OpenTask) -> None:
        """Nobody has answered for so long that the start may be lost. A segment that has it drops it."""
        self._start(step, step.keep(node, replace(task, sent_ms=step.now_ms)))

    def _start(self, step: Step, task: OpenTask) -> None:
        step.command(StartChild(place=task.place, ref=task.ref, definition=task.child))


SEGMENT = Segment()
