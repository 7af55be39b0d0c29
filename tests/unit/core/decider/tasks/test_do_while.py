"""What a DO_WHILE shows of the tasks inside of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.decider.play import Json, Play, simple

from batuta_core.decider.known import ScriptResult
from batuta_core.decider.loop import LoopOutput
from batuta_core.model.execution import TaskStatus


def loop(ref: str, *body: Json) -> Json:
    return {"name": ref, "taskReferenceName": ref, "type": "DO_WHILE", "loopCondition": "c", "loopOver": list(body)}


def shown(play: Play, ref: str) -> dict[str, Any]:
    output = play.tasks(ref)[-1].output
    assert isinstance(output, LoopOutput)
    return output.resolved(lambda value: value)


@pytest.mark.parametrize("behind", [[], [simple("b")]])
def test_a_loop_shows_what_a_loop_inside_of_it_shows(behind: list[Json]) -> None:
    play = Play(loop("l", loop("m", simple("a")), *behind), scripts=lambda script: ScriptResult(False))
    play.update("a", output={"n": 1})
    assert shown(play, "l")["1"]["m"] == {"1": {"a": {"n": 1}}, "iteration": 1}


def test_the_failure_that_ends_the_execution_is_not_shown() -> None:
    play = Play(loop("l", simple("a"), simple("b")), scripts=lambda script: ScriptResult(False))
    play.update("a", output={"n": 1})
    play.update("b", TaskStatus.FAILED_WITH_TERMINAL_ERROR, output={"e": 1})
    assert (play.status, shown(play, "l")) == ("FAILED", {"1": {"a": {"n": 1}}, "iteration": 1})


def test_a_failure_that_does_not_end_it_is_shown() -> None:
    play = Play(loop("l", {**simple("a"), "optional": True}), scripts=lambda script: ScriptResult(False))
    play.update("a", TaskStatus.FAILED_WITH_TERMINAL_ERROR, output={"e": 1})
    assert (play.status, shown(play, "l")) == ("COMPLETED", {"1": {"a": {"e": 1}}, "iteration": 1})


def test_of_a_terminate_nothing_but_its_name_is_shown() -> None:
    terminate = {"terminationStatus": "COMPLETED", "workflowOutput": {"o": 1}}
    play = Play(loop("l", {"name": "t", "taskReferenceName": "t", "type": "TERMINATE", "inputParameters": terminate}))
    assert shown(play, "l") == {"1": {"t": {}}, "iteration": 1}
