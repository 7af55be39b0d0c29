"""POST /workflow/test: played with mocks in memory, kept when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.unit.functions.api.caller import Api, simple, workflow

from batuta_core.decider.known import Script, ScriptResult
from batuta_core.model.names import ExecutionId
from batuta_core.simulator import mocked


class Yes:
    """Every script is true."""

    def run(self, scripts: Sequence[Script]) -> Sequence[ScriptResult]:
        return [ScriptResult(True) for _script in scripts]


def mock(status: str = "COMPLETED", **output: Any) -> dict[str, Any]:
    return {"status": status, "output": output}


def play(api: Api, name: str = "order", **fields: Any) -> Any:
    answer = api("POST", "/api/workflow/test", {"name": name, **fields})
    assert answer.status == 200, answer.text
    return answer.body


def statuses(body: Any) -> dict[str, str]:
    return {f"{task['referenceTaskName']}#{task['retryCount']}": task["status"] for task in body["tasks"]}


def test_mocks_answer_attempt_by_attempt_and_what_came_of_it_is_kept() -> None:
    api = Api()
    api.register(workflow("order", simple("pack"), simple("ship", inputParameters={"box": "${pack.output.box}"})))
    found = play(api, taskRefToMockOutput={"pack": [mock("FAILED"), mock(box=7)], "ship": [mock()]})
    assert statuses(found) == {"pack#0": "FAILED", "pack#1": "COMPLETED", "ship#0": "COMPLETED"}
    assert found["tasks"][2]["inputData"] == {"box": 7}
    assert api("GET", f"/api/workflow/{found['workflowId']}").body == found
    assert api("GET", "/api/workflow/search?query=workflowType%3Dorder").body["totalHits"] == 1


def test_nothing_leaves_the_call() -> None:
    api = Api()
    http = {"name": "ask", "taskReferenceName": "ask", "type": "HTTP", "inputParameters": {"uri": "http://127.0.0.1:1/"}}
    api.register(workflow("order", http, simple("pack")))
    play(api, taskRefToMockOutput={"ask": [mock(response={"statusCode": 200})]})
    assert api.world.queues.texts() == []


def test_what_the_mocks_do_not_bring_to_an_end_is_shown_as_it_stands_and_kept_terminated() -> None:
    api = Api()
    api.register(workflow("order", simple("pack"), simple("ship")))
    found = play(api, taskRefToMockOutput={"pack": [mock()]})
    assert (found["status"], statuses(found)) == ("RUNNING", {"pack#0": "COMPLETED", "ship#0": "SCHEDULED"})
    kept = api("GET", f"/api/workflow/{found['workflowId']}").body
    assert (kept["status"], kept["reasonForIncompletion"]) == ("TERMINATED", "the test has ended: no mock is left for ship")


def test_children_have_mocks_of_their_own_and_are_kept_with_their_parent() -> None:
    api = Api()
    child = {"name": "child", "taskReferenceName": "child", "type": "SUB_WORKFLOW", "subWorkflowParam": {"name": "packing", "version": 1}}
    api.register(workflow("packing", simple("pack"), outputParameters={"box": "${pack.output.box}"}))
    api.register(workflow("order", child, simple("pack", inputParameters={"box": "${child.output.box}"})))
    children = {"child": {"name": "packing", "taskRefToMockOutput": {"pack": [mock(box=3)]}}}
    found = play(api, taskRefToMockOutput={"pack": [mock()]}, subWorkflowTestRequest=children)
    assert found["status"] == "COMPLETED"
    assert found["tasks"][1]["inputData"] == {"box": 3}
    kept = api("GET", f"/api/workflow/{found['tasks'][0]['subWorkflowId']}").body
    assert (kept["status"], kept["parentWorkflowId"]) == ("COMPLETED", found["workflowId"])


def test_an_endless_test_is_stopped_and_not_kept() -> None:
    api = Api(scripts=Yes())
    loop = {"name": "l", "taskReferenceName": "l", "type": "DO_WHILE", "loopCondition": "true", "loopOver": [simple("pack")]}
    api.register(workflow("order", loop))
    answer = api("POST", "/api/workflow/test", {"name": "order", "taskRefToMockOutput": {"pack": [mock()] * 5000}})
    assert answer.status == 400
    assert answer.body["message"].startswith(f"The test was stopped after {mocked.STEPS_MAX} steps.")
    assert api.world.journal.executions() == []


def test_a_test_that_takes_too_long_is_stopped() -> None:
    api = Api()
    api.register(workflow("order", simple("pack")))
    clock = api.ports.clock
    moments = iter([0, 0, mocked.PLAY_MAX_MS + 1, mocked.PLAY_MAX_MS + 1])
    clock.now_ms = lambda: api.world.now_ms + next(moments)  # type: ignore[method-assign]
    answer = api("POST", "/api/workflow/test", {"name": "order", "taskRefToMockOutput": {"pack": [mock()]}})
    assert (answer.status, answer.body["message"][:34]) == (400, "The test was stopped after 10 s. T")


def test_the_inline_definition_of_a_test_makes_no_queues() -> None:
    api = Api()
    before = api.world.queues.names()
    found = play(api, name="draft", workflowDef=workflow("draft", simple("pack")), taskRefToMockOutput={"pack": [mock(x=1)]})
    assert (found["status"], found["output"]) == ("COMPLETED", {"x": 1})
    assert api.world.queues.names() == before


def test_an_idempotency_key_does_not_meet_real_executions() -> None:
    api = Api()
    api.register(workflow("order"))
    real = api.start(idempotencyKey="k")
    found = play(api, idempotencyKey="k", idempotencyStrategy="RETURN_EXISTING", taskRefToMockOutput={"pack": [mock()]})
    assert found["workflowId"] != real
    assert found["status"] == "COMPLETED"


def test_a_kept_execution_is_removed_when_others_are() -> None:
    api = Api(retention_s=3600)
    api.register(workflow("order"))
    found = play(api, taskRefToMockOutput={"pack": [mock()]})
    api.world.ports = api.ports
    api.world.run_to(api.world.now_ms + 3_600_000 + 200_000)
    assert api("GET", f"/api/workflow/{found['workflowId']}").status == 404
    assert api.world.journal.newest(ExecutionId("default", found["workflowId"])) is not None  # the tombstone


def test_a_kept_execution_can_be_retried_like_any_other() -> None:
    api = Api()
    api.register(workflow("order", simple("pack")))
    found = play(api, taskRefToMockOutput={"pack": [mock("FAILED_WITH_TERMINAL_ERROR")]})
    assert found["status"] == "FAILED"
    assert api("POST", f"/api/workflow/{found['workflowId']}/retry").status == 204
    assert api("GET", f"/api/workflow/{found['workflowId']}").body["status"] == "RUNNING"


def test_what_is_wrong_with_a_test_is_said() -> None:
    api = Api()
    api.register(workflow("order"))
    bad = {"name": "order", "taskRefToMockOutput": {"pack": [{"status": "SCHEDULED"}]}}
    assert api("POST", "/api/workflow/test", bad).body["message"].startswith("A mock's status must be one of")
    answer = api("POST", "/api/workflow/test", {"name": "order", "taskRefToMockOutput": {"pack": {"status": "COMPLETED"}}})
    assert answer.body["validationErrors"][0]["path"] == "taskRefToMockOutput.pack"
    assert api("POST", "/api/workflow/test", {"name": "other"}).status == 404
