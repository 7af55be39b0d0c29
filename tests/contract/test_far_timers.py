"""The far timers' promises: found in their minute until they are deleted, and a cursor that never moves back."""

from __future__ import annotations

from batuta_core.engine.ports import FarTimer
from batuta_core.model.names import ExecutionId
from tests.contract.stand import Stand

MINUTE = 29_400_000


def timer(stand: Stand, offset_ms: int = 0, record: int = 1) -> FarTimer:
    return FarTimer(MINUTE * 60_000 + offset_ms, stand.execution(), record)


def in_minute(stand: Stand, minute: int) -> list[FarTimer]:
    return sorted(found for page in stand.far_timers.in_minute(minute) for found in page)


def test_timers_are_found_in_their_minute(stand: Stand) -> None:
    timers = [timer(stand, offset_ms) for offset_ms in (0, 1, 59_999, 60_000, -1)]
    for each in timers:
        stand.far_timers.put(each)
    assert in_minute(stand, MINUTE) == sorted(timers[:3])
    assert in_minute(stand, MINUTE + 1) == [timers[3]]
    assert in_minute(stand, MINUTE - 1) == [timers[4]]
    assert in_minute(stand, MINUTE + 2) == []


def test_repeated_put_is_one_timer(stand: Stand) -> None:
    one = timer(stand)
    stand.far_timers.put(one)
    stand.far_timers.put(one)
    assert in_minute(stand, MINUTE) == [one]


def test_timers_of_one_execution_and_moment_differ_by_record(stand: Stand) -> None:
    one = timer(stand, record=9)
    two = FarTimer(one.due_ms, one.execution, 10)
    stand.far_timers.put(one)
    stand.far_timers.put(two)
    stand.far_timers.delete([one])
    assert in_minute(stand, MINUTE) == [two]


def test_deleted_timers_are_gone_and_repeats_are_harmless(stand: Stand) -> None:
    timers = [timer(stand, offset_ms) for offset_ms in range(60)]  # more than one batch
    for each in timers:
        stand.far_timers.put(each)
    stand.far_timers.delete(timers[:3] + timers[:55])
    stand.far_timers.delete(timers[:55])
    stand.far_timers.delete([])
    assert in_minute(stand, MINUTE) == timers[55:]


def test_deleting_page_by_page_empties_the_minute(stand: Stand) -> None:
    for offset_ms in range(30):
        stand.far_timers.put(timer(stand, offset_ms))
    for page in stand.far_timers.in_minute(MINUTE):
        assert page, "no page is empty"
        stand.far_timers.delete(page)
    assert in_minute(stand, MINUTE) == []


def test_distant_years_and_odd_namespaces(stand: Stand) -> None:
    far = FarTimer(9_999_999_999_999, ExecutionId("a_b-c", "11111111-0000-4000-8000-000000000000"), 2**31)
    stand.far_timers.put(far)
    assert in_minute(stand, far.minute) == [far]


def test_cursor_begins_once_and_never_moves_back(stand: Stand) -> None:
    assert stand.far_timers.cursor() == 0
    stand.far_timers.begin_cursor(50)
    stand.far_timers.begin_cursor(40)
    stand.far_timers.begin_cursor(60)
    assert stand.far_timers.cursor() == 50
    for moved, then in ((51, 51), (49, 51), (51, 51), (1000, 1000), (999, 1000)):
        stand.far_timers.set_cursor(moved)
        assert stand.far_timers.cursor() == then
    stand.far_timers.begin_cursor(1)
    assert stand.far_timers.cursor() == 1000
