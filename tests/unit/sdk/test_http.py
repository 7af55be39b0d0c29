"""Calls without a network: how they become requests, when they are repeated, what errors they raise."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batuta import BatutaError, InvalidInput, NoAnswer, Unavailable, WorkflowNotFound, calls
from batuta.http import ATTEMPTS_MAX, Call, Pause, Request, Response, encode_segment, perform, prefix_of, read_json, to_request
from batuta_core.model.error import error_from_dict

GET = calls.workflow_definition("n")
POST = calls.start("n")
KEYED = calls.start("n", idempotency_key="k")


def response(status: int, body: Any = b"", **headers: str) -> Response:
    return Response(status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)


def play(call: Call[Any], *answers: Response | Exception) -> tuple[Any, int, list[float]]:
    """The result, how many requests it took, and the pauses between them."""
    flow = perform(call, "/api")
    pauses: list[float] = []
    requests, left = 0, list(answers)
    try:
        step = next(flow)
        while True:
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                step = flow.send(None)
                continue
            requests += 1
            answer = left.pop(0)
            step = flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)
    except StopIteration as end:
        return end.value, requests, pauses


# --- requests


def test_segments_are_encoded_and_separators_twice() -> None:
    assert encode_segment("plain-name_1.0~x") == "plain-name_1.0~x"
    assert encode_segment("a b") == "a%20b"
    assert encode_segment("a/b") == "a%252Fb"
    assert encode_segment("a?b") == "a%253Fb"
    assert encode_segment("100%") == "100%2525"
    assert encode_segment("%2F") == "%25252F"
    assert encode_segment("a#b:c") == "a%23b%3Ac"
    assert encode_segment("geige\u00e4") == "geige%C3%A4"


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_a_gateway_that_decodes_once_leaves_one_segment_which_decodes_to_the_name(name: str) -> None:
    once = unquote(encode_segment(name))
    assert "/" not in once
    assert "?" not in once
    assert unquote(once) == name


def test_an_empty_name_is_refused_before_it_hits_another_route() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        to_request(calls.workflow_definition(""), "/api")


def test_the_namespace_is_in_the_path_unless_it_is_the_default() -> None:
    assert prefix_of("default") == "/api"
    assert prefix_of("shop") == "/ns/shop/api"
    with pytest.raises(InvalidInput):
        prefix_of("a/b")


def test_queries_leave_out_what_is_not_given_and_repeat_lists() -> None:
    call = Call(method="GET", path=("x",), query={"a": None, "b": True, "c": ["1", "2"], "d": "a b&c"}, read=read_json)
    assert to_request(call, "/api") == Request("GET", "/api/x?b=true&c=1&c=2&d=a+b%26c")


# --- answers


def test_errors_are_the_classes_that_the_server_raised() -> None:
    body = {"code": "workflow_not_found", "message": "none", "metadata": {"workflow_id": "w"}, "status": 404}
    with pytest.raises(WorkflowNotFound) as raised:
        play(GET, response(404, body))
    assert raised.value.facts == {"workflow_id": "w"}
    problems = {"code": "invalid_input", "message": "bad", "validationErrors": [{"path": "tasks[0].name", "message": "missing"}]}
    with pytest.raises(InvalidInput) as refused:
        play(POST, response(400, problems))
    assert refused.value.problems[0].path == "tasks[0].name"


def test_an_unknown_code_is_the_base_class() -> None:
    with pytest.raises(BatutaError) as raised:
        play(GET, response(418, {"code": "from_the_future", "message": "what"}))
    assert type(raised.value) is BatutaError
    assert raised.value.message == "what"


@pytest.mark.parametrize(
    ("body", "said"),
    [({"message": "Forbidden"}, "HTTP 403: Forbidden"), (b"<html>", "HTTP 403: <html>"), (b"[1]", "[1]"), (b"", "no text")],
)
def test_an_error_of_something_in_between_says_its_status(body: Any, said: str) -> None:
    with pytest.raises(BatutaError, match="HTTP 403") as raised:
        play(GET, response(403, body))
    assert said in raised.value.message
    assert raised.value.facts["http_status"] == 403


def test_no_answer_does_not_take_the_place_of_unavailable() -> None:
    assert type(error_from_dict({"code": "unavailable", "message": "m"})) is Unavailable


def test_an_answer_that_is_no_json_is_an_error_with_its_beginning() -> None:
    with pytest.raises(BatutaError, match="hardly comes from a Batuta server: <html>"):
        play(GET, response(200, b"<html>hello"))


# --- repeats


@pytest.mark.parametrize(
    "trouble",
    [
        NoAnswer("gone"),
        response(429),
        response(502),
        response(503, b"busy"),
        response(504),
        response(500, {"retryable": True, "message": "m"}),
        response(503, {"code": "unavailable", "message": "m", "retryable": True}),
    ],
)
@pytest.mark.parametrize("call", [GET, KEYED])
def test_safe_calls_are_repeated_when_trouble_may_pass(call: Call[Any], trouble: Response | Exception) -> None:
    result, requests, pauses = play(call, trouble, trouble, response(200, b'"fine"'))
    assert "fine" in result
    assert requests == 3
    assert len(pauses) == 2
    assert all(pause > 0 for pause in pauses)


@pytest.mark.parametrize("trouble", [NoAnswer("gone"), response(503, {"code": "unavailable", "message": "m", "retryable": True})])
@pytest.mark.parametrize("call", [POST, calls.terminate("w"), calls.signal("w"), calls.register_workflow({})])
def test_calls_that_are_not_safe_are_sent_once(call: Call[Any], trouble: Response | Exception) -> None:
    with pytest.raises(BatutaError):
        play(call, trouble)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 500])
def test_what_will_not_pass_is_not_repeated(status: int) -> None:
    with pytest.raises(BatutaError):
        play(GET, response(status, {"message": "no"}))


def test_repeats_end() -> None:
    with pytest.raises(NoAnswer):
        play(GET, *[NoAnswer("gone")] * ATTEMPTS_MAX)


def test_the_server_may_ask_for_a_longer_pause() -> None:
    _result, _requests, pauses = play(
        GET, response(429, b"", **{"retry-after": "3"}), response(429, b"", **{"retry-after": "9999"}), response(200, b"1")
    )
    assert pauses == [3, 30]
    _result, _requests, pauses = play(GET, response(429, b"", **{"retry-after": "Fri, 21 Nov 2026 07:28:00 GMT"}), response(200, b"1"))
    assert pauses[0] < 1
