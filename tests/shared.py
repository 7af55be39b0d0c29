"""The folder of recordings, public definitions and emulators, which lies outside of the repository.

``BATUTA_SHARED`` names it; by default it is ``shared`` beside the project. Suites that need what is not there are skipped, and
the end of the run says so; with ``BATUTA_REQUIRE_ALL=1``, as the gate has it, they fail.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("BATUTA_SHARED") or REPOSITORY.parent / "shared")
IS_ALL_REQUIRED = os.environ.get("BATUTA_REQUIRE_ALL") == "1"
NOT_TESTED = "NOT TESTED"


def not_tested(what: str, because: str) -> None:
    """Skips the running test, loudly, or fails it where nothing may be missing."""
    message = f"{NOT_TESTED}: {what}: {because}"
    if IS_ALL_REQUIRED:
        pytest.fail(message)
    pytest.skip(message)
