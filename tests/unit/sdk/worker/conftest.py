"""What every test of a worker has."""

from __future__ import annotations

import pytest
from tests.unit.sdk.memory import MemoryQueues


@pytest.fixture
def queues() -> MemoryQueues:
    return MemoryQueues()
