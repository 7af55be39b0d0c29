"""The recordings of the real Conductor and the public definitions, as values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.core.decider.expression.roots import Values, resolve, same

from batuta_core.decider.expression.template_parser import compile_template
from batuta_core.decider.expression.tokens import tokens

# fmt: off
SCENARIOS = [
    "containers_are_walked", "escape_dollar", "escape_with_inner", "future_task_is_null", "input_template",
    "input_template_empty_input", "interpolation_java_tostring", "interpolation_scalars", "jsonpath_arrays",
    "jsonpath_bracket_keys", "jsonpath_functions", "missing_is_null", "nested_inside_out", "non_strings_untouched",
    "task_id_token", "taskdef_input_template", "types_whole", "unbalanced_braces", "unicode_and_special_text", "workflow_fields",
]
# fmt: on


def test_no_recorded_scenario_is_left_out(shared: Path) -> None:
    assert sorted(file.stem for file in (shared / "golden/expected/expressions").glob("*.json")) == sorted(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_inputs_are_those_that_the_real_server_made(shared: Path, name: str) -> None:
    scenario, trace = (json.loads((shared / f"golden/{kind}/expressions/{name}.json").read_text()) for kind in ("scenarios", "expected"))
    definition, execution = scenario["workflows"][0], trace["steps"][-1]["state"][0]
    template = (scenario.get("taskDefs") or [{}])[0].get("inputTemplate", {})
    recorded = {task["ref"]: task for task in execution["tasks"]}
    sent = scenario["start"].get("input", {})  # equal where the recording kept it, and its keys are in their first order
    execution["input"] = {key: sent[key] if sent.get(key) == value else value for key, value in execution["input"].items()}
    roots = {"workflow": workflow_fields(execution)}
    for task in definition["tasks"]:
        made = recorded[task["taskReferenceName"]]
        found = resolve({**template, **task.get("inputParameters", {})}, Values(roots, made["taskId"]))
        found = {key: template.get(key) if value is None else value for key, value in found.items()}
        assert same(found, made["inputData"])
        roots[made["ref"]] = {"output": made["outputData"], "status": made["status"]}
    if "outputParameters" in definition:
        assert resolve(definition["outputParameters"], Values(roots)) == execution["output"]


def workflow_fields(execution: dict[str, Any]) -> dict[str, Any]:
    renamed = {"workflowType": execution["workflowName"], "version": execution["workflowVersion"]}
    return {**execution, **renamed, "output": {}, "status": "RUNNING", "schemaVersion": 2, "priority": None}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def test_every_expression_of_the_public_definitions_compiles(shared: Path) -> None:
    recorded = json.loads((shared / "golden/expected/definitions/corpus_validate.json").read_text())
    accepted = next(step["http"]["body"] for step in recorded["steps"] if step["op"] == "corpus")
    count = 0
    for number, line in enumerate((shared / "corpus/definitions.jsonl").read_text().splitlines(), start=1):
        definition = json.loads(line)["definition"]
        if next(status for name, status in accepted.items() if name.startswith(f"{number:04d} ")) != 200:
            continue
        for text in texts(definition):
            compile_template(text)
            for token in tokens(text):
                assert token.is_valid, (number, text)
                count += 1
        compile_template(definition)
    assert count > 4000
