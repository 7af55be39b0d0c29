"""A journal that was altered is found out, and the debugger stops where it is told to."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from tests.unit.core.engine.server import Server, simple

from batuta_core.decider.decide import Decision
from batuta_core.engine import operations, query
from batuta_core.engine.export import Export, export
from batuta_core.engine.replay import replay


@pytest.fixture
def exported() -> Export:
    server = Server()
    server.register(simple("a"), simple("b", inputParameters={"n": "${a.output.n}"}))
    execution = server.start()
    server.report(server.taken("a"), output={"n": 1})
    server.report(server.taken("b"), output={"n": 2})
    return export(server.ports, execution)


def altered(exported: Export, seq: int, change: Any) -> Export:
    """Through the file's own form, in which somebody would alter it."""
    data = exported.to_dict()
    change(next(record for record in data["records"] if record["seq"] == seq))
    return Export.from_dict(data)


def test_an_altered_input_of_a_task_is_the_first_difference(exported: Export) -> None:
    def change(record: Any) -> None:
        next(item for item in record["ch"] if item.get("ref") == "b")["in"] = {"n": 7}

    difference = replay(altered(exported, 2, change))
    assert difference is not None
    assert difference.expected.seq == 2
    assert difference.lines() == ["ch[1].in.n: 7 in the journal, 1 now"]


def test_what_only_one_of_them_has_is_shown(exported: Export) -> None:
    difference = replay(altered(exported, 2, lambda record: record["do"].clear()))
    assert difference is not None
    assert [line.partition(":")[0] for line in difference.lines()] == ["do[0]"]
    assert difference.lines()[0].startswith("do[0]: nothing in the journal, {")


def test_an_event_that_changes_nothing_now_is_said_so(exported: Export) -> None:
    def change(record: Any) -> None:
        record["ev"][0]["task"] = [9, 9]

    difference = replay(altered(exported, 2, change))
    assert difference is not None
    assert (difference.found, difference.lines()) == (None, ["the events change nothing now: no record comes out"])


def test_two_tasks_of_a_record_that_could_not_start_another_say_each_why() -> None:
    """A rerun gives the first of them an input in which nothing is named; the attempt behind it asks for what the first asked for once."""
    starting = {"name": "s", "taskReferenceName": "s", "type": "START_WORKFLOW", "inputParameters": {"startWorkflow": {"name": "nobody"}}}
    server = Server()
    server.register(starting, task_definitions=[{"name": "s", "retryCount": 1, "retryDelaySeconds": 0}])
    execution = server.start()
    first = query.workflow_json(server.ports, execution)["tasks"][0]
    operations.rerun(server.ports, execution, task_id=first["taskId"], task_input={"other": 1})
    reasons = [task["reasonForIncompletion"] for task in query.workflow_json(server.ports, execution)["tasks"]]
    assert reasons == ["Missing 'startWorkflow' in input data.", "No such workflow defined. name=nobody, version=null"]
    assert replay(export(server.ports, execution)) is None


def test_a_value_of_any_length_is_a_line(exported: Export) -> None:
    difference = replay(altered(exported, 3, lambda record: record["head"].update(why="x" * 5000)))
    assert difference is not None
    assert max(map(len, difference.lines())) < 300


@pytest.mark.parametrize("seq", [1, 2, 3])
def test_the_debugger_stops_once_right_before_the_record_is_decided(exported: Export, seq: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[FrameType] = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: stopped.append(sys._getframe(1)))
    assert replay(exported, break_at=seq) is None
    (frame,) = stopped
    assert frame.f_locals["expected"].seq == seq
    assert isinstance(frame.f_locals["answer"], Decision)


def test_without_being_told_it_does_not_stop(exported: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "breakpointhook", lambda: pytest.fail("it stopped"))
    assert replay(replace(exported)) is None
