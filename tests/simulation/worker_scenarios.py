"""Told schedules of workers: what they hand back, die over, or cannot read."""

from __future__ import annotations

from collections.abc import Callable

from batuta_core.decider.on_task import LOST_LEASES_MAX
from batuta_core.engine import advance
from batuta_core.engine.ports import Outgoing
from batuta_core.model.event import TaskDeadLettered, TaskHandedBack, TaskStarted, TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import SCHEMA, InboxMessage, TaskMessage
from batuta_core.model.place import TaskPlace
from batuta_core.simulator.worker import Outcome, SdkWorker
from tests.simulation.invariants import Watcher, require
from tests.simulation.stage import DiesAfterRecord, begin, one_task, world_of


def twenty_hand_backs_do_not_fail_a_task() -> None:
    watcher = Watcher()
    workload = one_task()
    world = world_of(workload, watcher)
    left = [20]

    def behave(message: TaskMessage) -> Outcome:
        left[0] -= 1
        return Outcome(is_handed_back=True) if left[0] >= 0 else Outcome(output={"n": 1})

    SdkWorker(world, behave)
    execution = begin(world, workload)
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "twenty hand-backs do not fail a task", watcher.last[execution].head)


def a_newer_message_waits_for_a_newer_worker() -> None:
    """For three days the only worker is one that cannot read it; then a newer one comes beside it."""
    watcher = Watcher()
    workload = one_task()
    world = world_of(workload, watcher)
    SdkWorker(world, lambda _message: Outcome(output={"n": 0}), "old", schema=SCHEMA - 1)
    execution = begin(world, workload)
    days_ms = 3 * 24 * 3600_000
    world.run(limit_ms=days_ms)
    waiting = watcher.last[execution]
    task = waiting.head.open["t0"]
    require(task.attempt == 1 and not task.lost, "a message that waits costs no attempt", task)
    require(waiting.seq > 2 * LOST_LEASES_MAX, "the old worker was there", waiting.seq)
    require(waiting.seq < days_ms / 900_000 * 1.5, "waiting costs little: a record in some ten minutes", waiting.seq)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}), "new")
    world.run(limit_ms=3600_000)
    record = watcher.last[execution]
    require(record.head.status.value == "COMPLETED", "the newer worker runs it", record.head)
    require(record.at_ms - waiting.at_ms < 3600_000, "within the hour", record.at_ms - waiting.at_ms)


def a_fleet_half_way_through_its_upgrade_gets_on() -> None:
    watcher = Watcher()
    workload = one_task()
    world = world_of(workload, watcher)
    for number in range(3):
        SdkWorker(world, lambda _message: Outcome(output={"n": 0}), f"old{number}", schema=SCHEMA - 1)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}), "new")
    execution = begin(world, workload)
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "the newer worker gets it in the end", watcher.last[execution].head)


def a_repeated_dead_letter_fails_no_task() -> None:
    """Five hand-backs, and the decider dies when it has taken in that the queue gave the message up."""
    watcher = Watcher()
    workload = one_task()
    world = world_of(workload, watcher)
    left = [5]

    def behave(message: TaskMessage) -> Outcome:
        left[0] -= 1
        return Outcome(is_handed_back=True) if left[0] >= 0 else Outcome(output={"n": 1})

    SdkWorker(world, behave)
    execution = begin(world, workload)
    DiesAfterRecord(world, watcher, lambda record: any(isinstance(event, TaskDeadLettered) for event in record.events))
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "hand-backs never count as lost leases", watcher.last[execution].head)


def five_lost_leases_fail_an_attempt() -> None:
    watcher = Watcher()
    workload = one_task()
    world = world_of(workload, watcher)
    SdkWorker(world, lambda _message: Outcome(is_lost=True))
    execution = begin(world, workload)
    world.run(limit_ms=3600_000)
    head = watcher.last[execution].head
    require(head.status.value == "FAILED" and "5 leases were lost" in (head.reason or ""), "five lost leases fail an attempt", head)


def a_task_of_a_dead_worker_is_finished_by_another() -> None:
    watcher = Watcher()
    workload = one_task()
    world = world_of(workload, watcher)
    died_ms: list[int] = []

    def behave(message: TaskMessage) -> Outcome:
        if not died_ms:
            died_ms.append(world.now_ms)
            return Outcome(is_lost=True, is_slow=True)
        return Outcome(output={"n": 1})

    SdkWorker(world, behave)
    execution = begin(world, workload)
    world.run(limit_ms=3600_000)
    record = watcher.last[execution]
    require(record.head.status.value == "COMPLETED", "another worker finishes it", record.head)
    require(record.at_ms - died_ms[0] <= 31_000, "within the lease", record.at_ms - died_ms[0])


def a_repeated_hand_back_takes_the_task_from_nobody() -> None:
    """A worker hands the task back, another takes it; then the first one's message comes once more."""
    watcher = Watcher()
    workload = one_task()
    world = world_of(workload, watcher)
    execution = begin(world, workload)
    place = watcher.last[execution].head.open["t0"].place
    back = TaskHandedBack(place=place, op="back-1", send=0)
    advance.advance(world.plain, execution, [back], is_redelivered=False)
    taken = TaskStarted(place=place, op="start-2", worker_id="another", call=0)
    advance.advance(world.plain, execution, [taken], is_redelivered=False)
    advance.advance(world.plain, execution, [back], is_redelivered=True)
    task = watcher.last[execution].head.open["t0"]
    require(task.status is TaskStatus.IN_PROGRESS and task.handed_back == ("back-1",), "a hand-back counts once", task)


def a_repeated_report_sends_the_task_out_once() -> None:
    """A worker wants to be called again; its report comes twice."""
    watcher = Watcher()
    workload = one_task()
    world = world_of(workload, watcher)
    execution = begin(world, workload)
    place = watcher.last[execution].head.open["t0"].place
    again = TaskUpdated(place=place, status=TaskStatus.IN_PROGRESS, output={"part": 1}, callback_after_s=5, call=0)
    for is_redelivered in (False, True):
        advance.advance(world.plain, execution, [again], is_redelivered=is_redelivered)
    task = watcher.last[execution].head.open["t0"]
    require((task.calls, task.sends) == (1, 1), "a worker is called again once for each report", task)


def a_result_without_the_tasks_token_is_refused() -> None:
    """Of somebody who may send to the decider queue, and has the token of another task."""
    watcher = Watcher()
    workload = one_task()
    world = world_of(workload, watcher)
    execution = begin(world, workload)
    place = watcher.last[execution].head.open["t0"].place
    done = TaskUpdated(place=place, status=TaskStatus.COMPLETED, output={"forged": True})
    token = world.plain.signer.task_token(execution, TaskPlace(99, 0), 1)
    text = InboxMessage(execution=execution, event=done, token=token, attempt=1).to_text()
    world.queues.send(world.queues.inbox, [Outgoing(text, group=str(execution), dedup="forged")])
    world.run(limit_ms=1000)
    require(watcher.last[execution].seq == 1, "a right to send is no right to complete", watcher.last[execution])


SCENARIOS: list[Callable[[], None]] = [
    twenty_hand_backs_do_not_fail_a_task,
    a_newer_message_waits_for_a_newer_worker,
    a_fleet_half_way_through_its_upgrade_gets_on,
    a_repeated_dead_letter_fails_no_task,
    five_lost_leases_fail_an_attempt,
    a_task_of_a_dead_worker_is_finished_by_another,
    a_repeated_hand_back_takes_the_task_from_nobody,
    a_repeated_report_sends_the_task_out_once,
    a_result_without_the_tasks_token_is_refused,
]
