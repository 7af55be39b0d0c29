"""Ids: derived, readable back, and never the same for two things."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta_core.model.ids import (
    TaskKey,
    child_workflow_id,
    is_workflow_id,
    parse_task_id,
    short_hash,
    task_id,
    to_uuid,
    workflow_id_of_key,
)

WORKFLOW_ID = "0188bd2e-e01a-4f0e-9a3c-0123456789ab"
NUMBERS = st.integers(0, 2**40)


@given(st.binary(min_size=16, max_size=16), NUMBERS, NUMBERS)
def test_a_task_id_tells_its_execution_record_and_place(raw: bytes, record: int, nth: int) -> None:
    text = task_id(to_uuid(raw), record, nth)
    assert parse_task_id(text) == TaskKey(to_uuid(raw), record, nth)
    assert text.isascii()
    assert "=" not in text


@pytest.mark.parametrize(("record", "nth", "chars"), [(1, 0, 27), (127, 127, 27), (128, 0, 28), (2**21, 2**14, 34)])
def test_a_task_id_is_short(record: int, nth: int, chars: int) -> None:
    assert len(task_id(WORKFLOW_ID, record, nth)) == chars


@given(st.text(max_size=40))
def test_any_text_is_either_one_of_our_task_ids_or_none(text: str) -> None:
    key = parse_task_id(text)
    assert key is None or task_id(key.workflow_id, key.record, key.nth) == text.rstrip("=")


@pytest.mark.parametrize("place", range(27))
def test_a_task_id_with_one_wrong_character_is_none_of_ours(place: int) -> None:
    text = task_id(WORKFLOW_ID, 1, 0)
    wrong = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
    assert parse_task_id(wrong) is None or place == 26  # the last character has spare bits


@pytest.mark.parametrize("text", ["", " ", "=", "AAAA", WORKFLOW_ID, "é" * 27, "A" * 27, "\ud800" * 27, "A" * 100_000])
def test_what_is_no_task_id(text: str) -> None:
    assert parse_task_id(text) is None


def test_a_task_id_that_is_cut_off_or_longer_is_none_of_ours() -> None:
    text = task_id(WORKFLOW_ID, 300, 5)
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    for other in (raw[:-1], raw + b"\x00", b"\x02" + raw[1:]):
        assert parse_task_id(base64.urlsafe_b64encode(other).decode().rstrip("=")) is None


@pytest.mark.parametrize("workflow_id", ["", "x", WORKFLOW_ID.upper(), WORKFLOW_ID.replace("-", ""), WORKFLOW_ID + "0"])
def test_only_an_execution_id_has_task_ids(workflow_id: str) -> None:
    assert not is_workflow_id(workflow_id)
    with pytest.raises(ValueError, match="not an execution id"):
        task_id(workflow_id, 1, 0)


@pytest.mark.parametrize(
    "text",
    [
        "0188bd2ee01a-4f0e-9a3c-0123456789ab-",
        "0188bd2e-e01a-4f0e-9a3c-0123456789a ",
        "０188bd2e-e01a-4f0e-9a3c-0123456789ab",
        "----" + "0" * 32,
    ],
)
def test_what_looks_like_an_execution_id_and_is_none(text: str) -> None:
    assert not is_workflow_id(text)


@given(st.binary(min_size=16, max_size=16))
def test_any_sixteen_bytes_are_an_execution_id(raw: bytes) -> None:
    assert is_workflow_id(to_uuid(raw))


def test_an_id_of_a_key_depends_on_all_that_it_is_of() -> None:
    base = ("ns", "name", "key", 0)
    others = [
        ("ns2", "name", "key", 0),
        ("ns", "name2", "key", 0),
        ("ns", "name", "key2", 0),
        ("ns", "name", "key", 1),
        ("ns", "namek", "ey", 0),
    ]
    assert len({workflow_id_of_key(*parts) for parts in [base, *others]}) == 6
    assert workflow_id_of_key(*base) == workflow_id_of_key(*base)
    assert is_workflow_id(workflow_id_of_key(*base))


@pytest.mark.parametrize("key", ["", " ", "ключ", "😀", "\x00", "\ud800", "k" * 100_000])
def test_an_idempotency_key_may_be_any_text(key: str) -> None:
    assert is_workflow_id(workflow_id_of_key("ns", "имя", key))


def test_a_zero_character_does_not_move_the_border_between_name_and_key() -> None:
    assert workflow_id_of_key("ns", "a\x00b", "c") != workflow_id_of_key("ns", "a", "b\x00c")


def test_a_child_has_an_id_of_its_own_for_each_record_and_purpose() -> None:
    made = {child_workflow_id(WORKFLOW_ID, record, purpose) for record in (1, 11) for purpose in ("failure", "1failure")}
    assert len(made) == 4
    assert all(map(is_workflow_id, made))


def test_short_hashes_know_where_one_part_ends() -> None:
    assert short_hash("ab", "c") != short_hash("a", "bc")
    assert short_hash("a") == short_hash(b"a")
    assert [len(short_hash("\ud800", chars=chars)) for chars in (1, 22, 43)] == [1, 22, 43]
