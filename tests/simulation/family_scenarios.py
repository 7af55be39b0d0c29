"""Schedules with parents and children, told step by step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from batuta_core.decider import lives
from batuta_core.decider.outcome import PURGE_AFTER_MS
from batuta_core.decider.timeout import RESEND_MS
from batuta_core.engine import advance, catalog, operate, timers
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.ports import Incoming, Queues
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.command import TellParent
from batuta_core.model.event import WorkflowTerminated
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.family_event import ChildEnded, StoppedByParent
from batuta_core.model.message import TaskMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.place import ParentTask
from batuta_core.model.record import Head
from batuta_core.simulator.faults import Crash, Fault
from batuta_core.simulator.worker import Outcome, SdkWorker
from batuta_core.simulator.world import World
from tests.simulation.invariants import Watcher, nothing_is_left, require
from tests.simulation.stage import Once

NAMESPACE = "sim"
DAY_MS = 24 * 3600 * 1000


class Family:
    """A parent whose only task runs a child whose only task is a worker's; no worker is there yet."""

    def __init__(self, **child: str) -> None:
        self.watcher = Watcher()
        self.world = World(1, on_append=self.watcher)
        task = {"name": "work", "taskReferenceName": "t", "type": "SIMPLE"}
        run = {"name": "run", "taskReferenceName": "s", "type": "SUB_WORKFLOW", "subWorkflowParam": {"name": "child"}}
        # No limits on the worker's task: nothing but the protocol's own timers moves anything.
        catalog.register_tasks(self.world.plain, NAMESPACE, [{"name": "work", "retryCount": 0, "responseTimeoutSeconds": 10**8}])
        work: list[dict[str, Any]] = [{"name": name, "tasks": [task]} for name in ("child", "handler")]
        work[0].update(child)
        definitions = [*work, {"name": "parent", "tasks": [run]}]
        catalog.register_workflows(self.world.plain, NAMESPACE, definitions, no_javascript)
        self.parent = self.begin("parent")
        self.place = self.head(self.parent).open["s"].place
        self.child = ExecutionId(NAMESPACE, lives.child_id(self.parent.workflow_id, self.place))

    def begin(self, name: str) -> ExecutionId:
        request = StartRequest(namespace=NAMESPACE, name=name)
        return ExecutionId(NAMESPACE, start(request, self.world.plain, no_javascript))

    def head(self, execution: ExecutionId) -> Head:
        return self.watcher.last[execution].head

    def status(self, execution: ExecutionId) -> str:
        return self.head(execution).status.value

    def settle(self, for_ms: int = 0) -> None:
        end_ms = self.world.now_ms + for_ms
        self.world.run(limit_ms=for_ms)
        self.world.now_ms = max(self.world.now_ms, end_ms)

    def work(self) -> None:
        SdkWorker(self.world, lambda _message: Outcome(output={"n": 1}))

    def inbox(self) -> list[Incoming]:
        """What lies on the decider queue, which is empty then."""
        queue = timers.inbox_queue(self.world.plain)
        found = list(self.world.queues.receive(queue, 10, 0))
        self.world.queues.delete(queue, [received.receipt for received in found])
        return found

    def live_again(self, execution: ExecutionId, change: Callable[[Head], Head]) -> None:
        """A record as a retry would write it: it changes the head and nothing else."""
        newest = self.world.journal.newest(execution)
        if newest is None:
            raise AssertionError(execution)
        record = replace(
            newest, seq=newest.seq + 1, events=(), changes=(), commands=(), variables=None, output=None, head=change(newest.head)
        )
        self.world.journal.append(execution, record, record.to_json())


def a_stop_before_the_start_begins_an_ended_child() -> None:
    family = Family()
    started = family.inbox()
    operate.terminate(family.world.plain, family.parent, "enough")
    require(family.child not in family.watcher.last, "the start has not come yet", family.child)
    family.settle()
    require(family.status(family.child) == "TERMINATED", "a stop that finds no child begins it, ended", family.watcher.last)
    require(not family.head(family.parent).stops, "the stop is heard", family.head(family.parent))
    advance.advance_batch(family.world.plain, started)
    family.settle()
    records = family.watcher.records[family.child]
    require(len(records) == 1 and not records[0].changes, "a late start finds that", records)


def an_end_of_an_earlier_life_is_not_heard() -> None:
    family = Family()
    family.settle()
    family.live_again(family.parent, lambda head: replace(head, open={"s": replace(head.open["s"], life=3)}))
    old = ChildEnded(place=family.place, status=WorkflowStatus.FAILED, reason="old")
    advance.advance(family.world.plain, family.parent, [old], is_redelivered=False)
    require(family.status(family.parent) == "RUNNING", "an end of an earlier life changes nothing", family.head(family.parent))
    operate.terminate(family.world.plain, family.parent, "enough")
    advance.advance(family.world.plain, family.parent, [old], is_redelivered=False)
    stops = family.head(family.parent).stops
    require([stop.life for stop in stops] == [3], "nor does it answer the stop of a later life", stops)
    new = ChildEnded(place=family.place, status=WorkflowStatus.TERMINATED, life=3)
    advance.advance(family.world.plain, family.parent, [new], is_redelivered=False)
    require(not family.head(family.parent).stops, "the end of that life does", family.head(family.parent))


def a_stop_of_an_earlier_life_stops_nothing() -> None:
    family = Family()
    family.settle()
    family.live_again(family.child, lambda head: replace(head, life=2))
    head = family.head(family.child)
    link = ParentTask(family.parent.workflow_id, *family.place.named)
    stop = StoppedByParent(op="stop", parent=link, definition=head.definition, name="child", version=1)
    advance.advance(family.world.plain, family.child, [stop], is_redelivered=False)
    require(family.status(family.child) == "RUNNING", "a stop of an earlier life stops nothing", family.head(family.child))
    advance.advance(family.world.plain, family.child, [replace(stop, life=2)], is_redelivered=False)
    require(family.status(family.child) == "TERMINATED", "a stop of this life does", family.head(family.child))


def a_lost_end_is_asked_for() -> None:
    """The queue forgets what the child told: nobody has looked at it for 14 days."""
    family = Family()
    family.settle()
    operate.terminate(family.world.plain, family.child, "enough")
    require(len(family.inbox()) == 1, "the child tells its parent", family.child)
    family.settle(RESEND_MS - DAY_MS)
    require(family.status(family.parent) == "RUNNING", "that is lost", family.head(family.parent))
    family.settle(2 * DAY_MS)
    require(family.status(family.parent) == "TERMINATED", "the parent asks again in time", family.head(family.parent))


def a_lost_start_comes_again() -> None:
    family = Family()
    require(len(family.inbox()) == 1, "the parent starts its child", family.parent)
    family.work()
    family.settle(RESEND_MS + DAY_MS)
    require(family.status(family.parent) == "COMPLETED", "the parent asks again in time", family.head(family.parent))


def a_lost_stop_comes_again() -> None:
    family = Family()
    family.settle()
    operate.terminate(family.world.plain, family.parent, "enough")
    require(len(family.inbox()) == 1, "the parent stops its child", family.parent)
    family.settle(RESEND_MS + DAY_MS)
    require(family.status(family.child) == "TERMINATED", "the parent stops it again in time", family.head(family.child))
    require(not family.head(family.parent).stops, "and hears of it", family.head(family.parent))


def a_removed_parent_stops_its_child() -> None:
    """The stop is lost until after the purge: the tombstone sends it again, hears of the end, and is alone again."""
    family = Family()
    family.settle()
    operate.remove(family.world.plain, family.parent, is_archived=False)
    require(len(family.inbox()) == 1, "the removed parent stops its child", family.parent)
    family.settle(2 * PURGE_AFTER_MS)
    nothing_is_left(family.world, family.parent)
    family.settle(RESEND_MS + DAY_MS)
    require(family.status(family.child) == "TERMINATED", "the tombstone keeps the stop", family.head(family.child))
    require(not family.head(family.parent).stops, "the tombstone hears of the end", family.head(family.parent))
    nothing_is_left(family.world, family.parent)


def a_tombstone_answers_with_the_output() -> None:
    family = Family()
    started = family.inbox()
    advance.advance_batch(family.world.plain, started)
    operate.update_by_ref(family.world.plain, family.child, "t", operate.TaskReport(status=TaskStatus.COMPLETED, output={"n": 7}))
    operate.remove(family.world.plain, family.child, is_archived=True)
    for _ in range(4):
        family.inbox()
        family.world.now_ms += 40_000
        timers_queue = family.world.queues.timers
        due = list(family.world.queues.receive(timers_queue, 10, 0))
        timers.fire(family.world.plain, due)
        family.world.queues.delete(timers_queue, [received.receipt for received in due])
        for received in family.inbox():
            if '"timer_fired"' in received.text and family.child.workflow_id in received.text:
                advance.advance_batch(family.world.plain, [received])
    nothing_is_left(family.world, family.child)
    family.inbox()
    family.world.now_ms += 300_000  # SQS takes the same message again
    require(family.status(family.parent) == "RUNNING", "the parent has heard nothing", family.head(family.parent))
    family.world.plain.cache.records.clear()  # whoever answers has not seen the records that are gone
    advance.advance_batch(family.world.plain, started)
    family.settle()
    output = family.watcher.last[family.parent].output
    require(output == {"n": 7, "subWorkflowId": family.child.workflow_id}, "a tombstone answers with the output", output)


def a_removed_child_ends_the_task() -> None:
    family = Family()
    family.settle()
    operate.remove(family.world.plain, family.child, is_archived=False)
    family.settle()
    require(family.status(family.parent) == "TERMINATED", "removal ends the child for its parent, too", family.head(family.parent))


def a_removed_child_tells_how_it_had_ended() -> None:
    """It dies between the record of its end and the message; its user removes it."""
    family = Family()
    family.settle()
    operate.update_by_ref(family.world.plain, family.child, "t", operate.TaskReport(status=TaskStatus.COMPLETED, output={"n": 7}))
    require(len(family.inbox()) == 1, "the child tells its parent", family.child)
    family.world.now_ms += 300_000  # SQS takes the same message again
    operate.remove(family.world.plain, family.child, is_archived=True)
    family.settle()
    require(family.status(family.parent) == "COMPLETED", "a tombstone keeps what was to be told", family.head(family.parent))
    output = family.watcher.last[family.parent].output
    require(output == {"n": 7, "subWorkflowId": family.child.workflow_id}, "with the output", output)


def a_failed_child_that_is_terminated_has_one_end() -> None:
    family = Family()
    family.settle()
    operate.update_by_ref(family.world.plain, family.child, "t", operate.TaskReport(status=TaskStatus.FAILED, output={}))
    operate.terminate(family.world.plain, family.child, "too late")
    tells = [command for command in family.head(family.child).last if isinstance(command, TellParent)]
    require([tell.status.value for tell in tells] == ["FAILED"], "the first end of a life counts", tells)
    family.settle()
    require(family.status(family.parent) == "FAILED", "for the parent, too", family.head(family.parent))


class Gone:
    """The queues of a process that dies before it sends anything."""

    def __getattr__(self, name: str) -> object:
        raise Crash(name)


def a_start_outlives_a_crash() -> None:
    """The decider dies between the record that begins a parent and the start of its child; the message comes again."""
    family = Family()
    family.settle()
    began = family.watcher.records[family.parent][0].events[0]
    other = ExecutionId(NAMESPACE, "00000000-0000-4000-8000-00000000000b")
    with contextlib.suppress(Crash):
        advance.advance(replace(family.world.plain, queues=cast(Queues, Gone())), other, [began], is_redelivered=False)
    advance.advance(family.world.plain, other, [began], is_redelivered=True)
    family.settle()
    child = ExecutionId(NAMESPACE, lives.child_id(other.workflow_id, family.place))
    require(child in family.watcher.last, "the child is started all the same", family.watcher.last.keys())


def a_child_goes_on_although_its_decider_cannot() -> None:
    """With the child's first record written it is not let to start the grandchild, or does not hear that it has written."""
    for site, fault in (("queues.send", Fault.THROTTLE), ("journal.append", Fault.ECHO)):
        family = Family()
        family.work()
        family.settle(600_000)
        run = {"name": "run", "taskReferenceName": "s", "type": "SUB_WORKFLOW", "subWorkflowParam": {"name": "parent"}}
        catalog.register_workflows(family.world.plain, NAMESPACE, [{"name": "top", "tasks": [run]}], no_javascript)
        top = family.begin("top")
        family.world.faults = Once(site, fault)
        family.settle(600_000)
        require(family.status(top) == "COMPLETED", "the grandchild is started after all", site, fault, family.head(top))


def a_started_execution_says_so_though_its_decider_dies() -> None:
    """START_WORKFLOW: when the other execution's first record is written. The message comes again, and finds that it has begun."""
    family = Family()
    family.settle()
    task = {"name": "s", "taskReferenceName": "s", "type": "START_WORKFLOW", "inputParameters": {"startWorkflow": {"name": "child"}}}
    catalog.register_workflows(family.world.plain, NAMESPACE, [{"name": "starter", "tasks": [task]}], no_javascript)
    starter = family.begin("starter")
    family.world.faults = Once("queues.send", Fault.CRASH_BEFORE)
    family.settle(600_000)
    require(family.status(starter) == "COMPLETED", "the starter hears that it has begun", family.head(starter))


def each_attempt_has_a_child_of_its_own() -> None:
    family = Family()
    fails = [False]

    def behave(_message: TaskMessage) -> Outcome:
        is_bad, fails[:] = fails[0], [False]
        return Outcome(status=TaskStatus.FAILED if is_bad else TaskStatus.COMPLETED, output={"n": 1})

    SdkWorker(family.world, behave)
    family.settle(600_000)
    fails[:] = [True]
    catalog.register_tasks(family.world.plain, NAMESPACE, [{"name": "run", "retryCount": 1, "retryDelaySeconds": 0}])
    parent = family.begin("parent")
    family.settle(600_000)
    require(family.status(parent) == "COMPLETED", "the second attempt does not find the child of the first", family.head(parent))


def a_child_does_not_outlive_its_task() -> None:
    family = Family()
    limits = {"name": "run", "retryCount": 0, "responseTimeoutSeconds": 5, "timeoutSeconds": 10, "timeoutPolicy": "TIME_OUT_WF"}
    catalog.register_tasks(family.world.plain, NAMESPACE, [limits])
    parent = family.begin("parent")
    child = ExecutionId(NAMESPACE, lives.child_id(parent.workflow_id, family.head(parent).open["s"].place))
    family.settle(600_000)
    require(family.status(parent) == "TIMED_OUT", "the task has timed out", family.head(parent))
    require(family.status(child) == "TERMINATED", "and nobody waits for its child", family.head(child))


def a_stop_outlives_a_crash() -> None:
    """The decider dies between the record that ends the parent and the stop of its child; the message comes again."""
    family = Family()
    family.settle()
    cut = WorkflowTerminated(op="cut", reason="enough")
    with contextlib.suppress(Crash):
        advance.advance(replace(family.world.plain, queues=cast(Queues, Gone())), family.parent, [cut], is_redelivered=False)
    require(family.status(family.parent) == "TERMINATED", "that is committed", family.head(family.parent))
    advance.advance(family.world.plain, family.parent, [cut], is_redelivered=True)
    family.settle()
    require(family.status(family.child) == "TERMINATED", "the child is stopped all the same", family.head(family.child))


def a_stopped_child_runs_no_failure_workflow() -> None:
    family = Family(failureWorkflow="handler")
    family.settle()
    operate.terminate(family.world.plain, family.parent, "enough")
    family.settle()
    require(family.status(family.child) == "TERMINATED", "the child is stopped", family.head(family.child))
    require(len(family.watcher.last) == 2, "and nobody handles that as a failure", family.watcher.last.keys())


SCENARIOS = [
    a_start_outlives_a_crash,
    a_child_goes_on_although_its_decider_cannot,
    a_started_execution_says_so_though_its_decider_dies,
    each_attempt_has_a_child_of_its_own,
    a_child_does_not_outlive_its_task,
    a_stop_outlives_a_crash,
    a_stopped_child_runs_no_failure_workflow,
    a_removed_child_tells_how_it_had_ended,
    a_failed_child_that_is_terminated_has_one_end,
    a_stop_before_the_start_begins_an_ended_child,
    an_end_of_an_earlier_life_is_not_heard,
    a_stop_of_an_earlier_life_stops_nothing,
    a_lost_end_is_asked_for,
    a_lost_start_comes_again,
    a_lost_stop_comes_again,
    a_removed_parent_stops_its_child,
    a_tombstone_answers_with_the_output,
    a_removed_child_ends_the_task,
]
