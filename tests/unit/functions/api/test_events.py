"""Routes of event handlers: Conductor's paths and words, 404 and 409 where its SQL stores answer 500."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.functions.api.caller import Api, workflow

from batuta_core.engine.handle import Published, handle

START = {"action": "start_workflow", "start_workflow": {"name": "w", "version": 1}}


def handler(name: str = "h", event: str = "conductor:w:x", **fields: Any) -> dict[str, Any]:
    return {"name": name, "event": event, "active": True, "actions": [START], **fields}


def test_what_is_registered_is_shown_as_conductor_shows_it(api: Api) -> None:
    assert (api("POST", "/api/event", handler()).status, api("GET", "/api/event").body) == (
        200,
        [
            {
                "name": "h",
                "event": "conductor:w:x",
                "active": True,
                "actions": [
                    {"action": "start_workflow", "start_workflow": {"name": "w", "version": 1, "input": {}}, "expandInlineJSON": False}
                ],
            }
        ],
    )


def test_a_name_is_there_once(api: Api) -> None:
    assert api("PUT", "/api/event", handler()).status == 404
    assert api("DELETE", "/api/event/h").status == 404
    assert api("POST", "/api/event", handler()).status == 200
    again = api("POST", "/api/event", handler())
    assert (again.status, again.body["code"]) == (409, "event_handler_exists")
    assert again.body["message"] == "EventHandler with name h already exists!"
    assert api("DELETE", "/api/event/h").status == 200
    gone = api("DELETE", "/api/event/h")
    assert (gone.status, gone.body["message"]) == (404, "EventHandler with name h not found!")


def test_by_event_the_active_ones_unless_all_are_asked_for(api: Api) -> None:
    for body in (handler("b"), handler("a", active=False), handler("c", "conductor:w:y")):
        assert api("POST", "/api/event", body).status == 200

    def names(path: str) -> list[str]:
        return [found["name"] for found in api("GET", path).body]

    assert names("/api/event/conductor%3Aw%3Ax") == names("/api/event/conductor:w:x?activeOnly=true") == ["b"]
    assert names("/api/event/conductor:w:x?activeOnly=false") == ["a", "b"]
    assert names("/api/event/conductor:w:nobody") == []
    assert names("/api/event") == ["a", "b", "c"]
    assert api("PUT", "/api/event", handler("b", "conductor:w:y")).status == 200
    assert names("/api/event/conductor:w:y") == ["b", "c"]


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ({"event": "e", "actions": [START]}, "name", "Missing event handler name"),
        ({"name": "h", "actions": [START]}, "event", "Missing event location"),
        ({"name": "h", "event": "e"}, "actions", "No actions specified. Please specify at-least one action"),
        ({"name": "h", "event": "e", "actions": [{"action": "dance"}]}, "actions[0].action", "must be one of start_workflow"),
        ({"name": "h", "event": "e", "actions": [{"action": "fail_task"}]}, "actions[0].fail_task", "is missing"),
        ({"name": "h", "event": "e", "actions": [START] * 101}, "actions", "at most 100"),
        ([], "", "must be an object"),
    ],
)
def test_a_handler_that_says_too_little_is_refused(api: Api, body: Any, path: str, message: str) -> None:
    refused = api("POST", "/api/event", body)
    assert (refused.status, refused.body["code"]) == (400, "invalid_input")
    assert any(found["path"] == path and message in found["message"] for found in refused.body["validationErrors"]), refused.text
    assert api("GET", "/api/event").body == []


def test_what_handlers_did_is_shown(api: Api) -> None:
    api.register(workflow("w"))
    missing = {"action": "terminate_workflow", "terminate_workflow": {"workflowId": "${id}"}}
    assert api("POST", "/api/event", handler(actions=[START, missing])).status == 200
    handle(api.ports, Published(namespace="default", name="conductor:w:x", message_id="m", payload={"id": "nobody"}, at_ms=5))
    done, failed = api("GET", "/api/event/execution/m").body
    assert (done["id"], done["status"], done["name"], done["action"]) == ("m_0", "COMPLETED", "h", "start_workflow")
    assert done["created"] == 5
    assert set(done["output"]) == {"workflowId"}
    assert (failed["status"], failed["output"]) == ("FAILED", {"error": "No such workflow found by id: nobody"})
    assert api("GET", "/api/event/execution/nobody").body == []
