"""WAIT: waits for a duration, until a moment, or for a signal. What its inputs may say, and when that is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from batuta_core.decider import outcome
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.decider.timeout import LOOK_MS
from batuta_core.model.error import Problem
from batuta_core.model.execution import TaskStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step
    from batuta_core.model.record import OpenTask

BOTH_GIVEN = "Both 'duration' and 'until' specified. Please provide only one input"

_SHOWN_CHARS = 64  # of a text that cannot be read

_NUMBER_MAX = 2**31 - 1  # Java's int, in which Conductor reads each number
_MINUTE_MS = 60_000
_DAY_MS = 24 * 60 * _MINUTE_MS

_DURATION = re.compile(
    r"\s*(?:(\d+)\s*(?:days?|d))?"
    r"\s*(?:(\d+)\s*(?:hours?|hrs?|h))?"
    r"\s*(?:(\d+)\s*(?:minutes?|mins?|m))?"
    r"\s*(?:(\d+)\s*(?:seconds?|secs?|s))?\s*",
    re.IGNORECASE | re.ASCII,
)

# Any number of digits, and blanks before each number: Java's date reader is that lenient.
_UNTIL = re.compile(r"\s*(\d+)-\s*(\d+)-\s*(\d+)(?: \s*(\d+):\s*(\d+)(?: (.+))?)?", re.ASCII)
_OFFSET = re.compile(r"(?:GMT|UTC)?([+-])(\d{1,2}):?(\d\d)", re.IGNORECASE | re.ASCII)

# Minutes east of Greenwich. An abbreviation is an offset, not a place: PST is eight hours behind in July, too, in Java
# as here, and names of places (Europe/Madrid) are no zones to its date reader. So the zone database is not missed, whose
# files the core may not read. Of an abbreviation that several countries use one is chosen: CST is American, IST Indian.
ZONES: Mapping[str, int] = {
    "GMT": 0, "UTC": 0, "UT": 0, "WET": 0, "WEST": 60, "BST": 60, "CET": 60, "CEST": 120, "MET": 60, "MEST": 120,
    "EET": 120, "EEST": 180, "SAST": 120, "MSK": 180, "TRT": 180, "PKT": 300, "IST": 330, "NPT": 345, "ICT": 420, "WIB": 420,
    "HKT": 480, "SGT": 480, "AWST": 480, "JST": 540, "KST": 540, "ACST": 570, "ACDT": 630, "AEST": 600, "AEDT": 660,
    "NZST": 720, "NZDT": 780, "BRT": -180, "ART": -180, "NST": -210, "NDT": -150, "AST": -240, "ADT": -180,
    "EST": -300, "EDT": -240, "CST": -360, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420,
    "AKST": -540, "AKDT": -480, "HST": -600,
}  # fmt: skip


class Wait(TaskType):
    name = "WAIT"
    has_input_template = False
    is_limited = True
    limit_late_ms = LOOK_MS

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        duration, until = duration_and_until(task["inputParameters"])
        if duration and until:
            yield Problem(path, BOTH_GIVEN)
        if duration and not duration.startswith("${"):
            if parse_duration_ms(duration) is None:
                yield Problem(path, "Either date or duration is passed as null ", duration[:_SHOWN_CHARS])
        elif until and not until.startswith("${") and parse_until_ms(until) is None:
            yield Problem(path, "Unable to parse date ", until[:_SHOWN_CHARS])

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task_input = step.inputs(node, hidden)
        due_ms, refusal = _due_ms(task_input, step.now_ms)
        if due_ms is None:
            outcome.local_task_failed(step, node, task_input, TaskStatus.FAILED_WITH_TERMINAL_ERROR, refusal)
        elif 0 < due_ms <= step.now_ms:
            step.local_task(node, TaskStatus.COMPLETED, task_input, {})
            step.go_to(node.next)
        else:
            task = step.new_task(node, status=TaskStatus.IN_PROGRESS, started_ms=step.now_ms, updated_ms=step.now_ms, due_ms=due_ms)
            step.open_task(node, task, task_input)

    def again(self, step: Step, node: Node, failed: OpenTask, attempt: OpenTask, extra: Mapping[str, Any]) -> None:
        """It waits anew, from the end of the retry's delay on."""
        task_input = step.old_input(failed.number, failed.place) if step.is_beside(node) else step.inputs(node)
        now_ms = step.now_ms
        due_ms, refusal = _due_ms(task_input, max(now_ms, attempt.due_ms))
        at_ms = max(due_ms, now_ms + 1) if due_ms else 0  # later than the timer that may have led here
        task = replace(attempt, status=TaskStatus.IN_PROGRESS, started_ms=now_ms, updated_ms=now_ms, due_ms=at_ms, callback_s=0)
        task = step.open_task(node, task, task_input, extra)
        if due_ms is None:
            outcome.task_failed(step, node, task, TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason=refusal)

    def on_due(self, step: Step, node: Node, task: OpenTask) -> None:
        step.close_task(task, TaskStatus.COMPLETED)
        step.go_to(node.next)


def _due_ms(task_input: Mapping[str, Any], from_ms: int) -> tuple[int | None, str]:
    """When a WAIT that begins at ``from_ms`` ends by itself; 0: when somebody ends it; None: it cannot be read, and why."""
    duration, until = duration_and_until(task_input)
    if duration and until:
        return None, BOTH_GIVEN
    if duration:
        length_ms = parse_duration_ms(duration)
        return None if length_ms is None else from_ms + length_ms, f"Not valid duration: {duration[:_SHOWN_CHARS]}"
    if until:
        return parse_until_ms(until), f"Invalid/Unsupported Wait Until format.  Provided: {until[:_SHOWN_CHARS]}"
    return 0, ""


def duration_and_until(inputs: Mapping[str, Any]) -> tuple[str, str]:
    """The two inputs as text. What is absent, null or blank is empty: as if it were not there."""
    duration, until = ("" if inputs.get(key) is None else str(inputs[key]) for key in ("duration", "until"))
    return (duration if duration.strip() else ""), (until if until.strip() else "")


def parse_duration_ms(text: str) -> int | None:
    """``1d2h3m4s``, ``2 days 1 hour`` ...: each unit at most once and in that order; None when it is anything else."""
    found = _DURATION.fullmatch(text)
    if found is None or not text.strip():
        return None
    numbers = _numbers(found.groups())
    if numbers is None:
        return None
    days, hours, minutes, seconds = numbers
    return days * _DAY_MS + (hours * 60 + minutes) * _MINUTE_MS + seconds * 1000


def parse_until_ms(text: str) -> int | None:
    """Epoch ms of ``yyyy-MM-dd``, ``yyyy-MM-dd HH:mm`` or the latter with a zone: ``GMT+02:00``, ``+0200``, ``PST``.

    Without a zone it is UTC. None when it is anything else. Month 13 is next January, as in Java.
    """
    found = _UNTIL.fullmatch(text)
    if found is None:
        return None
    *groups, zone = found.groups()
    numbers = _numbers(groups)
    offset_min = _offset_min(zone) if zone is not None else 0
    if offset_min is None or numbers is None:
        return None
    year, month, day, hour, minute = numbers
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    if not date.min.year <= year <= date.max.year:
        return None
    days = date(year, month, 1).toordinal() - date(1970, 1, 1).toordinal() + day - 1
    return days * _DAY_MS + (hour * 60 + minute - offset_min) * _MINUTE_MS


def _numbers(groups: Iterable[str | None]) -> list[int] | None:
    """A missing one is 0; None when one is too large for Conductor."""
    texts = [(group or "0").lstrip("0") or "0" for group in groups]
    numbers = [int(text) for text in texts if len(text) <= len(str(_NUMBER_MAX))]
    return numbers if len(numbers) == len(texts) and max(numbers) <= _NUMBER_MAX else None


def _offset_min(zone: str) -> int | None:
    if (known := ZONES.get(zone.upper())) is not None:
        return known
    found = _OFFSET.fullmatch(zone)
    if found is None:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    return minutes if found[1] == "+" else -minutes
