"""EVENT in the decider: an open task for the events function, which may run it again."""

from __future__ import annotations

from typing import Any

from tests.unit.core.decider.play import Play, simple

from batuta_core.decider.on_task import LOST_LEASES_MAX
from batuta_core.model.event import TaskDeadLettered
from batuta_core.model.execution import TaskStatus


def event(**fields: Any) -> dict[str, Any]:
    return {"name": "n", "taskReferenceName": "e", "type": "EVENT", "sink": "conductor:${workflow.input.q}", **fields}


def play(*tasks: dict[str, Any], **fields: Any) -> Play:
    return Play(*(tasks or (event(),)), task_input={"q": "x", "sink": "not this"}, **fields)


def give_up(found: Play) -> None:
    task = found.open("e")
    found.decide(TaskDeadLettered(place=task.place, op=f"dead-{task.sends}", receives=5, send=task.sends))


def test_its_input_has_its_sink_evaluated_over_an_input_of_that_name() -> None:
    found = play(event(inputParameters={"p": 1, "sink": "other", "asyncComplete": True}))
    assert found.enqueued == ["e"]
    assert found.task("e").input == {"p": 1, "sink": "conductor:x", "asyncComplete": False}  # as its mapper puts them (recorded)


def test_the_task_definitions_template_does_not_join_its_input() -> None:
    found = play(task_definitions=[{"name": "n", "inputTemplate": {"t": 1}}])
    assert found.task("e").input == {"sink": "conductor:x", "asyncComplete": False}


def test_a_dead_letter_has_it_published_again() -> None:
    found = play()
    give_up(found)
    assert (found.enqueued, found.open("e").sends, found.open("e").status) == (["e"], 1, TaskStatus.SCHEDULED)
    found.update("e", output={"event_produced": "conductor:w:x"}, call=0)
    assert found.status == "COMPLETED"


def test_after_five_it_fails_with_the_reason_and_the_retry_policy_rules() -> None:
    found = play(task_definitions=[{"name": "n", "retryCount": 1, "retryDelaySeconds": 0}])
    for _ in range(LOST_LEASES_MAX):
        give_up(found)
    assert found.shape == [("e", "FAILED"), ("e", "SCHEDULED")]
    assert found.tasks("e")[0].reason == "the events function gave this attempt up 5 times; its log says why"


def test_async_complete_is_not_published_again() -> None:
    found = play(event(asyncComplete=True), simple("z"))
    found.update("e", TaskStatus.IN_PROGRESS, {"n": 1}, call=0)
    give_up(found)
    assert (found.enqueued, found.open("e").status) == ([], TaskStatus.IN_PROGRESS)
    found.update("e", output={"done": 1}, is_merged=True)
    assert found.task("e").output == {"n": 1, "done": 1}
