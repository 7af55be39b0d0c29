"""The example of ``make demo``: its definition is sound, its functions fit it."""

from __future__ import annotations

import importlib.util
import json
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.unit.sdk.stub import EXECUTION, TASK

from batuta import TaskContext
from batuta.binding import Binding
from batuta.results import Execution
from batuta.task_function import task_function
from batuta.worker.invoke import call
from batuta_core.decider.validate import workflow_problems
from batuta_core.model.definition import normalize_workflow_definition, walk

FOLDER = Path(__file__).parents[3] / "examples" / "order"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"order_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # where annotations are looked up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def worker() -> ModuleType:
    return load("worker")


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    return normalize_workflow_definition(json.loads((FOLDER / "order.json").read_text()))


def test_the_definition_is_valid_and_shows_what_it_should(definition: dict[str, Any]) -> None:
    assert workflow_problems(definition, {}, lambda source: None) == []
    kinds = [task["type"] for task, _path in walk(definition["tasks"])]
    assert len(kinds) >= 5
    assert {"SIMPLE", "WAIT", "SWITCH"} <= set(kinds)


def test_every_simple_task_has_a_function_whose_parameters_it_fills(definition: dict[str, Any], worker: ModuleType) -> None:
    functions = {offer.function.task_type: offer for offer in worker.worker._offers}
    for task, _path in walk(definition["tasks"]):
        if task["type"] == "SIMPLE":
            binding = functions.pop(task["name"]).binding
            assert set(binding._readers) <= set(task["inputParameters"])
    assert functions == {}
    assert task_function(worker.check_stock).is_async


def test_the_card_is_charged_at_the_third_attempt_with_one_key(worker: ModuleType) -> None:
    def attempt(number: int) -> TaskContext:
        return TaskContext(workflow_id="w", ref="payment", attempt=number)

    for number in (1, 2):
        with pytest.raises(ConnectionError):
            worker.charge_card("A-1", Decimal("9.50"), attempt(number))
    assert worker.charge_card("A-1", Decimal("9.50"), attempt(3)) == worker.Receipt("R-A-1", Decimal("9.50"))
    assert attempt(1).idempotency_key == attempt(3).idempotency_key


def test_results_of_one_task_fit_the_next(worker: ModuleType) -> None:
    function = task_function(worker.write_to_customer)
    outcome = call(
        function, Binding(function.function, "f"), {"customer": "Ada", "receipt": {"number": "R-1", "amount": "9.50"}}, TaskContext()
    )
    assert outcome.output == {"result": "Dear Ada, thank you for 9.50. Your receipt is R-1."}


def test_the_table_of_a_finished_execution(capsys: pytest.CaptureFixture[str]) -> None:
    load("run").show(Execution.from_dict({**EXECUTION, "tasks": [TASK, {**TASK, "status": "COMPLETED", "retryCount": 2}]}))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "COMPLETED after 0.0 s"
    assert lines[4].split() == ["pay", "charge", "2", "FAILED", "0.00", "s", "0.00", "s", "no"]
    assert lines[5].split()[:4] == ["pay", "charge", "3", "COMPLETED"]
    assert lines[-1] == 'output: {"y": 2}'
