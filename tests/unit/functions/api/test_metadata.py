"""Routes of definitions: registered whole, listed in every form."""

from __future__ import annotations

import time

import pytest
from tests.unit.functions.api.caller import Answer, Api, simple, workflow


def test_definitions_are_listed_in_every_form(api: Api) -> None:
    api.register(workflow("b"), workflow("a", version=10), workflow("a", version=2))
    keys = [(found["name"], found["version"]) for found in api("GET", "/api/metadata/workflow").body]
    assert keys == [("a", 2), ("a", 10), ("b", 1)]
    assert api("GET", "/api/metadata/workflow/names").body == ["a", "b"]
    assert [(found["name"], found["version"]) for found in api("GET", "/api/metadata/workflow/latest-versions").body] == [
        ("a", 10),
        ("b", 1),
    ]
    summaries = api("GET", "/api/metadata/workflow/names-and-versions").body
    assert {name: [found["version"] for found in items] for name, items in summaries.items()} == {"a": [2, 10], "b": [1]}
    assert summaries["b"][0].keys() == {"name", "version", "createTime", "updateTime"}
    assert api("GET", "/api/metadata/workflow/a/versions").body == summaries["a"]
    assert api("GET", "/api/metadata/workflow/nobody/versions").body == []


def test_registering_again_needs_overwrite_or_put(api: Api) -> None:
    assert api("POST", "/api/metadata/workflow", workflow("a", description="1")).text == ""
    assert api("POST", "/api/metadata/workflow", workflow("a", description="2")).status == 409
    assert api("GET", "/api/metadata/workflow/a").body["description"] == "1"
    assert api("POST", "/api/metadata/workflow?overwrite=true", workflow("a", description="3")).status == 200
    assert api("GET", "/api/metadata/workflow/a").body["description"] == "3"
    assert api("PUT", "/api/metadata/workflow", [workflow("a", description="4")]).body == {
        "bulkErrorResults": {},
        "bulkSuccessfulResults": ["a"],
    }
    assert api("GET", "/api/metadata/workflow/a").body["description"] == "4"


def test_validating_stores_nothing(api: Api) -> None:
    assert api("POST", "/api/metadata/workflow/validate", workflow("a")).status == 200
    assert api("GET", "/api/metadata/workflow/a").status == 404
    assert api.world.queues.task_queues() == []


def test_one_bad_definition_of_a_list_keeps_all_out(api: Api) -> None:
    assert api("PUT", "/api/metadata/workflow", [workflow("a"), workflow("b", {"name": "x"})]).status == 400
    assert api("POST", "/api/metadata/taskdefs", [{"name": "t"}, {"name": ""}]).status == 400
    assert api("GET", "/api/metadata/workflow/names").body == api("GET", "/api/metadata/taskdefs").body == []


def paths(answer: Answer) -> set[str]:
    assert (answer.status, answer.body["code"]) == (400, "invalid_input")
    found = [problem["path"] for problem in answer.body["validationErrors"]]
    assert len(found) == len(set(found))
    return set(found)


def test_wrong_types_and_broken_rules_are_told_together(api: Api) -> None:
    bad = {**workflow("w", simple("a"), simple("b", "a", startDelay="x"), schemaVersion=1), "version": "one"}
    told = {"version", "schemaVersion", "tasks[1].startDelay", "tasks[1].taskReferenceName"}
    assert paths(api("POST", "/api/metadata/workflow", bad)) == told
    assert paths(api("POST", "/api/metadata/workflow/validate", bad)) == told
    assert paths(api("PUT", "/api/metadata/workflow", [bad])) == told
    assert paths(api("PUT", "/api/metadata/workflow", [workflow("v"), bad, 5])) == {*(f"[1].{path}" for path in told), "[2]"}
    below = {f"workflowDef.{path}" for path in told}
    assert paths(api("POST", "/api/workflow", {"name": "w", "workflowDef": bad})) == below
    assert paths(api("POST", "/api/workflow", {"name": "w", "workflowDef": bad, "priority": 100})) == {*below, "priority"}
    assert paths(api("POST", "/api/workflow/execute/w/1", {"workflowDef": bad})) == below
    assert api("GET", "/api/metadata/workflow/names").body == []


def test_wrong_types_and_broken_rules_of_task_definitions_are_told_together(api: Api) -> None:
    bad = {"name": "t", "retryCount": "x", "backoffJitterMs": -1}
    assert paths(api("POST", "/api/metadata/taskdefs", [{"name": ""}, bad])) == {"[0].name", "[1].retryCount", "[1].backoffJitterMs"}
    assert paths(api("PUT", "/api/metadata/taskdefs", bad)) == {"retryCount", "backoffJitterMs"}


def test_a_script_is_parsed_where_it_is_registered(api: Api) -> None:
    def switch(source: str) -> dict[str, object]:
        fields = {"evaluatorType": "javascript", "expression": source, "decisionCases": {"a": [simple("pack")]}}
        return {"name": "s", "taskReferenceName": "s", "type": "SWITCH", **fields}

    assert api("POST", "/api/metadata/workflow", workflow("a", switch("(function () { return 1; })()"))).status == 200
    refused = api("POST", "/api/metadata/workflow", workflow("b", switch("function (")))
    assert refused.status == 400
    assert "SyntaxError" in refused.text


def test_versions_are_deleted_one_by_one(api: Api) -> None:
    api.register(workflow("a"), workflow("a", version=-2), workflow("a", version=3))
    assert api("DELETE", "/api/metadata/workflow/a/3").text == ""
    assert api("GET", "/api/metadata/workflow/a").body["version"] == 1
    assert api("DELETE", "/api/metadata/workflow/a/-2").status == 200
    assert api("DELETE", "/api/metadata/workflow/a/3").status == 404
    assert [found["version"] for found in api("GET", "/api/metadata/workflow/a/versions").body] == [1]


def test_task_definitions_come_and_go(api: Api) -> None:
    assert api("POST", "/api/metadata/taskdefs", [{"name": "pack", "retryCount": 1}, {"name": "ship"}]).text == ""
    assert {found["name"] for found in api("GET", "/api/metadata/taskdefs").body} == {"pack", "ship"}
    assert api("PUT", "/api/metadata/taskdefs", {"name": "pack", "retryCount": 2}).status == 200
    assert api("GET", "/api/metadata/taskdefs/pack").body["retryCount"] == 2
    assert api("DELETE", "/api/metadata/taskdefs/pack").status == 200
    assert api("GET", "/api/metadata/taskdefs/pack").status == 404


def test_queues_are_there_as_soon_as_their_tasks_are_registered(api: Api) -> None:
    api.register(workflow("a", simple("pack")))
    assert api("POST", "/api/metadata/taskdefs", [{"name": "ship"}]).status == 200
    assert len(api.world.queues.task_queues()) == 2


@pytest.mark.parametrize(("method", "path"), [("PUT", "/api/metadata/workflow"), ("POST", "/api/metadata/taskdefs")])
def test_a_registration_of_too_many_is_refused_before_a_look_at_each(api: Api, method: str, path: str) -> None:
    began = time.process_time()
    answer = api(method, path, raw="[" + ",".join(["{}"] * 500_000) + "]")
    assert (answer.status, answer.body["message"]) == (
        400,
        "There are 500000 definitions, the limit is 5000: register fewer at a time.",
    )
    assert time.process_time() - began < 10  # it took minutes
