from __future__ import annotations

import pytest
from tests.unit.functions.api.caller import Api


@pytest.fixture
def api() -> Api:
    return Api()
