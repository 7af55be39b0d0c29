"""Names with any characters, in every place of a path that holds one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from tests.unit.functions.api.caller import Api, simple, workflow

ODD = [
    "a/b",
    "/",
    "a#b",
    "a?b",
    "?",
    "a%b",
    "%",
    "%2F",
    "100%25",
    "a b",
    "ä漢😀",
    'a"b',
    "a\\b",
    ".",
    "..",
    "a+b",
    "a&b=c",
    "a;b",
    "~!$'()*,:@",
    "a\nb",
    "<a>",
    "|^`{}[]",
]


def twice(name: str) -> str:
    """As Batuta's client writes a name: what the gateway would trip over is encoded once more."""
    return quote("".join(quote(character, safe="") if character in "/?%" else character for character in name), safe="")


@pytest.mark.parametrize("prefix", ["", "/ns/shop"])
@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_any_name_is_addressed_by_every_route_that_takes_one(api: Api, prefix: str, name: str) -> None:
    def ask(method: str, path: str, body: object = None) -> Any:
        answer = api(method, prefix + path, body)
        assert answer.status == 200, (path, answer.text)
        return answer.body if answer.text[:1] in ("{", "[") else answer.text

    segment = twice(name)
    ask("POST", "/api/metadata/taskdefs", [{"name": name}])
    ask("POST", "/api/metadata/workflow", workflow(name, simple(name, "a"), version=1))
    ask("POST", "/api/metadata/workflow", workflow(name, simple(name, name), version=2))
    assert ask("GET", f"/api/metadata/taskdefs/{segment}")["name"] == name
    assert ask("GET", f"/api/metadata/workflow/{segment}")["version"] == 2
    assert ask("GET", f"/api/metadata/workflow/{segment}?version=1")["name"] == name
    assert [found["version"] for found in ask("GET", f"/api/metadata/workflow/{segment}/versions")] == [1, 2]
    workflow_id = ask("POST", f"/api/workflow/{segment}?correlationId={quote(name, safe='')}", {})
    assert ask("GET", f"/api/workflow/running/{segment}") == [workflow_id]
    (correlated,) = ask("GET", f"/api/workflow/{segment}/correlated/{segment}")
    assert correlated["workflowId"] == workflow_id
    assert ask("GET", f"/api/tasks/queue/size?taskType={quote(name, safe='')}") == "1"
    (task,) = ask("GET", f"/api/tasks/poll/batch/{segment}")
    assert (task["taskType"], task["referenceTaskName"]) == (name, name)
    assert ask("POST", f"/api/tasks/queue/requeue/{segment}") == "0"
    assert ask("POST", f"/api/tasks/{workflow_id}/{segment}/COMPLETED", {}) == task["taskId"]
    ask("DELETE", f"/api/metadata/workflow/{segment}/1")
    ask("DELETE", f"/api/metadata/taskdefs/{segment}")


@pytest.mark.parametrize("name", ["a#b", "a b", "ä:b", "a+b", "50%", "a&b", ".."])
def test_names_without_slash_and_question_mark_may_be_encoded_once_as_conductors_clients_do(api: Api, name: str) -> None:
    api.register(workflow(name))
    assert api("GET", f"/api/metadata/workflow/{quote(name, safe='')}").body["name"] == name


@pytest.mark.parametrize("name", ["a/b", "a?b"])
def test_slash_and_question_mark_encoded_once_lead_elsewhere(api: Api, name: str) -> None:
    api.register(workflow(name))
    assert api("GET", f"/api/metadata/workflow/{quote(name, safe='')}").status in (404, 405)


@pytest.mark.parametrize(
    "name", ["tasks", "status", "log", "running", "search", "batch", "queue", "versions", "signal", "sync", "names", "1"]
)
def test_names_that_are_words_of_paths_lead_to_what_they_name(api: Api, name: str) -> None:
    api.register(workflow(name, simple(name)))
    workflow_id = api.start(name)
    assert [found["version"] for found in api("GET", f"/api/metadata/workflow/{name}/versions").body] == [1]
    assert api("GET", f"/api/workflow/running/{name}").body == [workflow_id]
    assert api("GET", f"/api/tasks/poll/{name}").body["taskType"] == name
    assert api("POST", f"/api/tasks/{workflow_id}/{name}/COMPLETED", {}).text
    assert api("DELETE", f"/api/metadata/workflow/{name}/1").status == 200
