"""From the input of an HTTP task to its result, as Conductor gives it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import Any

import pytest
from tests.unit.functions.http.target import HERE, Target, answer

from batuta_core.model.execution import TaskStatus
from batuta_core.model.lenient import DEPTH_MAX
from batuta_core.model.message import RESULT_OUTPUT_MAX_BYTES
from batuta_server.http.egress import Egress
from batuta_server.http.outcome import Outcome, outcome_of


def outcome(says: bytes, **fields: Any) -> Outcome:
    with Target(says) as target:
        return outcome_of({"asyncComplete": False, "http_request": {"uri": f"{target.url}/x?y=z", "method": "GET", **fields}}, HERE)


def body_of(says: bytes) -> Any:
    found = outcome(says)
    assert found.status is TaskStatus.COMPLETED
    return found.output["response"]["body"]


def test_a_whole_answer() -> None:
    found = outcome(answer(b'{"a": 1}', "201 Created", "Content-Type: application/json", "X-A: 1", "X-A: 2"))
    assert (found.status, found.reason) == (TaskStatus.COMPLETED, None)
    headers = {"Content-Type": ["application/json"], "X-A": ["1", "2"], "Content-Length": ["8"]}
    assert found.output == {"response": {"body": {"a": 1}, "headers": headers, "reasonPhrase": "Created", "statusCode": 201}}


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"", None),
        (b'{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        (b" [1] ", [1]),
        (b"5", 5.0),
        (b"2.5", 2.5),
        (b"true", "true"),
        (b"null", "null"),
        (b'"text"', "text"),
        (b"plain words", "plain words"),
        (b'{"a": 1} and more', '{"a": 1} and more'),
        (b"<html>", "<html>"),
        (b"NaN", "NaN"),
        (b'{"a": Infinity}', '{"a": Infinity}'),
        (b'{"a": 1e999}', '{"a": 1e999}'),
        (b"9" * 400, "9" * 400),
        ("ü€".encode(), "ü€"),
        (b"\xff\xfe\x00", "ÿþ\x00"),
        (b"[" * 100_000, "[" * 100_000),
        (b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, "[" * DEPTH_MAX + "]" * DEPTH_MAX),
    ],
    ids=lambda value: ascii(value)[:20],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "image/png", "nonsense"])
def test_a_body_is_read_by_what_it_is_whatever_it_says_that_it_is(body: bytes, read: Any, content_type: str) -> None:
    found = body_of(answer(body, "200 OK", f"Content-Type: {content_type}"))
    assert (found, type(found)) == (read, type(read))


def test_an_error_is_a_text() -> None:
    found = outcome(answer(b'{"code": 500}\nx\x01', "500 Internal Server Error"))
    says = found.output["response"]
    assert says.startswith("java.lang.Exception: 500 Internal Server Error on GET request for ")
    assert says.endswith('/x": "{"code": 500}<EOL>x?"')  # without the query
    assert (found.status, found.reason) == (TaskStatus.FAILED, f"Failed to invoke HTTP task due to: {says}")


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "429 Too Many Requests", "503 Service Unavailable"])
def test_an_error_without_a_body_says_so(status: str) -> None:
    found = outcome(answer(b"", status))
    assert found.status is TaskStatus.FAILED
    assert found.output["response"].startswith(f"java.lang.Exception: {status} on GET request for ")
    assert found.output["response"].endswith(": [no body]")


def test_a_large_error_is_cut() -> None:
    assert len(outcome(answer(b"x" * 500_000, "500 Oh")).output["response"]) < 20_000


@pytest.mark.parametrize(("body", "reason"), [(b"", "No response from the remote service"), (b"moved", "moved"), (b'{"a": 1}', '{"a": 1}')])
def test_what_is_neither_success_nor_error_fails(body: bytes, reason: str) -> None:
    found = outcome(answer(body, "300 Multiple Choices"))
    assert (found.status, found.reason, found.output["response"]["statusCode"]) == (TaskStatus.FAILED, reason, 300)


@pytest.mark.parametrize("size", [RESULT_OUTPUT_MAX_BYTES, 400_000, 2_000_000])
def test_an_answer_that_is_too_large_fails_and_is_not_asked_for_again(size: int) -> None:
    found = outcome(answer(b"x" * size))
    assert found.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
    assert "larger than" in (found.reason or "")
    assert len(json.dumps(found.output)) < 1000


def test_the_largest_answer_fits() -> None:
    assert len(body_of(answer(b"x" * (RESULT_OUTPUT_MAX_BYTES - 200)))) == RESULT_OUTPUT_MAX_BYTES - 200


def test_escapes_count() -> None:
    assert outcome(answer(b"\x01" * (RESULT_OUTPUT_MAX_BYTES // 2))).status is TaskStatus.FAILED_WITH_TERMINAL_ERROR


def test_async_complete_leaves_the_task_in_progress_after_a_success_only() -> None:
    def of(says: bytes, **task_input: Any) -> Outcome:
        with Target(says) as target:
            return outcome_of({**task_input, "http_request": {"uri": target.url, "method": "GET", "asyncComplete": True}}, HERE)

    found = of(answer(b"1"), asyncComplete=True)
    assert (found.status, found.output["response"]["body"]) == (TaskStatus.IN_PROGRESS, 1.0)
    assert of(answer(b"", "500 Oh"), asyncComplete=True).status is TaskStatus.FAILED
    assert of(answer(b"1"), asyncComplete=False).status is TaskStatus.COMPLETED  # inside the request it means nothing (recorded)


def test_a_request_that_cannot_be_made() -> None:
    found = outcome_of({"http_request": {"method": "GET"}}, HERE)
    assert found == Outcome(TaskStatus.FAILED, {}, "Missing HTTP URI.  See documentation for HttpTask for required input parameters")


def test_where_it_may_not_go_no_retry_helps() -> None:
    found = outcome_of({"uri": "http://127.0.0.1/", "method": "GET"}, Egress())
    assert found.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
    assert "may not call" in (found.reason or "")


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = outcome_of({"uri": f"http://127.0.0.1:{port}/x", "method": "PUT"}, HERE)
    said = f'I/O error on PUT request for "http://127.0.0.1:{port}/x": Connect to http://127.0.0.1:{port} failed: Connection refused'
    says = f"java.lang.Exception: {said}"
    assert found == Outcome(TaskStatus.FAILED, {"response": says}, f"Failed to invoke HTTP task due to: {says}")


PEAK = """
from concurrent.futures import ThreadPoolExecutor
from tests.unit.functions.http.target import HERE, Target, answer
from batuta_server.http.outcome import outcome_of
with Target(answer(b"[" + b",".join([b"[{}]"] * 209_000) + b"]")) as target, ThreadPoolExecutor(10) as threads:
    given = {"uri": target.url, "method": "GET", "readTimeOut": 60000}
    found = list(threads.map(lambda _: outcome_of(given, HERE), range(10)))
assert all("larger than" in (outcome.reason or "") for outcome in found), found[0]
# The kernel's resource usage would count the process that this one was forked from.
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak) // 1024)
"""


def test_ten_answers_that_grow_in_memory_do_not_take_the_function_with_them() -> None:
    """A megabyte of small lists is 32 MB of objects; the function has 256, and others' tasks in the same batch."""
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200


def test_a_long_error_body_of_many_different_characters_is_read_no_further_than_it_is_shown() -> None:
    found = outcome(answer(("\r\n" + "x" * 9_999 + "ü" * 400_000).encode(), "500 Oh"))
    assert (found.reason or "").endswith('"<EOL>' + "x" * 9_995 + '..."')


def test_a_reason_phrase_is_cut() -> None:
    assert len(outcome(b"HTTP/1.1 500 " + b"x" * 60_000 + b"\r\n\r\n").reason or "") < 1000
    found = outcome(b"HTTP/1.1 200 " + b"x" * 60_000 + b"\r\nContent-Length: 0\r\n\r\n")
    assert len(found.output["response"]["reasonPhrase"]) < 1000
