"""The function around the routes: one answer to every event, whatever goes wrong, and one line in the log."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.functions.api.caller import Api, Lines, event, report, simple, workflow

from batuta_core.simulator.faults import Fault
from batuta_core.simulator.world import Actor
from batuta_server.api.handler import make_handler

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def test_health_is_answered_at_both_of_its_addresses(api: Api) -> None:
    for path in ("/health", "/api/health", "/ns/shop/api/health"):
        answer = api("GET", path)
        assert (answer.status, answer.body["healthy"]) == (200, True)


def test_a_worker_learns_where_it_is(api: Api) -> None:
    about = api("GET", "/ns/shop/api/batuta").body
    assert (about["stage"], about["region"], about["namespace"]) == ("sim", "eu-west-1", "shop")
    assert api("GET", "/api/batuta").body["namespace"] == "default"
    assert api("GET", "/api/version").text == about["version"]


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/", "/api/nothing", "/api/workflow/", "/API/workflow", "/api/workflow//", "/ns/shop", "/ns"]
)
def test_what_is_nowhere_is_said_so_with_its_path(api: Api, path: str) -> None:
    answer = api("GET", path)
    assert (answer.status, answer.body["code"]) == (404, "route_not_found")
    assert answer.body["message"].startswith("There is nothing at GET /")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/api/workflow", "POST"),
        ("OPTIONS", "/api/workflow", "POST"),
        ("HEAD", "/health", "GET"),
        ("POST", "/api/metadata/workflow/a/versions", "DELETE, GET"),
        ("DELETE", "/api/metadata/taskdefs", "GET, POST, PUT"),
        ("PUT", f"/api/workflow/{UNKNOWN}", "DELETE, GET, POST"),
    ],
)
def test_wrong_method_is_told_the_right_ones(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api(method, path)
    assert (answer.status, answer.text, answer.headers["Allow"]) == (405, "", allowed)


def test_errors_carry_conductors_fields_and_ours(api: Api) -> None:
    answer = api("GET", f"/api/workflow/{UNKNOWN}")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body == {
        "status": 404,
        "message": f"No such workflow found by id: {UNKNOWN}",
        "retryable": False,
        "code": "workflow_not_found",
        "remedy": "Check the id and the namespace; the execution may have been removed.",
        "metadata": {"workflow_id": UNKNOWN},
    }


def test_errors_before_a_route_is_found_look_the_same(api: Api) -> None:
    answer = api("GET", "/ns/SHOP/api/metadata/workflow")
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/json")
    assert (answer.body["code"], answer.body["validationErrors"][0]["path"]) == ("invalid_input", "namespace")


class Broken:
    def __getattr__(self, name: str) -> Any:
        raise KeyError("customer's secret")


def test_a_bug_is_logged_and_its_text_is_not_answered() -> None:
    api = Api(journal=Broken())
    answer = api("GET", f"/api/workflow/{UNKNOWN}")
    assert (answer.status, answer.body["code"], answer.body["metadata"]) == (500, "internal_error", {"request_id": "request-1"})
    assert "secret" not in answer.text
    (failed,) = [facts for name, facts in api.log.lines if name == "request_failed"]
    assert "secret" in repr(failed["error"])
    assert api("GET", "/health").status == 200


@pytest.mark.parametrize(
    "odd", [{}, {"rawPath": "/health"}, {"rawPath": "/health", "requestContext": {}}], ids=["empty", "path", "context"]
)
def test_an_event_that_is_no_request_is_answered_too(api: Api, odd: dict[str, Any]) -> None:
    answer = api.function(odd, None)
    assert answer["statusCode"] == 500
    assert json.loads(answer["body"])["code"] == "internal_error"


class Throttled:
    """Every call of one kind is throttled."""

    def __init__(self, site: str) -> None:
        self._site = site

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        return Fault.THROTTLE if site == self._site else None


@pytest.mark.parametrize("site", ["definitions.revision", "journal.append", "queues.send"])
def test_a_service_that_throttles_is_503_and_may_be_tried_again(api: Api, site: str) -> None:
    api.register(workflow("order"))
    api.world.faults = Throttled(site)
    api.world.actor = Actor("api", api.world.now_ms, 0)
    function = make_handler(replace(api.world.ports, log=api.log), {})
    answer = function(event("POST", "/api/workflow", '{"name":"order"}'), None)
    body = json.loads(answer["body"])
    assert (answer["statusCode"], body["code"], body["retryable"]) == (503, "unavailable", True)
    assert site in body["message"]
    (failed,) = [facts for name, facts in api.log.lines if name == "request_failed"]  # the caller is not the only one who hears of it
    assert failed["namespace"] == "default"
    assert site in str(failed["error"])


def test_each_request_is_one_line_without_its_query_or_body(api: Api) -> None:
    api("POST", "/ns/shop/api/workflow?secret=1", {"name": "order", "input": {"secret": 1}})
    api("GET", "/ns/SHOP/x")
    first, second = api.log.lines
    assert first[0] == second[0] == "request"
    assert first[1].pop("ms") >= 0
    assert first[1] == {"method": "POST", "path": "/ns/shop/api/workflow", "status": 404, "namespace": "shop"}
    assert second[1].pop("ms") >= 0
    assert second[1] == {"method": "GET", "path": "/ns/SHOP/x", "status": 400}  # nor the namespace of the request before


def test_the_line_of_a_request_names_execution_and_task(api: Api) -> None:
    api.register(workflow("order", simple("pack", "first"), simple("ship", "second")))
    workflow_id = api.start()

    def named() -> tuple[str, str | None, str | None]:
        name, facts = api.log.lines[-1]
        assert name == "request"
        return facts["namespace"], facts.get("workflow_id"), facts.get("task_id")

    assert named() == ("default", workflow_id, None)
    task = api("GET", "/api/tasks/poll/pack").body
    both = ("default", workflow_id, task["taskId"])
    assert named() == both
    api("GET", f"/api/tasks/{task['taskId']}")
    assert named() == both
    api("POST", "/api/tasks", report(task))
    assert named() == both
    api("POST", f"/api/tasks/{workflow_id}/second/COMPLETED", {})
    assert named()[:2] == both[:2]
    assert named()[2] not in (None, task["taskId"])
    api("GET", f"/api/workflow/{workflow_id}")
    assert named() == ("default", workflow_id, None)
    api("GET", "/api/workflow/search?query=")
    assert named() == ("default", None, None)


def test_what_is_no_id_is_named_by_no_line(api: Api) -> None:
    api("POST", "/api/tasks", {"workflowInstanceId": "secret" * 1000, "taskId": "secret" * 1000, "status": "COMPLETED"})
    assert "secret" not in repr(api.log.lines)


def test_the_line_of_a_poll_for_many_names_them_all(api: Api) -> None:
    api.register(workflow("order", simple("pack")))
    started = [api.start() for _ in range(2)]
    tasks = api("GET", "/api/tasks/poll/batch/pack?count=5").body
    facts = api.log.lines[-1][1]
    assert sorted(facts["executions"]) == sorted(f"default#{workflow_id}" for workflow_id in started)
    assert facts["task_ids"] == [task["taskId"] for task in tasks]


@pytest.fixture
def _threads_that_interrupt_each_other() -> Iterator[None]:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before_s)


@pytest.mark.usefixtures("_threads_that_interrupt_each_other")
def test_threads_do_not_see_each_others_requests(api: Api) -> None:
    """The resolver keeps the event on a class that all resolvers share, unless it is kept from it."""
    for place in range(4):
        names = [workflow(f"w{place}", simple(f"t{place}"))]
        assert api("PUT", f"/ns/n{place}/api/metadata/workflow", names).status == 200
    wrong: list[Any] = []
    begin = threading.Barrier(4)

    def ask(place: int) -> None:
        begin.wait(10)
        for _ in range(40):
            found = api("GET", f"/ns/n{place}/api/metadata/workflow/w{place}?version=1")
            if found.status != 200 or found.body["name"] != f"w{place}":
                wrong.append(found)
            other = api("GET", f"/ns/n{place}/api/batuta")
            if other.body["namespace"] != f"n{place}":
                wrong.append(other)

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []


def test_functions_of_two_stages_in_one_process_are_apart() -> None:
    first, second = Api(), Api()
    first.register(workflow("order"))
    assert first("GET", "/api/metadata/workflow/order").status == 200
    assert second("GET", "/api/metadata/workflow/order").status == 404
    assert isinstance(second.log, Lines)
    assert len(second.log.lines) == 1
