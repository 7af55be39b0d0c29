"""Free places for tasks, counted: of the process, of a function, of the child processes.

A poll reserves places before it asks for messages, so no more are taken than can run.
"""

from __future__ import annotations

from collections.abc import Collection


class Places:
    """Used from the worker's own event loop only."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    @property
    def free(self) -> int:
        return self.limit - self.taken


def free_in(places: Collection[Places]) -> int:
    return min(place.free for place in places)


def reserve(places: Collection[Places], wanted: int) -> int:
    """Takes the same number in all of them, at most ``wanted``, and says how many."""
    count = max(min(wanted, free_in(places)), 0)
    for place in places:
        place.taken += count
    return count


def give_back(places: Collection[Places], count: int = 1) -> None:
    for place in places:
        place.taken -= count
