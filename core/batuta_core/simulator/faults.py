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
    def choose(self, site: str, call: int) -> Fault | None:
        """The fault for the ``call``-th I/O call of the schedule, which is made at ``site``."""


class NoFaults:
    def choose(self, site: str, call: int) -> Fault | None:
        return None


class ToldFaults:
    """Faults at given calls, counted from 1: for going through all of them one after the other."""

    def __init__(self, told: Mapping[int, Fault]) -> None:
        self._told = told

    def choose(self, site: str, call: int) -> Fault | None:
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
    Fault.ECHO: frozenset({"journal.append"}),
    Fault.STALE_READ: frozenset({"summaries.get"}),
    Fault.DUPLICATE: frozenset({"queues.receive"}),
    Fault.DELAY: frozenset({"queues.send"}),
}


class RandomFaults:
    """Up to ``budget`` faults, each call with probability ``rate``; pauses do not count against the budget's half."""

    def __init__(self, random: Random, rate: float, budget: int) -> None:
        self._random = random
        self._rate = rate
        self._left = budget
        self._choices: dict[str, tuple[list[Fault], list[int]]] = {}

    def choose(self, site: str, call: int) -> Fault | None:
        if self._left <= 0 or self._random.random() >= self._rate:
            return None
        self._left -= 1
        faults, weights = self._for_site(site)
        return self._random.choices(faults, weights)[0]

    def _for_site(self, site: str) -> tuple[list[Fault], list[int]]:
        if site not in self._choices:
            fitting = [fault for fault in Fault if fault not in ONLY_AT or site in ONLY_AT[fault]]
            self._choices[site] = (fitting, [_WEIGHTS[fault] for fault in fitting])
        return self._choices[site]


class Hits:
    """How often each fault befell each call site, over any number of schedules."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, what: str, site: str) -> None:
        self.counts[what, site] += 1

    def table(self) -> str:
        """A row per call site, a column per fault."""
        kinds = sorted({what for what, _site in self.counts})
        sites = sorted({site for _what, site in self.counts})
        width = max((len(site) for site in sites), default=4)
        lines = [" " * width + "".join(f"  {kind:>12}" for kind in kinds)]
        lines += [f"{site:<{width}}" + "".join(f"  {self.counts[kind, site] or '':>12}" for kind in kinds) for site in sites]
        return "\n".join(lines)
