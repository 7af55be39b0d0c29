"""Faults in what is done about it: commits, dispatch, timers, children, events, limits, payloads."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutants

MUTANTS = Mutants()
add = MUTANTS.add

add(
    "permits-forgotten-by-the-next-record",
    "batuta_core.engine.fetch",
    """    if newest is not None and newest.head.returned:
""",
    """    if newest is not None and newest.head.returned and False:
""",
    "a decider dies after its record, the next record hides what it returned",
)
add(
    "permits-forgotten-by-the-guard",
    "batuta_core.engine.advance",
    "            return command in head.returned\n",
    "            return False\n",
    "an API call dies after the record that ends a task: its permit stays out",
)
add(
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
add(
    "admitted-and-not-sent",
    "batuta_core.engine.gates",
    """        for entry in state.unsent:
""",
    """        for entry in self.wanted:
""",
    "an admitter that dies before it sends leaves a task that nobody sends",
)
add(
    "wake-not-armed",
    "batuta_core.engine.gates",
    """        if state.is_wake_unsent:
            timers""",
    """        if state.is_wake_unsent and False:
            timers""",
    "nobody looks when the window is over",
)
add(
    "line-forgotten",
    "batuta_core.engine.gates",
    "has_waiting=len(page) == wanted)",
    "has_waiting=bool(self.gone))",
    "who stays in line is forgotten",
)
add(
    "line-not-noted",
    "batuta_core.engine.gates",
    """            state = replace(state, has_waiting=True)
""",
    """            pass
""",
    "who is put in line is not looked for",
)
add(
    "new-limits-told-without-a-guard",
    "batuta_core.engine.limits",
    """    for gate in changed:
        timers.wake_gate(ports, gate, 0)
""",
    "",
    "a raised limit lets nobody in when the caller dies",
)
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
    "former-life-shown",
    "batuta_core.engine.fold",
    "        if isinstance(event, WorkflowRestarted | WorkflowRerun):\n            take_out(tasks, event, execution)\n",
    "        if isinstance(event, WorkflowRerun):\n            take_out(tasks, event, execution)\n",
    "a restarted execution shows the tasks of before",
)
add(
    "stop-before-the-start-writes-nothing",
    "batuta_core.engine.child",
    "return isinstance(event, WorkflowStarted | StoppedByParent)",
    "return isinstance(event, WorkflowStarted)",
    "a late start begins a child that nobody waits for, and its parent waits for the stop to be heard",
)
add(
    "repeated-start-not-answered",
    "batuta_core.engine.child",
    "if tell is not None and not _is_just_taken_in(before, newest, event.op):",
    "if tell is not None and before is None:",
    "what a child told is lost, and asking again does not help",
)
add(
    "begun-told-once",
    "batuta_core.engine.child",
    "if isinstance(event, WorkflowStarted) and event.starter is not None:",
    "if isinstance(event, WorkflowStarted) and event.starter is not None and before is None:",
    "a START_WORKFLOW whose answer was lost in a crash waits",
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
    """            events = [*first, broken_by(error, "too-large")]
            continue
""",
    """            events = [*first, broken_by(error, "too-large")]
            return newest
""",
    "what fits into no record is acknowledged, and nothing follows",
)
add(
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
add(
    "action-done-again",
    "batuta_core.engine.operate",
    "event = None if once is not None and once.is_done(ports, execution, newest) else make_event(newest)",
    "event = make_event(newest)",
    "an action whose function died after it is carried out again: two values, two failed attempts",
)
add(
    "action-looked-for-from-now-on",
    "batuta_core.engine.handle",
    "    note = ports.actions.begin(note) or note\n",
    "    ports.actions.begin(note)\n",
    "a repeat looks for the action behind where it finds the execution, and not where the first one did",
)
add(
    "action-recorded-before-it-is-done",
    "batuta_core.engine.handle",
    "    note = ports.actions.begin(note) or note\n",
    "    note = ports.actions.begin(replace(note, status=ActionStatus.COMPLETED)) or note\n",
    "an action whose function died before it is never done",
)
add(
    "started-by-event-under-a-new-id",
    "batuta_core.engine.handle",
    "workflow_id = ids.workflow_id_of_event(note.namespace, note.message_id, note.handler, note.index)",
    "workflow_id = ports.ids.workflow_id()",
    "an event that comes again starts another execution",
)
add(
    "event-of-a-rerun-taken-for-a-repeat",
    "batuta_core.engine.publish",
    'return f"{message.task_id}.{message.place.rerun}" if message.place.rerun else message.task_id',
    "return message.task_id",
    "handlers do nothing about the event of a task that is run anew",
)
add(
    "event-reported-first",
    "batuta_core.engine.publish",
    """        outcome = _outcome(ports, sinks, message)
        _report(ports, message, outcome, began_ms)""",
    """        _report(ports, message, _Outcome(TaskStatus.COMPLETED), began_ms)
        outcome = _outcome(ports, sinks, message)""",
    "a task says that its event is published before it is",
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
    "answer-taken-for-a-repeat",
    "batuta_core.engine.child",
    "replace(told, dedup=ids.short_hash(told.text, event.op)) for told",
    "told for told",
    "SQS drops the answer to a stop, since the child told the same unasked a moment ago",
)
add(
    "stillborn-child-begins-again",
    "batuta_core.engine.parents",
    "    if newest.head.task_count:\n",
    "    if newest.seq:\n",
    "a child that was stopped before its start runs without an input",
)
add(
    "childs-payload-not-copied",
    "batuta_core.engine.child",
    "given = handed_over(ports, execution, target, assembled(dict(request.input)))",
    "given = assembled(dict(request.input))",
    "a child is given references to payloads that lie with its parent",
)
add(
    "parents-payload-not-copied",
    "batuta_core.engine.child",
    "return handed_over(ports, execution, target, end.output) or {}",
    "return end.output or {}",
    "a parent is told references to payloads that lie with its child",
)
add(
    "copies-after-the-purge",
    "batuta_core.engine.external",
    "if refs and not _is_removed(ports, target):",
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
