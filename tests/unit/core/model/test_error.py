"""Errors on the wire: what the server raised is what the client gets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from batuta_core.engine.ports import Refused
from batuta_core.model import error as errors
from batuta_core.model.error import BatutaError, InvalidInput, Problem, error_from_dict

CLASSES = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, BatutaError)]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_is_rebuilt_as_it_was_raised(cls: type[BatutaError]) -> None:
    raised = cls("día 😀", problems=[Problem("tasks[0].name", "is missing"), Problem("", "x", "")], workflow_id="w", size_bytes=5)
    found = error_from_dict(raised.to_dict())
    assert (type(found), found.message, found.problems) == (cls, raised.message, raised.problems)
    assert found.facts == {"workflow_id": "w", "size_bytes": "5"}


def test_no_two_errors_share_a_code_and_each_has_a_remedy_of_its_own() -> None:
    assert len({cls.code for cls in CLASSES}) == len(CLASSES)
    assert all(400 <= cls.http_status < 600 and cls.remedy for cls in CLASSES)


def test_what_is_to_be_corrected_is_looked_for_where_it_is_said() -> None:
    by_field, by_message = InvalidInput("m", problems=[Problem("name", "is missing")]), InvalidInput("The body is not JSON.")
    for error in (by_field, by_message):
        assert ("validationErrors" in error.remedy) == ("validationErrors" in error.to_dict())
        assert error_from_dict(error.to_dict()).remedy == error.remedy == error.to_dict()["remedy"]


def test_a_remedy_leads_to_a_place_that_exists() -> None:
    root = Path(__file__).parents[4]
    for cls in CLASSES:
        for place in re.findall(r"[\w/]+\.md|docs/\w+", cls.remedy):
            assert (root / place).exists(), cls


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": "of_a_newer_server", "message": "m"},
        {"code": None, "message": None},
        {"code": "invalid_input", "validationErrors": None, "metadata": None},
        {"code": "invalid_input", "validationErrors": ["x", 5, {}], "metadata": "x"},
        {"status": 502, "message": "Bad Gateway"},
    ],
)
def test_any_body_of_an_error_becomes_an_error(body: dict[str, Any]) -> None:
    assert isinstance(error_from_dict(body), BatutaError)


@pytest.mark.parametrize("facts", [{"message": "x"}, {"problems": "x"}, {"self": "x"}, {"": "x"}])
def test_facts_of_any_name_are_taken(facts: dict[str, str]) -> None:
    found = error_from_dict({"code": "invalid_input", "message": "m", "metadata": facts})
    assert found.message == "m"


def test_an_error_of_the_servers_own_comes_back_as_what_it_is_on_the_wire() -> None:
    assert issubclass(Refused, errors.StaleHead)
    assert type(error_from_dict({"code": "stale_head", "message": "m"})) is errors.StaleHead
