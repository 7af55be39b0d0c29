"""What event handlers do about one event: conditions, expressions, actions, and what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.decider.known import Script, ScriptResult
from batuta_core.engine import handlers
from batuta_core.engine.event_ports import ActionStatus, HandlerAction
from batuta_core.engine.handle import Published, expanded, handle
from batuta_core.model.error import Unavailable
from batuta_core.model.names import ExecutionId

EVENT = "sqs:orders"
START = {"name": "w", "input": {"all": "${a}", "deep": "${b.c[1]}", "text": "n=${b.n}", "none": "${nobody.x}"}, "correlationId": "c-${b.n}"}


class Told:
    """The port ``Scripts``, which says what it is told to."""

    def __init__(self, *results: ScriptResult) -> None:
        self.results, self.asked = list(results), list[Script]()

    def run(self, scripts: Any) -> Any:
        self.asked.extend(scripts)
        return [self.results.pop(0) for _ in scripts]


class Stand:
    def __init__(self, *results: ScriptResult) -> None:
        self.scripts = Told(*results)
        self.server = Server()
        self.server.ports = replace(self.server.ports, scripts=self.scripts)
        self.server.register(simple("a"))

    def listen(self, kind: str = "start_workflow", said: Any = None, **fields: Any) -> None:
        action = {"action": kind, kind: START if said is None else said, **fields.pop("action", {})}
        body = {"name": "h", "event": EVENT, "active": True, "actions": [action], **fields}
        handlers.register(self.server.ports, NAMESPACE, body)

    def publish(self, payload: Any, message_id: str = "m") -> list[HandlerAction]:
        handle(self.server.ports, Published(namespace=NAMESPACE, name=EVENT, message_id=message_id, payload=payload, at_ms=7))
        self.server.settle()
        return list(self.server.ports.actions.of_message(NAMESPACE, message_id))

    def started(self, done: HandlerAction) -> dict[str, Any]:
        return self.server.show(ExecutionId(NAMESPACE, done.output["workflowId"]))


def test_a_start_reads_the_payload() -> None:
    stand = Stand()
    stand.listen()
    (done,) = stand.publish({"a": ["x"], "b": {"c": [1, 2], "n": 5}})
    shown = stand.started(done)
    assert {key: value for key, value in shown["input"].items() if "." not in key} == {"all": ["x"], "deep": 2, "text": "n=5", "none": None}
    assert (shown["input"]["conductor.event.messageId"], shown["input"]["conductor.event.name"]) == ("m", EVENT)
    assert (shown["correlationId"], shown["event"], shown["workflowName"]) == ("c-5", EVENT, "w")


def test_names_and_versions_are_literal() -> None:
    stand = Stand()
    stand.listen(said={"name": "${a}"})
    (done,) = stand.publish({"a": "w"})
    assert (done.status, done.output) == (ActionStatus.FAILED, {"error": "No such workflow defined. name=${a}, version=null"})


@pytest.mark.parametrize("is_asked", [True, False])
def test_json_in_texts_is_read_where_that_is_asked_for(is_asked: bool) -> None:
    stand = Stand()
    stand.listen(said={"name": "w", "input": {"n": "${body.n}"}}, action={"expandInlineJSON": is_asked})
    (done,) = stand.publish({"body": '{"n": 5}'})
    assert stand.started(done)["input"]["n"] == (5 if is_asked else None)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('{"a": "[1, \\"{}\\"]"}', {"a": [1, {}]}),
        (" [1]", [1]),
        ("{broken", "{broken"),
        ("[NaN]", "[NaN]"),
        ('{"n": 1e999}', '{"n": 1e999}'),
        ("[" * 250 + "]" * 250, "[" * 250 + "]" * 250),
        ("5", "5"),
        ("", ""),
        ({"a": ["{}", 1, None]}, {"a": [{}, 1, None]}),
    ],
)
def test_what_texts_spell(value: Any, found: Any) -> None:
    assert expanded(value) == found


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (ScriptResult(True), "COMPLETED"),
        (ScriptResult(1.5), "COMPLETED"),
        (ScriptResult(False), "SKIPPED"),
        (ScriptResult(0), "SKIPPED"),
        (ScriptResult(-1), "SKIPPED"),
        (ScriptResult("yes"), "SKIPPED"),
        (ScriptResult(None), "SKIPPED"),
        (ScriptResult(error="broken"), "FAILED"),
    ],
)
def test_a_condition_is_a_script_that_sees_the_payload(result: ScriptResult, status: str) -> None:
    stand = Stand(result)
    stand.listen(condition="$.a.b > 1")
    (done,) = stand.publish({"a": '{"b": 2}'})
    assert done.status == status
    (asked,) = stand.scripts.asked
    assert (asked.source, asked.input, asked.now_ms) == ("$.a.b > 1", '{"a":{"b":2}}', 7)
    assert done.output.get("error") == result.error


def test_a_condition_may_name_a_field_and_may_not_be_python() -> None:
    stand = Stand(ScriptResult(True))
    stand.listen(condition="flag", evaluatorType="value-param")
    assert [done.status for done in stand.publish({"flag": True})] == ["COMPLETED"]
    assert [done.status for done in stand.publish({"flag": False}, "m2")] == ["SKIPPED"]
    handlers.delete(stand.server.ports, NAMESPACE, "h")
    stand.listen(condition="True", evaluatorType="python")
    (done,) = stand.publish({}, "m3")
    assert done.status == "FAILED"
    assert not stand.scripts.asked


def test_a_blank_condition_is_none() -> None:
    stand = Stand()
    stand.listen(condition="  ")
    assert [done.status for done in stand.publish({})] == ["COMPLETED"]


def test_a_payload_that_is_no_object_has_nothing_to_read() -> None:
    stand = Stand()
    stand.listen()
    (done,) = stand.publish("text")
    assert stand.started(done)["input"]["text"] == "n=null"


def test_the_tasks_output_is_all_that_the_action_says() -> None:
    stand = Stand()
    execution = stand.server.start()
    said = {"workflowId": "${id}", "taskRefName": "a", "output": {"x": "${x}"}}
    stand.listen("complete_task", said)
    (done,) = stand.publish({"id": execution.workflow_id, "x": 1})
    (task,) = stand.server.show(execution)["tasks"]
    assert (task["status"], stand.server.status(execution)) == ("COMPLETED", "COMPLETED")
    assert task["outputData"] == done.output
    assert task["outputData"] == {
        "x": 1,
        "workflowId": execution.workflow_id,
        "taskId": None,
        "taskRefName": "a",
        "reasonForIncompletion": None,
        "conductor.event.messageId": "m",
        "conductor.event.name": EVENT,
    }


def test_a_task_may_be_named_by_its_id_alone() -> None:
    stand = Stand()
    execution = stand.server.start()
    (task,) = stand.server.show(execution)["tasks"]
    stand.listen("fail_task", {"taskId": "${task}", "reasonForIncompletion": "told so"})
    stand.publish({"task": task["taskId"]})
    task, retry = stand.server.show(execution)["tasks"]
    assert (task["status"], task["reasonForIncompletion"], retry["status"]) == ("FAILED", "told so", "SCHEDULED")


def test_no_such_task_is_said_and_no_failure() -> None:
    stand = Stand()
    execution = stand.server.start()
    stand.listen("complete_task", {"workflowId": "${id}", "taskRefName": "nobody"})
    (done,) = stand.publish({"id": execution.workflow_id})
    assert done.status == "COMPLETED"
    assert done.output["error"] == f"No task found with reference name: nobody, workflowId: {execution.workflow_id}"


@pytest.mark.parametrize(
    ("kind", "said", "error"),
    [
        ("complete_task", {"workflowId": "x", "taskRefName": "a"}, "No such workflow found by id: x"),
        ("complete_task", {"workflowId": "${id}"}, "names no task"),
        ("terminate_workflow", {}, "No such workflow found by id: "),
        ("update_workflow_variables", {"workflowId": "${nothing}"}, "No such workflow found by id: "),
        ("start_workflow", {"input": {}}, "names no workflow"),
        ("start_agent", {"name": "a"}, "Action not supported start_agent"),
    ],
)
def test_what_cannot_be_done_is_recorded_with_the_reason(kind: str, said: Any, error: str) -> None:
    stand = Stand()
    execution = stand.server.start()
    stand.listen(kind, said)
    (done,) = stand.publish({"id": execution.workflow_id})
    assert done.status == "FAILED"
    assert error in done.output["error"]


def test_variables_are_set_and_lists_grow_where_that_is_asked_for() -> None:
    stand = Stand()
    stand.server.register(simple("a"), name="v", variables={"list": [0], "text": "old"})
    execution = stand.server.start("v")
    said = {"workflowId": "${id}", "variables": {"list": ["${n}"], "text": "new", "more": [1]}, "appendArray": True}
    stand.listen("update_workflow_variables", said)
    for n in (1, 2):
        stand.publish({"id": execution.workflow_id, "n": n}, f"m{n}")
    assert stand.server.show(execution)["variables"] == {"list": [0, 1, 2], "text": "new", "more": [1, 1]}
    handlers.delete(stand.server.ports, NAMESPACE, "h")
    stand.listen("update_workflow_variables", {**said, "appendArray": False})
    stand.publish({"id": execution.workflow_id, "n": 3}, "m3")
    assert stand.server.show(execution)["variables"]["list"] == [3]


def test_a_large_input_of_a_start_goes_by_reference() -> None:
    stand = Stand()
    stand.listen(said={"name": "w", "input": {"x": "${x}"}})
    (done,) = stand.publish({"x": "y" * 400_000})
    assert len(stand.started(done)["input"]["x"]) == 400_000


def test_what_can_go_better_another_time_is_raised_when_the_others_have_acted() -> None:
    stand = Stand(ScriptResult(True), ScriptResult(True))
    stand.listen(condition="true")
    stand.listen(name="other")

    def fail(scripts: Any) -> Any:
        raise Unavailable("throttled")

    stand.scripts.run = fail  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        stand.publish({})
    (done,) = stand.server.ports.actions.of_message(NAMESPACE, "m")
    assert (done.handler, done.status) == ("other", "COMPLETED")
