"""The logs' promises: every line once, in the order of time, gone with the execution."""

from __future__ import annotations

import pytest

from batuta_core.engine.ports import LogLine
from batuta_core.model.error import PayloadTooLarge
from tests.contract.records import record
from tests.contract.stand import Stand

AT_MS = 1_764_000_000_000


def test_lines_come_back_in_the_order_of_time(stand: Stand) -> None:
    execution = stand.execution()
    lines = [LogLine("t1", f"line {place}", AT_MS + place) for place in (5, 0, 3)] + [LogLine("t2", "of another task", AT_MS + 4)]
    assert stand.logs.lines(execution) == []
    for place, line in enumerate(lines):
        stand.logs.add(execution, line, f"op{place}")
    assert list(stand.logs.lines(execution)) == sorted(lines, key=lambda line: line.at_ms)
    assert list(stand.logs.lines(stand.execution())) == []


@pytest.mark.parametrize("text", ["", "ünï 漢字 😀 \u2028\n\t\u0000", "half \ud800", "x" * 300_000], ids=["empty", "odd", "half", "long"])
def test_any_text_survives(stand: Stand, text: str) -> None:
    execution = stand.execution()
    stand.logs.add(execution, LogLine("t", text, AT_MS), "op")
    assert list(stand.logs.lines(execution)) == [LogLine("t", text, AT_MS)]


def test_repeat_is_one_line(stand: Stand) -> None:
    execution = stand.execution()
    line = LogLine("t", "text", AT_MS)
    stand.logs.add(execution, line, "op")
    stand.logs.add(execution, line, "op")
    assert list(stand.logs.lines(execution)) == [line]


def test_lines_of_one_millisecond_are_all_kept(stand: Stand) -> None:
    """Of 120 random places among a thousand some meet: the chance that none do is 1 : 1,900."""
    execution = stand.execution()
    for _ in range(2):  # and their repeats meet themselves
        for place in range(120):
            stand.logs.add(execution, LogLine("t", str(place), AT_MS + 999), f"op{place}")
    lines = stand.logs.lines(execution)
    assert sorted(int(line.text) for line in lines) == list(range(120))
    assert {line.at_ms for line in lines} == {AT_MS + 999}


def test_purge_takes_the_lines_and_nothing_else(stand: Stand) -> None:
    execution, other = stand.execution(), stand.execution()
    stand.journal.append(execution, record(1), record(1).to_json())
    for place in range(30):
        stand.logs.add(execution, LogLine("t", "text", AT_MS + place), f"op{place}")
    stand.logs.add(other, LogLine("t", "stays", AT_MS), "op")
    for _ in range(2):
        stand.logs.purge(execution)
        assert list(stand.logs.lines(execution)) == []
    assert stand.journal.newest(execution) == record(1)
    assert len(stand.logs.lines(other)) == 1


@pytest.mark.not_on("simulator", because="its lines have no limit")
def test_line_beyond_the_limit_is_refused_by_name(stand: Stand) -> None:
    with pytest.raises(PayloadTooLarge):
        stand.logs.add(stand.execution(), LogLine("t", "x" * 400_000, AT_MS), "op")
