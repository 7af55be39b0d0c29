"""Which of the recordings must be equal: all but those that ``not_yet.txt`` lists with a reason."""

from __future__ import annotations

from pathlib import Path

from tests.shared import SHARED

GOLDEN = SHARED / "golden"
_NOT_YET = Path(__file__).parent / "not_yet.txt"


class NotThere(Exception):
    """There are no recordings here."""


def wanted() -> list[str]:
    """The names, sorted. Raises NotThere, and ValueError when ``not_yet.txt`` names a scenario that does not exist."""
    if not GOLDEN.exists():
        raise NotThere(str(GOLDEN))
    lines = (line.partition("#")[0].strip() for line in _NOT_YET.read_text(encoding="utf-8").splitlines())
    names = {f"{file.parent.name}/{file.stem}" for file in (GOLDEN / "scenarios").glob("*/*.json")}
    without = set(filter(None, lines))
    if unknown := without - names:
        raise ValueError(f"{_NOT_YET.name} names scenarios that are not there: {', '.join(sorted(unknown))}")
    return sorted(names - without)
