"""The payload store's promises: bytes back as they came, equal content under one name, gone with the execution."""

from __future__ import annotations

import random
import urllib.error
import urllib.request

import pytest

from batuta_core.engine.ports import Payloads
from batuta_core.model.error import WorkflowNotFound
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef
from batuta_core.simulator.store import SimulatedPayloads
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


# --- by signed URLs


def put(stand: Stand, url: str, raw: bytes) -> int:
    return _ask(stand, "PUT", url, raw)[0]


def got(stand: Stand, url: str) -> tuple[int, bytes]:
    return _ask(stand, "GET", url, None)


def _ask(stand: Stand, method: str, url: str, raw: bytes | None) -> tuple[int, bytes]:
    if isinstance(stand.payloads, SimulatedPayloads):
        try:
            if raw is None:
                return 200, stand.payloads.download(url)
            stand.payloads.upload(url, raw)
            return 200, b""
        except ValueError:
            return 403, b""
    asked = urllib.request.Request(url, data=raw, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


UPLOAD = "_uploads/shop/8e2f7a52-0000-4000-8000-000000000001"


def test_what_is_written_to_a_url_is_taken_in_as_it_was(stand: Stand) -> None:
    execution, raw = stand.execution(), b'{"text": "' + b"x" * 7_000_000 + b'"}'
    assert stand.payloads.peek(UPLOAD) is None
    assert put(stand, stand.payloads.url(UPLOAD, is_write=True), raw) == 200
    found = stand.payloads.peek(UPLOAD)
    assert found is not None
    assert (found.size_bytes, found.beginning) == (len(raw), raw[:32])
    ref = PayloadRef("adopted-1", found.size_bytes)
    assert stand.payloads.adopt(UPLOAD, found.version, execution, ref)
    assert stand.payloads.adopt(UPLOAD, found.version, execution, ref)
    assert got(stand, stand.payloads.url(f"{execution.namespace}/{execution.workflow_id}/{ref.key}", is_write=False)) == (200, raw)
    stand.payloads.purge(execution)
    assert not is_there(stand.payloads, execution, ref)


@pytest.mark.not_on("moto", because="it does not heed x-amz-copy-source-if-match")
def test_what_was_written_anew_meanwhile_is_not_taken_in(stand: Stand) -> None:
    put(stand, stand.payloads.url(UPLOAD, is_write=True), b'{"text": "one"}')
    found = stand.payloads.peek(UPLOAD)
    assert found is not None
    put(stand, stand.payloads.url(UPLOAD, is_write=True), b'{"text": "two"}')
    assert not stand.payloads.adopt(UPLOAD, found.version, stand.execution(), PayloadRef("adopted-2", found.size_bytes))


def test_an_empty_upload_is_seen_as_such(stand: Stand) -> None:
    put(stand, stand.payloads.url(UPLOAD, is_write=True), b"")
    found = stand.payloads.peek(UPLOAD)
    assert found is not None
    assert (found.size_bytes, found.beginning) == (0, b"")


def test_a_copy_stays_when_the_original_goes(stand: Stand) -> None:
    execution, other = stand.execution(), stand.execution()
    ref = stand.payloads.put(execution, b'{"a": 1}')
    for _ in range(2):
        stand.payloads.copy(execution, ref, other)
    stand.payloads.purge(execution)
    assert stand.payloads.get(other, ref) == b'{"a": 1}'
    with pytest.raises(WorkflowNotFound):
        stand.payloads.copy(execution, ref, other)


@pytest.mark.not_on("moto", because="it looks at no signature")
def test_a_url_for_reading_does_not_write(stand: Stand) -> None:
    execution = stand.execution()
    ref = stand.payloads.put(execution, b"kept")
    url = stand.payloads.url(f"{execution.namespace}/{execution.workflow_id}/{ref.key}", is_write=False)
    assert put(stand, url, b"changed") == 403
    assert stand.payloads.get(execution, ref) == b"kept"
