from __future__ import annotations

from collections.abc import Iterator

import pytest

from batuta_server.sandbox.runner import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    found = Sandbox()
    yield found
    found.close()
