"""The two inputs of WAIT: which texts are durations and moments, and what is refused at registration."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from batuta_core.decider.tasks.wait import ZONES, Wait, duration_and_until, parse_duration_ms, parse_until_ms
from batuta_core.model.error import Problem

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1d2h3m4s", DAY + 2 * HOUR + 3 * MINUTE + 4 * SECOND),
        ("2 days 1 hour", 2 * DAY + HOUR),
        ("10 S", 10 * SECOND),
        (" 1 Day 1 HRS 1 mins 1 secs ", DAY + HOUR + MINUTE + SECOND),
        ("3 hr 5 min 7 sec", 3 * HOUR + 5 * MINUTE + 7 * SECOND),
        ("90 minutes", 90 * MINUTE),
        ("0s", 0),
        ("00000000000000000000000000000005s", 5 * SECOND),
        ("2147483647d", 2_147_483_647 * DAY),  # Conductor counts days in 32 bits and gets a moment in the past
    ],
)
def test_durations(text: str, expected: int) -> None:
    assert parse_duration_ms(text) == expected


@pytest.mark.parametrize(
    "text", ["", " ", "5", "30m 1h", "1.5h", "PT5S", "1 d , 2 h", "-1s", "1s 1s", "٣s", "2147483648s", "9" * 5000 + "s"]
)
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration_ms(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-01-31", "2020-01-31T00:00+00:00"),
        ("2020-01-31 10:00", "2020-01-31T10:00+00:00"),
        ("2020-01-31 10:00 GMT", "2020-01-31T10:00+00:00"),
        ("2020-01-31 10:00 utc", "2020-01-31T10:00+00:00"),
        ("2020-01-31 10:00 GMT+02:00", "2020-01-31T10:00+02:00"),
        ("2020-01-31 10:00 GMT-2:30", "2020-01-31T10:00-02:30"),
        ("2020-01-31 10:00 +0530", "2020-01-31T10:00+05:30"),
        ("2020-07-31 10:00 PST", "2020-07-31T10:00-08:00"),  # an abbreviation knows no summer
        ("2020-07-31 10:00 PDT", "2020-07-31T10:00-07:00"),
        ("2020-01-31 10:00 EST", "2020-01-31T10:00-05:00"),
        ("2020-01-31 10:00 CET", "2020-01-31T10:00+01:00"),
        ("2020-01-31 10:00 IST", "2020-01-31T10:00+05:30"),
        ("2020-01-31 10:00 JST", "2020-01-31T10:00+09:00"),
        ("2020-01-31 10:00 NZDT", "2020-01-31T10:00+13:00"),
        ("2020-1-5 9:05", "2020-01-05T09:05+00:00"),
        ("2020- 1- 5  9: 5", "2020-01-05T09:05+00:00"),
        ("2020-13-01", "2021-01-01T00:00+00:00"),
        ("2020-02-30", "2020-03-01T00:00+00:00"),
        ("2020-12-31 24:60", "2021-01-01T01:00+00:00"),
        ("1969-12-31 23:59", "1969-12-31T23:59+00:00"),
    ],
)
def test_moments(text: str, expected: str) -> None:
    assert parse_until_ms(text) == datetime.fromisoformat(expected).timestamp() * 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2020-01-31T10:00",
        "2020-01-31 10:00:00",
        "2020-01-31 10:00 ",
        "2020-01-31 ",
        "31/01/2020",
        "2020-01-31 10:00 Europe/Madrid",
        "2020-01-31 10:00 XYZ",
        "2020-01-31 GMT",
        "99999-01-01",
        "0-01-01",
        "2020-01-" + "9" * 5000,
    ],
)
def test_what_is_no_moment(text: str) -> None:
    assert parse_until_ms(text) is None


def test_without_a_zone_it_is_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert parse_until_ms("2030-06-01 12:00") == datetime(2030, 6, 1, 12, tzinfo=UTC).timestamp() * 1000


def test_zones_are_whole_offsets_of_real_places() -> None:
    assert all(name == name.upper() and -720 <= offset <= 840 and offset % 15 == 0 for name, offset in ZONES.items())


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({}, ("", "")),
        ({"duration": None, "until": " "}, ("", "")),
        ({"duration": 5}, ("5", "")),
        ({"duration": "1s", "until": "2020-01-31"}, ("1s", "2020-01-31")),
    ],
)
def test_blank_is_absent_and_numbers_are_text(inputs: dict[str, Any], expected: tuple[str, str]) -> None:
    assert duration_and_until(inputs) == expected


BOTH = "Both 'duration' and 'until' specified. Please provide only one input"
NO_DURATION = "Either date or duration is passed as null "
NO_DATE = "Unable to parse date "


@pytest.mark.parametrize(
    ("inputs", "messages"),
    [
        ({}, []),
        ({"duration": "2 seconds"}, []),
        ({"duration": "", "until": "2030-01-01 10:00 GMT"}, []),
        ({"duration": "${workflow.input.d}"}, []),
        ({"until": "${workflow.input.u}"}, []),
        ({"duration": "soon"}, [NO_DURATION]),
        ({"duration": 5}, [NO_DURATION]),
        ({"duration": "x ${workflow.input.d}"}, [NO_DURATION]),
        ({"until": "soon"}, [NO_DATE]),
        ({"duration": "${workflow.input.d}", "until": "${workflow.input.u}"}, [BOTH]),
        ({"duration": "soon", "until": "soon"}, [BOTH, NO_DURATION]),
        ({"duration": "${workflow.input.d}", "until": "soon"}, [BOTH, NO_DATE]),
    ],
)
def test_what_is_refused_at_registration(inputs: dict[str, Any], messages: list[str]) -> None:
    found = list(Wait().problems({"name": "w", "type": "WAIT", "inputParameters": inputs}, "tasks[0]"))
    assert [problem.message for problem in found] == messages
    assert {problem.path for problem in found} <= {"tasks[0]"}


def test_an_endless_text_is_shown_in_part() -> None:
    task = {"name": "w", "type": "WAIT", "inputParameters": {"duration": "x" * 1000}}
    assert list(Wait().problems(task, "t")) == [Problem("t", NO_DURATION, "x" * 64)]
