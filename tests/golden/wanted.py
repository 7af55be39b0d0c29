"""Which of the recordings must be equal: all but those that two lists of ours name, each with its reason."""

from __future__ import annotations

from pathlib import Path

from tests.shared import SHARED

GOLDEN = SHARED / "golden"
EXPECTED_DIFFERENCES = Path(__file__).parent / "expected_differences.txt"  # meant otherwise
LEFT_OUT = (EXPECTED_DIFFERENCES, Path(__file__).parent / "not_yet.txt")


class NotThere(Exception):
    """There are no recordings here."""


def wanted() -> list[str]:
    """The names, sorted. Raises NotThere, and ValueError when a list names a scenario that does not exist."""
    if not GOLDEN.exists():
        raise NotThere(str(GOLDEN))
    names = {f"{file.parent.name}/{file.stem}" for file in (GOLDEN / "scenarios").glob("*/*.json")}
    without = {name for file in LEFT_OUT if file.exists() for name in listed(file)}
    if unknown := without - names:
        raise ValueError(f"left out, but there are no such scenarios: {', '.join(sorted(unknown))}")
    return sorted(names - without)


def listed(file: Path) -> list[str]:
    """The scenarios in a list of ours, each on a line of its own; ``#`` begins a comment."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]
