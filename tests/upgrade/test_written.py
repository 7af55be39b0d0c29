"""What earlier commits wrote stays as they wrote it."""

from __future__ import annotations

import hashlib

import pytest

from tests.upgrade.write import FOLDER, JOURNALS, STORED
from tests.upgrade.written import WRITTEN


def test_every_file_is_listed_and_every_listed_file_is_there() -> None:
    found = {str(file.relative_to(FOLDER)) for folder in (JOURNALS, STORED) for file in folder.iterdir()}
    assert found == set(WRITTEN), "a new file wants a line in written.py; none is ever taken away"


@pytest.mark.parametrize("name", WRITTEN)
def test_no_file_is_written_over(name: str) -> None:
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == WRITTEN[name], (
        f"{name} stands for executions that were under way when somebody upgraded: write a new one (tests/upgrade/write.py)"
    )
