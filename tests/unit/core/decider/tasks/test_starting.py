"""SUB_WORKFLOW and START_WORKFLOW, decided by hand: what they ask for, and what becomes of their tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.core.decider.play import BEGIN_MS, EXECUTION, Json, Play, simple

from batuta_core.decider import lives
from batuta_core.decider.known import DefinitionName, FoundDefinition, InlineDefinition, NotStartable
from batuta_core.decider.tasks.start_workflow import StartWorkflow
from batuta_core.decider.tasks.starting import DEPTH_MAX, Request, Unreadable, whole_number
from batuta_core.decider.tasks.sub_workflow import SubWorkflow
from batuta_core.decider.timeout import RESEND_MS
from batuta_core.model.command import EnqueueTask, StartChild, StopChild, TellParent
from batuta_core.model.event import TaskUpdated, TimerFired, WorkflowBroken, WorkflowRemoved, WorkflowStarted, WorkflowTerminated
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.family_event import ChildBegan, ChildEnded, StoppedByParent
from batuta_core.model.place import ParentTask

FOUND = {DefinitionName("child", 1): FoundDefinition("child", 1, "hash-of-child")}
PARENT = ParentTask("00000000-0000-4000-8000-00000000000a", 3, 1)


def run(ref: str = "s", **fields: Any) -> Json:
    return {
        "name": ref,
        "taskReferenceName": ref,
        "type": "SUB_WORKFLOW",
        "inputParameters": {"v": "${workflow.input.v}"},
        "subWorkflowParam": {"name": "child", "version": 1},
        **fields,
    }


def begin(ref: str = "s", **wish: Any) -> Json:
    inputs = {"startWorkflow": {"name": "child", "version": 1, **wish}}
    return {"name": ref, "taskReferenceName": ref, "type": "START_WORKFLOW", "inputParameters": inputs}


def ended(play: Play, status: WorkflowStatus = WorkflowStatus.COMPLETED, **fields: Any) -> ChildEnded:
    return ChildEnded(**{"place": play.open("s").place, "status": status, "output": {"n": 1}, **fields})


def of(play: Play, kind: type) -> list[Any]:
    return [command for command in play.commands if isinstance(command, kind)]


def test_a_child_is_ordered_with_the_record_that_opens_its_task() -> None:
    play = Play(run(), definitions=FOUND, task_input={"v": 3})
    task = play.task("s")
    assert of(play, StartChild) == [StartChild(place=play.open("s").place, ref="s", definition="hash-of-child", wanted="child:1")]
    assert (task.status, task.started_ms) == (TaskStatus.IN_PROGRESS, BEGIN_MS)
    assert task.output == {"subWorkflowId": lives.child_id(EXECUTION.workflow_id, play.open("s").place)}
    assert task.input == {
        "subWorkflowName": "child",
        "subWorkflowVersion": 1,
        "subWorkflowDefinition": None,
        "subWorkflowTaskToDomain": None,
        "priority": None,
        "idempotencyKey": None,
        "idempotencyStrategy": None,
        "workflowInput": {"v": 3},
    }


@pytest.mark.parametrize(
    ("status", "task_status", "outcome"),
    [
        (WorkflowStatus.COMPLETED, "COMPLETED", "COMPLETED"),
        (WorkflowStatus.FAILED, "FAILED", "FAILED"),
        (WorkflowStatus.TIMED_OUT, "TIMED_OUT", "TIMED_OUT"),
        (WorkflowStatus.TERMINATED, "CANCELED", "TERMINATED"),
    ],
)
def test_a_childs_end_is_its_tasks(status: WorkflowStatus, task_status: str, outcome: str) -> None:
    play = Play(run(), definitions=FOUND)
    play.decide(ended(play, status, reason="because"))
    assert (play.task("s").status.value, play.status, play.task("s").output) == (task_status, outcome, {"n": 1})
    assert not play.head.stops
    assert play.decide(ended_again := ChildEnded(place=play.records[0].head.open["s"].place, status=status)) is None, ended_again


@pytest.mark.parametrize("status", [WorkflowStatus.FAILED, WorkflowStatus.TERMINATED])
def test_an_optional_child_may_fail(status: WorkflowStatus) -> None:
    play = Play(run(optional=True), simple("z", inputParameters={"id": "${s.output.n}"}), definitions=FOUND)
    play.decide(ended(play, status))
    assert play.shape == [("s", "COMPLETED_WITH_ERRORS"), ("z", "SCHEDULED")]
    assert play.task("z").input == {"id": 1}


def test_the_next_attempt_runs_a_new_child_once_its_delay_is_over() -> None:
    definition = {"name": "s", "retryCount": 1, "retryDelaySeconds": 5, "responseTimeoutSeconds": 10}
    play = Play(run(), definitions=FOUND, task_definitions=[definition], task_input={"v": 3})
    first = play.open("s").place
    play.decide(ended(play, WorkflowStatus.FAILED, reason="no luck"))
    assert (play.task("s").status, of(play, StartChild), of(play, EnqueueTask)) == (TaskStatus.SCHEDULED, [], [])
    play.fire()
    assert [command.place for command in of(play, StartChild)] == [play.open("s").place] != [first]
    assert play.now_ms == BEGIN_MS + 5000
    assert play.task("s").output == {"subWorkflowId": lives.child_id(EXECUTION.workflow_id, play.open("s").place)}
    assert play.task("s").input["v"] == play.task("s").input["workflowInput"]["v"] == 3
    play.decide(ended(play))
    assert (play.status, [task.status.value for task in play.tasks("s")]) == ("COMPLETED", ["FAILED", "COMPLETED"])
    assert play.task("s").reason == ""


def test_a_start_delay_starts_later() -> None:
    play = Play(run(startDelay=3), definitions=FOUND)
    assert (of(play, StartChild), play.task("s").status) == ([], TaskStatus.SCHEDULED)
    play.fire()
    assert (len(of(play, StartChild)), play.now_ms, play.task("s").status) == (1, BEGIN_MS + 3000, TaskStatus.IN_PROGRESS)


def test_a_task_that_has_started_no_child_stops_none() -> None:
    play = Play(run(startDelay=3), definitions=FOUND)
    play.decide(WorkflowTerminated(op="t"))
    assert (of(play, StopChild), play.head.stops) == ([], ())


def test_what_cannot_be_started_fails_the_task_by_the_retry_rules() -> None:
    nothing = {DefinitionName("child", 1): NotStartable("there is none")}
    definition = {"name": "s", "retryCount": 2, "retryDelaySeconds": 0, "responseTimeoutSeconds": 10}
    play = Play(run(), definitions=nothing, task_definitions=[definition])
    assert [(task.status.value, task.reason, task.output) for task in play.tasks("s")] == [("FAILED", "there is none", None)] * 3
    assert (play.status, of(play, StartChild), of(play, StopChild)) == ("FAILED", [], [])


def test_children_are_nested_only_so_deep() -> None:
    play = Play(run(), definitions=FOUND, started={"parent": PARENT, "depth": DEPTH_MAX - 1})
    assert play.status == "RUNNING"
    play = Play(run(), definitions=FOUND, started={"parent": PARENT, "depth": DEPTH_MAX})
    assert play.status == "FAILED"
    assert "nested 100 levels deep" in (play.head.reason or "")


# --- stops


@pytest.mark.parametrize("event", [WorkflowTerminated(op="t", reason="enough"), WorkflowRemoved(op="r")])
def test_the_end_of_the_parent_stops_its_child_until_that_is_heard(event: Any) -> None:
    play = Play(run(), definitions=FOUND)
    place = play.open("s").place
    play.decide(event)
    stop = StopChild(place=place, definition="hash-of-child")
    assert (of(play, StopChild), play.head.stops, play.head.stops_ms) == ([stop], (stop,), BEGIN_MS)
    status, task_status = play.status, play.task("s").status
    assert play.decide(ChildEnded(place=place, status=WorkflowStatus.TERMINATED)) is not None
    assert (play.head.stops, play.status, play.task("s").status) == ((), status, task_status)
    assert task_status is TaskStatus.CANCELED
    assert play.decide(ChildEnded(place=place, status=WorkflowStatus.TERMINATED)) is None


def test_a_child_that_outlives_its_tasks_limit_is_stopped() -> None:
    definition = {
        "name": "s",
        "timeoutSeconds": 20,
        "responseTimeoutSeconds": 10,
        "retryCount": 1,
        "retryDelaySeconds": 0,
        "timeoutPolicy": "RETRY",
    }
    play = Play(run(), definitions=FOUND, task_definitions=[definition])
    place = play.open("s").place
    play.fire()
    assert play.now_ms == BEGIN_MS + 20_000
    assert [stop.place for stop in play.head.stops] == [place]
    assert [task.status.value for task in play.tasks("s")] == ["TIMED_OUT", "IN_PROGRESS"]
    play.decide(ChildEnded(place=place, status=WorkflowStatus.COMPLETED, output={"late": 1}))
    assert (play.head.stops, play.status) == ((), "RUNNING")


def test_who_reports_on_the_task_stops_the_child() -> None:
    play = Play(run(), definitions=FOUND)
    play.decide(TaskUpdated(place=play.open("s").place, status=TaskStatus.COMPLETED, output={"mine": 1}, is_merged=True))
    assert (play.status, len(play.head.stops), play.task("s").output["mine"]) == ("COMPLETED", 1, 1)


def test_a_childs_output_joins_what_was_reported_meanwhile() -> None:
    play = Play(run(), definitions=FOUND)
    play.decide(TaskUpdated(place=play.open("s").place, status=TaskStatus.IN_PROGRESS, output={"mine": 1}, is_merged=True))
    play.decide(ended(play))
    assert {"mine": 1, "n": 1}.items() <= play.task("s").output.items()


def test_stops_and_open_children_are_asked_for_again_before_the_queue_forgets() -> None:
    play = Play(run(), definitions=FOUND)
    play.fire()
    assert (play.now_ms, [command.ref for command in of(play, StartChild)]) == (BEGIN_MS + RESEND_MS, ["s"])
    play.decide(WorkflowTerminated(op="t"))
    play.fire()
    assert (play.now_ms, len(of(play, StopChild))) == (BEGIN_MS + 2 * RESEND_MS, 1)
    assert play.head.mark is not None
    assert play.head.mark.due_ms == BEGIN_MS + 3 * RESEND_MS


def test_a_later_stop_does_not_put_off_the_earlier_ones() -> None:
    definition = {"name": "s", "timeoutSeconds": 20, "responseTimeoutSeconds": 10, "retryCount": 5, "retryDelaySeconds": 0}
    play = Play(run(), definitions=FOUND, task_definitions=[{**definition, "timeoutPolicy": "RETRY"}])
    play.fire()
    play.fire()
    assert (len(play.head.stops), play.head.stops_ms) == (2, BEGIN_MS + 20_000)


# --- the child's side


def stop(play: Play, **fields: Any) -> StoppedByParent:
    return StoppedByParent(**{"op": "stop", "parent": PARENT, "definition": play.graph.hash, "name": "w", "version": 1, **fields})


def child(*tasks: Json, **fields: Any) -> Play:
    return Play(*(tasks or (simple("a"),)), started={"parent": PARENT, "depth": 1}, **fields)


def test_a_child_tells_of_its_first_end_alone() -> None:
    play = child(failureWorkflow="")
    play.fail("a")
    while play.head.open:
        play.fire()
        play.fail("a")
    tell = TellParent(status=WorkflowStatus.FAILED, record=len(play.records))
    assert of(play, TellParent) == [tell]
    play.decide(WorkflowTerminated(op="t"))
    assert (play.status, of(play, TellParent)) == ("TERMINATED", [tell])
    play.decide(WorkflowRemoved(op="r"))
    assert (play.status, of(play, TellParent)) == ("REMOVED", [tell])


def test_a_running_child_that_is_removed_tells_of_a_termination() -> None:
    play = child()
    play.decide(WorkflowRemoved(op="r"))
    assert (play.status, of(play, TellParent)) == ("REMOVED", [TellParent(status=WorkflowStatus.TERMINATED, record=2)])


def test_a_tombstone_has_the_output() -> None:
    play = child()
    play.update("a", output={"n": 4})
    play.decide(WorkflowRemoved(op="r"))
    assert play.records[-1].output == {"n": 4}
    play.fire()
    assert (play.records[-1].output, play.head.output_record) == ({"n": 4}, len(play.records))


def test_a_stop_ends_the_life_that_it_names_without_a_failure_workflow() -> None:
    play = child(failureWorkflow="handler")
    assert play.decide(stop(play, parent=PARENT._replace(nth=0))) is None
    assert play.decide(stop(play, reason="enough")) is not None
    assert (play.status, play.head.reason, play.asked) == ("TERMINATED", "enough", [])
    assert play.decide(stop(play)) is None


def test_a_stop_that_comes_with_the_start_lets_nothing_run() -> None:
    play = child()
    started = play.records[0].events[0]
    assert isinstance(started, WorkflowStarted)
    for events in ((started, stop(play)), (stop(play), started), (stop(play),)):
        play.records.clear()
        play.decide(*events)
        assert (play.status, play.shape, len(of(play, TellParent))) == ("TERMINATED", [], 1)
        assert play.head.about == replace(play.head.about, parent=PARENT)
        assert play.decide(started) is None


def test_a_start_that_cannot_be_decided_is_an_execution_that_failed() -> None:
    play = child()
    started = play.records[0].events[0]
    play.records.clear()
    play.decide(started, WorkflowBroken(op="b", reason="no"))
    assert (play.status, play.head.reason, of(play, TellParent)) == ("FAILED", "no", [TellParent(status=WorkflowStatus.FAILED, record=1)])


def test_expressions_see_the_parent() -> None:
    play = child(simple("a", inputParameters={"p": "${workflow.parentWorkflowId}", "t": "${workflow.parentWorkflowTaskId}"}))
    shown = play.folded()
    assert play.task("a").input == {"p": PARENT.workflow_id, "t": shown.parent_task_id}
    assert (shown.parent_workflow_id, bool(shown.parent_task_id)) == (PARENT.workflow_id, True)


# --- START_WORKFLOW


def test_a_start_is_done_once_the_execution_has_begun() -> None:
    play = Play(begin(), simple("z", inputParameters={"id": "${s.output.workflowId}"}), definitions=FOUND)
    assert (play.task("s").status, len(of(play, StartChild))) == (TaskStatus.IN_PROGRESS, 1)
    began = ChildBegan(place=play.open("s").place, workflow_id="new")
    play.decide(began)
    assert (play.task("s").output, play.task("z").input, play.head.stops) == ({"workflowId": "new"}, {"id": "new"}, ())
    assert play.decide(began) is None


def test_what_was_started_lives_on() -> None:
    play = Play(begin(), definitions=FOUND)
    play.decide(WorkflowTerminated(op="t"))
    assert (play.head.stops, of(play, StopChild)) == ((), [])


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({}, "Missing 'startWorkflow' in input data."),
        ({"startWorkflow": [1]}, "Error reading StartWorkflowRequest. It must be a JSON object."),
        ({"startWorkflow": {"name": 5}}, "Error reading StartWorkflowRequest. name must be text."),
        ({"startWorkflow": {"name": "w", "input": "x"}}, "Error reading StartWorkflowRequest. input must be a JSON object."),
        ({"startWorkflow": {"name": "w", "version": "x"}}, "Error reading StartWorkflowRequest. version must be a whole number."),
        ({"startWorkflow": {}}, "startWorkflow validation failed. 'name' -> Workflow name cannot be null or empty. "),
        (
            {"startWorkflow": {"name": "w", "priority": 100}},
            "startWorkflow validation failed. 'priority' -> priority: 100 should be maximum 99. ",
        ),
    ],
)
def test_a_wish_that_cannot_be_read_names_what_is_wrong(inputs: Json, reason: str) -> None:
    with pytest.raises(Unreadable) as raised:
        StartWorkflow().request(inputs)
    assert str(raised.value) == reason
    play = Play({"name": "s", "taskReferenceName": "s", "type": "START_WORKFLOW", "inputParameters": inputs})
    assert (play.status, play.task("s").reason) == ("FAILED", reason)


def test_a_wish_says_all_of_a_start() -> None:
    wish = {
        "name": "w",
        "version": "2",
        "input": {"a": 1},
        "correlationId": " c ",
        "taskToDomain": {"*": "d"},
        "priority": 7,
        "idempotencyKey": "k",
        "createdBy": "me",
    }
    assert StartWorkflow().request({"startWorkflow": wish}) == Request(
        name="w",
        version=2,
        input={"a": 1},
        correlation_id="c",
        task_to_domain={"*": "d"},
        priority=7,
        idempotency_key="k",
        created_by="me",
    )


def test_a_key_names_the_execution_whoever_starts_it() -> None:
    play = Play(begin(), definitions=FOUND)
    task, kind = play.open("s"), StartWorkflow()
    keyed = [kind.started_id(EXECUTION, replace(task, number=n), "w", Request(name="w", idempotency_key="k")) for n in (1, 2)]
    assert keyed[0] == keyed[1] != kind.started_id(EXECUTION, task, "w", Request(name="w"))


# --- what SUB_WORKFLOW asks for


def asked(**fields: Any) -> Json:
    return {"subWorkflowName": "w", "workflowInput": {"a": 1}, **fields}


@pytest.mark.parametrize(("given", "expected"), [(4, 4), ("4", 4), (None, 0), ("high", 0), (100, 0), (-1, 0), (True, 0)])
def test_a_childs_priority_is_a_number_in_range_or_none(given: Any, expected: int) -> None:
    assert SubWorkflow().request(asked(priority=given)).priority == expected


def test_a_child_without_input_is_given_the_whole_task() -> None:
    request = SubWorkflow().request(asked(workflowInput={}))
    assert request.input == asked(workflowInput={})


def test_a_definition_that_comes_along_is_marked_in_the_childs_input() -> None:
    request = SubWorkflow().request(asked(subWorkflowDefinition={"name": "x"}))
    assert request.input == {"a": 1, "_systemMetadata": {"dynamic": True}}
    assert request.wanted == InlineDefinition('{"name":"x"}')


def test_expressions_in_a_definition_that_comes_along_are_the_childs() -> None:
    inline = {"name": "x", "tasks": [simple("c", inputParameters={"v": "${workflow.input.v}"})]}
    task = run(subWorkflowParam={"name": "ignored", "workflowDefinition": inline})
    play = Play(task, definitions=_Anything(), task_input={"v": 3})
    shown = play.task("s").input["subWorkflowDefinition"]
    assert shown["tasks"][0]["inputParameters"] == {"v": "${workflow.input.v}"}
    assert (play.task("s").input["subWorkflowName"], play.task("s").input["subWorkflowVersion"]) == ("x", None)


class _Anything(dict):  # type: ignore[type-arg]
    def __missing__(self, wanted: Any) -> FoundDefinition:
        return FoundDefinition("x", 1, "hash-of-x")

    def __bool__(self) -> bool:
        return True


@pytest.mark.parametrize(
    "fields", [{"subWorkflowName": None}, {"subWorkflowName": " "}, {"subWorkflowVersion": "one"}, {"subWorkflowDefinition": "text"}]
)
def test_a_child_that_nobody_could_name(fields: Json) -> None:
    with pytest.raises(Unreadable, match="subWorkflowParam"):
        SubWorkflow().request(asked(**fields))


def test_an_output_that_only_the_param_reads_is_kept_until_then() -> None:
    task = run(subWorkflowParam={"name": "${a.output.which}", "version": 1})
    play = Play(simple("a"), simple("b"), task, definitions=FOUND)
    play.update("a", output={"which": "child"})
    play.update("b")
    assert play.task("s").input["subWorkflowName"] == "child"


@pytest.mark.parametrize(
    ("given", "expected"), [(3, 3), ("3", 3), (" 3 ", 3), ("-1", None), (1.5, None), ("٣", None), (True, None), ({}, None)]
)
def test_whole_numbers(given: Any, expected: int | None) -> None:
    assert whole_number(given) == expected


def test_a_deadline_that_is_no_ones_mark_asks_for_nothing_again() -> None:
    play = Play(run(), definitions=FOUND)
    assert play.decide(TimerFired(timer=77, due_ms=BEGIN_MS + 1000)) is None
