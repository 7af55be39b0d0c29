"""Where the recordings of the real Conductor and the public definitions lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.shared import SHARED, not_tested


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        not_tested("the recordings", f"{SHARED} is no folder (set BATUTA_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def corpus(shared: Path) -> list[dict[str, Any]]:
    """The public definitions in their order: ``path`` and ``definition``."""
    lines = (shared / "corpus" / "definitions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
