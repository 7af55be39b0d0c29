"""A workflow execution under test: the whole engine in this process, nothing sent anywhere, time skipped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from batuta.results import Execution, Task
from batuta.sandbox import SANDBOX
from batuta.serializer import to_json, to_output
from batuta.testing.answers import Answers, Unanswered, Workers
from batuta.testing.scripts import Evaluate, Evaluator
from batuta_core.engine import catalog, operate, operations, query, signal
from batuta_core.engine.fetch import read_payload
from batuta_core.engine.ports import Ports
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.definition import inline_child, walk
from batuta_core.model.error import InvalidInput
from batuta_core.model.event import TaskStarted, TaskUpdated
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.names import DEFAULT_NAMESPACE, ExecutionId
from batuta_core.simulator.rehearsal import Asked, Rehearsal

STEPS_MAX = 100_000  # a workflow that takes more is taken for one that never ends

T = TypeVar("T")

Json = Mapping[str, Any]
Definition = Json | Path  # in Conductor's JSON, or the file that holds it


def run(
    workflow: Definition,
    *,
    input: Any = None,
    workers: Workers = (),
    answers: Mapping[str, Any] | None = None,
    workflows: Sequence[Definition] = (),
    tasks: Sequence[Json] = (),
    scripts: Evaluate | None = None,
    skip_time: bool = True,
    start_at: datetime | None = None,
    correlation_id: str | None = None,
    priority: int = 0,
) -> Run:
    """Starts an execution of ``workflow`` and plays it as far as it goes: to its end, or to where it waits for the test.

    ``workers``: functions with ``@task``, a ``Worker``, or functions by task type. ``answers`` by reference name stand in for any
    task; see ``Answers``. ``workflows`` and ``tasks`` are registered beside it: sub-workflows, failure workflows, task definitions
    (those that decorators describe are there). ``scripts`` runs JavaScript and jq in place of the server's sandbox.

    With ``skip_time`` the clock jumps to whatever is due next for as long as nothing waits for the test; else only ``advance`` moves
    it. It begins at ``start_at``, by default now.

    Raises InvalidInput for a definition that is not valid, Unanswered for a task that nobody answers.
    """
    playing = _Playing(Answers(workers, answers or {}), scripts, start_at, is_time_skipped=skip_time)
    definition = _loaded(workflow)
    playing.register([definition, *map(_loaded, workflows)], tasks)
    request = StartRequest(
        namespace=DEFAULT_NAMESPACE,
        name=definition["name"],
        version=definition.get("version"),
        input=to_json({} if input is None else input),
        correlation_id=correlation_id,
        priority=priority,
    )
    found = Run(playing, ExecutionId(DEFAULT_NAMESPACE, start(request, playing.rehearsal.ports, _any_javascript)))
    playing.go_on()
    return found


class Run:
    """An execution as it stands, and what a user may do to it. After each operation it is played on as far as it goes."""

    def __init__(self, playing: _Playing, execution: ExecutionId) -> None:
        self._playing = playing
        self._id = execution
        self._seen: tuple[int, Execution] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._playing.close()

    def __repr__(self) -> str:
        return f"<{self.execution.name} {self.status}: {' > '.join(self.path)}>"

    # --- how it stands

    @property
    def execution(self) -> Execution:
        """As ``Client.get`` shows it."""
        seq = self._playing.records_of(self._id)
        if self._seen is None or self._seen[0] != seq:
            self._seen = (seq, Execution.from_dict(query.workflow_json(self._playing.rehearsal.ports, self._id)))
        return self._seen[1]

    @property
    def status(self) -> WorkflowStatus:
        return self.execution.status

    @property
    def output(self) -> dict[str, Any]:
        return self.execution.output

    @property
    def variables(self) -> dict[str, Any]:
        return self.execution.variables

    @property
    def reason(self) -> str | None:
        """Why it did not complete."""
        return self.execution.reason

    @property
    def path(self) -> list[str]:
        """The reference names of its tasks in the order in which they were scheduled, retried ones once."""
        return list(dict.fromkeys(task.ref for task in self.execution.tasks))

    @property
    def now(self) -> datetime:
        """What its clock says."""
        return datetime.fromtimestamp(self._playing.rehearsal.world.now_ms / 1000, UTC)

    def tasks(self, ref: str) -> list[Task]:
        """All attempts and iterations of a task, the first one first; none when it was not reached."""
        return [task for task in self.execution.tasks if ref in (task.ref, task.ref.rpartition("__")[0])]

    def task(self, ref: str) -> Task:
        """The last of them. Raises LookupError when there is none."""
        found = self.tasks(ref)
        if not found:
            raise LookupError(f"no task '{ref}' was reached in {self!r}")
        return found[-1]

    def child(self, ref: str) -> Run:
        """The execution that the SUB_WORKFLOW or START_WORKFLOW task started. Raises LookupError."""
        output = self.task(ref).output
        return self._other(output.get("subWorkflowId") or output.get("workflowId"), f"task '{ref}' of {self!r} has started no execution")

    @property
    def failure_workflow(self) -> Run:
        """The execution that its failure started. Raises LookupError."""
        return self._other(self.output.get("conductor.failure_workflow"), f"{self!r} has started no failure workflow")

    def _other(self, workflow_id: Any, missing: str) -> Run:
        other = ExecutionId(self._id.namespace, str(workflow_id))
        if self._playing.rehearsal.newest(other) is None:
            raise LookupError(missing)
        return Run(self._playing, other)

    # --- what may be done to it

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Lets time pass; what falls due on the way happens in its order."""
        self._playing.advance(round((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000))

    def complete(self, ref: str, output: Any = None) -> None:
        """Ends the open task of that name, as somebody outside does. Raises LookupError when there is none."""
        self._end(ref, TaskStatus.COMPLETED, output)

    def fail(self, ref: str, reason: str = "", output: Any = None, *, is_final: bool = False) -> None:
        """``is_final``: no retry. Raises LookupError when there is no such open task."""
        self._end(ref, TaskStatus.FAILED_WITH_TERMINAL_ERROR if is_final else TaskStatus.FAILED, output, reason)

    def signal(self, output: Any = None) -> None:
        """Completes the first open WAIT, of a sub-workflow where this one has none. Raises LookupError when nothing waits."""
        report = operate.TaskReport(status=TaskStatus.COMPLETED, output=to_output(output))
        if self._playing.act(lambda ports: signal.signal(ports, self._id, report)) is None:
            raise LookupError(f"nothing waits for a signal in {self!r}")

    def terminate(self, reason: str | None = None) -> None:
        self._playing.act(lambda ports: operate.terminate(ports, self._id, reason))

    def pause(self) -> None:
        self._playing.act(lambda ports: operations.pause(ports, self._id))

    def resume(self) -> None:
        self._playing.act(lambda ports: operations.resume(ports, self._id))

    def retry(self) -> None:
        self._playing.act(lambda ports: operations.retry(ports, self._id))

    def _end(self, ref: str, status: TaskStatus, output: Any, reason: str = "") -> None:
        report = operate.TaskReport(status=status, output=to_output(output), reason=reason or None)
        if self._playing.act(lambda ports: operate.update_by_ref(ports, self._id, ref, report)) is None:
            open_refs = [task.ref for task in self.execution.tasks if not task.status.is_terminal]
            raise LookupError(f"no task '{ref}' is open in {self!r}; open are: {', '.join(open_refs) or 'none'}")


class _Playing:
    """The rehearsal of all executions of one ``run``, and when it stops."""

    def __init__(self, answers: Answers, scripts: Evaluate | None, start_at: datetime | None, *, is_time_skipped: bool) -> None:
        self._answers = answers
        self._is_time_skipped = is_time_skipped
        self._steps = 0
        self._is_closed = False
        self.rehearsal = Rehearsal(
            self._answer,
            now_ms=round((start_at.timestamp() if start_at else time.time()) * 1000),
            check=self._check,
            scripts=Evaluator(scripts) if scripts else SANDBOX,
        )

    def register(self, workflows: Sequence[Json], tasks: Sequence[Json]) -> None:
        ports = self.rehearsal.ports
        said = {str(task.get("name")): task for task in tasks}
        for function in self._answers.functions.values():
            if function.task_type not in said and (definition := function.definition()):
                said[function.task_type] = definition
        try:
            if said:
                catalog.register_tasks(ports, DEFAULT_NAMESPACE, list(said.values()))
            catalog.register_workflows(ports, DEFAULT_NAMESPACE, workflows, _any_javascript)
        except InvalidInput as error:
            faults = "; ".join(f"{problem.path}: {problem.message}".removeprefix(": ") for problem in error.problems)
            raise InvalidInput(faults or error.message, problems=error.problems) from error
        registered = ports.definitions.workflows(DEFAULT_NAMESPACE)
        refs = [task for definition in registered for task in _all_tasks(definition)]
        if not any(task["type"] == "FORK_JOIN_DYNAMIC" for task in refs):  # whose branches are named when it runs
            self._answers.check({str(task["taskReferenceName"]) for task in refs})

    def act(self, operation: Callable[[Ports], T]) -> T:
        """Does what a user does, and plays on."""
        self._require_open()
        found = operation(self.rehearsal.ports)
        self.go_on()
        return found

    def go_on(self) -> None:
        rehearsal = self.rehearsal
        rehearsal.go_on()
        while self._is_time_skipped and (moment_ms := rehearsal.world.next_ms()) is not None and self._is_waiting_for_time():
            rehearsal.run_to(moment_ms)
            rehearsal.go_on()

    def advance(self, length_ms: int) -> None:
        self._require_open()
        if length_ms < 0:
            raise ValueError(f"time does not go back: {length_ms / 1000:g} s")
        end_ms = self.rehearsal.world.now_ms + length_ms
        while (moment_ms := self.rehearsal.world.next_ms()) is not None and moment_ms < end_ms:
            self.rehearsal.run_to(moment_ms)
            self.rehearsal.go_on()
        self.rehearsal.run_to(end_ms)
        self.go_on()

    def close(self) -> None:
        self._is_closed = True

    def _require_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("the run is over: its `with` block has ended")

    def records_of(self, execution: ExecutionId) -> int:
        """How many records the execution has, with those of the segments in which branches of its wide forks run."""
        found = [(one, newest) for one in self.rehearsal.executions() if (newest := self.rehearsal.newest(one))]
        return sum(newest.seq for one, newest in found if one == execution or newest.head.about.root == execution.workflow_id)

    def _is_waiting_for_time(self) -> bool:
        """Whether something runs on, and none of it waits for the test."""
        heads = [newest.head for execution in self.rehearsal.executions() if (newest := self.rehearsal.newest(execution))]
        is_running = any(head.status is WorkflowStatus.RUNNING for head in heads)
        is_paused = any(head.status is WorkflowStatus.PAUSED for head in heads)
        return is_running and not is_paused and not any(self._answers.is_held(asked) for asked in self.rehearsal.asked())

    def _answer(self, asked: Asked) -> TaskUpdated | TaskStarted | None:
        self._check()
        task_input = read_payload(self.rehearsal.ports, asked.execution, asked.message.input)
        return self._answers.give(asked, task_input, self.rehearsal.world.now_ms)

    def _check(self) -> None:
        self._steps += 1
        if self._steps > STEPS_MAX:
            raise Unanswered(f"the workflow has not ended after {STEPS_MAX} steps: does one of its loops or retries never end?")


def _loaded(definition: Definition) -> Json:
    if isinstance(definition, Path):
        found: Json = json.loads(definition.read_text(encoding="utf-8"))
        return found
    return definition


def _all_tasks(definition: Json) -> Iterator[Json]:
    for task, _path in walk(definition["tasks"]):
        yield task
        if child := inline_child(task):
            yield from _all_tasks(child)


def _any_javascript(source: str) -> None:
    """What is no JavaScript shows when it is run."""
