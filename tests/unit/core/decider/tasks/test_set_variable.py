"""SET_VARIABLE at work."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.decider.play import Json, Play, simple

from batuta_core.decider.tasks.set_variable import VARIABLES_MAX_KB


def assign(ref: str, **values: Any) -> Json:
    return {"name": ref, "taskReferenceName": ref, "type": "SET_VARIABLE", "inputParameters": values}


def test_a_variable_joins_those_that_are_there_and_is_read_at_once() -> None:
    play = Play(assign("v", x=1), simple("a", inputParameters={"all": "${workflow.variables}"}), variables={"x": 0, "y": [2]})
    assert play.task("a").input == {"all": {"x": 1, "y": [2]}}


def test_variables_last_over_records_and_the_newest_value_counts() -> None:
    reading = {"x": "${workflow.variables.x}", "y": "${workflow.variables.y}"}
    line = [assign("v1", x=1, y=1), simple("a"), assign("v2", x="${a.output.n}"), simple("b"), simple("c", inputParameters=reading)]
    play = Play(*line)
    play.update("a", output={"n": "ü"})
    play.update("b")
    assert play.task("c").input == {"x": "ü", "y": 1}
    assert play.folded().variables == {"x": "ü", "y": 1}


def test_a_variable_that_is_set_to_what_is_absent_is_null() -> None:
    assert Play(assign("v", x="${workflow.input.absent}"), variables={"x": 1}).folded().variables == {"x": None}


def test_a_variable_can_be_made_of_its_own_old_value() -> None:
    play = Play(assign("v1", x=["a"]), assign("v2", x="${workflow.variables.x}", y="${workflow.variables.x[0]}"))
    assert play.folded().variables == {"x": ["a"], "y": "a"}


@pytest.mark.parametrize("unit", ["x", "ü", "😀"])
def test_the_limit_counts_bytes_of_all_variables_together(unit: str) -> None:
    frame = len('{"old":"","x":""}')
    room = (VARIABLES_MAX_KB * 1024 - frame) // len(unit.encode())
    for chars, status in ((room, "COMPLETED"), (room + 1, "FAILED")):
        old = chars // 2
        play = Play(assign("v", x="${workflow.input.x}"), variables={"old": unit * old}, task_input={"x": unit * (chars - old)})
        assert play.status == status


def test_what_passes_the_limit_changes_no_variable_and_names_the_execution() -> None:
    play = Play(assign("v", x="x" * (VARIABLES_MAX_KB * 1024)), variables={"x": 1})
    assert (play.folded().variables, play.task("v").status.value) == ({"x": 1}, "FAILED_WITH_TERMINAL_ERROR")
    assert f"of workflow: {play.folded().workflow_id} is greater than the permissible limit: 256 kilobytes" in (play.task("v").reason or "")
