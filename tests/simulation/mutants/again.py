"""Faults in what is done again: retries, restarts, reruns, and what is shown of them."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutants

MUTANTS = Mutants()
add = MUTANTS.add

add(
    "leftovers-begun-again",
    "batuta_core.decider.new_life",
    "step.todo = deque([Begin(step.graph.first)])",
    "step.todo.append(Begin(step.graph.first))",
    "a restart begins what the former life had left",
)
add(
    "retry-under-the-old-attempt",
    "batuta_core.decider.new_life",
    "attempt, rerun = task.task.attempt + 1, task.place.rerun\n",
    "attempt, rerun = task.task.attempt, task.place.rerun\n",
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
    "stop-forgotten-after-a-restart",
    "batuta_core.decider.new_life",
    "    step.reason = None\n",
    "    step.reason = None\n    step.stops = ()\n",
    "the child of a former life goes on beside the new one",
)
add(
    "revived-parent-tells-nobody",
    "batuta_core.decider.new_life",
    "        step.command(TellRevival(life=step.draft.seq))\n",
    "        pass\n",
    "a grandparent waits for nobody: what it does not know runs on without it",
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
    "former-life-shown",
    "batuta_core.engine.fold",
    "        if isinstance(event, WorkflowRestarted | WorkflowRerun):\n            take_out(tasks, event, execution)\n",
    "        if isinstance(event, WorkflowRerun):\n            take_out(tasks, event, execution)\n",
    "a restarted execution shows the tasks of before",
)
