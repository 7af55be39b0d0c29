"""Pages of tasks: what is found without reading the whole journal is what the whole journal says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.decider.known import Script, ScriptResult
from batuta_core.engine import operate, operations, pages, query
from batuta_core.model.error import ExecutionTooLarge
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import ExecutionId
from batuta_core.simulator.world import World

ROUNDS = 30


class Rounds:
    """Stands in for the sandbox: a loop's condition holds for so many rounds."""

    def run(self, scripts: Sequence[Script]) -> Sequence[ScriptResult]:
        return [ScriptResult(value=int(json.loads(script.input)["loop"]["iteration"] < ROUNDS)) for script in scripts]


@pytest.fixture
def server() -> Server:
    found = Server()
    found.world = World(1, scripts=Rounds(), log=found.log)
    found.ports = found.world.ports
    return found


def loop(*tasks: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    return {
        "name": "loop",
        "taskReferenceName": "loop",
        "type": "DO_WHILE",
        "loopCondition": f"$.loop['iteration'] < {ROUNDS}",
        "loopOver": list(tasks),
        "inputParameters": inputs,
    }


def branches(*refs: str) -> list[dict[str, Any]]:
    fork = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": [[simple(ref)] for ref in refs]}
    return [fork, {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": list(refs)}]


def work(server: Server, types: Sequence[str], results: int) -> None:
    """Workers report so many results: progress, failures and successes in turn."""
    done = 0
    while done < results:
        taken = [message for message in (server.take(task_type) for task_type in types) if message is not None]
        if not taken:
            server.settle(60_000)
            taken = [message for message in (server.take(task_type) for task_type in types) if message is not None]
            if not taken:
                return
        for message in taken:
            done += 1
            output: dict[str, Any]
            match done % 7:
                case 2:
                    status, output = TaskStatus.IN_PROGRESS, {"half": done}
                case 5:
                    status, output = TaskStatus.FAILED, {"why": done}
                case _:
                    status, output = TaskStatus.COMPLETED, {"n": done, "text": "x" * 200}
            server.report(message, status, output, logs=({"log": f"line {done}", "createdTime": done},), worker_id="w1", started_ms=5)


LONG = {
    "line": [simple(f"t{place}") for place in range(20)],
    "loop": [simple("before"), loop(simple("a"), simple("b")), simple("after")],
    "fork": [simple("t0"), *branches("x", "y", "z"), simple("t1")],
    "fork in a loop": [loop(*branches("x", "y")), simple("t1")],
}


@pytest.mark.parametrize("tasks", LONG.values(), ids=list(LONG))
@pytest.mark.parametrize("results", [3, 11, 40, 10_000])
@pytest.mark.parametrize("is_terminated", [False, True])
def test_a_long_journals_pages_are_those_of_the_whole(
    server: Server, tasks: list[dict[str, Any]], results: int, is_terminated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = sorted({name for name in json.dumps(tasks).split('"') if len(name) < 8 and name.isalnum()} - {"f", "j", "loop", "name", "type"})
    server.register(*tasks, task_definitions=[{"name": name, "retryCount": 100, "retryDelaySeconds": 0} for name in types])
    execution = server.start(input={"text": "y" * 300})
    work(server, types, results)
    if is_terminated and server.status(execution) == "RUNNING":
        operate.terminate(server.ports, execution, "enough")
    whole = server.show(execution)["tasks"]
    monkeypatch.setattr(pages, "SHORT_RECORDS", 0)
    monkeypatch.setattr(pages, "_SCAN_RECORDS", 2)
    monkeypatch.setattr(pages, "_ASKED_AT_ONCE", 3)
    for start, count in ((0, 1), (0, 1000), (1, 3), (len(whole) // 2, 4), (max(len(whole) - 2, 0), 10), (len(whole), 5), (0, 0)):
        page = query.task_page(server.ports, execution, start, count, [])
        assert page == {"totalHits": len(whole), "results": whole[start : start + count]}, (start, count)


@pytest.mark.parametrize("life", ["restart", "rerun", "retry"])
def test_after_an_operation_the_journal_is_folded(server: Server, life: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server.register(simple("a"), simple("b"), simple("c"))
    execution = server.start()
    server.run_task("a", {"n": 1})
    server.report(server.taken("b"), TaskStatus.FAILED_WITH_TERMINAL_ERROR)
    first = server.show(execution)["tasks"][0]
    match life:
        case "restart":
            operations.restart(server.ports, execution)
        case "rerun":
            operations.rerun(server.ports, execution, task_id=first["taskId"])
        case _:
            operations.retry(server.ports, execution)
    server.settle()
    monkeypatch.setattr(pages, "SHORT_RECORDS", 0)
    assert query.task_page(server.ports, execution, 0, 10, [])["results"] == server.show(execution)["tasks"]


@pytest.mark.parametrize("keep", [1, 3, None])
def test_a_loop_that_keeps_its_last_rounds_shows_those(server: Server, keep: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    server.register(loop(simple("a"), **({} if keep is None else {"keepLastN": keep})))
    execution = server.start()
    for _ in range(ROUNDS):
        server.run_task("a", {"text": "x" * 300})
    whole = server.show(execution)
    assert len(whole["tasks"]) == 1 + (keep or ROUNDS)
    monkeypatch.setattr(pages, "SHORT_RECORDS", 0)
    assert query.task_page(server.ports, execution, 0, 100, [])["results"] == whole["tasks"]
    monkeypatch.setattr(query, "WHOLE_TASKS_MAX", ROUNDS // 2)  # it counts what is kept
    if keep is not None:
        assert server.show(execution) == whole
        return
    with pytest.raises(ExecutionTooLarge) as refused:
        server.show(execution)
    assert "/workflow/{id}/tasks?start=0&count=15" in refused.value.remedy


def test_of_a_very_long_loop_the_list_shows_the_counter(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.register(loop(simple("a")))
    execution = server.start()
    for _ in range(ROUNDS):
        server.run_task("a", {"n": 1})
    monkeypatch.setattr(pages, "SHORT_RECORDS", 0)
    monkeypatch.setattr(pages, "_LOOP_RECORDS_MAX", ROUNDS // 2)
    first, second = query.task_page(server.ports, execution, 0, 2, [])["results"]
    assert (first["status"], first["iteration"], first["outputData"]) == ("COMPLETED", ROUNDS, {"iteration": ROUNDS})
    assert (second["referenceTaskName"], second["outputData"]) == ("a__1", {"n": 1})


def test_a_long_journals_page_reads_few_records(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.register(loop(simple("a")))
    execution = server.start()
    for _ in range(ROUNDS):
        server.run_task("a", {"n": 1})
    monkeypatch.setattr(pages, "SHORT_RECORDS", 0)
    monkeypatch.setattr(pages, "_SCAN_RECORDS", 2)
    scanned: list[int] = []
    scan = server.world.journal.scan

    def counted(execution: ExecutionId, first: int = 1) -> Any:
        for record in scan(execution, first):
            scanned.append(record.seq)
            yield record

    monkeypatch.setattr(server.world.journal, "scan", counted)
    assert [task["seq"] for task in query.task_page(server.ports, execution, 20, 3, [])["results"]] == [21, 22, 23]
    assert len(scanned) <= 6


def test_a_list_by_status_of_too_many_tasks_is_refused_with_the_way_out(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.register(loop(simple("a")))
    execution = server.start()
    for _ in range(ROUNDS):
        server.run_task("a")
    monkeypatch.setattr(pages, "FOLDED_TASKS_MAX", 10)
    monkeypatch.setattr(pages, "_ROOM", 5)
    with pytest.raises(ExecutionTooLarge, match="ask for those of all statuses together"):
        query.task_page(server.ports, execution, 0, 10, ["COMPLETED"])


def test_a_task_of_a_long_loop_is_found_by_its_id(server: Server) -> None:
    server.register(loop(simple("a")))
    execution = server.start()
    for _ in range(3):
        server.run_task("a", {"n": 1})
    for task in server.show(execution)["tasks"][1:]:
        assert query.task_json(server.ports, NAMESPACE, task["taskId"]) == task
