"""Faults around wide forks that run as segments."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutants

MUTANTS = Mutants()
add = MUTANTS.add

add(
    "segment-forgets-its-former",
    "batuta_core.engine.segments",
    'segments.Share(*given["share"]), before)',
    'segments.Share(*given["share"]), {})',
    "a retry runs the branches again that had ended well",
)
add(
    "segments-outlive-the-execution",
    "batuta_core.engine.dispatch",
    "    if newest.head.has_forked:\n        segments.remove(ports, execution)\n",
    "",
    "a removal leaves the segments' journals",
)
add(
    "segment-has-a-summary",
    "batuta_core.engine.dispatch",
    " or is_segment(newest.head.definition):  # no segment has a summary",
    ":",
    "users find segments among their executions",
)
add(
    "segments-joined-in-the-order-of-their-ends",
    "batuta_core.decider.segments",
    "    return ((index, ref) for index, ref in sorted(refs) if",
    "    return ((index, ref) for index, ref in refs if",
    "the join's output has not the order of the list",
)
add(
    "join-believes-in-segments-of-another-iteration",
    "batuta_core.decider.segments",
    "step.ended[ref].record >= (place.rerun or place.record))",
    "step.ended[ref].record >= 0)",
    "a join in a loop shows what another iteration gave",
)
