"""Which faults befall which call, drawn from a seed or told one by one; and a count of what was hit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from random import Random
from typing import Protocol


class Fault(StrEnum):
    CRASH_BEFORE = "crash before"  # the process dies, the call never happened
    CRASH_AFTER = "crash after"  # the call happened, then the process dies
    THROTTLE = "throttle"  # an error, the call did not happen
    LOST_REPLY = "lost reply"  # an error, but the call happened
    ECHO = "echo"  # a conditional write whose reply was lost is repeated by the client library and meets itself
    STALE_READ = "stale read"  # an eventually consistent read sees what was there before
    DUPLICATE = "duplicate"  # a message comes once more although somebody holds it
    DELAY = "delay"  # a message becomes visible some seconds later than asked
    PAUSE = "pause"  # others run before the call goes on


class Crash(BaseException):
    """The process is gone. No handler of errors may catch it."""


class Faults(Protocol):
    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        """The fault for the ``call``-th I/O call of the schedule, which is made at ``site`` by an actor that others have
        overtaken before, or not."""


class NoFaults:
    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        return None


class ToldFaults:
    """Faults at given calls, counted from 1: for going through all of them one after the other."""

    def __init__(self, told: Mapping[int, Fault]) -> None:
        self._told = told

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        return self._told.get(call)


# How likely a fault befalls a call at all, and of those how likely each kind is.
_WEIGHTS: Mapping[Fault, int] = {
    Fault.CRASH_BEFORE: 3,
    Fault.CRASH_AFTER: 4,
    Fault.THROTTLE: 2,
    Fault.LOST_REPLY: 3,
    Fault.ECHO: 4,
    Fault.STALE_READ: 6,
    Fault.DUPLICATE: 4,
    Fault.DELAY: 3,
    Fault.PAUSE: 10,
}
ONLY_AT: Mapping[Fault, frozenset[str]] = {
    Fault.ECHO: frozenset({"journal.append", "gates.write"}),
    Fault.STALE_READ: frozenset({"journal.glance", "summaries.get"}),
    Fault.DUPLICATE: frozenset({"queues.receive"}),
    Fault.DELAY: frozenset({"queues.send"}),
}


# Calls that come up far more often than they matter, and those that seldom do, get faults by their weight, not their number.
_SITE_RATES: Mapping[str, float] = {
    "far_timers.in_minute": 0.03,
    "far_timers.set_cursor": 0.1,
    "far_timers.cursor": 0.5,
    "far_timers.delete": 4,
    "gates.wait": 3,
    "gates.forget": 4,
    "actions.begin": 4,
    "definitions.revision": 0.5,
    "journal.read": 2,
    "journal.scan": 3,
    "logs.add": 3,
    "payloads.get": 10,
    "payloads.put": 10,
    "queues.ensure_task_queue": 2,
    "queues.release": 3,
    "summaries.get": 3,
    "summaries.note_dispatched": 3,
}


# Calls that come up once in a schedule, if at all, often when its faults are spent: each schedule aims one more fault at one of them.
_AIMS = (
    "definitions.put_tasks",
    "definitions.put_workflows",
    "journal.purge",
    "logs.lines",
    "logs.purge",
    "payloads.get",
    "payloads.purge",
    "summaries.delete",
)


class RandomFaults:
    """Up to ``budget`` faults, each call with probability ``rate`` times the weight of its site, and one aimed at a call that
    is seldom made. Who has paused is four times as likely to meet another fault: what breaks protocols is a slow writer that dies."""

    def __init__(self, random: Random, rate: float, budget: int) -> None:
        self._random = random
        self._rate = rate
        self._left = budget
        self._choices: dict[str, tuple[list[Fault], list[int]]] = {}
        self._aim = random.choice(_AIMS)
        self._calls_to_aim = random.choice((1, 1, 2))

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        if site == self._aim:
            self._calls_to_aim -= 1
            if self._calls_to_aim == 0:
                return self._random.choice(self._for_site(site)[0])
        rate = self._rate * _SITE_RATES.get(site, 1) * (4 if has_paused else 1)
        if self._left <= 0 or self._random.random() >= rate:
            return None
        self._left -= 1
        faults, weights = self._for_site(site)
        return self._random.choices(faults, weights)[0]

    def _for_site(self, site: str) -> tuple[list[Fault], list[int]]:
        if site not in self._choices:
            fitting = [fault for fault in Fault if site in ONLY_AT.get(fault, (site,))]
            self._choices[site] = (fitting, [_WEIGHTS[fault] for fault in fitting])
        return self._choices[site]


class Hits:
    """How often each fault befell each call site, over any number of schedules."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, what: str, site: str) -> None:
        self.counts[what, site] += 1

    def total(self) -> int:
        return sum(self.counts.values())

    def missing(self) -> list[tuple[str, str]]:
        """The pairs of fault and call site that could have come up, by what else befell the site, and did not."""
        sites = {site for _what, site in self.counts}
        return [
            (fault.value, site)
            for site in sorted(sites)
            for fault in Fault
            if site in ONLY_AT.get(fault, (site,)) and not self.counts[fault.value, site]
        ]

    def table(self) -> str:
        """A row per call site, a column per fault."""
        kinds = sorted({what for what, _site in self.counts})
        sites = sorted({site for _what, site in self.counts})
        width = max((len(site) for site in sites), default=4)
        lines = [" " * width + "".join(f"  {kind:>12}" for kind in kinds)]
        lines += [f"{site:<{width}}" + "".join(f"  {self.counts[kind, site] or '':>12}" for kind in kinds) for site in sites]
        return "\n".join(lines)
