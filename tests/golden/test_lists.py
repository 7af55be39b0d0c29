"""What is answered otherwise than recorded is said, with its reason, and is little."""

from __future__ import annotations

from tests.golden.wanted import EXPECTED_DIFFERENCES, LEFT_OUT, listed
from tests.shared import REPOSITORY

_MAX = 5


def test_what_is_meant_otherwise_is_little_and_stands_in_the_documents() -> None:
    documents = (REPOSITORY / "docs" / "conductor-differences.md").read_text(encoding="utf-8")
    names = listed(EXPECTED_DIFFERENCES)
    assert len(names) <= _MAX
    assert [name for name in names if f"| `{name}` |" not in documents] == []


def test_no_scenario_is_left_out_twice() -> None:
    names = [name for file in LEFT_OUT if file.exists() for name in listed(file)]
    assert len(names) == len(set(names))
