"""The real Conductor's verdicts, with its own sentences, on the definitions of the recorded scenarios and all public ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batuta_core.decider.validate import task_definition_problems, workflow_problems
from batuta_core.model.definition import normalize_task_definition, normalize_workflow_definition
from batuta_core.model.error import InvalidInput, Problem

Json = dict[str, Any]

ARGUMENT = re.compile(r"^\w+\.arg0(?:\.workflowDef)?\.?")  # what Conductor's path begins with
RECORDED_SYNTAX_ERROR = {"if ( {": "SyntaxError: inline:1:6 Expected ident but found eof\nif ( {\n      ^\n"}
AREAS = ("definitions", "wire", "wait")


def is_javascript(source: str) -> str | None:
    return RECORDED_SYNTAX_ERROR.get(source)


def load(file: Path) -> Json:
    found: Json = json.loads(file.read_text(encoding="utf-8").replace("{{run}}", "r"))
    return found


def workflow_verdict(body: Json, path: str = "") -> list[Problem]:
    try:
        return workflow_problems(normalize_workflow_definition(body, path), {}, is_javascript, path)
    except InvalidInput as error:
        return list(error.problems)


def task_verdict(body: Json, path: str = "") -> list[Problem]:
    try:
        return task_definition_problems(normalize_task_definition(body, path), path)
    except InvalidInput as error:
        return list(error.problems)


def verdict(step: Json) -> list[Problem] | None:
    """What we say of the definitions in a step's body; None when there are none in it."""
    path, body = step.get("path", ""), step.get("body")
    if step["op"] == "start" and "workflowDef" in step:
        return workflow_verdict(step["workflowDef"])
    if step["op"] != "http" or not isinstance(body, (dict, list)) or not path.startswith("/metadata/"):
        return None
    if "taskdefs" in path:
        items = [(body, "")] if isinstance(body, dict) else [(item, f"[{index}]") for index, item in enumerate(body)]
        return [problem for item, place in items for problem in task_verdict(item, place)]
    return [problem for item in (body if isinstance(body, list) else [body]) for problem in workflow_verdict(item)]


def judged(shared: Path) -> Iterator[tuple[str, Json, list[Problem]]]:
    golden = shared / "golden"
    for area in AREAS:
        for file in sorted((golden / "scenarios" / area).glob("*.json")):
            sent, expected = load(file), load(golden / "expected" / area / file.name)
            steps = [*([{"op": "start", **sent["start"]}] if "start" in sent else []), *sent.get("steps", [])]
            for step, answer in zip(steps, expected["steps"][1:], strict=True):
                found = verdict(step)
                if found is not None and step.get("body") != []:  # an empty list is refused by the route
                    yield f"{area}/{file.stem}", answer["http"], found


def test_every_recorded_definition_is_judged_as_recorded(shared: Path) -> None:
    accepted = refused = 0
    for name, answer, found in judged(shared):
        if answer["status"] in (400, 500):  # 500: Conductor could not read it
            assert found, name
            refused += 1
        else:  # 404 and 409 judge what is stored, not the definition
            assert found == [], name
            accepted += 1
    assert (accepted, refused) == (42, 45)


def test_every_recorded_refusal_has_conductors_sentences_and_values(shared: Path) -> None:
    compared = 0
    for name, answer, found in judged(shared):
        expected = answer["body"].get("validationErrors") if isinstance(answer.get("body"), dict) else None
        if expected:
            compared += 1
            assert sorted(problem.message for problem in found) == sorted(item["message"] for item in expected), name
            for item in expected:
                mine = next(problem for problem in found if problem.message == item["message"])
                assert mine.path.startswith(ARGUMENT.sub("", item["path"])), name  # ours may lead further
                assert mine.invalid_value == item.get("invalidValue") or "invalidValue" not in item, name
    assert compared == 42


def test_every_definition_that_a_scenario_of_any_area_registers_is_accepted(shared: Path) -> None:
    count = 0
    for file in sorted((shared / "golden" / "scenarios").glob("*/*.json")):
        sent = load(file)
        for found in (*map(workflow_verdict, sent.get("workflows", [])), *map(task_verdict, sent.get("taskDefs", []))):
            assert found == [], file.stem
            count += 1
    assert count > 500


def test_every_public_definition_is_judged_as_recorded(shared: Path, corpus: list[Json]) -> None:
    steps = load(shared / "golden" / "expected" / "definitions" / "corpus_validate.json")["steps"]
    expected = next(step["http"]["body"] for step in steps if step["op"] == "corpus")
    found = {f"{number:04d} {item['path']}": workflow_verdict(item["definition"]) for number, item in enumerate(corpus, 1)}
    assert {name: 400 if problems else 200 for name, problems in found.items()} == expected
    assert sorted(expected.values()).count(400) == 1


@pytest.mark.parametrize("name", ["0076 rest/src/main/resources/kitchensink/wf1.json"])
def test_the_one_public_definition_that_is_refused_is_of_an_old_schema(name: str, corpus: list[Json]) -> None:
    assert workflow_verdict(corpus[int(name[:4]) - 1]["definition"]) == [
        Problem("schemaVersion", "workflowDef schemaVersion: 2 is only supported", "1"),
    ]
