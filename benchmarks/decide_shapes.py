"""How fast the decider is where the flow branches: forks, dynamic forks, switches and loops, standing in their middle.

As in ``decide.py`` a decision goes from the stored bytes of the head and the message's text to the bytes of the next record; what it asks
for is in a warm function's caches. ``tasks`` are those of the whole execution.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from batuta_core.decider.decide import Decision, decide
from batuta_core.decider.known import Known
from batuta_core.engine import fetch
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import InboxMessage
from batuta_core.model.record import OpenTask, Record, pack, unpack
from benchmarks.fork import Execution, text

SIZES = (10, 1000, 10_000)
WIDTHS = (10, 50, 200, 1000)  # of dynamic forks, all in one head
BRANCHES = 10
ROUNDS = 7
PER_ROUND = 100

Task = dict[str, Any]
Shape = tuple[list[Task], dict[str, Any]]  # the definition's tasks, the workflow's input


def work(ref: str, **inputs: Any) -> Task:
    return {"name": "work", "taskReferenceName": ref, "type": "SIMPLE", "inputParameters": {"text": "${workflow.input.text}", **inputs}}


def typed(kind: str, ref: str, **fields: Any) -> Task:
    return {"name": ref, "taskReferenceName": ref, "type": kind, **fields}


def forks(size: int) -> Shape:
    """A line of forks of ten branches each."""
    tasks: list[Task] = []
    for n in range(size // BRANCHES):
        refs = [f"t{n}_{branch}" for branch in range(BRANCHES)]
        tasks += [typed("FORK_JOIN", f"f{n}", forkTasks=[[work(ref)] for ref in refs]), typed("JOIN", f"j{n}", joinOn=refs)]
    return tasks, {}


def switches(size: int) -> Shape:
    """A line of switches with a worker's task in each; the value of one is an output of the task before it."""
    tasks = []
    for n in range(size // 2):
        value = f"${{t{n - 1}.output.n}}" if n else "${workflow.input.n}"
        more = {"evaluatorType": "value-param", "expression": "x", "inputParameters": {"x": value}}
        tasks.append(typed("SWITCH", f"s{n}", **more, decisionCases={"1": [work(f"t{n}")]}, defaultCase=[work(f"d{n}")]))
    return tasks, {"n": 1}


def loop(size: int) -> Shape:
    """A loop over items with a worker's task in it, which reads the item."""
    body = [work("t", item="${l.output.loopItem}")]
    more = {"loopCondition": "", "inputParameters": {"_items": "${workflow.input.items}"}}
    return [typed("DO_WHILE", "l", **more, loopOver=body)], {"items": list(range(size))}


def dynamic_fork(width: int) -> Shape:
    inputs = {"forkTaskName": "work", "forkTaskInputs": "${workflow.input.items}"}
    fork = typed("FORK_JOIN_DYNAMIC", "f", inputParameters=inputs)
    return [fork, typed("JOIN", "j")], {"items": [{"text": text(40)} for _ in range(width)]}


def workers_tasks(run: Execution) -> list[OpenTask]:
    return [task for task in run.newest.head.open.values() if task.sent_ms]


def stand(shape: Shape, results: int) -> Execution:
    """After so many results, the last of which came alone."""
    tasks, given = shape
    run = Execution(tasks, {"text": text(1000), **given})
    while results:
        some = workers_tasks(run)[: max(min(results - 1, 250), 1)]
        run.decide(some)
        results -= len(some)
    return run


def measure(what: str, size: int, run: Execution) -> dict[str, Any]:
    """The next result: one of several that are open, and not the last of them."""
    first_plain = run.world.journal.read(run.id, [1])[1].to_json()
    stored = pack(run.newest, run.newest.to_json(), first_plain)
    task = workers_tasks(run)[0]
    output = {"n": 1, "text": text(480)}
    event = TaskUpdated(place=task.place, status=TaskStatus.COMPLETED, output=output, started_ms=run.world.now_ms, worker_id="host-1234")
    token = run.ports.signer.task_token(run.id, task.place, task.attempt)
    message = InboxMessage(execution=run.id, event=event, token=token, attempt=1).to_text()
    graph = fetch.graph_of(run.ports, "bench", run.newest.head.definition)
    rounds = []
    raw = b""
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(PER_ROUND):
            newest = Record.from_json(unpack(stored, first_plain))
            inbox = InboxMessage.parse(message, run.ports.signer)
            known = Known(records={newest.seq: newest})
            while True:
                answer = decide(graph, run.id, newest.head, newest.seq, [inbox.event], known, run.world.now_ms)  # type: ignore[list-item]
                if isinstance(answer, Decision):
                    break
                known = fetch.fetch(run.ports, run.id, known, answer)
            assert answer.record is not None
            raw = pack(answer.record, answer.record.to_json(), first_plain)
        rounds.append((time.perf_counter() - began) / PER_ROUND * 1000)
    return {"": what, "tasks": size, "ms_per_decision": round(statistics.median(rounds), 3), "record_bytes": len(raw)}


def rows() -> list[dict[str, Any]]:
    found = []
    shapes: list[tuple[str, Callable[[int], Shape], int]] = [
        ("forks of ten", forks, 1),
        ("switches", switches, 2),
        ("a loop", loop, 1),
    ]
    for what, shape, tasks_each in shapes:
        found += [measure(what, size, stand(shape(size), size // tasks_each // 2)) for size in SIZES]
    found += [measure("a dynamic fork", width, stand(dynamic_fork(width), width // 2)) for width in WIDTHS]
    return found
