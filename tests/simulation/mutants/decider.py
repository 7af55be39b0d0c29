"""Faults in what is decided: the decider and its task types."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutants

MUTANTS = Mutants()
add = MUTANTS.add

add(
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
add(
    "firing-of-the-mark-not-committed",
    "batuta_core.decider.decide",
    "    return did or is_mark\n",
    "    return did\n",
    "a timer that fired too early for its deadline is never armed again",
)
add(
    "mark-judged-by-a-clock",
    "batuta_core.decider.decide",
    "mark.due_ms + MARK_OVERDUE_MS < step.now_ms",
    "mark.due_ms < step.now_ms",
    "a mark whose timer is on its way counts as none, because some machine's clock says so",
)
add(
    "fired-mark-kept",
    "batuta_core.decider.decide",
    "if mark is not None and (mark.timer in fired or ",
    "if mark is not None and (",
    "the head relies on a timer that has fired",
)
add(
    "timer-does-not-prove-its-time",
    "batuta_core.decider.decide",
    "    now_ms = max([now_ms, *(event.due_ms for event in events if isinstance(event, TimerFired))])\n",
    "",
    "a clock that is behind finds nothing due and arms for the past, again and again",
)
add(
    "task-ids-of-reference-and-attempt-only",
    "batuta_core.decider.step",
    """        return TaskPlace(self.draft.seq, self._scheduled_here)
""",
    """        return TaskPlace(1, self.task_count)
""",
    "a task's id does not name the record that scheduled it",
)
add(
    "purge-forgets-the-failure-workflow",
    "batuta_core.decider.outcome",
    "step.last = (*_undone(step), Purge())",
    "step.last = (Purge(),)",
    "what a failure workflow is told of is gone before it is told",
)
add(
    "join-before-its-branches",
    "batuta_core.decider.tasks.join",
    "                return any(begin <= step.graph.nodes[open_].position < end for open_ in step.open if open_ in step.graph.nodes)\n",
    "                return False\n",
    "a join goes on before the last task of a branch has begun",
)
add(
    "earlier-iteration-joined",
    "batuta_core.decider.tasks.join",
    'return not is_beside or ended.number > step.open[node.loop or ""].since',
    "return True",
    "a join in a loop takes the outputs of the iteration before",
)
add(
    "late-branch-forgotten",
    "batuta_core.decider.decide",
    "or ref in read or (joins and ref not in step.graph.nodes)",
    "or ref in read",
    "a dynamic fork's join finds nothing of the branches that ended in earlier records",
)
add(
    "dead-letter-of-an-old-message-counted",
    "batuta_core.decider.on_task",
    """            if _is_of_old_message(task, event.send) or (node.type.system_queue and task.status is not TaskStatus.SCHEDULED):
                return False
            _dead_lettered(""",
    """            _dead_lettered(""",
    "hand-backs count as lost leases when the dead letter is delivered twice",
)
add(
    "hand-back-counted-twice",
    "batuta_core.decider.on_task",
    "_is_of_old_message(task, event.send) or event.op in task.handed_back:",
    "_is_of_old_message(task, event.send):",
    "a repeat takes the task from who has it by now",
)
add(
    "late-result-wins",
    "batuta_core.decider.on_task",
    """    task = _open_at(step, event.place)
""",
    """    task = _open_at(step, event.place) or next(iter(step.open.values()), None)
""",
    "a result of an attempt that has ended is taken for another",
)
add(
    "late-call-again-taken",
    "batuta_core.decider.on_task",
    "if _is_late(task, event.call) and (event.status is TaskStatus.IN_PROGRESS or node.type.system_queue):",
    "if _is_late(task, event.call) and node.type.system_queue:",
    "a repeat of an IN_PROGRESS report sends the task out once more",
)
add(
    "hand-backs-count-as-lost",
    "batuta_core.decider.on_task",
    "max(event.receives - len(task.handed_back), 0))",
    "event.receives)",
    "a worker that shuts down politely fails the task",
)
add(
    "outputs-forgotten-too-early",
    "batuta_core.decider.decide",
    "if step.graph.is_live(ref, front) or",
    "if step.graph.is_live(ref, front + 1) or",
    "an output that an open task's retry reads again is gone",
)
add(
    "retry-without-limit",
    "batuta_core.decider.outcome",
    "task.attempt <= node.retry_limit",
    "task.attempt <= node.retry_limit + 1",
    "one attempt too many",
)
add(
    "leftovers-forgotten",
    "batuta_core.decider.decide",
    "        todo=tuple(step.todo),\n",
    "        todo=(),\n",
    "what a decision with many scripts left to the next one never begins",
)
add(
    "leftovers-without-a-timer",
    "batuta_core.decider.decide",
    "        if _is_left(step):\n            dues.append(step.now_ms)\n",
    "",
    "nobody takes over what a decision left to the next one",
)
add(
    "news-left-are-forgotten",
    "batuta_core.decider.decide",
    "        has_news=_is_left(step) and step.has_news,\n",
    "",
    "a loop whose condition the decision had no time for never goes on",
)
add(
    "leftover-branches-without-their-fork",
    "batuta_core.decider.decide",
    "        todo=tuple(step.todo),\n",
    "        todo=tuple(begin._replace(fork=None) for begin in step.todo),\n",
    "the next decision does not find what a dynamic fork made",
)
add(
    "leftover-branches-do-not-read",
    "batuta_core.decider.decide",
    "    if any(begin.fork for begin in step.todo):",
    "    if False:",
    "outputs that only the branches left of a dynamic fork read are dropped from the head",
)
add(
    "leftovers-lost-at-the-end",
    "batuta_core.decider.step",
    "        if status in (WorkflowStatus.COMPLETED, WorkflowStatus.REMOVED):",
    "        if True:",
    "a retry does not go on with what never began",
)
add(
    "leftovers-do-not-read",
    "batuta_core.decider.decide",
    "    ahead = (*step.open, *(begin.ref for begin in step.todo), *(",
    "    ahead = (*step.open, *(",
    "outputs that only what is left reads are dropped from the head",
)
add(
    "scripts-sent-to-workers",
    "batuta_core.decider.tasks.scripts",
    "        return replace(task, due_ms=task.due_ms or step.now_ms + 1)",
    "        return step.enqueue(task)",
    "another attempt of a script waits for a worker that never comes",
)
add(
    "late-is-hopeless",
    "batuta_core.decider.tasks.inline",
    "TaskStatus.FAILED if result.is_late else TaskStatus.FAILED_WITH_TERMINAL_ERROR",
    "TaskStatus.FAILED_WITH_TERMINAL_ERROR",
    "a script that took too long is not tried again",
)
add(
    "paused-execution-advances",
    "batuta_core.decider.decide",
    "while step.status is WorkflowStatus.RUNNING and step.may_run_scripts:",
    "while step.is_running and step.may_run_scripts:",
    "a pause stops nothing",
)
add(
    "flow-forgotten-over-a-pause",
    "batuta_core.decider.step",
    "deque(head.todo)",
    "deque()",
    "what came due in a pause is never begun",
)
add(
    "failure-forgotten-over-a-pause",
    "batuta_core.decider.operations",
    "    held = list(step.held)\n",
    "    held: list[Any] = []\n",
    "what failed in a pause is neither retried nor fails the execution",
)
add(
    "failure-judged-in-a-pause",
    "batuta_core.decider.outcome",
    "    if step.is_paused:\n        ended = step.close_task",
    "    if False:\n        ended = step.close_task",
    "a task that fails in a pause is retried in it",
)
add(
    "pause-spins",
    "batuta_core.decider.decide",
    "    if step.is_running and not step.is_paused:\n        dues +=",
    "    if step.is_running:\n        dues +=",
    "a deadline that passed in a pause is armed again and again",
)
add(
    "deadlines-forgotten-over-a-pause",
    "batuta_core.decider.decide",
    "    if step.is_running and not step.is_paused:\n        dues +=",
    "    if step.is_running and step.before.status is not WorkflowStatus.PAUSED and not step.is_paused:\n        dues +=",
    "the end of a pause arms no timer",
)
add(
    "timer-of-a-new-life-not-armed",
    "batuta_core.decider.decide",
    """        step.arm(due_ms)
    return mark""",
    """        if step.before.life != step.draft.seq:
            step.arm(due_ms)
    return mark""",
    "a deadline of the first task after a restart or retry is never missed",
)
add(
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
add(
    "result-of-a-former-life-taken",
    "batuta_core.decider.on_task",
    "if task.place == place), None)",
    "if task.place.named == place.named), None)",
    "a task that began anew under its old id is ended by what it was sent before",
)
add(
    "skipped-task-run",
    "batuta_core.decider.outcome",
    "    if begin.ref in step.skipped:\n",
    "    if begin.ref in step.skipped and not step.before.life:\n",
    "a rerun runs what a user had skipped",
)
add(
    "dead-function-runs-again",
    "batuta_core.decider.on_task",
    "    if node.type.system_queue and not node.type.is_repeatable:",
    "    if False:",
    "a request of which nobody knows whether it was made is made again",
)
add(
    "second-answer-of-a-function-counts",
    "batuta_core.decider.on_task",
    "and (event.status is TaskStatus.IN_PROGRESS or node.type.system_queue):",
    "and event.status is TaskStatus.IN_PROGRESS:",
    "the error of a request made twice ends what the first one began",
)
add(
    "functions-queue-delays",
    "batuta_core.decider.timeout",
    "return 0 if node.type.system_queue or gate else DELAY_MAX_MS",
    "return 0 if gate else DELAY_MAX_MS",
    "a request is made before its time: the function's queue holds nothing back",
)
add(
    "stop-before-the-start-runs-the-child",
    "batuta_core.decider.decide",
    "isinstance(other, StoppedByParent | WorkflowBroken) for other",
    "isinstance(other, WorkflowBroken) for other",
    "a child that is stopped before it begins does something",
)
add(
    "removal-orphans-a-child",
    "batuta_core.decider.outcome",
    "    step.last = (*_undone(step), *cut_short)\n",
    "    step.last = (*_undone(step), *cut_short)\n    step.stops = ()\n",
    "the child of a removed execution goes on",
)
add(
    "removed-child-tells-nobody",
    "batuta_core.decider.outcome",
    "lives.told(step, WorkflowStatus.TERMINATED) if step.is_running else ()",
    "()",
    "the parent of a removed child waits for ever",
)
add(
    "stop-forgotten-at-the-end",
    "batuta_core.decider.decide",
    "        stops=step.stops,",
    "        stops=step.stops if step.is_running else (),",
    "an ended execution does not know which children it has to stop",
)
add(
    "end-of-a-child-not-kept",
    "batuta_core.decider.outcome",
    "if not isinstance(command, WriteSummary))",
    "if not isinstance(command, WriteSummary | lives.TellParent))",
    "who removes a child that has ended drops what it had to tell",
)
add(
    "nobody-asks-after-a-child",
    "batuta_core.decider.timeout",
    "        if task.child:\n            yield Due(task.sent_ms + RESEND_MS, Deadline.DELIVERY)\n",
    "",
    "a start, or an end, that the queue has lost is missed by nobody",
)
add(
    "child-outlives-its-task",
    "batuta_core.decider.step",
    "if task.child and self.node_of(task).type.runs_child:",
    "if task.child and self.node_of(task).type.runs_child and status is TaskStatus.CANCELED:",
    "the child of a task that timed out goes on",
)
add(
    "branch-of-the-fork-before",
    "batuta_core.decider.step",
    "(ref in self.forked and self.forked[ref][1] == fork)",
    "ref in self.forked",
    "in a loop the branches of a dynamic fork count as those of the iteration before",
)
add(
    "a-branch-ends-it-before-the-others-begin",
    "batuta_core.decider.outcome",
    "    while step.has_beside:\n",
    "    while False:\n",
    "what a fork begins depends on the order of its branches",
)
add(
    "a-users-look-is-as-late-as-a-timer",
    "batuta_core.decider.timeout",
    "late_ms = 0 if is_asked else node.type.limit_late_ms",
    "late_ms = node.type.limit_late_ms",
    "decide looks at no limit of a WAIT",
)
add(
    "a-users-look-always-makes-a-record",
    "batuta_core.decider.decide",
    "is_mark = mark is not None and mark.timer == event.timer\n",
    "is_mark = mark is not None and event.timer in (mark.timer, NO_TIMER)\n",
    "an execution's journal grows by looking at it",
)
add(
    "large-payload-loaded",
    "batuta_core.decider.view",
    "if value.size_bytes > PAYLOAD_MAX_BYTES:",
    "if value.size_bytes > 100 * PAYLOAD_MAX_BYTES:",
    "the decider loads what is too large for its memory",
)
