"""Schedules with executions that live again, and their parents and children, told step by step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from batuta_core.decider import lives
from batuta_core.decider.timeout import RESEND_MS
from batuta_core.engine import advance, catalog, operate, operations
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.ports import Incoming, Queues
from batuta_core.model import ids
from batuta_core.model.error import OperationRefused
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.family_event import ChildRevived
from batuta_core.model.names import ExecutionId
from batuta_core.simulator.faults import Crash
from batuta_core.simulator.worker import Outcome, SdkWorker
from tests.simulation.family_scenarios import DAY_MS, NAMESPACE, Family, Gone
from tests.simulation.invariants import require


class Generations(Family):
    """A grandparent, a parent and a child, whose only task is a worker's."""

    def __init__(self) -> None:
        super().__init__()
        run = {"name": "run", "taskReferenceName": "s", "type": "SUB_WORKFLOW", "subWorkflowParam": {"name": "parent"}}
        catalog.register_workflows(self.world.plain, NAMESPACE, [{"name": "top", "tasks": [run]}], no_javascript)
        self.settle()
        operate.remove(self.world.plain, self.parent, is_archived=False)
        self.top = self.begin("top")
        self.settle()
        self.parent = self.child_of(self.top)
        self.child = self.child_of(self.parent)

    def child_of(self, execution: ExecutionId) -> ExecutionId:
        return ExecutionId(NAMESPACE, lives.child_id(execution.workflow_id, self.head(execution).open["s"].place))


def _report(family: Family, status: TaskStatus, output: dict[str, Any] | None = None) -> None:
    operate.update_by_ref(family.world.plain, family.child, "t", operate.TaskReport(status=status, output=output or {}))


def _failed() -> Family:
    """The child has failed, and the parent with it."""
    family = Family()
    family.settle()
    _report(family, TaskStatus.FAILED, {"e": 1})
    family.settle()
    require(family.status(family.parent) == "FAILED", "a parent fails with its child", family.head(family.parent))
    return family


def _deliver(family: Family, received: Sequence[Incoming]) -> None:
    advance.advance_batch(family.world.plain, received)
    family.settle()


def a_child_that_is_retried_takes_its_parent_along() -> None:
    for revival in (operations.retry, operations.restart, operations.rerun):
        family = _failed()
        revival(family.world.plain, family.child)
        family.settle()
        require(family.status(family.parent) == "RUNNING", "the parent runs again", family.head(family.parent))
        _report(family, TaskStatus.COMPLETED, {"n": 2})
        family.settle()
        output = family.watcher.last[family.parent].output
        require(output == {"e": 1, "n": 2, "subWorkflowId": family.child.workflow_id}, "and ends with that life", revival, output)


def a_revival_is_heard_by_all_generations() -> None:
    """A user had terminated the grandparent after it had failed, saw that, and retries the grandchild all the same."""
    family = Generations()
    _report(family, TaskStatus.FAILED)
    family.settle()
    operate.terminate(family.world.plain, family.top, "enough")
    require(family.status(family.top) == "TERMINATED", "all have ended", family.head(family.top))
    family.settle()
    operations.retry(family.world.plain, family.child)
    family.settle()
    statuses = [family.status(execution) for execution in (family.top, family.parent, family.child)]
    require(statuses == ["RUNNING"] * 3, "all run again", statuses)
    _report(family, TaskStatus.COMPLETED)
    family.settle()
    require(family.status(family.top) == "COMPLETED", "to the end", family.head(family.top))


def a_revival_outlives_a_crash() -> None:
    """The decider dies between the record that reopens the parent and what the grandparent is told; the message comes again."""
    family = Generations()
    _report(family, TaskStatus.FAILED)
    family.settle()
    operations.retry(family.world.plain, family.child)
    head = family.head(family.child)
    event = ChildRevived(place=family.head(family.parent).last_task.place, life=head.life, definition=head.definition, seen=head.seen)  # type: ignore[union-attr]
    family.inbox()
    with contextlib.suppress(Crash):
        advance.advance(replace(family.world.plain, queues=cast(Queues, Gone())), family.parent, [event], is_redelivered=False)
    require(family.status(family.parent) == "RUNNING", "that is committed", family.head(family.parent))
    require(family.status(family.top) == "FAILED", "and not told", family.head(family.top))
    advance.advance(family.world.plain, family.parent, [event], is_redelivered=True)
    family.settle()
    require(family.status(family.top) == "RUNNING", "it is told all the same", family.head(family.top))


def a_revival_that_the_api_did_not_send_is_sent_by_its_guard() -> None:
    family = _failed()
    queues = family.world.plain.queues

    class Dying:
        """It sends the guard and dies over the first message to the decider."""

        def send(self, queue: str, messages: Any) -> None:
            if queue.endswith(".fifo"):
                raise Crash(queue)
            queues.send(queue, messages)

    with contextlib.suppress(Crash):
        operations.retry(replace(family.world.plain, queues=cast(Queues, Dying())), family.child)
    require(family.status(family.child) == "RUNNING", "the new life is committed", family.head(family.child))
    require(family.status(family.parent) == "FAILED", "and not told", family.head(family.parent))
    family.settle(120_000)
    require(family.status(family.parent) == "RUNNING", "the guard sees to it", family.head(family.parent))


def a_late_revival_undoes_no_terminate() -> None:
    family = _failed()
    operations.retry(family.world.plain, family.child)
    late = family.inbox()
    operate.terminate(family.world.plain, family.parent, "enough")
    _deliver(family, late)
    require(family.status(family.parent) == "TERMINATED", "what a user ended since stays ended", family.head(family.parent))
    require(family.status(family.child) == "TERMINATED", "and the child is stopped", family.head(family.child))
    require(not family.head(family.parent).stops, "which is heard", family.head(family.parent))


def an_end_of_a_life_not_heard_of_is_its_revival() -> None:
    for status, wanted in ((TaskStatus.COMPLETED, "COMPLETED"), (TaskStatus.FAILED, "FAILED")):
        family = _failed()
        before = family.watcher.last[family.parent].seq
        operations.retry(family.world.plain, family.child)
        lost = family.inbox()
        _report(family, status)
        family.settle()
        require(family.status(family.parent) == wanted, "the end says that there was such a life", family.head(family.parent))
        after = family.watcher.last[family.parent].seq
        require(after > before, "which is written", before, after)
        advance.advance_batch(family.world.plain, lost)
        is_known = family.watcher.last[family.parent].seq == after
        require(is_known or wanted == "COMPLETED", "the late revival is known then", family.head(family.parent))
        family.settle()
        head = family.head(family.parent)
        require(head.status.value == wanted and not head.stops, "and changes nothing", head)


def a_revival_of_a_task_that_is_over_is_answered_with_a_stop() -> None:
    """The parent is retried while the revival is under way: it has another child by then."""
    family = _failed()
    operations.retry(family.world.plain, family.child)
    late = family.inbox()
    operations.retry(family.world.plain, family.parent)
    _deliver(family, late)
    require(family.status(family.parent) == "RUNNING", "the parent waits for its new child", family.head(family.parent))
    require(family.status(family.child) == "TERMINATED", "the old one is stopped", family.head(family.child))
    with contextlib.suppress(OperationRefused):
        operations.retry(family.world.plain, family.child)
        require(False, "nor is it begun again by a user who can be told", family.head(family.child))


def a_removed_parent_answers_a_revival_with_a_stop() -> None:
    family = _failed()
    operations.retry(family.world.plain, family.child)
    late = family.inbox()
    operate.remove(family.world.plain, family.parent, is_archived=True)
    _deliver(family, late)
    require(family.status(family.parent) == "REMOVED", "it stays removed", family.head(family.parent))
    require(family.status(family.child) == "TERMINATED", "and stops its child", family.head(family.child))


def a_stop_is_not_forgotten_by_a_restart() -> None:
    for revival in (operations.restart, operations.retry, operations.rerun):
        family = Family()
        family.settle()
        operate.terminate(family.world.plain, family.parent, "enough")
        require(len(family.inbox()) == 1, "the stop is lost", family.parent)
        revival(family.world.plain, family.parent)
        family.settle(RESEND_MS + DAY_MS)
        require(family.status(family.child) == "TERMINATED", "the parent stops the child of its former life", family.head(family.child))
        require(not family.head(family.parent).stops, "and hears of it", family.head(family.parent))


def a_revival_answers_the_stop_of_an_earlier_life() -> None:
    """The parent has been terminated and its child stopped; the parent has not heard of that yet when the child is retried."""
    family = Family()
    family.settle()
    operate.terminate(family.world.plain, family.parent, "enough")
    advance.advance_batch(family.world.plain, family.inbox())
    require(family.status(family.child) == "TERMINATED", "the child is stopped", family.head(family.child))
    family.inbox()
    operations.retry(family.world.plain, family.child)
    family.settle()
    head = family.head(family.parent)
    require(head.status is WorkflowStatus.RUNNING and not head.stops, "a later life says that the earlier is over", head)


def a_child_that_failed_in_a_pause_may_live_again_in_it() -> None:
    family = Family()
    family.settle()
    operations.pause(family.world.plain, family.parent)
    _report(family, TaskStatus.FAILED)
    family.settle()
    operations.retry(family.world.plain, family.child)
    family.settle()
    operations.resume(family.world.plain, family.parent)
    require(family.status(family.parent) == "RUNNING", "the failure is taken back", family.head(family.parent))
    _report(family, TaskStatus.COMPLETED)
    family.settle()
    require(family.status(family.parent) == "COMPLETED", "the new life counts", family.head(family.parent))


def a_child_that_never_started_is_not_begun_again() -> None:
    family = Family()
    family.inbox()
    operate.terminate(family.world.plain, family.parent, "enough")
    family.settle()
    for revival in (operations.retry, operations.restart, operations.rerun):
        with contextlib.suppress(OperationRefused):
            revival(family.world.plain, family.child)
            require(False, "it has no input to begin with", revival, family.head(family.child))


def a_rerun_of_the_task_has_another_child() -> None:
    family = _failed()
    operations.rerun(family.world.plain, family.parent, task_id=ids.task_id(family.parent.workflow_id, 1, 0))
    family.work()
    family.settle(60_000)
    require(family.status(family.parent) == "COMPLETED", "a rerun starts a new child", family.head(family.parent))
    require(family.status(family.child) == "FAILED", "the old one stays as it was", family.head(family.child))


def a_late_outcome_of_the_child_before_a_rerun_changes_nothing() -> None:
    """The old child's end comes when the task has begun anew under the same id."""
    family = Family()
    family.settle()
    operate.terminate(family.world.plain, family.parent, "enough")
    operations.rerun(family.world.plain, family.parent, task_id=ids.task_id(family.parent.workflow_id, 1, 0))
    family.settle()
    require(family.status(family.child) == "TERMINATED", "the old child is stopped", family.head(family.child))
    require(family.status(family.parent) == "RUNNING", "the new one runs", family.head(family.parent))
    SdkWorker(family.world, lambda _message: Outcome(output={"n": 1}))
    family.settle(60_000)
    require(family.status(family.parent) == "COMPLETED", "to its end", family.head(family.parent))


SCENARIOS: list[Callable[[], None]] = [
    a_child_that_is_retried_takes_its_parent_along,
    a_revival_is_heard_by_all_generations,
    a_revival_outlives_a_crash,
    a_revival_that_the_api_did_not_send_is_sent_by_its_guard,
    a_late_revival_undoes_no_terminate,
    an_end_of_a_life_not_heard_of_is_its_revival,
    a_revival_of_a_task_that_is_over_is_answered_with_a_stop,
    a_removed_parent_answers_a_revival_with_a_stop,
    a_stop_is_not_forgotten_by_a_restart,
    a_revival_answers_the_stop_of_an_earlier_life,
    a_child_that_failed_in_a_pause_may_live_again_in_it,
    a_child_that_never_started_is_not_begun_again,
    a_rerun_of_the_task_has_another_child,
    a_late_outcome_of_the_child_before_a_rerun_changes_nothing,
]
