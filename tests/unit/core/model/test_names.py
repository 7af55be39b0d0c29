"""Namespaces, stages and the names of queues."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta_core.model.error import InvalidInput
from batuta_core.model.names import (
    QUEUE_NAME_MAX,
    ExecutionId,
    check_namespace,
    check_stage,
    is_priority_queue,
    priority_queue_name,
    resource_name,
    task_queue_name,
)

LONGEST_STAGE, LONGEST_NAMESPACE = "s" * 16, "n" * 32


@pytest.mark.parametrize("text", ["a", "0", "default", "a-b_c", "n" * 32])
def test_a_namespace(text: str) -> None:
    assert check_namespace(text) == text


@pytest.mark.parametrize("text", ["", "-a", "a-", "_a", "a_", "A", "a.b", "a#b", "é", "a\n", " a", "n" * 33, "a--b", "٣", "x" * 100_000])
def test_what_is_no_namespace_is_shown_in_part(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_namespace(text)
    [problem] = refused.value.problems
    assert (problem.path, problem.invalid_value) == ("namespace", text[:64])


@pytest.mark.parametrize("text", ["a", "prod", "pr-17", "s" * 16])
def test_a_stage(text: str) -> None:
    assert check_stage(text) == text


@pytest.mark.parametrize("text", ["", "-", "a--b", "a_b", "Prod", "s" * 17, "a\n"])
def test_what_is_no_stage(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a stage"):
        check_stage(text)


@given(st.text(max_size=200), st.text(max_size=20))
def test_every_task_type_has_a_queue_name_that_sqs_takes(task_type: str, domain: str) -> None:
    for stage, namespace in (("prod", "shop"), (LONGEST_STAGE, LONGEST_NAMESPACE)):
        name = task_queue_name(stage, namespace, task_type, domain)
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name)
        assert name == task_queue_name(stage, namespace, task_type, domain)
        assert name.startswith(f"batuta-{stage}--{namespace}--")


def test_the_readable_part_is_cut_and_the_name_stays_within_the_quota() -> None:
    assert len(task_queue_name(LONGEST_STAGE, LONGEST_NAMESPACE, "t" * 100)) == QUEUE_NAME_MAX
    assert task_queue_name("prod", "shop", "charge card!").startswith("batuta-prod--shop--charge_card_-")


PARTS = st.text("ab-_\x00\x01.é", max_size=3)


@given(PARTS, PARTS, PARTS, PARTS)
def test_no_two_task_types_share_a_queue_name(type_1: str, domain_1: str, type_2: str, domain_2: str) -> None:
    same = (type_1, domain_1) == (type_2, domain_2)
    assert (task_queue_name("prod", "shop", type_1, domain_1) == task_queue_name("prod", "shop", type_2, domain_2)) == same


@given(PARTS, PARTS, PARTS, PARTS)
def test_a_priority_queue_is_its_task_types_alone(type_1: str, domain_1: str, type_2: str, domain_2: str) -> None:
    one, other = task_queue_name("prod", "shop", type_1, domain_1), task_queue_name("prod", "shop", type_2, domain_2)
    assert (priority_queue_name(one) == priority_queue_name(other)) == (one == other)
    assert priority_queue_name(one) != other
    assert (is_priority_queue(priority_queue_name(one)), is_priority_queue(one)) == (True, False)


@given(st.text(max_size=200))
def test_the_name_of_a_priority_queue_is_one_that_sqs_takes_and_policies_match(task_type: str) -> None:
    for stage, namespace in (("prod", "shop"), (LONGEST_STAGE, LONGEST_NAMESPACE)):
        name = priority_queue_name(task_queue_name(stage, namespace, task_type))
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name)
        assert name.startswith(f"batuta-{stage}--{namespace}--")


def test_a_zero_character_in_a_task_type_does_not_make_it_a_domain() -> None:
    assert task_queue_name("prod", "shop", "a\x00b") != task_queue_name("prod", "shop", "a", "b")
    assert task_queue_name("prod", "shop", "a\x00", "b") != task_queue_name("prod", "shop", "a", "\x00b")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("prod", "shop", "a"), ("prod", "shop", "A")),
        (("prod", "shop", "a b"), ("prod", "shop", "a_b")),
        (("prod", "shop", "x" * 100 + "1"), ("prod", "shop", "x" * 100 + "2")),
        (("prod", "a-b", "c"), ("prod-a", "b", "c")),
        (("prod", "a", "b-c"), ("prod", "a-b", "c")),
        (("prod", "a", "ﬁ"), ("prod", "a", "fi")),
    ],
)
def test_names_that_look_alike_differ(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert task_queue_name(*one) != task_queue_name(*other)


def test_what_a_stage_has_once_is_never_a_task_queue() -> None:
    assert resource_name("prod", "timers") == "batuta-prod--timers"
    assert "--" not in "timers"
    assert "--" in task_queue_name("prod", "a", "-timers").removeprefix(resource_name("prod", ""))


def test_an_execution_id_is_read_as_it_is_written() -> None:
    execution = ExecutionId("shop", "0188bd2e-e01a-4f0e-9a3c-0123456789ab")
    assert ExecutionId.parse(str(execution)) == execution
