"""Payloads too large to be loaded: taken in by their path, handed on by reference, refused where somebody has to look into them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.engine import export, external, operate, operations, query, replay
from batuta_core.model.error import InvalidInput, PayloadTooLarge
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import EXTERNAL_MAX_BYTES, PAYLOAD_MAX_BYTES, PayloadRef

Json = dict[str, Any]
DOC = "x" * PAYLOAD_MAX_BYTES
LARGE = {"doc": DOC, "n": 7, "in": {"deep": [1, 2]}}
RAW = json.dumps(LARGE).encode()
OTHER = "8e2f7a52-0000-4000-8000-000000000001"


@pytest.fixture
def server() -> Server:
    return Server()


def upload(server: Server, raw: bytes = RAW, namespace: str = NAMESPACE) -> str:
    found = external.location(server.ports, namespace, "write", "task_output", "")
    server.world.payloads.upload(found["uri"], raw)
    return found["path"]


def complete(server: Server, task_type: str, raw: bytes = RAW, status: TaskStatus = TaskStatus.COMPLETED) -> None:
    """As the SDK's worker with a large result."""
    message = server.taken(task_type)
    report = operate.TaskReport(status=status, output={}, external_output=upload(server, raw))
    operate.update_task(server.ports, NAMESPACE, message.execution.workflow_id, message.task_id, report)
    server.settle()


def read(server: Server, path: str) -> Any:
    return json.loads(server.world.payloads.download(external.location(server.ports, NAMESPACE, "READ", "TASK_INPUT", path)["uri"]))


def input_of(server: Server, task_type: str) -> Json:
    """What the SDK's worker makes of its message."""
    message = server.taken(task_type)
    if not isinstance(message.input, PayloadRef):
        return dict(message.input)
    return whole(server, query.task_json(server.ports, NAMESPACE, message.task_id), "Input")


def whole(server: Server, shown: Json, kind: str) -> Json:
    name = f"{kind.lower()}Data" if f"{kind.lower()}Data" in shown else kind.lower()
    if path := shown.get(f"external{kind}PayloadStoragePath"):
        assert shown[name] == {}
        return dict(read(server, path))
    for part in shown.get(f"external{kind}PayloadParts", ()):
        value, target = read(server, part["externalPayloadStoragePath"]), shown[name]
        for key in part["keys"]:
            value = value.get(key) if isinstance(value, dict) else None
        for key in part["at"][:-1]:
            target = target[key]
        assert target[part["at"][-1]]["payloadSizeBytes"] == len(RAW)
        target[part["at"][-1]] = value
    return dict(shown[name])


def never_loaded(server: Server) -> None:
    """From now on nothing large is read, by anybody but whoever has a URL."""
    get = server.world.payloads.get

    def guarded(execution: ExecutionId, ref: PayloadRef) -> bytes:
        assert ref.size_bytes <= PAYLOAD_MAX_BYTES
        return get(execution, ref)

    server.world.payloads.get = guarded  # type: ignore[method-assign]


# --- the way in


def test_a_start_keeps_what_was_uploaded_and_later_writes_change_nothing(server: Server) -> None:
    never_loaded(server)
    server.register(simple("a", inputParameters={"n": "${workflow.input.n}", "all": "${workflow.input}"}))
    path = upload(server)
    execution = server.start(external_input=path)
    server.world.payloads.uploads[path] = b'{"n": 8}'
    assert input_of(server, "a") == {"n": 7, "all": LARGE}
    shown = server.show(execution)
    assert shown["input"] == {}
    assert read(server, shown["externalInputPayloadStoragePath"]) == LARGE


def test_a_small_upload_is_a_payload_like_any_other(server: Server) -> None:
    server.register(simple("a", inputParameters={"n": "${workflow.input.n}"}))
    execution = server.start(external_input=upload(server, b' {"n": 1}'))
    assert server.show(execution)["input"] == {"n": 1}
    assert server.taken("a").input == {"n": 1}


@pytest.mark.parametrize("raw", [b"", b"[1]", b"{", b'{"a":' + b"[" * 400 + b"]" * 400 + b"}", b'{"a": 1} {'])
def test_what_is_no_object_is_refused(server: Server, raw: bytes) -> None:
    server.register(simple("a"))
    with pytest.raises(InvalidInput):
        server.start(external_input=upload(server, raw))
    assert not server.world.journal.executions()


def test_paths_of_others_and_of_nothing_are_refused(server: Server) -> None:
    server.register(simple("a"))
    theirs = upload(server, namespace="other")
    mine = upload(server)
    for path in (
        theirs,
        mine + "0",
        mine.replace("/", "//"),
        f"{NAMESPACE}/{OTHER}/abcdefgh",
        "_uploads/../x",
        "",
        "_uploads/shop/../other/x",
    ):
        with pytest.raises(InvalidInput):
            server.start(external_input=path)
    for path in (theirs, f"other/{OTHER}/abcdefgh", f"{NAMESPACE}/{OTHER}/../x", f"{NAMESPACE}/no-id/abcdefgh", "", "/"):
        with pytest.raises(InvalidInput):
            external.location(server.ports, NAMESPACE, "READ", "TASK_INPUT", path)
    assert external.location(server.ports, NAMESPACE, "READ", "TASK_INPUT", mine)["path"] == mine
    assert external.location(server.ports, NAMESPACE, "WRITE", "TASK_INPUT", theirs)["path"].startswith(f"_uploads/{NAMESPACE}/")


def test_more_than_anybody_may_keep_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.register(simple("a"))
    monkeypatch.setattr(external, "EXTERNAL_MAX_BYTES", 100)
    with pytest.raises(PayloadTooLarge, match="the limit is 100"):
        server.start(external_input=upload(server))
    assert EXTERNAL_MAX_BYTES >= 100 * 1024 * 1024


def test_a_result_for_a_task_that_has_ended_leaves_nothing_behind(server: Server) -> None:
    server.register(simple("a"), simple("b"))
    execution = server.start()
    message = server.taken("a")
    server.report(message, output={"n": 1})
    before = dict(server.world.payloads.objects)
    report = operate.TaskReport(status=TaskStatus.COMPLETED, output={}, external_output=upload(server))
    operate.update_task(server.ports, NAMESPACE, execution.workflow_id, message.task_id, report)
    assert server.world.payloads.objects == before


# --- on its way


def test_outputs_reach_workers_whole_in_part_and_through_retries(server: Server) -> None:
    never_loaded(server)
    inputs = {"all": "${a.output}", "doc": "${a.output.doc}", "deep": ["${a.output.in.deep}", "${a.output.none.of.it}"], "k": 1}
    server.register(
        simple("a"), simple("b", inputParameters=inputs), task_definitions=[{"name": "b", "retryCount": 1, "retryDelaySeconds": 0}]
    )
    execution = server.start()
    complete(server, "a")
    expected = {"all": LARGE, "doc": DOC, "deep": [[1, 2], None], "k": 1}
    for _ in range(2):
        message = server.taken("b")
        assert whole(server, query.task_json(server.ports, NAMESPACE, message.task_id), "Input") == expected
        server.report(message, TaskStatus.FAILED)
    operations.retry(server.ports, execution)
    server.settle()
    assert input_of(server, "b") == expected
    (polled,) = [task for task in server.show(execution)["tasks"] if task["status"] == "SCHEDULED"]
    assert whole(server, polled, "Input") == expected


def test_children_and_parents_hand_over_copies(server: Server) -> None:
    never_loaded(server)
    server.register(simple("c", inputParameters={"doc": "${workflow.input.doc}", "n": "${workflow.input.n}"}), name="child")
    sub = {"name": "s", "taskReferenceName": "s", "type": "SUB_WORKFLOW", "subWorkflowParam": {"name": "child"}}
    inputs = {"doc": "${a.output.doc}", "n": 1}
    server.register(simple("a"), {**sub, "inputParameters": inputs}, simple("b", inputParameters={"doc": "${s.output.doc}"}))
    execution = server.start()
    complete(server, "a")
    assert input_of_open(server, "c") == {"doc": DOC, "n": 1}
    complete(server, "c")
    child = next(other for other in server.world.journal.executions() if other != execution)
    server.ports.payloads.purge(child)  # whoever is removed takes nothing of the other's along
    assert input_of(server, "b") == {"doc": DOC}


def input_of_open(server: Server, task_type: str) -> Json:
    """As ``input_of``; the message stays where it is."""
    received = server.world.queues.receive(server.queue(task_type), 1, 0)
    server.world.queues.release(server.queue(task_type), [received[0].receipt])
    found = next(
        task for execution in server.world.journal.executions() for task in server.show(execution)["tasks"] if task["taskType"] == task_type
    )
    return whole(server, found, "Input")


def test_a_join_a_loop_and_the_output_hold_it_by_reference(server: Server) -> None:
    never_loaded(server)
    fork = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": [[simple("x")], [simple("y")]]}
    join = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["x", "y"]}
    loop = {
        "name": "l",
        "taskReferenceName": "l",
        "type": "DO_WHILE",
        "loopCondition": "",
        "items": "${workflow.input.items}",
        "loopOver": [simple("t")],
    }
    last = simple("b", inputParameters={"joined": "${j.output.x.doc}", "both": "${j.output}", "rounds": "${l.output}"})
    server.register(fork, join, loop, last, outputParameters={"doc": "${j.output.x.doc}", "n": "${j.output.y.n}"})
    execution = server.start(input={"items": [1, 2]})
    complete(server, "x")
    server.run_task("y", {"n": 2})
    complete(server, "t")
    server.run_task("t", {"n": 3})
    found = input_of(server, "b")
    assert (found["joined"], found["both"]) == (DOC, {"x": LARGE, "y": {"n": 2}})
    assert (found["rounds"]["1"], found["rounds"]["2"]) == ({"t": LARGE}, {"t": {"n": 3}})
    tasks = {task["referenceTaskName"]: task for task in server.show(execution)["tasks"]}
    assert whole(server, tasks["j"], "Output") == {"x": LARGE, "y": {"n": 2}}
    assert whole(server, tasks["l"], "Output")["1"] == {"t": LARGE}
    operate.update_by_ref(server.ports, execution, "b", operate.TaskReport(status=TaskStatus.COMPLETED, output={}))
    shown = server.show(execution)
    assert (shown["status"], whole(server, shown, "Output")) == ("COMPLETED", {"doc": DOC, "n": 2})


def test_the_last_tasks_output_is_the_executions(server: Server) -> None:
    never_loaded(server)
    server.register(simple("a"))
    execution = server.start()
    complete(server, "a")
    shown = server.show(execution)
    assert (shown["status"], whole(server, shown, "Output")) == ("COMPLETED", LARGE)


def test_a_failed_executions_output_names_it_beside_the_failure_workflow(server: Server) -> None:
    never_loaded(server)
    server.register(simple("h"), name="handler")
    server.register(simple("a"), failureWorkflow="handler", outputParameters={})
    execution = server.start()
    complete(server, "a", status=TaskStatus.FAILED_WITH_TERMINAL_ERROR)
    shown = server.show(execution)
    assert shown["status"] == "FAILED"
    assert "conductor.failure_workflow" in shown["output"]
    assert server.take("h") is not None, "the failure workflow runs"


# --- where it ends


@pytest.mark.parametrize(
    "task",
    [
        {"type": "SET_VARIABLE", "inputParameters": {"v": "${a.output.doc}"}},
        {"type": "SWITCH", "evaluatorType": "value-param", "expression": "v", "decisionCases": {"1": [simple("z")]}},
        {"type": "INLINE", "inputParameters": {"evaluatorType": "javascript", "expression": "1", "v": "${a.output}"}},
        {"type": "HTTP", "inputParameters": {"http_request": {"uri": "http://x.test", "method": "POST", "body": "${a.output}"}}},
        {"type": "SIMPLE", "inputParameters": {"v": "the ${a.output.doc}"}},
        {"type": "SIMPLE", "inputParameters": {"v": "${a.output.in.deep[0]}"}},
        {"type": "SIMPLE", "inputParameters": {"v": "${a.output['doc']}", "w": "${a.output..deep}"}},
    ],
    ids=lambda task: f"{task['type']} {list(task.get('inputParameters', {}).values())}"[:40],
)
def test_who_must_look_into_it_fails_with_the_remedy(server: Server, task: Json) -> None:
    never_loaded(server)
    server.register(simple("a"), {"name": "t", "taskReferenceName": "t", "inputParameters": {"v": "${a.output.doc}"}, **task})
    execution = server.start()
    complete(server, "a")
    shown = server.show(execution)
    assert shown["status"] == "FAILED"
    assert f"a payload of {len(RAW)} bytes; the limit for that is {PAYLOAD_MAX_BYTES}" in shown["reasonForIncompletion"]
    assert "${ref.output.key}" in shown["reasonForIncompletion"]


def test_a_loop_whose_list_is_in_it_fails(server: Server) -> None:
    never_loaded(server)
    loop = {
        "name": "l",
        "taskReferenceName": "l",
        "type": "DO_WHILE",
        "loopCondition": "",
        "items": "${a.output.in.deep}",
        "loopOver": [simple("t")],
    }
    server.register(simple("a"), loop)
    execution = server.start()
    complete(server, "a")
    assert server.status(execution) == "FAILED"


def test_a_loop_whose_condition_reads_it_fails(server: Server) -> None:
    never_loaded(server)
    loop = {"name": "l", "taskReferenceName": "l", "type": "DO_WHILE", "loopCondition": "$.t.n > 1", "loopOver": [simple("t")]}
    server.register(loop)
    execution = server.start()
    complete(server, "t")
    shown = server.show(execution)
    assert shown["status"] == "FAILED"
    assert "the limit for that is" in shown["reasonForIncompletion"]


def test_an_output_that_looks_into_it_is_an_error_of_the_output_alone(server: Server) -> None:
    server.register(simple("a"), outputParameters={"x": "${a.output.in.deep[0]}"})
    execution = server.start()
    complete(server, "a")
    shown = server.show(execution)
    assert shown["status"] == "COMPLETED"
    assert "the limit for that is" in shown["output"]["error"]


def test_an_input_template_cannot_fill_it(server: Server) -> None:
    server.register(simple("a"), inputTemplate={"k": 1})
    with pytest.raises(PayloadTooLarge):
        server.start(external_input=upload(server))


def test_a_report_that_joins_it_is_refused(server: Server) -> None:
    server.register(simple("a"))
    execution = server.start()
    complete(server, "a", status=TaskStatus.IN_PROGRESS)
    with pytest.raises(PayloadTooLarge):
        operate.update_by_ref(
            server.ports, execution, "a", operate.TaskReport(status=TaskStatus.COMPLETED, output={"k": 1}, is_merged=True)
        )
    assert server.status(execution) == "RUNNING"


def test_a_journal_with_it_is_decided_again_with_the_same_records(server: Server) -> None:
    server.register(simple("a"), simple("b", inputParameters={"doc": "${a.output.doc}", "small": "x" * 40_000}), simple("c"))
    execution = server.start(external_input=upload(server))
    complete(server, "a")
    server.run_task("b", {"n": 1})
    exported = export.export(server.ports, execution)
    assert replay.replay(export.Export.from_dict(json.loads(json.dumps(exported.to_dict())))) is None


def test_an_answer_that_would_be_too_large_names_all_that_is_not_small(server: Server) -> None:
    server.register(*[simple(f"t{place}") for place in range(7)])
    execution = server.start()
    for place in range(7):
        server.run_task(f"t{place}", {"text": "y" * 1_000_000})
    found = query.workflow_json(server.ports, execution, is_external=True)
    assert [task["outputData"] for task in found["tasks"]] == [{}] * 7
    assert read(server, found["tasks"][3]["externalOutputPayloadStoragePath"]) == {"text": "y" * 1_000_000}
