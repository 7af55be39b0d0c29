"""What was used, by whom, and what it costs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from benchmarks import prices
from benchmarks.prices import Price

Line = tuple[str, str]  # who, what


class Ledger:
    """For any number of threads. ``calls`` counts how often, ``amounts`` how much, ``usd`` what for, by (who, what)."""

    def __init__(self) -> None:
        self.calls: Counter[Line] = Counter()
        self.amounts: Counter[Line] = Counter()
        self.usd: dict[Line, float] = {}
        self._lock = threading.Lock()

    def add(self, who: str, what: str, price: Price, amount: float, *, calls: int = 1) -> None:
        with self._lock:
            self.calls[who, what] += calls
            self.amounts[who, what] += amount  # type: ignore[assignment]
            self.usd[who, what] = self.usd.get((who, what), 0.0) + price.of(amount)

    def copy(self) -> Ledger:
        made = Ledger()
        with self._lock:
            made.calls, made.amounts, made.usd = Counter(self.calls), Counter(self.amounts), dict(self.usd)
        return made

    def since(self, before: Ledger) -> Ledger:
        """What came after ``before``, an earlier copy."""
        return self.less(before)

    def less(self, other: Ledger, times: float = 1) -> Ledger:
        """Without what ``other`` used, ``times`` over."""
        made = self.copy()
        for line in other.usd:
            made.calls[line] -= times * other.calls[line]  # type: ignore[assignment]
            made.amounts[line] -= times * other.amounts[line]  # type: ignore[assignment]
            made.usd[line] = made.usd.get(line, 0.0) - times * other.usd[line]
        return made

    @property
    def total_usd(self) -> float:
        return sum(self.usd.values())

    def amount(self, *words: str) -> float:
        """Of all lines whose ``what`` holds every one of ``words``."""
        return sum(amount for (_who, what), amount in self.amounts.items() if all(word in what for word in words))

    def rows(self, count: int) -> list[dict[str, Any]]:
        """Per one of ``count`` (tasks, executions), in dollars a million; the dearest first."""
        lines = sorted(self.usd, key=lambda line: -self.usd[line])
        return [
            {
                "who": who,
                "what": what,
                "calls": round(self.calls[who, what] / count, 4),
                "amount": round(self.amounts[who, what] / count, 4),
                "usd_per_million": round(self.usd[who, what] / count * prices.MILLION, 4),
            }
            for who, what in lines
            if self.calls[who, what] or abs(self.usd[who, what]) > 1e-15
        ]

    def by(self, words: Mapping[str, str], count: int) -> dict[str, float]:
        """Dollars a million by heading; each line goes to the first heading whose word it holds, else to "other"."""
        found: dict[str, float] = dict.fromkeys(words.values(), 0.0)
        for (who, what), usd in self.usd.items():
            heading = next((heading for word, heading in words.items() if word in f"{who}: {what}"), "other")
            found[heading] = found.get(heading, 0.0) + usd / count * prices.MILLION
        return {heading: round(usd, 3) for heading, usd in found.items()}
