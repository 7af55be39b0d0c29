"""Faults in what is done about it: commits, dispatch, timers, payloads."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutants

MUTANTS = Mutants()
add = MUTANTS.add

add(
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
add(
    "batch-judged-by-its-first-message",
    "batuta_core.engine.advance",
    "group.is_redelivered = group.is_redelivered or received.receives > 1",
    "group.is_redelivered = group.is_redelivered or (len(group.inbound) == 1 and received.receives > 1)",
    "what an earlier delivery committed and did not dispatch is left undone when a new message comes before it",
)
add(
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
add(
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
add(
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
add(
    "no-guard",
    "batuta_core.engine.timers",
    """    _send(ports, [(TimerMessage(execution=execution, record=record), GUARD_DELAY_S)])
""",
    """    return None
""",
    "API calls have no guard at all",
)
add(
    "guard-shorter-than-its-writer",
    "batuta_core.engine.timers",
    "GUARD_DELAY_S = 60\n",
    "GUARD_DELAY_S = 2\n",
    "the guard looks before its writer has written",
)
add(
    "no-redispatch-on-redelivery",
    "batuta_core.engine.advance",
    "if newest and (is_redelivered or (was_refused and is_known)) else ()",
    "if newest and (was_refused and is_known) else ()",
    "a crash between commit and dispatch is never made good",
)
add(
    "no-redispatch-after-a-refusal",
    "batuta_core.engine.advance",
    """            if refused.existing.to_json() != record.to_json():
                was_refused = True
                ports.clock.pause(tries)
                newest = ports.journal.newest(execution)
                events, too_large = too_large or events, ()  # behind the other's record it may fit
                continue
""",
    """            return refused.existing
""",
    "one's own write whose reply was lost counts as somebody else's business",
)
add(
    "last-commands-of-an-ended-head-forgotten",
    "batuta_core.engine.dispatch",
    "*lives.revival(head), *head.returned, *timer, *last)",
    "*lives.revival(head), *head.returned, *timer)",
    "an execution that ended while its decider died keeps its summary, failure workflow or purge undone",
)
add(
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
add(
    "timer-deduplicated-by-due-time",
    "batuta_core.engine.timers",
    "dedup=received.message_id))",
    "dedup=f'{message.execution}/{message.due_ms // 300_000}'))",
    "the second firing of a moment is swallowed",
)
add(
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
add(
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
add(
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
add(
    "missing-queue-asked-for-once-only",
    "batuta_core.engine.timers",
    """            event = QueueMade(""",
    """            continue
            event = QueueMade(""",
    "a task whose type was not known before is never sent",
)
add(
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
add(
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
add(
    "cursor-ahead-of-writers",
    "batuta_core.engine.timers",
    "        if minute < closed:\n",
    "        if minute <= horizon:\n",
    "a far timer that is written while its bucket is read is never seen",
)
add(
    "far-timers-deleted-before-sent",
    "batuta_core.engine.timers",
    """                needed = [timer for timer in chunk if looks >= _LOOKS_MAX or _is_needed(ports, timer)]
""",
    """                needed = [timer for timer in chunk if looks >= _LOOKS_MAX or _is_needed(ports, timer)]
                ports.far_timers.delete(chunk)
""",
    "a mover that dies loses what it took",
)
add(
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
add(
    "failure-workflow-forgotten-by-a-retry",
    "batuta_core.engine.dispatch",
    "    if newest is not None and record.head.life == record.seq:\n",
    "    if newest is not None and record.head.life == record.seq and execution.namespace == '':\n",
    "whoever ended the execution died, and nobody starts its failure workflow any more",
)
add(
    "children-not-started-again",
    "batuta_core.engine.dispatch",
    "return (*tasks, *children, *head.stops,",
    "return (*tasks, *head.stops,",
    "a crash between commit and dispatch loses the start of a child",
)
add(
    "stops-not-dispatched-again",
    "batuta_core.engine.dispatch",
    "return (*tasks, *children, *head.stops,",
    "return (*tasks, *children,",
    "a crash between commit and dispatch loses the stop of a child",
)
add(
    "too-large-is-passed-over",
    "batuta_core.engine.advance",
    """            too_large, events = events, child.refused(events, newest) or [*first, broken_by(error, "too-large")]
            continue
""",
    """            return newest
""",
    "what fits into no record is acknowledged, and nothing follows",
)
add(
    "action-done-again",
    "batuta_core.engine.operate",
    "event = None if once is not None and once.is_done(ports, execution, newest) else make_event(newest)",
    "event = make_event(newest)",
    "an action whose function died after it is carried out again: two values, two failed attempts",
)
add(
    "revival-sent-once",
    "batuta_core.engine.dispatch",
    "*lives.revival(head), *head.returned,",
    "*head.returned,",
    "a parent that was reopened and died before it told its own parent tells nobody",
)
add(
    "revival-not-looked-after",
    "batuta_core.engine.advance",
    "return command in lives.revival(head)",
    "return False",
    "a call of the API that died after its commit leaves a child that lives again without its parent",
)
add(
    "copies-after-the-purge",
    "batuta_core.engine.external",
    "if refs and not is_removed(ports, target):",
    "if refs:",
    "what a removed execution is told once more stays in the bucket for ever",
)
add(
    "parts-lost-beside-a-large-text",
    "batuta_core.engine.fetch",
    "return replace(ref, holes=tuple(holes_of(value))) if type(value) is Assembled else ref",
    "return ref",
    "an input that leaves its record forgets which of its values are elsewhere",
)
add(
    "upload-of-another-namespace",
    "batuta_core.engine.external",
    "return root == UPLOADS and owner == namespace and _NAME.fullmatch(name) is not None",
    "return root == UPLOADS and _NAME.fullmatch(name) is not None",
    "a tenant starts an execution with what another one uploaded",
)
add(
    "poll-deletes-before-it-commits",
    "batuta_core.engine.poll",
    """    try:
        newest = operate.operate_together(ports, execution, make)
    except WorkflowNotFound:
""",
    """    ports.queues.delete(queue, receipts)
    try:
        newest = operate.operate_together(ports, execution, make)
    except WorkflowNotFound:
""",
    "tasks of a poll that dies, or finds the journal throttled, are on no queue and held by nobody",
)
add(
    "priority-not-heeded",
    "batuta_core.engine.dispatch",
    "    if newest.head.about.priority > 0 and not node.type.system_queue:\n",
    "    if newest.head.about.priority > 99 and not node.type.system_queue:\n",
    "what is urgent waits behind all the others",
)
add(
    "priority-task-lost-with-its-queue",
    "batuta_core.engine.priority",
    """        ports.queues.send(queue, messages)


def is_doubtful""",
    """

def is_doubtful""",
    "the first task of a priority is on no queue",
)
add(
    "priority-queue-never-made",
    "batuta_core.engine.timers",
    """                ports.queues.ensure_task_queue(priority_queue_name(queue))
                continue
""",
    """                continue
""",
    "every task of a priority goes with the others",
)
add(
    "priority-queue-believed-in",
    "batuta_core.engine.together",
    """                priority.forget(self._cache, queue)  # it may have been deleted: then they are sent to the other one
""",
    "",
    "a gate sends to a queue that was deleted, again and again",
)
add(
    "priority-starves-the-others",
    "batuta_core.engine.priority",
    "        order = [queue, name] if is_there(ports.cache, name) and _is_own_first(ports) else [name, queue]\n",
    "        order = [name, queue]\n",
    "as long as urgent ones come nobody polls the others",
)
add(
    "first-limit-told-and-sent",
    "batuta_core.engine.dispatch",
    "        tasks = [task for task in tasks if task.gate or nodes[task.ref].shown_name not in limited]\n",
    "",
    "what shall wait for its type's first limit is put on the queue, too",
)
add(
    "first-limit-known-for-ever",
    "batuta_core.engine.limits",
    "            known = types.known if types and types.revision == revision else {}\n",
    "            known = types.known if types else {}\n",
    "a first limit holds for no execution that a process of before decides",
)
