"""An execution played with given answers."""

from __future__ import annotations

from typing import Any

import pytest

from batuta_core.engine import catalog
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import ExecutionId
from batuta_core.simulator.rehearsal import Answer, Asked, Rehearsal

NAMESPACE = "default"


def simple(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "taskReferenceName": name, "type": "SIMPLE", **fields}


def wait(duration: str) -> dict[str, Any]:
    return {"name": "w", "taskReferenceName": "w", "type": "WAIT", "inputParameters": {"duration": duration}}


def begun(answer: Answer, *tasks: dict[str, Any], others: tuple[dict[str, Any], ...] = (), **options: Any) -> tuple[Rehearsal, ExecutionId]:
    rehearsal = Rehearsal(answer, **options)
    definitions = [{"name": "order", "version": 1, "tasks": list(tasks)}, *others]
    catalog.register_workflows(rehearsal.ports, NAMESPACE, definitions, no_javascript)
    workflow_id = start(StartRequest(namespace=NAMESPACE, name="order"), rehearsal.ports, no_javascript)
    return rehearsal, ExecutionId(NAMESPACE, workflow_id)


def completed(asked: Asked, **output: Any) -> TaskUpdated:
    return TaskUpdated(place=asked.message.place, status=TaskStatus.COMPLETED, op=asked.message.task_id, output=output)


def status(rehearsal: Rehearsal, execution: ExecutionId) -> str:
    newest = rehearsal.newest(execution)
    assert newest is not None
    return newest.head.status.value


def test_everything_that_waits_for_the_outside_is_asked_for_and_nothing_else() -> None:
    seen: list[tuple[str, bool, bool]] = []

    def answer(asked: Asked) -> TaskUpdated:
        seen.append((asked.message.ref, asked.is_work, bool(asked.due_ms)))
        return completed(asked)

    def of_type(kind: str, ref: str, **inputs: str) -> dict[str, Any]:
        return {"name": ref, "taskReferenceName": ref, "type": kind, "inputParameters": inputs}

    fork = {**of_type("FORK_JOIN", "f"), "forkTasks": [[simple("a")], [of_type("HUMAN", "h")]]}
    join = {**of_type("JOIN", "j"), "joinOn": ["a", "h"]}
    tasks = (fork, join, wait("1 hour"), of_type("HTTP", "ask", uri="http://x"), of_type("SET_VARIABLE", "v"))
    rehearsal, execution = begun(answer, *tasks)
    rehearsal.go_on()
    assert seen == [("a", True, False), ("h", False, False), ("w", False, True), ("ask", True, False)]
    assert status(rehearsal, execution) == "COMPLETED"


def test_none_leaves_a_task_open_and_it_is_asked_for_again() -> None:
    answers: list[TaskUpdated | None] = []
    asked_for: list[Asked] = []

    def answer(asked: Asked) -> TaskUpdated | None:
        asked_for.append(asked)
        return answers.pop() if answers else None

    rehearsal, execution = begun(answer, simple("a"))
    rehearsal.go_on()
    rehearsal.go_on()
    assert len(asked_for) == 2
    answers.append(completed(asked_for[0]))
    rehearsal.go_on()
    assert status(rehearsal, execution) == "COMPLETED"


def test_what_an_answer_has_ended_is_not_asked_for_any_more() -> None:
    seen: list[str] = []

    def answer(asked: Asked) -> TaskUpdated:
        seen.append(asked.message.ref)
        return TaskUpdated(place=asked.message.place, status=TaskStatus.FAILED_WITH_TERMINAL_ERROR, op=asked.message.task_id, output={})

    fork = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": [[simple("a")], [simple("b")]]}
    rehearsal, execution = begun(answer, fork, {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["a", "b"]})
    rehearsal.go_on()
    assert (seen, status(rehearsal, execution)) == (["a"], "FAILED")


def test_a_task_of_a_child_has_names_below_its_parents() -> None:
    names: list[list[str]] = []

    def answer(asked: Asked) -> TaskUpdated | None:
        if asked.is_work:
            names.append(list(asked.names))
            return completed(asked)
        return None

    middle = {"name": "m", "taskReferenceName": "m", "type": "SUB_WORKFLOW", "subWorkflowParam": {"name": "inner", "version": 1}}
    outer = {"name": "o", "taskReferenceName": "o", "type": "SUB_WORKFLOW", "subWorkflowParam": {"name": "middle", "version": 1}}
    others = ({"name": "inner", "version": 1, "tasks": [simple("a")]}, {"name": "middle", "version": 1, "tasks": [middle]})
    rehearsal, execution = begun(answer, outer, others=others)
    rehearsal.go_on()
    assert names == [["o/m/a", "a"]]
    assert status(rehearsal, execution) == "COMPLETED"


def test_what_a_stage_would_try_again_is_raised() -> None:
    class Broken:
        def run(self, scripts: Any) -> Any:
            raise ZeroDivisionError("nothing runs scripts")

    inline = {
        "name": "i",
        "taskReferenceName": "i",
        "type": "INLINE",
        "inputParameters": {"evaluatorType": "javascript", "expression": "1"},
    }
    rehearsal, _execution = begun(
        lambda asked: completed(asked) if asked.is_work else None, simple("a"), wait("1 s"), inline, scripts=Broken()
    )
    rehearsal.go_on()
    with pytest.raises(ZeroDivisionError):
        rehearsal.run_to(rehearsal.world.now_ms + 5000)


def test_a_check_can_stop_it() -> None:
    class Enough(Exception): ...

    def check() -> None:
        raise Enough

    rehearsal, _execution = begun(lambda _asked: None, wait("1 s"), check=check)
    with pytest.raises(Enough):
        rehearsal.run_to(rehearsal.world.now_ms + 5000)


def test_the_clock_stands_where_it_was_sent() -> None:
    rehearsal, execution = begun(lambda _asked: None, wait("3 days"))
    begin_ms = rehearsal.world.now_ms
    rehearsal.run_to(begin_ms + 3 * 24 * 3_600_000 - 1)
    assert (rehearsal.world.now_ms - begin_ms, status(rehearsal, execution)) == (3 * 24 * 3_600_000 - 1, "RUNNING")
    rehearsal.run_to(begin_ms + 3 * 24 * 3_600_000 + 2000)
    assert (rehearsal.world.now_ms - begin_ms, status(rehearsal, execution)) == (3 * 24 * 3_600_000 + 2000, "COMPLETED")
    assert rehearsal.world.next_ms() is None
