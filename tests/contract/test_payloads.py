"""The payload store's promises: bytes back as they came, equal content under one name, gone with the execution."""

from __future__ import annotations

import random

import pytest

from batuta_core.engine.ports import Payloads
from batuta_core.model.error import WorkflowNotFound
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef
from tests.contract.stand import Stand

pytestmark = pytest.mark.not_on("jvm", because="there is no S3 among those servers")


def is_there(payloads: Payloads, execution: ExecutionId, ref: PayloadRef) -> bool:
    try:
        payloads.get(execution, ref)
    except (WorkflowNotFound, KeyError):  # the latter is the simulator's
        return False
    return True


@pytest.mark.parametrize(
    "raw", [b"", b"{}", bytes(range(256)) * 40, random.Random(1).randbytes(3_000_000)], ids=["0", "2", "10 KB", "3 MB"]
)
def test_bytes_come_back_as_they_were(stand: Stand, raw: bytes) -> None:
    execution = stand.execution()
    ref = stand.payloads.put(execution, raw)
    assert ref.size_bytes == len(raw)
    assert stand.payloads.get(execution, ref) == raw


def test_equal_content_has_equal_references(stand: Stand) -> None:
    execution, other = stand.execution(), stand.execution()
    ref = stand.payloads.put(execution, b"content")
    assert stand.payloads.put(execution, b"content") == ref
    assert stand.payloads.put(other, b"content") == ref
    assert stand.payloads.put(execution, b"Content") != ref


def test_purge_takes_the_executions_payloads_and_nothing_else(stand: Stand) -> None:
    execution, other = stand.execution(), stand.execution()
    longer = ExecutionId(execution.namespace, execution.workflow_id + "0")  # a prefix is no folder
    refs = [stand.payloads.put(execution, bytes([place])) for place in range(12)]
    kept = [(each, stand.payloads.put(each, b"kept")) for each in (other, longer)]
    for _ in range(2):
        stand.payloads.purge(execution)
        assert not any(is_there(stand.payloads, execution, ref) for ref in refs)
    assert all(is_there(stand.payloads, each, ref) for each, ref in kept)


@pytest.mark.not_on("simulator", because="it raises KeyError")
def test_payload_that_is_gone_means_that_its_execution_is(stand: Stand) -> None:
    execution = stand.execution()
    ref = stand.payloads.put(execution, b"x")
    stand.payloads.purge(execution)
    with pytest.raises(WorkflowNotFound):
        stand.payloads.get(execution, ref)
