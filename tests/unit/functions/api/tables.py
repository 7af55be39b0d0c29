"""The tables of docs/reference/operations.md, which tests walk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "operations.md").read_text()


def rows(first: str) -> Iterator[list[str]]:
    """Of the table whose head begins with ``first``."""
    lines = _PAGE.splitlines()
    begin = next(place for place, line in enumerate(lines) if line.startswith(f"| {first} |")) + 2
    for line in lines[begin:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]
