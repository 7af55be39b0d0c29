"""What proves a message, and what does not."""

from __future__ import annotations

import pytest

from batuta_core.model.names import ExecutionId
from batuta_core.model.place import TaskPlace
from batuta_core.model.token import Signer

OLD, NEW = b"o" * 16, b"n" * 32
EXECUTION = ExecutionId("default", "0188bd2e-e01a-4f0e-9a3c-0123456789ab")
PLACE = TaskPlace(3, 1)


def test_a_token_is_good_for_one_attempt_of_one_task_of_one_execution() -> None:
    signer = Signer([NEW])
    token = signer.task_token(EXECUTION, PLACE, 1)
    assert signer.is_task_token(token, EXECUTION, PLACE, 1)
    others = [
        (EXECUTION, PLACE, 2),
        (EXECUTION, TaskPlace(31, 1), 1),
        (EXECUTION, TaskPlace(3, 11), 1),
        (EXECUTION, TaskPlace(*PLACE.named, 9), 1),
        (ExecutionId("other", EXECUTION.workflow_id), PLACE, 1),
        (ExecutionId("default", "0188bd2e-e01a-4f0e-9a3c-0123456789ac"), PLACE, 1),
    ]
    assert not any(signer.is_task_token(token, *other) for other in others)


@pytest.mark.parametrize("token", ["", " ", "x", "é", "\ud800", "A" * 22, "A" * 100_000])
def test_no_other_text_is_a_token(token: str) -> None:
    assert not Signer([NEW]).is_task_token(token, EXECUTION, PLACE, 1)


def test_a_token_is_neither_cut_nor_padded() -> None:
    signer = Signer([NEW])
    token = signer.task_token(EXECUTION, PLACE, 1)
    assert len(token) == 22
    for other in (token[:-1], token + "=", token + "A", token.swapcase()):
        assert not signer.is_task_token(other, EXECUTION, PLACE, 1)


def test_after_a_rotation_old_tokens_are_good_and_new_ones_are_of_the_new_key() -> None:
    before, after, later = Signer([OLD]), Signer([NEW, OLD]), Signer([NEW])
    old, new = before.task_token(EXECUTION, PLACE, 1), after.task_token(EXECUTION, PLACE, 1)
    assert after.is_task_token(old, EXECUTION, PLACE, 1)
    assert later.is_task_token(new, EXECUTION, PLACE, 1)
    assert not later.is_task_token(old, EXECUTION, PLACE, 1)


def test_a_signature_is_good_for_its_text_only_and_is_no_token() -> None:
    signer = Signer([NEW])
    text = f"task\x00{EXECUTION}\x003\x001\x001"  # what a token signs
    signature = signer.signature(text)
    assert signer.is_signature(signature, text)
    assert not signer.is_signature(signature, text + " ")
    assert not signer.is_task_token(signature, EXECUTION, PLACE, 1)
    assert not signer.is_signature(signer.task_token(EXECUTION, PLACE, 1), text)


@pytest.mark.parametrize("text", ["", "\x00", "é😀", "\ud800"])
def test_any_text_can_be_signed(text: str) -> None:
    signer = Signer([NEW])
    assert signer.is_signature(signer.signature(text), text)


@pytest.mark.parametrize("keys", [[], [b""], [b"x" * 15], [NEW, b"short"]])
def test_a_signer_wants_keys_that_cannot_be_guessed(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Signer(keys)
