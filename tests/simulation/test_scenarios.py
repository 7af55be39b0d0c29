"""The told schedules, one test each."""

from __future__ import annotations

import pytest

from tests.simulation.scenarios import SCENARIOS, Scenario


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Scenario) -> None:
    scenario()
