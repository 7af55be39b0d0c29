"""What a JOIN shows when the execution ends before it does."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.decider.play import Play, simple

from batuta_core.decider.known import ScriptResult
from batuta_core.decider.tasks import join

TRUE = ScriptResult(True)
ONCE = [{"name": name, "retryCount": 0} for name in "abc"]


def fork(*branches: Any) -> list[Any]:
    forked = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": list(branches)}
    ends = [branch[-1]["taskReferenceName"] for branch in branches]
    return [forked, {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ends}]


def test_what_had_ended_before_the_failure_is_shown_and_is_the_executions_output() -> None:
    play = Play(*fork([simple("a")], [simple("b")], [simple("c")]), task_definitions=ONCE)
    play.update("a", output={"n": 1})
    play.fail("b")
    assert play.shape[-1] == ("j", "CANCELED")
    assert play.task("j").output == {"a": {"n": 1}}
    assert play.folded().output == {"a": {"n": 1}}


def test_what_ends_with_the_failure_is_not_shown() -> None:
    play = Play(*fork([simple("a")], [simple("b")]), task_definitions=ONCE)
    play.fail("a")
    assert (play.task("j").output, play.folded().output) == (None, {})


def test_in_a_loop_the_iteration_before_is_not_shown() -> None:
    body = fork([simple("a")], [simple("b")])
    loop = {"name": "l", "taskReferenceName": "l", "type": "DO_WHILE", "loopCondition": "true", "loopOver": body, "inputParameters": {}}
    play = Play({**loop, "evaluatorType": "javascript"}, task_definitions=ONCE, outputParameters={"n": "1"}, scripts=lambda _s: TRUE)
    play.update("a", output={"n": 1})
    play.update("b", output={"n": 2})
    assert play.open("j").iteration == 2
    play.update("b", output={"n": 3})
    play.fail("a")
    assert [task.output for task in play.folded().tasks if task.ref == "j__2"] == [{"b__2": {"n": 3}}]


def test_a_wide_join_shows_nothing_since_an_end_must_not_cost_what_the_join_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "SHOWN_MAX", 1)
    play = Play(*fork([simple("a")], [simple("b")]), task_definitions=ONCE)
    play.update("a", output={"n": 1})
    play.fail("b")
    assert play.task("j").output is None
