"""Some hundred random schedules, so that ``make test`` meets every fault; CI runs thousands (``make sim``)."""

from __future__ import annotations

import pytest

from batuta_core.simulator.faults import Hits
from tests.simulation.schedule import run_seed


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_everything_accepted_ends_once_under_faults(first: int) -> None:
    hits = Hits()
    for seed in range(first, first + 100):
        run_seed(seed, hits)
    assert hits.total() > 300


def test_the_same_seed_gives_the_same_run() -> None:
    traces: list[list[str]] = [[], []]
    for trace in traces:
        run_seed(7, trace=trace)
    assert traces[0] == traces[1]
