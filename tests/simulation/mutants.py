"""Faults built into the protocol on purpose, each of which some schedule must catch.

A mutant replaces one piece of source text, which must be there exactly once, while its module is imported. So it changes the
code that really runs, and a mutant whose text is gone fails instead of testing nothing.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType

_SEEDS = 10_000


@dataclass(frozen=True)
class Mutant:
    name: str
    module: str
    old: str
    new: str
    why: str  # what it breaks


MUTANTS: dict[str, Mutant] = {}


def _add(name: str, module: str, old: str, new: str, why: str) -> None:
    MUTANTS[name] = Mutant(name, module, old, new, why)


_add(
    "acknowledge-first",
    "batuta_core.simulator.world",
    """            failed = set(handler(batch))
            done = [message.receipt for message in batch if message.message_id not in failed]
            self.io("queues.delete", self.queues.delete, queue, done)
""",
    """            self.io("queues.delete", self.queues.delete, queue, [message.receipt for message in batch])
            failed = set(handler(batch))
""",
    "a crash in the function loses the message",
)
_add(
    "permits-forgotten-by-the-next-record",
    "batuta_core.engine.fetch",
    """    if newest is not None and newest.head.returned:
""",
    """    if newest is not None and newest.head.returned and False:
""",
    "a decider dies after its record, the next record hides what it returned",
)
_add(
    "permits-forgotten-by-the-guard",
    "batuta_core.engine.advance",
    "            return command in head.returned\n",
    "            return False\n",
    "an API call dies after the record that ends a task: its permit stays out",
)
_add(
    "second-receive-begins-at-once",
    "batuta_core.simulator.worker",
    "if message.is_rated and received.receives > 1:",
    "if False:",
    "what a worker died over is started again without another permit",
)
_add(
    "permit-kept-over-a-callback",
    "batuta_core.decider.outcome",
    """    step.return_permit(task)
    task = replace(task, status=TaskStatus.SCHEDULED""",
    "    task = replace(task, status=TaskStatus.SCHEDULED",
    "a task that is sent again has two permits",
)
_add(
    "permit-for-what-has-ended",
    "batuta_core.engine.gates",
    """        if newest is None or _task(newest, entry, self.gate) is None:
            return False
""",
    """        if newest is None:
            return False
""",
    "what ended while it waited has a permit for ever",
)
_add(
    "admitted-and-not-sent",
    "batuta_core.engine.gates",
    """        for entry in state.unsent:
""",
    """        for entry in self.wanted:
""",
    "an admitter that dies before it sends leaves a task that nobody sends",
)
_add(
    "wake-not-armed",
    "batuta_core.engine.gates",
    """        if state.is_wake_unsent:
            timers""",
    """        if state.is_wake_unsent and False:
            timers""",
    "nobody looks when the window is over",
)
_add(
    "start-counted-from-its-admission",
    "batuta_core.decider.permits",
    """if told.started_ms else now_ms
""",
    """if told.started_ms else found.admitted_ms
""",
    "a start that nobody told is taken for an early one",
)
_add(
    "rate-of-what-lies-in-the-queue",
    "batuta_core.decider.permits",
    "limits.rate - _on_the_way(state) - sum(",
    "limits.rate - sum(",
    "what is admitted and not yet started does not count",
)
_add(
    "line-forgotten",
    "batuta_core.engine.gates",
    "has_waiting=len(page) == wanted)",
    "has_waiting=bool(self.gone))",
    "who stays in line is forgotten",
)
_add(
    "line-not-noted",
    "batuta_core.engine.gates",
    """            state = replace(state, has_waiting=True)
""",
    """            pass
""",
    "who is put in line is not looked for",
)
_add(
    "new-limits-told-without-a-guard",
    "batuta_core.engine.limits",
    """    for gate in changed:
        timers.wake_gate(ports, gate, 0)
""",
    "",
    "a raised limit lets nobody in when the caller dies",
)
_add(
    "acknowledge-before-dispatch",
    "batuta_core.engine.advance",
    """        dispatch(ports, execution, record, (*again, *record.commands))
        return record
""",
    """        try:
            dispatch(ports, execution, record, (*again, *record.commands))
        except Unavailable:
            pass
        return record
""",
    "the message is deleted although its record was not dispatched",
)
_add(
    "dispatch-before-commit",
    "batuta_core.engine.advance",
    """        try:
            ports.journal.append(execution, record, raw)
""",
    """        dispatch(ports, execution, record, record.commands)
        try:
            ports.journal.append(execution, record, raw)
""",
    "what was never committed is run",
)
_add(
    "guard-after-commit",
    "batuta_core.engine.operate",
    """        if is_guarded:
            timers.send_guard(ports, execution, record.seq)
        if ports.clock.now_ms() - began_ms > timers.WRITER_LIFE_MS:
            raise Unavailable(f"{execution}: the call took longer than its guard waits; nothing was done")
        try:
            ports.journal.append(execution, record, raw)
""",
    """        try:
            ports.journal.append(execution, record, raw)
            if is_guarded:
                timers.send_guard(ports, execution, record.seq)
""",
    "an API call that dies right after its commit is looked after by nobody",
)
_add(
    "guard-of-a-start-after-commit",
    "batuta_core.engine.start",
    """    timers.send_guard(ports, execution, record.seq)
    if ports.clock.now_ms() - began_ms > timers.WRITER_LIFE_MS:
        raise Unavailable("the start took longer than its guard waits; nothing was started")
    try:
        ports.journal.append(execution, record, raw)
""",
    """    try:
        ports.journal.append(execution, record, raw)
        timers.send_guard(ports, execution, record.seq)
""",
    "a start that dies right after its commit is looked after by nobody",
)
_add(
    "no-guard",
    "batuta_core.engine.timers",
    """    _send(ports, [(TimerMessage(execution=execution, record=record), GUARD_DELAY_S)])
""",
    """    return None
""",
    "API calls have no guard at all",
)
_add(
    "guard-shorter-than-its-writer",
    "batuta_core.engine.timers",
    "GUARD_DELAY_S = 60\n",
    "GUARD_DELAY_S = 2\n",
    "the guard looks before its writer has written",
)
_add(
    "no-redispatch-on-redelivery",
    "batuta_core.engine.advance",
    "if newest and (is_redelivered or (was_refused and is_known)) else ()",
    "if newest and (was_refused and is_known) else ()",
    "a crash between commit and dispatch is never made good",
)
_add(
    "no-redispatch-after-a-refusal",
    "batuta_core.engine.advance",
    """            if refused.existing.to_json() != record.to_json():
                was_refused = True
                ports.clock.pause(tries)
                newest = ports.journal.newest(execution)
                continue
""",
    """            return refused.existing
""",
    "one's own write whose reply was lost counts as somebody else's business",
)
_add(
    "last-commands-of-an-ended-head-forgotten",
    "batuta_core.engine.dispatch",
    "*lives.revival(head), *head.returned, *timer, *last)",
    "*lives.revival(head), *head.returned, *timer)",
    "an execution that ended while its decider died keeps its summary, failure workflow or purge undone",
)
_add(
    "stale-timer-ignored",
    "batuta_core.decider.decide",
    """    did = _miss_workflow_deadline(step) or did
""",
    """    if not is_mark:
        return False
    did = _miss_workflow_deadline(step) or did
""",
    "a timer that the head does not name shows no deadline (harmless only while the head's own comes)",
)
_add(
    "firing-of-the-mark-not-committed",
    "batuta_core.decider.decide",
    "    return did or is_mark\n",
    "    return did\n",
    "a timer that fired too early for its deadline is never armed again",
)
_add(
    "stale-timer-armed-again-without-a-commit",
    "batuta_core.engine.advance",
    """        if decision.record is None:
            if newest and again:
""",
    """        if decision.record is None:
            if newest and newest.head.mark:
                from batuta_core.engine import timers as t
                t.arm(ports, execution, newest.head.mark.timer, newest.head.mark.due_ms)
            if newest and again:
""",
    "timers that are armed without a record multiply",
)
_add(
    "mark-judged-by-a-clock",
    "batuta_core.decider.decide",
    "mark.due_ms + MARK_OVERDUE_MS < step.now_ms",
    "mark.due_ms < step.now_ms",
    "a mark whose timer is on its way counts as none, because some machine's clock says so",
)
_add(
    "fired-mark-kept",
    "batuta_core.decider.decide",
    "if mark is not None and (mark.timer in fired or ",
    "if mark is not None and (",
    "the head relies on a timer that has fired",
)
_add(
    "timer-does-not-prove-its-time",
    "batuta_core.decider.decide",
    "    now_ms = max([now_ms, *(event.due_ms for event in events if isinstance(event, TimerFired))])\n",
    "",
    "a clock that is behind finds nothing due and arms for the past, again and again",
)
_add(
    "task-ids-of-reference-and-attempt-only",
    "batuta_core.decider.step",
    """        return TaskPlace(self.draft.seq, self._scheduled_here)
""",
    """        return TaskPlace(1, self.task_count)
""",
    "a task's id does not name the record that scheduled it",
)
_add(
    "timer-deduplicated-by-due-time",
    "batuta_core.engine.timers",
    "dedup=received.message_id))",
    "dedup=f'{message.execution}/{message.due_ms // 300_000}'))",
    "the second firing of a moment is swallowed",
)
_add(
    "no-token-check",
    "batuta_core.model.message",
    """            is_proven = isinstance(event, _FROM_WORKERS) and signer.is_task_token(token, execution, event.place, attempt)
""",
    """            is_proven = True
""",
    "a right to send is a right to complete",
)
_add(
    "summary-written-unconditionally",
    "batuta_core.simulator.store",
    """        if old is not None and old.record >= summary.record:
            return False
""",
    "",
    "a late writer brings an older status back",
)
_add(
    "purge-forgets-the-failure-workflow",
    "batuta_core.decider.outcome",
    "step.last = (*_undone(step), Purge())",
    "step.last = (Purge(),)",
    "what a failure workflow is told of is gone before it is told",
)
_add(
    "old-head-believed",
    "batuta_core.engine.advance",
    """    if decision.record is None or len(decision.record.events) < len(events):
        return None
    before_new_life""",
    """    if decision.record is None:
        return glanced
    before_new_life""",
    "a result that says nothing to an old head is dropped",
)
_add(
    "refused-glance-taken-for-done",
    "batuta_core.engine.advance",
    """        if refused.existing.to_json() != plain:  # else it is our own, from a write whose reply was lost
            raise
    dispatch(ports, execution, record, record.commands)
    return record


def _commit(""",
    """        return refused.existing
    dispatch(ports, execution, record, record.commands)
    return record


def _commit(""",
    "what another decision was made of is dropped",
)
_add(
    "refusal-of-a-glance-forgotten",
    "batuta_core.engine.advance",
    """        except Refused:
            was_refused = True
        else:
""",
    """        except Refused:
            pass
        else:
""",
    "what another delivery committed, and died before it was done, is left to nobody",
)
_add(
    "join-before-its-branches",
    "batuta_core.decider.tasks.join",
    "                return any(begin <= step.graph.nodes[open_].position < end for open_ in step.open if open_ in step.graph.nodes)\n",
    "                return False\n",
    "a join goes on before the last task of a branch has begun",
)
_add(
    "earlier-iteration-joined",
    "batuta_core.decider.tasks.join",
    'return not is_beside or ended.number > step.open[node.loop or ""].since',
    "return True",
    "a join in a loop takes the outputs of the iteration before",
)
_add(
    "late-branch-forgotten",
    "batuta_core.decider.decide",
    "or ref in read or (joins and ref not in step.graph.nodes)",
    "or ref in read",
    "a dynamic fork's join finds nothing of the branches that ended in earlier records",
)
_add(
    "missing-queue-asked-for-once-only",
    "batuta_core.engine.timers",
    """            event = QueueMade(""",
    """            continue
            event = QueueMade(""",
    "a task whose type was not known before is never sent",
)
_add(
    "dead-letter-of-an-old-message-counted",
    "batuta_core.decider.on_task",
    """            if _is_of_old_message(task, event.send) or (node.type.system_queue and task.status is not TaskStatus.SCHEDULED):
                return False
            _dead_lettered(""",
    """            _dead_lettered(""",
    "hand-backs count as lost leases when the dead letter is delivered twice",
)
_add(
    "hand-back-counted-twice",
    "batuta_core.decider.on_task",
    "_is_of_old_message(task, event.send) or event.op in task.handed_back:",
    "_is_of_old_message(task, event.send):",
    "a repeat takes the task from who has it by now",
)
_add(
    "note-of-a-later-call-taken-for-all",
    "batuta_core.simulator.store",
    "if old is not None and after <= old.dispatched < record:",
    "if old is not None and old.dispatched < record:",
    "a call that comes to its end vouches for one before it that did not",
)
_add(
    "summary-before-dispatch",
    "batuta_core.engine.dispatch",
    """    wanted = list(dict.fromkeys(commands))
    tasks =""",
    """    wanted = list(dict.fromkeys(commands))
    if is_guarded:
        ports.summaries.write(summary_of(execution, newest, graph_of(ports, execution.namespace, newest.head.definition), newest.seq))
    tasks =""",
    "the API notes that it is done before it is",
)
_add(
    "late-result-wins",
    "batuta_core.decider.on_task",
    """    task = _open_at(step, event.place)
""",
    """    task = _open_at(step, event.place) or next(iter(step.open.values()), None)
""",
    "a result of an attempt that has ended is taken for another",
)
_add(
    "late-call-again-taken",
    "batuta_core.decider.on_task",
    "if _is_late(task, event.call) and (event.status is TaskStatus.IN_PROGRESS or node.type.system_queue):",
    "if _is_late(task, event.call) and node.type.system_queue:",
    "a repeat of an IN_PROGRESS report sends the task out once more",
)
_add(
    "hand-backs-count-as-lost",
    "batuta_core.decider.on_task",
    "max(event.receives - len(task.handed_back), 0))",
    "event.receives)",
    "a worker that shuts down politely fails the task",
)
_add(
    "newer-message-left-alone",
    "batuta_core.simulator.worker",
    """            if envelope.schema > self._schema:
                self._let_wait(queue, received, envelope)
                continue
""",
    """            if envelope.schema > self._schema:
                continue
""",
    "a task whose message the workers cannot read yet fails as if they had died",
)
_add(
    "newer-message-hidden-for-no-time",
    "batuta_core.model.message",
    "return min(max(waited_s, NEWER_WAIT_MIN_S), NEWER_WAIT_MAX_S)",
    "return NEWER_WAIT_MIN_S",
    "a task that waits for a newer worker costs a record every half a minute",
)
_add(
    "dead-letters-dropped",
    "batuta_core.engine.dead_letters",
    """    if outgoing:
        ports.queues.send(timers.inbox_queue(ports), outgoing)
    return failed


def _task_texts(""",
    """    return failed


def _task_texts(""",
    "a task whose workers died vanishes",
)
_add(
    "cursor-ahead-of-writers",
    "batuta_core.engine.timers",
    "        if minute < closed:\n",
    "        if minute <= horizon:\n",
    "a far timer that is written while its bucket is read is never seen",
)
_add(
    "far-timers-deleted-before-sent",
    "batuta_core.engine.timers",
    """                needed = [timer for timer in chunk if looks >= _LOOKS_MAX or _is_needed(ports, timer)]
""",
    """                needed = [timer for timer in chunk if looks >= _LOOKS_MAX or _is_needed(ports, timer)]
                ports.far_timers.delete(chunk)
""",
    "a mover that dies loses what it took",
)
_add(
    "outputs-forgotten-too-early",
    "batuta_core.decider.decide",
    "if step.graph.is_live(ref, front) or",
    "if step.graph.is_live(ref, front + 1) or",
    "an output that an open task's retry reads again is gone",
)
_add(
    "retry-without-limit",
    "batuta_core.decider.outcome",
    "task.attempt <= node.retry_limit",
    "task.attempt <= node.retry_limit + 1",
    "one attempt too many",
)
_add(
    "purge-before-tombstone",
    "batuta_core.engine.operate",
    """        return WorkflowRemoved(op=op)

    operate(ports, execution, make)
""",
    """        ports.payloads.purge(execution)
        return WorkflowRemoved(op=op) if op else None

    operate(ports, execution, make)
    ports.journal.purge(execution, 10**9)
""",
    "nothing is left that would know a late message",
)
_add(
    "leftovers-forgotten",
    "batuta_core.decider.decide",
    "        todo=tuple(step.todo),\n",
    "        todo=(),\n",
    "what a decision with many scripts left to the next one never begins",
)
_add(
    "leftovers-without-a-timer",
    "batuta_core.decider.decide",
    "        if _is_left(step):\n            dues.append(step.now_ms)\n",
    "",
    "nobody takes over what a decision left to the next one",
)
_add(
    "news-left-are-forgotten",
    "batuta_core.decider.decide",
    "        has_news=_is_left(step) and step.has_news,\n",
    "",
    "a loop whose condition the decision had no time for never goes on",
)
_add(
    "leftover-branches-without-their-fork",
    "batuta_core.decider.decide",
    "        todo=tuple(step.todo),\n",
    "        todo=tuple(begin._replace(fork=None) for begin in step.todo),\n",
    "the next decision does not find what a dynamic fork made",
)
_add(
    "leftover-branches-do-not-read",
    "batuta_core.decider.decide",
    "    if any(begin.fork for begin in step.todo):",
    "    if False:",
    "outputs that only the branches left of a dynamic fork read are dropped from the head",
)
_add(
    "leftovers-lost-at-the-end",
    "batuta_core.decider.step",
    "        if status in (WorkflowStatus.COMPLETED, WorkflowStatus.REMOVED):",
    "        if True:",
    "a retry does not go on with what never began",
)
_add(
    "leftovers-begun-again",
    "batuta_core.decider.new_life",
    "step.todo = deque([Begin(step.graph.first)])",
    "step.todo.append(Begin(step.graph.first))",
    "a restart begins what the former life had left",
)
_add(
    "leftovers-do-not-read",
    "batuta_core.decider.decide",
    "    ahead = (*step.open, *(begin.ref for begin in step.todo), *(",
    "    ahead = (*step.open, *(",
    "outputs that only what is left reads are dropped from the head",
)
_add(
    "scripts-sent-to-workers",
    "batuta_core.decider.tasks.scripts",
    "        return replace(task, due_ms=task.due_ms or step.now_ms + 1)",
    "        return step.enqueue(task)",
    "another attempt of a script waits for a worker that never comes",
)
_add(
    "late-is-hopeless",
    "batuta_core.decider.tasks.inline",
    "TaskStatus.FAILED if result.is_late else TaskStatus.FAILED_WITH_TERMINAL_ERROR",
    "TaskStatus.FAILED_WITH_TERMINAL_ERROR",
    "a script that took too long is not tried again",
)

# --- operations

_add(
    "paused-execution-advances",
    "batuta_core.decider.decide",
    "while step.status is WorkflowStatus.RUNNING and step.may_run_scripts:",
    "while step.is_running and step.may_run_scripts:",
    "a pause stops nothing",
)
_add(
    "flow-forgotten-over-a-pause",
    "batuta_core.decider.step",
    "deque(head.todo)",
    "deque()",
    "what came due in a pause is never begun",
)
_add(
    "failure-forgotten-over-a-pause",
    "batuta_core.decider.operations",
    "    held = list(step.held)\n",
    "    held: list[Any] = []\n",
    "what failed in a pause is neither retried nor fails the execution",
)
_add(
    "failure-judged-in-a-pause",
    "batuta_core.decider.outcome",
    "    if step.is_paused:\n        ended = step.close_task",
    "    if False:\n        ended = step.close_task",
    "a task that fails in a pause is retried in it",
)
_add(
    "pause-spins",
    "batuta_core.decider.decide",
    "    if step.is_running and not step.is_paused:\n        dues +=",
    "    if step.is_running:\n        dues +=",
    "a deadline that passed in a pause is armed again and again",
)
_add(
    "deadlines-forgotten-over-a-pause",
    "batuta_core.decider.decide",
    "    if step.is_running and not step.is_paused:\n        dues +=",
    "    if step.is_running and step.before.status is not WorkflowStatus.PAUSED and not step.is_paused:\n        dues +=",
    "the end of a pause arms no timer",
)
_add(
    "timer-of-a-new-life-not-armed",
    "batuta_core.decider.decide",
    """        step.arm(due_ms)
    return mark""",
    """        if step.before.life != step.draft.seq:
            step.arm(due_ms)
    return mark""",
    "a deadline of the first task after a restart or retry is never missed",
)
_add(
    "retention-removes-a-revived-execution",
    "batuta_core.decider.decide",
    """    if not step.is_running:
        if is_mark and 0 < _end_of_keeping(step) <= step.now_ms:
""",
    """    if not step.is_running or (is_mark and step.before.about.retention_s and step.before.life):
        if is_mark and (step.is_running or 0 < _end_of_keeping(step) <= step.now_ms):
""",
    "the timer that was to remove the ended life removes the running one",
)
_add(
    "result-of-a-former-life-taken",
    "batuta_core.decider.on_task",
    "if task.place == place), None)",
    "if task.place.named == place.named), None)",
    "a task that began anew under its old id is ended by what it was sent before",
)
_add(
    "retry-under-the-old-attempt",
    "batuta_core.decider.new_life",
    "attempt=task.task.attempt + 1, retried",
    "attempt=task.task.attempt, retried",
    "two tasks of one name and attempt",
)
_add(
    "flow-begun-twice-beside",
    "batuta_core.decider.past",
    "(ref := follower(step, node)) is not None",
    "(ref := follower(step, node)) is None",
    "what follows a permissive task is done once more when that is retried",
)
_add(
    "failure-workflow-forgotten-by-a-retry",
    "batuta_core.engine.dispatch",
    "    if newest is not None and record.head.life == record.seq:\n",
    "    if newest is not None and record.head.life == record.seq and execution.namespace == '':\n",
    "whoever ended the execution died, and nobody starts its failure workflow any more",
)
_add(
    "outputs-forgotten-by-a-rerun",
    "batuta_core.decider.new_life",
    "    step.ended = {**standing.ended, **step.skipped}\n",
    "    step.ended = {**step.skipped}\n",
    "what comes behind the task reads nothing of what came before it",
)
_add(
    "outputs-forgotten-by-a-retry",
    "batuta_core.decider.new_life",
    "    step.ended = standing.ended\n",
    "",
    "the retried task and what comes behind it read nothing of what came before",
)
_add(
    "rerun-of-what-is-gone",
    "batuta_core.decider.past",
    "            if begun is None or begun.number < task.number:\n                return None\n",
    "",
    "a task that an earlier rerun took out of view is run again beside the others",
)
_add(
    "former-life-shown",
    "batuta_core.engine.fold",
    "        if isinstance(event, WorkflowRestarted | WorkflowRerun):\n            take_out(tasks, event, execution)\n",
    "        if isinstance(event, WorkflowRerun):\n            take_out(tasks, event, execution)\n",
    "a restarted execution shows the tasks of before",
)
_add(
    "skipped-task-run",
    "batuta_core.decider.outcome",
    "    if begin.ref in step.skipped:\n",
    "    if begin.ref in step.skipped and not step.before.life:\n",
    "a rerun runs what a user had skipped",
)


_add(
    "dead-function-runs-again",
    "batuta_core.decider.on_task",
    "    if node.type.system_queue and not node.type.is_repeatable:",
    "    if False:",
    "a request of which nobody knows whether it was made is made again",
)
_add(
    "second-answer-of-a-function-counts",
    "batuta_core.decider.on_task",
    "and (event.status is TaskStatus.IN_PROGRESS or node.type.system_queue):",
    "and event.status is TaskStatus.IN_PROGRESS:",
    "the error of a request made twice ends what the first one began",
)
_add(
    "functions-queue-delays",
    "batuta_core.decider.timeout",
    "return 0 if node.type.system_queue or gate else DELAY_MAX_MS",
    "return 0 if gate else DELAY_MAX_MS",
    "a request is made before its time: the function's queue holds nothing back",
)


# --- parents and children

_add(
    "lives-of-a-child-not-named",
    "batuta_core.decider.on_child",
    "if task is None or event.life < task.life:",
    "if task is None:",
    "the end of a child's earlier life ends the task that waits for its present one",
)
_add(
    "stops-not-named-by-life",
    "batuta_core.decider.lives",
    "if stop.place != place or stop.life > life)",
    "if stop.place != place)",
    "the end of an earlier life is taken for the answer to a stop of the present one",
)
_add(
    "stop-of-an-earlier-life",
    "batuta_core.decider.on_child",
    " or event.life < lives.life_of(step.before):",
    ":",
    "a late stop ends a child that was retried since",
)
_add(
    "stop-before-the-start-writes-nothing",
    "batuta_core.engine.child",
    "return isinstance(event, WorkflowStarted | StoppedByParent)",
    "return isinstance(event, WorkflowStarted)",
    "a late start begins a child that nobody waits for, and its parent waits for the stop to be heard",
)
_add(
    "stop-before-the-start-runs-the-child",
    "batuta_core.decider.decide",
    "isinstance(other, StoppedByParent | WorkflowBroken) for other",
    "isinstance(other, WorkflowBroken) for other",
    "a child that is stopped before it begins does something",
)
_add(
    "removal-orphans-a-child",
    "batuta_core.decider.outcome",
    "    step.last = (*_undone(step), *cut_short)\n",
    "    step.last = (*_undone(step), *cut_short)\n    step.stops = ()\n",
    "the child of a removed execution goes on",
)
_add(
    "removed-child-tells-nobody",
    "batuta_core.decider.outcome",
    "lives.told(step, WorkflowStatus.TERMINATED) if step.is_running else ()",
    "()",
    "the parent of a removed child waits for ever",
)
_add(
    "ended-execution-hears-nothing",
    "batuta_core.decider.on_child",
    "        return is_heard\n    task = replace(",
    "        return False\n    task = replace(",
    "a stop stays open although its child has ended",
)
_add(
    "stop-forgotten-at-the-end",
    "batuta_core.decider.decide",
    "        stops=step.stops,",
    "        stops=step.stops if step.is_running else (),",
    "an ended execution does not know which children it has to stop",
)
_add(
    "a-life-ends-twice",
    "batuta_core.decider.lives",
    "if step.before.about.parent is None or told_of(step.last, life):",
    "if step.before.about.parent is None:",
    "a failed child that is terminated tells of two ends",
)
_add(
    "end-of-a-child-not-kept",
    "batuta_core.decider.outcome",
    "if not isinstance(command, WriteSummary))",
    "if not isinstance(command, WriteSummary | lives.TellParent))",
    "who removes a child that has ended drops what it had to tell",
)
_add(
    "repeated-start-not-answered",
    "batuta_core.engine.child",
    "if tell is not None and not _is_just_taken_in(before, newest, event.op):",
    "if tell is not None and before is None:",
    "what a child told is lost, and asking again does not help",
)
_add(
    "nobody-asks-after-a-child",
    "batuta_core.decider.timeout",
    "        if task.child:\n            yield Due(task.sent_ms + RESEND_MS, Deadline.DELIVERY)\n",
    "",
    "a start, or an end, that the queue has lost is missed by nobody",
)
_add(
    "stops-not-sent-again",
    "batuta_core.decider.lives",
    "return step.stops_ms + RESEND_MS if step.stops else 0",
    "return 0",
    "a stop that the queue has lost is missed by nobody",
)
_add(
    "tombstone-without-output",
    "batuta_core.decider.lives",
    "    step.output = step.known_record(seq).output\n",
    "",
    "a removed child that is asked again has lost its output",
)
_add(
    "begun-told-once",
    "batuta_core.engine.child",
    "if isinstance(event, WorkflowStarted) and event.starter is not None:",
    "if isinstance(event, WorkflowStarted) and event.starter is not None and before is None:",
    "a START_WORKFLOW whose answer was lost in a crash waits",
)
_add(
    "attempts-share-a-child",
    "batuta_core.decider.lives",
    "ids.child_workflow_id(workflow_id, place.record,",
    "ids.child_workflow_id(workflow_id, 0,",
    "the second attempt finds the child of the first",
)
_add(
    "child-outlives-its-task",
    "batuta_core.decider.step",
    "if task.child and self.node_of(task).type.runs_child:",
    "if task.child and self.node_of(task).type.runs_child and status is TaskStatus.CANCELED:",
    "the child of a task that timed out goes on",
)
_add(
    "children-not-started-again",
    "batuta_core.engine.dispatch",
    "return (*tasks, *children, *head.stops,",
    "return (*tasks, *head.stops,",
    "a crash between commit and dispatch loses the start of a child",
)
_add(
    "stops-not-dispatched-again",
    "batuta_core.engine.dispatch",
    "return (*tasks, *children, *head.stops,",
    "return (*tasks, *children,",
    "a crash between commit and dispatch loses the stop of a child",
)
_add(
    "stopped-child-has-a-failure-workflow",
    "batuta_core.decider.on_child",
    "event.reason, is_failure_handled=False)",
    "event.reason, is_failure_handled=True)",
    "a child that its parent stops runs its failure workflow",
)
_add(
    "branch-of-the-fork-before",
    "batuta_core.decider.step",
    "(ref in self.forked and self.forked[ref][1] == fork)",
    "ref in self.forked",
    "in a loop the branches of a dynamic fork count as those of the iteration before",
)
_add(
    "too-large-is-passed-over",
    "batuta_core.engine.advance",
    """            events = [*first, broken_by(error, "too-large")]
            continue
""",
    """            events = [*first, broken_by(error, "too-large")]
            return newest
""",
    "what fits into no record is acknowledged, and nothing follows",
)


# --- events and what handlers do about them

_add(
    "event-not-published-again",
    "batuta_core.decider.tasks.event",
    "is_repeatable = True",
    "is_repeatable = False",
    "an event whose function died is lost for the handlers that had not acted",
)
_add(
    "failing-handler-forgotten",
    "batuta_core.engine.handle",
    """                again = error
    if again is not None:
        raise again


def _is_passing""",
    """                pass


def _is_passing""",
    "an event that a handler could not deal with now counts as dealt with",
)
_add(
    "action-done-again",
    "batuta_core.engine.operate",
    "event = None if once is not None and once.is_done(ports, execution, newest) else make_event(newest)",
    "event = make_event(newest)",
    "an action whose function died after it is carried out again: two values, two failed attempts",
)
_add(
    "action-looked-for-from-now-on",
    "batuta_core.engine.handle",
    "    note = ports.actions.begin(note) or note\n",
    "    ports.actions.begin(note)\n",
    "a repeat looks for the action behind where it finds the execution, and not where the first one did",
)
_add(
    "action-recorded-before-it-is-done",
    "batuta_core.engine.handle",
    "    note = ports.actions.begin(note) or note\n",
    "    note = ports.actions.begin(replace(note, status=ActionStatus.COMPLETED)) or note\n",
    "an action whose function died before it is never done",
)
_add(
    "started-by-event-under-a-new-id",
    "batuta_core.engine.handle",
    "workflow_id = ids.workflow_id_of_event(note.namespace, note.message_id, note.handler, note.index)",
    "workflow_id = ports.ids.workflow_id()",
    "an event that comes again starts another execution",
)
_add(
    "event-of-a-rerun-taken-for-a-repeat",
    "batuta_core.engine.publish",
    'return f"{message.task_id}.{message.place.rerun}" if message.place.rerun else message.task_id',
    "return message.task_id",
    "handlers do nothing about the event of a task that is run anew",
)
_add(
    "event-reported-first",
    "batuta_core.engine.publish",
    """        outcome = _outcome(ports, sinks, message)
        _report(ports, message, outcome, began_ms)""",
    """        _report(ports, message, _Outcome(TaskStatus.COMPLETED), began_ms)
        outcome = _outcome(ports, sinks, message)""",
    "a task says that its event is published before it is",
)
_add(
    "a-branch-ends-it-before-the-others-begin",
    "batuta_core.decider.outcome",
    "    while step.has_beside:\n",
    "    while False:\n",
    "what a fork begins depends on the order of its branches",
)
_add(
    "workers-hear-of-branches-that-are-over",
    "batuta_core.decider.outcome",
    "[command for command in step.draft.commands[before:] if not isinstance(command, EnqueueTask)]",
    "step.draft.commands[before:]",
    "a worker runs a task of an execution that ended in the record that made it",
)
_add(
    "a-users-look-is-as-late-as-a-timer",
    "batuta_core.decider.timeout",
    "late_ms = 0 if is_asked else node.type.limit_late_ms",
    "late_ms = node.type.limit_late_ms",
    "decide looks at no limit of a WAIT",
)
_add(
    "a-users-look-always-makes-a-record",
    "batuta_core.decider.decide",
    "is_mark = mark is not None and mark.timer == event.timer\n",
    "is_mark = mark is not None and event.timer in (mark.timer, NO_TIMER)\n",
    "an execution's journal grows by looking at it",
)


_add(
    "stop-forgotten-after-a-restart",
    "batuta_core.decider.new_life",
    "    step.reason = None\n",
    "    step.reason = None\n    step.stops = ()\n",
    "the child of a former life goes on beside the new one",
)
_add(
    "end-not-named-by-life",
    "batuta_core.decider.lives",
    "record=step.draft.seq, life=life, seen=",
    "record=step.draft.seq, life=1, seen=",
    "the parent takes the end of a child's later life for one that it has heard",
)
_add(
    "revival-sent-once",
    "batuta_core.engine.dispatch",
    "*lives.revival(head), *head.returned,",
    "*head.returned,",
    "a parent that was reopened and died before it told its own parent tells nobody",
)
_add(
    "revival-not-looked-after",
    "batuta_core.engine.advance",
    "return command in lives.revival(head)",
    "return False",
    "a call of the API that died after its commit leaves a child that lives again without its parent",
)
_add(
    "late-revival-undoes-a-terminate",
    "batuta_core.decider.revival",
    "is_seen = bool(seen) and seen[0] >= step.before.output_record",
    "is_seen = True",
    "a parent that a user ended after the child was retried runs again",
)
_add(
    "revival-of-generations-forgets-what-was-seen",
    "batuta_core.decider.revival",
    "seen=seen[1:])",
    "seen=())",
    "the grandparent does not know that the user had seen its end",
)
_add(
    "revived-parent-tells-nobody",
    "batuta_core.decider.new_life",
    "        step.command(TellRevival(life=step.draft.seq))\n",
    "        pass\n",
    "a grandparent waits for nobody: what it does not know runs on without it",
)
_add(
    "end-of-an-unheard-life-ignored",
    "batuta_core.decider.on_child",
    "if task is None and event.life > 1:",
    "if task is None and event.life < 1:",
    "the child has ended before its revival came: the parent stays as it was",
)
_add(
    "known-revival-counts-again",
    "batuta_core.decider.revival",
    "    if _is_known(step, event.place, event.life):\n        return is_heard\n",
    "",
    "a late revival stops a life that has ended",
)
_add(
    "revival-of-what-is-over-not-stopped",
    "batuta_core.decider.revival",
    "    lives.order_stop(step, StopChild(place=event.place, definition=event.definition, life=event.life))\n",
    "",
    "a child whose task is over runs on for nobody",
)
_add(
    "revival-does-not-answer-a-stop",
    "batuta_core.decider.revival",
    "is_heard = lives.hear_revival(step, event.place, event.life)",
    "is_heard = False",
    "a stop of a life that is over waits for an end that nobody tells any more",
)
_add(
    "held-failure-stays-over-a-revival",
    "batuta_core.decider.revival",
    "held.task.place == place and held.task.life < life), None)",
    "held.task.place == place and held.task.life > life), None)",
    "a child that is retried while its parent pauses is stopped",
)
_add(
    "answer-taken-for-a-repeat",
    "batuta_core.engine.child",
    "replace(told, dedup=ids.short_hash(told.text, event.op)) for told",
    "told for told",
    "SQS drops the answer to a stop, since the child told the same unasked a moment ago",
)
_add(
    "stillborn-child-begins-again",
    "batuta_core.engine.parents",
    "    if newest.head.task_count:\n",
    "    if newest.seq:\n",
    "a child that was stopped before its start runs without an input",
)
_add(
    "rerun-takes-the-old-child",
    "batuta_core.decider.lives",
    'f"-{place.rerun}" if place.rerun else ""',
    '""',
    "the task that begins anew finds the child of its former life, ended",
)
_add(
    "join-not-open-again",
    "batuta_core.decider.new_life",
    "    for task in again:  # first,",
    "    for task in ():  # first,",
    "the branches of a fork are retried and nobody waits for them",
)
_add(
    "branches-forgotten-by-a-rerun",
    "batuta_core.decider.new_life",
    "    step.todo.extend(back.begins)\n",
    "",
    "the branches behind the one that is rerun, and their join, never begin",
)
_add(
    "flow-beside-a-rerun-forgotten",
    "batuta_core.decider.new_life",
    "    for task in back.done:\n",
    "    for task in ():\n",
    "a branch that had ended its first task does not go on to its second",
)
_add(
    "siblings-forgotten-by-a-rerun",
    "batuta_core.decider.rewind",
    "for other in (task, *beside) if",
    "for other in (task,) if",
    "what had failed beside the task that is rerun stays failed, and the join waits",
)
_add(
    "round-forgotten-by-a-rerun",
    "batuta_core.decider.past",
    'rounds=fields["iteration"], since=task_count, is_over=False',
    "since=task_count, is_over=False",
    "a rerun in a loop goes on with another round",
)


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, mutant: Mutant, fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        self._mutant = mutant

    def get_data(self, path: str) -> bytes:
        source = super().get_data(path)
        if not path.endswith(".py"):
            raise OSError("no compiled files for a mutant")
        text = source.decode()
        if text.count(self._mutant.old) != 1:
            raise RuntimeError(f"mutant {self._mutant.name}: its text is there {text.count(self._mutant.old)} times in {path}")
        return text.replace(self._mutant.old, self._mutant.new).encode()


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.origin is None:
            return None
        return importlib.util.spec_from_file_location(fullname, spec.origin, loader=_Loader(self._mutant, fullname, spec.origin))


_add(
    "childs-payload-not-copied",
    "batuta_core.engine.child",
    "given = handed_over(ports, execution, target, assembled(dict(request.input)))",
    "given = assembled(dict(request.input))",
    "a child is given references to payloads that lie with its parent",
)
_add(
    "parents-payload-not-copied",
    "batuta_core.engine.child",
    "return handed_over(ports, execution, target, end.output) or {}",
    "return end.output or {}",
    "a parent is told references to payloads that lie with its child",
)
_add(
    "copies-after-the-purge",
    "batuta_core.engine.external",
    "if refs and not _is_removed(ports, target):",
    "if refs:",
    "what a removed execution is told once more stays in the bucket for ever",
)
_add(
    "parts-lost-beside-a-large-text",
    "batuta_core.engine.fetch",
    "return replace(ref, holes=tuple(holes_of(value))) if type(value) is Assembled else ref",
    "return ref",
    "an input that leaves its record forgets which of its values are elsewhere",
)
_add(
    "large-payload-loaded",
    "batuta_core.decider.view",
    "if value.size_bytes > PAYLOAD_MAX_BYTES:",
    "if value.size_bytes > 100 * PAYLOAD_MAX_BYTES:",
    "the decider loads what is too large for its memory",
)
_add(
    "upload-of-another-namespace",
    "batuta_core.engine.external",
    "return root == UPLOADS and owner == namespace and _NAME.fullmatch(name) is not None",
    "return root == UPLOADS and _NAME.fullmatch(name) is not None",
    "a tenant starts an execution with what another one uploaded",
)


def install(name: str) -> None:
    """Builds the mutant into its module, which must not be loaded yet."""
    mutant = MUTANTS[name]
    loaded = [module for module in sys.modules if module == mutant.module]
    if loaded:
        for module in [
            module for module in sys.modules if module.startswith(("batuta_core", "tests.simulation.schedule", "tests.simulation.inv"))
        ]:
            del sys.modules[module]
    sys.meta_path.insert(0, _Finder(mutant))


# --- all of them


def _is_caught(name: str) -> tuple[str, bool, str, float]:
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.simulation.run", "--mutant", name, "--seeds", str(_SEEDS), "--jobs", "1", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    first = next((line for line in done.stdout.splitlines() if line.startswith("FAILED")), (done.stderr.splitlines() or ["?"])[-1])
    return name, done.returncode == 1 and first.startswith("FAILED"), first, time.monotonic() - began


def main() -> int:
    """Exit status 1 when one survives."""
    names = sys.argv[1:] or list(MUTANTS)
    survivors = []
    with ThreadPoolExecutor(2) as pool:
        for name, is_caught, first, took_s in pool.map(_is_caught, names):
            print(f"{'caught' if is_caught else 'SURVIVED':<9} {name:<45} {took_s:5.1f} s  {first[:110]}", flush=True)
            if not is_caught:
                survivors.append(name)
    print(f"mutants: {len(names)} of the protocol, {len(names) - len(survivors)} caught, {len(survivors)} survived {survivors or ''}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
