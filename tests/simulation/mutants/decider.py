"""Faults in what is decided: the decider and its task types."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutants

MUTANTS = Mutants()
add = MUTANTS.add

add(
    "permit-kept-over-a-callback",
    "batuta_core.decider.outcome",
    """    step.return_permit(task)
    task = replace(task, status=TaskStatus.SCHEDULED""",
    "    task = replace(task, status=TaskStatus.SCHEDULED",
    "a task that is sent again has two permits",
)
add(
    "start-counted-from-its-admission",
    "batuta_core.decider.permits",
    """if told.started_ms else now_ms
""",
    """if told.started_ms else found.admitted_ms
""",
    "a start that nobody told is taken for an early one",
)
add(
    "rate-of-what-lies-in-the-queue",
    "batuta_core.decider.permits",
    "limits.rate - _on_the_way(state) - sum(",
    "limits.rate - sum(",
    "what is admitted and not yet started does not count",
)
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
    "leftovers-begun-again",
    "batuta_core.decider.new_life",
    "step.todo = deque([Begin(step.graph.first)])",
    "step.todo.append(Begin(step.graph.first))",
    "a restart begins what the former life had left",
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
    "retry-under-the-old-attempt",
    "batuta_core.decider.new_life",
    "attempt=task.task.attempt + 1, retried",
    "attempt=task.task.attempt, retried",
    "two tasks of one name and attempt",
)
add(
    "flow-begun-twice-beside",
    "batuta_core.decider.past",
    "(ref := follower(step, node)) is not None",
    "(ref := follower(step, node)) is None",
    "what follows a permissive task is done once more when that is retried",
)
add(
    "outputs-forgotten-by-a-rerun",
    "batuta_core.decider.new_life",
    "    step.ended = {**standing.ended, **step.skipped}\n",
    "    step.ended = {**step.skipped}\n",
    "what comes behind the task reads nothing of what came before it",
)
add(
    "outputs-forgotten-by-a-retry",
    "batuta_core.decider.new_life",
    "    step.ended = standing.ended\n",
    "",
    "the retried task and what comes behind it read nothing of what came before",
)
add(
    "rerun-of-what-is-gone",
    "batuta_core.decider.past",
    "            if begun is None or begun.number < task.number:\n                return None\n",
    "",
    "a task that an earlier rerun took out of view is run again beside the others",
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
    "lives-of-a-child-not-named",
    "batuta_core.decider.on_child",
    "if task is None or event.life < task.life:",
    "if task is None:",
    "the end of a child's earlier life ends the task that waits for its present one",
)
add(
    "stops-not-named-by-life",
    "batuta_core.decider.lives",
    "if stop.place != place or stop.life > life)",
    "if stop.place != place)",
    "the end of an earlier life is taken for the answer to a stop of the present one",
)
add(
    "stop-of-an-earlier-life",
    "batuta_core.decider.on_child",
    " or event.life < lives.life_of(step.before):",
    ":",
    "a late stop ends a child that was retried since",
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
    "ended-execution-hears-nothing",
    "batuta_core.decider.on_child",
    "        return is_heard\n    task = replace(",
    "        return False\n    task = replace(",
    "a stop stays open although its child has ended",
)
add(
    "stop-forgotten-at-the-end",
    "batuta_core.decider.decide",
    "        stops=step.stops,",
    "        stops=step.stops if step.is_running else (),",
    "an ended execution does not know which children it has to stop",
)
add(
    "a-life-ends-twice",
    "batuta_core.decider.lives",
    "if step.before.about.parent is None or told_of(step.last, life):",
    "if step.before.about.parent is None:",
    "a failed child that is terminated tells of two ends",
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
    "stops-not-sent-again",
    "batuta_core.decider.lives",
    "return step.stops_ms + RESEND_MS if step.stops else 0",
    "return 0",
    "a stop that the queue has lost is missed by nobody",
)
add(
    "tombstone-without-output",
    "batuta_core.decider.lives",
    "    step.output = step.known_record(seq).output\n",
    "",
    "a removed child that is asked again has lost its output",
)
add(
    "attempts-share-a-child",
    "batuta_core.decider.lives",
    "ids.child_workflow_id(workflow_id, place.record,",
    "ids.child_workflow_id(workflow_id, 0,",
    "the second attempt finds the child of the first",
)
add(
    "child-outlives-its-task",
    "batuta_core.decider.step",
    "if task.child and self.node_of(task).type.runs_child:",
    "if task.child and self.node_of(task).type.runs_child and status is TaskStatus.CANCELED:",
    "the child of a task that timed out goes on",
)
add(
    "stopped-child-has-a-failure-workflow",
    "batuta_core.decider.on_child",
    "event.reason, is_failure_handled=False)",
    "event.reason, is_failure_handled=True)",
    "a child that its parent stops runs its failure workflow",
)
add(
    "branch-of-the-fork-before",
    "batuta_core.decider.step",
    "(ref in self.forked and self.forked[ref][1] == fork)",
    "ref in self.forked",
    "in a loop the branches of a dynamic fork count as those of the iteration before",
)
add(
    "event-not-published-again",
    "batuta_core.decider.tasks.event",
    "is_repeatable = True",
    "is_repeatable = False",
    "an event whose function died is lost for the handlers that had not acted",
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
    "stop-forgotten-after-a-restart",
    "batuta_core.decider.new_life",
    "    step.reason = None\n",
    "    step.reason = None\n    step.stops = ()\n",
    "the child of a former life goes on beside the new one",
)
add(
    "end-not-named-by-life",
    "batuta_core.decider.lives",
    "record=step.draft.seq, life=life, seen=",
    "record=step.draft.seq, life=1, seen=",
    "the parent takes the end of a child's later life for one that it has heard",
)
add(
    "late-revival-undoes-a-terminate",
    "batuta_core.decider.revival",
    "is_seen = bool(seen) and seen[0] >= step.before.output_record",
    "is_seen = True",
    "a parent that a user ended after the child was retried runs again",
)
add(
    "revival-of-generations-forgets-what-was-seen",
    "batuta_core.decider.revival",
    "seen=seen[1:])",
    "seen=())",
    "the grandparent does not know that the user had seen its end",
)
add(
    "revived-parent-tells-nobody",
    "batuta_core.decider.new_life",
    "        step.command(TellRevival(life=step.draft.seq))\n",
    "        pass\n",
    "a grandparent waits for nobody: what it does not know runs on without it",
)
add(
    "end-of-an-unheard-life-ignored",
    "batuta_core.decider.on_child",
    "if task is None and event.life > 1 and not is_over:",
    "if task is None and event.life < 1:",
    "the child has ended before its revival came: the parent stays as it was",
)
add(
    "known-revival-counts-again",
    "batuta_core.decider.revival",
    "    if _is_known(step, event.place, event.life):\n        return is_heard\n",
    "",
    "a late revival stops a life that has ended",
)
add(
    "revival-of-what-is-over-not-stopped",
    "batuta_core.decider.revival",
    "    lives.order_stop(step, StopChild(place=event.place, definition=event.definition, life=event.life))\n",
    "",
    "a child whose task is over runs on for nobody",
)
add(
    "revival-does-not-answer-a-stop",
    "batuta_core.decider.revival",
    "is_heard = lives.hear_revival(step, event.place, event.life)",
    "is_heard = False",
    "a stop of a life that is over waits for an end that nobody tells any more",
)
add(
    "held-failure-stays-over-a-revival",
    "batuta_core.decider.revival",
    "held.task.place == place and held.task.life < life), None)",
    "held.task.place == place and held.task.life > life), None)",
    "a child that is retried while its parent pauses is stopped",
)
add(
    "rerun-takes-the-old-child",
    "batuta_core.decider.lives",
    'f"-{place.rerun}" if place.rerun else ""',
    '""',
    "the task that begins anew finds the child of its former life, ended",
)
add(
    "join-not-open-again",
    "batuta_core.decider.new_life",
    "    for task in again:  # first,",
    "    for task in ():  # first,",
    "the branches of a fork are retried and nobody waits for them",
)
add(
    "branches-forgotten-by-a-rerun",
    "batuta_core.decider.new_life",
    "    step.todo.extend(back.begins)\n",
    "",
    "the branches behind the one that is rerun, and their join, never begin",
)
add(
    "flow-beside-a-rerun-forgotten",
    "batuta_core.decider.new_life",
    "    for task in back.done:\n",
    "    for task in ():\n",
    "a branch that had ended its first task does not go on to its second",
)
add(
    "siblings-forgotten-by-a-rerun",
    "batuta_core.decider.rewind",
    "for other in (task, *beside) if",
    "for other in (task,) if",
    "what had failed beside the task that is rerun stays failed, and the join waits",
)
add(
    "round-forgotten-by-a-rerun",
    "batuta_core.decider.past",
    'rounds=fields["iteration"], since=task_count, is_over=False',
    "since=task_count, is_over=False",
    "a rerun in a loop goes on with another round",
)
add(
    "large-payload-loaded",
    "batuta_core.decider.view",
    "if value.size_bytes > PAYLOAD_MAX_BYTES:",
    "if value.size_bytes > 100 * PAYLOAD_MAX_BYTES:",
    "the decider loads what is too large for its memory",
)
