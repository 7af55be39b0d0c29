"""What strangers send: refused at the door, whole, with a path and a remedy; and the service goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.local.conftest import Http, until

Line = Callable[..., str]


@pytest.fixture(autouse=True)
def goes_on(http: Http) -> Any:
    yield
    assert http("GET", "/health").body["healthy"]


def simple(name: str, ref: str) -> dict[str, Any]:
    return {"name": name, "taskReferenceName": ref, "type": "SIMPLE"}


@pytest.mark.parametrize("raw", [b"{", b"", b"[1,", b'{"a": NaN}', b"\xff\xfe", b"nonsense", b'{"a": Infinity}'])
def test_malformed_json_is_refused_with_a_remedy(http: Http, raw: bytes) -> None:
    for path in ("/api/workflow", "/api/metadata/workflow", "/api/metadata/taskdefs", "/api/tasks"):
        answer = http("POST", path, raw=raw)
        assert answer.status == 400, (path, answer.text)
        assert answer.body["code"] == "invalid_input"
        assert answer.body["remedy"]


def test_all_wrong_types_of_a_definition_are_named_at_once(http: Http, name: str) -> None:
    body = {
        "name": name,
        "version": "one",
        "timeoutPolicy": "SOMETIMES",
        "tasks": [{"name": "a", "taskReferenceName": "a", "retryCount": {}}],
    }
    answer = http("POST", "/api/metadata/workflow", body)
    assert answer.status == 400
    assert {problem["path"] for problem in answer.body["validationErrors"]} == {"version", "timeoutPolicy", "tasks[0].retryCount"}
    assert http("GET", f"/api/metadata/workflow/{name}").status == 404


def test_a_wrong_type_hides_no_broken_rule(http: Http, name: str) -> None:
    answer = http("POST", "/api/metadata/workflow", {"name": name, "version": "x", "tasks": [simple("a", "a"), simple("b", "a")]})
    assert answer.status == 400
    assert {problem["path"] for problem in answer.body["validationErrors"]} == {"version", "tasks[1].taskReferenceName"}


def test_a_web_page_of_another_host_is_refused(http: Http, name: str) -> None:
    task = [{"name": name}]
    for headers in ({"Host": f"evil.example:{http.port}"}, {"Origin": "https://evil.example", "Content-Type": "text/plain"}):
        answer = http("POST", "/api/metadata/taskdefs", task, headers=headers)
        assert (answer.status, answer.body["code"]) == (403, "foreign_request")
        assert answer.body["remedy"]
    assert http("GET", f"/api/metadata/taskdefs/{name}").status == 404
    assert http("POST", "/api/metadata/taskdefs", task, headers={"Origin": f"http://localhost:{http.port}"}).status == 200


def test_one_bad_definition_in_a_list_keeps_all_out(http: Http, name: str) -> None:
    good = {"name": name, "version": 1, "tasks": [simple("a", "a")]}
    answer = http("PUT", "/api/metadata/workflow", [good, {"name": name, "version": 2, "tasks": []}])
    assert answer.status == 400
    assert answer.body["validationErrors"][0]["path"].startswith("[1]")
    assert http("GET", f"/api/metadata/workflow/{name}").status == 404


def test_an_unknown_workflow_and_an_unknown_task_are_named(http: Http, name: str, line: Line) -> None:
    assert http("POST", "/api/workflow", {"name": name}).body["code"] == "workflow_definition_not_found"
    assert http("GET", "/api/workflow/00000000-0000-4000-8000-000000000000").body["code"] == "workflow_not_found"
    assert http("GET", "/api/workflow/no-id-at-all").status == 404
    workflow_id = line("a")
    report = {"workflowInstanceId": workflow_id, "taskId": "nothing", "status": "COMPLETED"}
    assert http("POST", "/api/tasks", report).body["code"] == "task_not_found"
    assert http("GET", "/api/tasks/nothing").status == 404


def test_duplicate_and_missing_reference_names_are_refused_with_their_place(http: Http, name: str) -> None:
    switch = {
        **simple("s", "s"),
        "type": "SWITCH",
        "evaluatorType": "value-param",
        "expression": "x",
        "decisionCases": {"a": [simple("b", "x")]},
    }
    answer = http("POST", "/api/metadata/workflow", {"name": name, "tasks": [simple("a", "x"), switch, {"name": "c"}]})
    assert answer.status == 400
    found = {problem["path"]: problem["message"] for problem in answer.body["validationErrors"]}
    assert any("should be unique" in message for message in found.values())
    assert "tasks[2].taskReferenceName" in found


def test_a_body_of_ten_megabytes_is_refused_by_name(http: Http) -> None:
    answer = http("POST", "/api/workflow", {"name": "x", "input": {"text": "x" * 10_000_000}})
    assert answer.status == 413
    assert answer.body["code"] == "payload_too_large"
    assert answer.body["remedy"]


def test_deep_nesting_is_refused(http: Http, name: str) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    assert http("POST", "/api/workflow", raw=b'{"name":"x","input":{"a":' + deep.encode() + b"}}").status == 400
    nested: Any = simple("a", "a")
    for depth in range(300):
        nested = {
            **simple("s", f"s{depth}"),
            "type": "SWITCH",
            "evaluatorType": "value-param",
            "expression": "x",
            "defaultCase": [nested],
            "decisionCases": {"b": []},
        }
    assert http("POST", "/api/metadata/workflow", {"name": name, "tasks": [nested]}).status == 400


@pytest.mark.parametrize("text", ["\u0000", "\ud800", "\ufffe", "𝔘𝔫𝔦", "a\u202eb", "e\u0301", "\x1b[31m"])
def test_odd_unicode_comes_back_as_it_was(http: Http, line: Line, name: str, text: str) -> None:
    workflow_id = line("a")
    task = http("GET", f"/api/tasks/poll/{name}_a").body
    report = {"workflowInstanceId": workflow_id, "taskId": task["taskId"], "status": "COMPLETED", "outputData": {"t": text, text: 1}}
    assert http("POST", "/api/tasks", report).status == 200
    assert http("GET", f"/api/workflow/{workflow_id}").body["output"] == {"t": text, text: 1}


@pytest.mark.parametrize("odd", ["a/b", "a#b", "a?b", "a%b", "a%2Fb", "a b", "ä", 'a"b', "a\\b", "..", "a+b", "%", "100%25"])
def test_names_with_odd_characters_are_addressed(http: Http, name: str, odd: str) -> None:
    """A slash, a question mark and a per cent sign are encoded twice, as the gateway decodes once; see api/request.py."""
    full = f"{name} {odd}"
    definition = {"name": full, "version": 1, "tasks": [simple(full, "a")]}
    assert http("POST", "/api/metadata/workflow", definition).status == 200
    segment = quote("".join(quote(character, safe="") if character in "/?%" else character for character in full), safe="")
    assert http("GET", f"/api/metadata/workflow/{segment}").body["name"] == full
    workflow_id = http("POST", f"/api/workflow/{segment}", {}).text
    task = http("GET", f"/api/tasks/poll/{segment}").body
    assert task["taskType"] == full
    assert task["workflowInstanceId"] == workflow_id
    assert http("DELETE", f"/api/metadata/workflow/{segment}/1").status == 200


def test_conductors_clients_reach_all_names_but_those_with_a_slash_or_question_mark(http: Http, name: str) -> None:
    for odd in ("a#b", "a b", "ä:b", "a+b", "a&b", "50%"):
        full = f"{name} {odd}"
        assert http("POST", "/api/metadata/workflow", {"name": full, "tasks": [simple("t", "a")]}).status == 200
        assert http("GET", f"/api/metadata/workflow/{quote(full, safe='')}").body["name"] == full
    assert http("GET", f"/api/metadata/workflow/{quote(name + '/x', safe='')}").status in (404, 405)


def test_a_result_for_a_finished_task_changes_nothing(http: Http, line: Line, name: str) -> None:
    workflow_id = line("a", "b")
    task = http("GET", f"/api/tasks/poll/{name}_a").body
    report = {"workflowInstanceId": workflow_id, "taskId": task["taskId"], "status": "COMPLETED", "outputData": {"k": 1}}
    assert http("POST", "/api/tasks", report).status == 200
    assert http("POST", "/api/tasks", {**report, "status": "FAILED", "outputData": {"k": 2}}).status == 200
    found = http("GET", f"/api/workflow/{workflow_id}").body
    assert [(task["status"], task["outputData"]) for task in found["tasks"]] == [("COMPLETED", {"k": 1}), ("SCHEDULED", {})]


def test_bad_query_parameters_are_named(http: Http, line: Line) -> None:
    workflow_id = line("a")
    for path in (
        f"/api/workflow/{workflow_id}?includeTasks=perhaps",
        f"/api/workflow/{workflow_id}/tasks?start=one",
        f"/api/workflow/{workflow_id}/tasks?count=-1",
        "/api/tasks/poll/batch/x?count=1000000",
        "/api/tasks/poll/batch/x?timeout=6000",
        "/api/tasks/queue/size",
        "/api/workflow/search?size=5001",
        "/api/workflow/search?query=nonsense",
        "/api/workflow/search?freeText=parcel",
    ):
        answer = http("GET", path)
        assert answer.status == 400, (path, answer.text)
        assert answer.body["remedy"]


def test_an_unknown_route_is_404_and_a_wrong_verb_405(http: Http) -> None:
    assert http("GET", "/api/nothing/here").body["code"] == "route_not_found"
    assert http("GET", "/").status == 404
    wrong = http("PATCH", "/api/workflow")
    assert wrong.status == 405
    assert wrong.headers["allow"] == "POST"


def test_unknown_fields_are_ignored(http: Http, name: str) -> None:
    definition = {"name": name, "tasks": [{**simple("a", "a"), "colour": "red"}], "taste": "sweet"}
    assert http("POST", "/api/metadata/workflow", definition).status == 200
    assert "taste" not in http("GET", f"/api/metadata/workflow/{name}").body
    assert http("POST", "/api/workflow", {"name": name, "input": {}, "mood": "good", "idempotencyStrategy": "FAIL"}).status == 200


@pytest.mark.parametrize("namespace", ["UPPER", "a b", "-a", "a" * 33, "ä", "a/b"])
def test_a_bad_namespace_is_refused_with_the_rule(http: Http, namespace: str) -> None:
    answer = http("GET", "/api/metadata/workflow", headers={"X-Batuta-Namespace": quote(namespace)})
    assert answer.status == 400
    assert "1 to 32" in answer.body["message"]


def test_an_execution_above_five_megabytes_is_refused_by_name_and_read_in_pages(http: Http, line: Line, name: str) -> None:
    refs = [f"t{place}" for place in range(6)]
    workflow_id = line(*refs)
    for ref in refs:
        task = until(lambda ref=ref: http("GET", f"/api/tasks/poll/{name}_{ref}").body)
        report = {
            "workflowInstanceId": workflow_id,
            "taskId": task["taskId"],
            "status": "COMPLETED",
            "outputData": {"text": "x" * 1_000_000},
        }
        assert http("POST", "/api/tasks", report).status == 200
    whole = http("GET", f"/api/workflow/{workflow_id}")
    assert (whole.status, whole.body["code"]) == (413, "execution_too_large")
    assert "includeTasks=false" in whole.body["remedy"]
    assert http("GET", f"/api/workflow/{workflow_id}?includeTasks=false").body["status"] == "COMPLETED"
    page = http("GET", f"/api/workflow/{workflow_id}/tasks?start=2&count=3").body
    assert page["totalHits"] == 6
    assert [len(task["outputData"]["text"]) for task in page["results"]] == [1_000_000] * 3


def test_an_output_above_the_limit_is_refused_and_the_task_stays_open(http: Http, line: Line, name: str) -> None:
    workflow_id = line("a")
    task = http("GET", f"/api/tasks/poll/{name}_a").body
    report = {"workflowInstanceId": workflow_id, "taskId": task["taskId"], "status": "COMPLETED", "outputData": {"text": "x" * 5_500_000}}
    answer = http("POST", "/api/tasks", report)
    assert (answer.status, answer.body["code"]) == (413, "payload_too_large")
    assert http("GET", f"/api/workflow/{workflow_id}").body["tasks"][0]["status"] == "IN_PROGRESS"


def test_errors_are_json_with_conductors_fields(http: Http) -> None:
    answer = http("GET", "/api/workflow/00000000-0000-4000-8000-000000000000")
    assert {"status", "message", "retryable"} <= answer.body.keys()
    assert answer.headers["content-type"].startswith("application/json")
    assert json.loads(answer.text)["status"] == 404


@pytest.mark.parametrize("character", ["\uffff", "\ud800", "\x01"])
def test_an_input_that_a_queue_holds_only_escaped_reaches_its_worker(http: Http, line: Line, name: str, character: str) -> None:
    """SQS refuses some characters; escaped they take six times the room."""
    line("a")
    assert http("GET", f"/api/tasks/poll/{name}_a").status == 200
    text = character * 60_000
    http("POST", "/api/workflow", {"name": name, "input": {"x": text}})
    assert until(lambda: http("GET", f"/api/tasks/poll/{name}_a").body)["inputData"] == {"x": text}
