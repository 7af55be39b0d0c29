"""Functions in child processes: they say as much as others, die alone, and leave nothing behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest
from tests.unit.sdk.memory import PATIENCE_S, until
from tests.unit.sdk.worker import heavy

from batuta.context import LogLine, TaskContext
from batuta.task_function import task_function
from batuta.worker import processes
from batuta.worker.processes import Children, Job, job_of
from batuta_core.model.execution import TaskStatus


class Words:
    def __init__(self) -> None:
        self.beats = 0
        self.lines: list[str] = []

    def heartbeat(self) -> None:
        self.beats += 1

    def show(self, line: LogLine) -> None:
        self.lines.append(line.text)


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    found = Children()
    yield found
    found.close()


def test_a_child_runs_functions_and_is_kept(children: Children) -> None:
    first = children.call(job_of(task_function(heavy.square), {"number": 5}, TaskContext()), TaskContext(), Words())
    second = children.call(job_of(task_function(heavy.square), {"number": 6}, TaskContext()), TaskContext(), Words())
    assert first.output is not None
    assert second.output is not None
    assert (first.output["square"], second.output["square"]) == (25, 36)
    assert first.output["pid"] == second.output["pid"] != os.getpid()


def test_a_child_speaks_through_its_context(children: Children) -> None:
    context = TaskContext(ref="r", attempt=3, workflow_id="w", namespace="shop")
    words = Words()
    found = children.call(job_of(task_function(heavy.tell), {}, context), context, words)
    assert found.output == {"ref": "r", "attempt": 3, "key": context.idempotency_key}
    assert [line.text for line in found.log] == ["from the child"]
    assert words.beats == 2
    assert words.lines == ["1/2: half"]


@pytest.mark.parametrize(
    ("function", "status", "said"),
    [
        (heavy.die, TaskStatus.FAILED, "its process died with exit code 7"),
        (heavy.give_up, TaskStatus.FAILED_WITH_TERMINAL_ERROR, "no way"),
        (heavy.leave, TaskStatus.FAILED, "SystemExit: 3"),
        (heavy.unsendable, TaskStatus.FAILED_WITH_TERMINAL_ERROR, "object has no JSON form"),
        (heavy.square, TaskStatus.FAILED_WITH_TERMINAL_ERROR, "number: is missing"),
    ],
)
def test_what_goes_wrong_in_a_child_is_its_own_tasks_failure(children: Children, function: object, status: TaskStatus, said: str) -> None:
    context = TaskContext()
    found = children.call(job_of(task_function(function), {}, context), context, Words())  # type: ignore[arg-type]
    assert found.status is status
    assert said in (found.reason or "")
    again = children.call(job_of(task_function(heavy.square), {"number": 2}, TaskContext()), TaskContext(), Words())
    assert again.status is TaskStatus.COMPLETED


def test_a_function_that_cannot_be_found_elsewhere_says_so(children: Children) -> None:
    for job in (
        Job(module="no.such.module", name="f", task_input={}, fields={}),
        Job(module=heavy.__name__, name="nothing", task_input={}, fields={}),
        Job(module="os", name="getpid", task_input={}, fields={}),
    ):
        found = children.call(job, TaskContext(), Words())
        assert found.status is TaskStatus.FAILED
        assert "cannot be found in another process" in (found.reason or "")


def test_a_child_can_be_killed_and_the_next_call_gets_another(children: Children) -> None:
    context = TaskContext()
    outcomes = []
    thread = threading.Thread(
        target=lambda: outcomes.append(children.call(job_of(task_function(heavy.sleep), {}, context), context, Words()))
    )
    thread.start()
    until(lambda: children._busy)
    began = time.monotonic()
    context.cancel("stop", is_over=True)
    children.kill(context)
    thread.join(10)
    assert time.monotonic() - began < 5
    assert "its process died" in (outcomes[0].reason or "")
    assert (
        children.call(job_of(task_function(heavy.square), {"number": 2}, TaskContext()), TaskContext(), Words()).status
        is TaskStatus.COMPLETED
    )


def test_a_call_that_is_over_before_it_began_starts_no_process() -> None:
    lone = Children()
    context = TaskContext()
    context.cancel("stop", is_over=True)
    lone.kill(context)
    assert "before it began" in (lone.call(job_of(task_function(heavy.sleep), {}, context), context, Words()).reason or "")
    assert lone._idle == []


@pytest.fixture
def slow_spawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Processes that are spawned for as long as a test likes: an event says that one is, the other lets it be done."""
    is_spawning, may_go = threading.Event(), threading.Event()

    class SlowChild(processes._Child):
        def __post_init__(self) -> None:
            is_spawning.set()
            may_go.wait(PATIENCE_S)
            super().__post_init__()

    monkeypatch.setattr(processes, "_Child", SlowChild)
    yield is_spawning, may_go
    may_go.set()


def test_nobody_waits_for_a_process_to_be_spawned(slow_spawn: tuple[threading.Event, threading.Event]) -> None:
    """``kill`` is called on the worker's own loop: while it waited, no lease was renewed."""
    is_spawning, may_go = slow_spawn
    lone, context = Children(), TaskContext()
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(lone.call(job_of(task_function(heavy.sleep), {}, context), context, Words())))
    thread.start()
    assert is_spawning.wait(PATIENCE_S)
    began = time.monotonic()
    context.cancel("stop", is_over=True)
    lone.kill(context)
    lone.close()
    assert time.monotonic() - began < PATIENCE_S / 2
    may_go.set()
    thread.join(PATIENCE_S)
    assert "before it began" in (outcomes[0].reason or "")
    assert (lone._idle, lone._busy) == ([], {})


def test_a_job_that_cannot_be_sent_leaves_nothing_behind() -> None:
    lone = Children()
    with pytest.raises(AttributeError, match="pickle"):
        lone.call(Job(module="m", name="f", task_input=lambda: None, fields={}), TaskContext(), Words())
    assert (lone._idle, lone._busy) == ([], {})


def test_closing_kills_idle_and_busy_children() -> None:
    lone = Children()
    lone.call(job_of(task_function(heavy.square), {"number": 2}, TaskContext()), TaskContext(), Words())
    idle = lone._idle[0].process
    lone.close()
    idle.join(10)
    assert not idle.is_alive()
