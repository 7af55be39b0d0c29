"""Faults between parents and children: lives, ends, stops, revivals."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutants

MUTANTS = Mutants()
add = MUTANTS.add

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
    "ended-execution-hears-nothing",
    "batuta_core.decider.on_child",
    "        return is_heard\n    task = replace(",
    "        return False\n    task = replace(",
    "a stop stays open although its child has ended",
)
add(
    "a-life-ends-twice",
    "batuta_core.decider.lives",
    "if step.before.about.parent is None or told_of(step.last, life):",
    "if step.before.about.parent is None:",
    "a failed child that is terminated tells of two ends",
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
    "stopped-child-has-a-failure-workflow",
    "batuta_core.decider.on_child",
    "event.reason, is_failure_handled=False)",
    "event.reason, is_failure_handled=True)",
    "a child that its parent stops runs its failure workflow",
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
