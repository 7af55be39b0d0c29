"""Where the recordings of the real Conductor and the public definitions lie."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the corpus and the golden recordings: BATUTA_SHARED, or ``shared`` beside the repository."""
    folder = Path(os.environ.get("BATUTA_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no recordings: {folder} is no folder (set BATUTA_SHARED)")
    return folder


@pytest.fixture(scope="session")
def corpus(shared: Path) -> list[dict[str, Any]]:
    """The public definitions in their order: ``path`` and ``definition``."""
    lines = (shared / "corpus" / "definitions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
