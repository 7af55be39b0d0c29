"""What a stage has once: names that fit, queues that AWS would make."""

from __future__ import annotations

import re

import pytest

from batuta_core.decider.tasks.registry import TASK_TYPES
from batuta_core.engine.ports import EVENT_RECEIVES, FUNCTION_VISIBILITY_S, TASK_VISIBILITY_S
from batuta_core.model.names import task_queue_name
from batuta_server import layout
from batuta_server.aws.queues import queue_attributes

LONGEST_STAGE = "a" * 16


@pytest.mark.parametrize("region", ["us-east-1", "ap-southeast-7", "us-gov-west-1", "us-isob-east-1", "eusc-de-east-1", "il-central-1"])
def test_bucket_names_are_buckets_names_in_every_region(region: str) -> None:
    name = layout.bucket_name(LONGEST_STAGE, "123456789012", region)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", name)
    assert {LONGEST_STAGE, "123456789012"} <= set(re.split("-(?=[a-z]+-|[0-9]{12})|-payloads-", name))


def test_names_differ_and_fit() -> None:
    queues, tables = ([thing.name(LONGEST_STAGE) for thing in things] for things in (layout.QUEUES, layout.TABLES))
    assert (len(set(queues)), len(set(tables))) == (len(layout.QUEUES), len(layout.TABLES))
    for name in (*queues, *tables):
        assert re.fullmatch(r"[A-Za-z0-9_-]{3,80}(\.fifo)?", name)
        assert len(name) <= 80  # SQS quota "Queue name"; tables may have more
    assert task_queue_name(LONGEST_STAGE, "shop", "timers") not in queues


def test_names_of_two_stages_differ() -> None:
    assert layout.EXECUTIONS.name("a") == "batuta-a--executions"
    assert layout.EXECUTIONS.name("b") != layout.EXECUTIONS.name("a")


def test_dead_letters_are_made_before_the_queues_that_name_them_and_are_of_their_kind() -> None:
    made: dict[str, layout.Queue] = {}
    for queue in (*layout.QUEUES, *layout.SYSTEM_QUEUES, layout.TASK_QUEUE):
        if queue.dead_letters:
            assert made[queue.dead_letters].is_fifo is queue.is_fifo
            assert not made[queue.dead_letters].dead_letters
        made[queue.what] = queue
    assert made["decider.fifo"].dead_letters
    assert made["timers"].dead_letters


@pytest.mark.parametrize(("queue", "is_fifo"), [(layout.DECIDER_QUEUE, True), (layout.TIMERS_QUEUE, False), (layout.TASK_QUEUE, False)])
def test_attributes_are_what_sqs_wants(queue: layout.Queue, is_fifo: bool) -> None:
    attributes = queue_attributes(queue, "arn:dead")
    assert ("FifoQueue" in attributes) is is_fifo
    assert '"arn:dead"' in attributes["RedrivePolicy"]
    assert attributes["VisibilityTimeout"] == str(TASK_VISIBILITY_S if queue is layout.TASK_QUEUE else FUNCTION_VISIBILITY_S)
    assert all(isinstance(value, str) for value in attributes.values())
    assert "RedrivePolicy" not in queue_attributes(queue, "")


def test_a_functions_queue_gives_a_message_once_unless_doing_it_again_is_harmless() -> None:
    for kind in TASK_TYPES.values():
        for queue in layout.SYSTEM_QUEUES:
            if kind.system_queue == queue.what:
                tries = EVENT_RECEIVES if kind.is_repeatable else 1
                assert f'"maxReceiveCount": "{tries}"' in queue_attributes(queue, "arn:dead")["RedrivePolicy"]


def test_every_type_that_a_function_runs_has_its_queue() -> None:
    assert {kind.system_queue for kind in TASK_TYPES.values()} - {""} == {queue.what for queue in layout.SYSTEM_QUEUES}


@pytest.mark.parametrize("table", layout.TABLES, ids=lambda table: table.what)
def test_keys_are_of_types_that_dynamodb_takes(table: layout.Table) -> None:
    keys = [table.partition, table.sort, *(key for index in table.indexes for key in (index.partition, index.sort))]
    assert {key.type for key in keys} <= {"S", "N"}
    types = {(key.name, key.type) for key in keys}
    assert len({name for name, _ in types}) == len(types), "an attribute has one type in all keys"
    assert len({index.name for index in table.indexes}) == len(table.indexes)
