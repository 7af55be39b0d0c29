"""Every public definition goes through the API function: what Conductor accepts is registered, comes back without loss and is compiled."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from tests.lost_paths import lost_paths
from tests.shared import SHARED, not_tested
from tests.unit.functions.api.caller import Api

from batuta_core.decider.compile import compile_definition
from batuta_core.model.definition import definition_hash, freeze, walk

_CORPUS = SHARED / "corpus" / "definitions.jsonl"
_RECORDED = SHARED / "golden" / "expected" / "definitions" / "corpus_round_trip.json"
_COUNT = 563
_STAMPS = {"createTime", "updateTime", "createdBy", "updatedBy"}  # the server's own


@pytest.fixture(scope="module")
def recorded() -> list[tuple[str, dict[str, Any], Any]]:
    """Each definition with what Conductor made of it: its refusal, or 200 and the paths that it lost."""
    if not (_CORPUS.exists() and _RECORDED.exists()):
        not_tested("the public definitions", f"{_CORPUS} or {_RECORDED} is missing")
    steps = json.loads(_RECORDED.read_text(encoding="utf-8"))["steps"]
    answers = next(step["http"]["body"] for step in steps if step["op"] == "corpus")
    lines = _CORPUS.read_text(encoding="utf-8").splitlines()
    found = [(key, json.loads(line)["definition"], answer) for (key, answer), line in zip(answers.items(), lines, strict=True)]
    assert len(found) == _COUNT
    return found


def test_what_conductor_accepts_is_registered_returned_without_loss_and_compiled(recorded: list[tuple[str, dict[str, Any], Any]]) -> None:
    """Each under a name of its own, as in the recording, over HTTP's own shapes; what Conductor loses may be lost here, and no more."""
    api = Api()
    accepted = 0
    for number, (key, given, answer) in enumerate(recorded):
        definition = {**given, "name": f"corpus{number}"}
        refused = api("POST", "/api/metadata/workflow?overwrite=true", definition)
        if answer == 400:
            assert (key, refused.status) == (key, 400)
            assert refused.body["validationErrors"], key
            continue
        assert refused.status == 200, (key, refused.text)
        back = api("GET", f"/api/metadata/workflow/{quote(definition['name'])}").body
        sent = {name: value for name, value in definition.items() if name not in _STAMPS}
        assert (key, sorted(set(lost_paths(sent, back, "")) - set(answer[1]))) == (key, [])
        frozen = freeze(back, {})
        graph = compile_definition(frozen, definition_hash(frozen))
        assert graph.nodes.keys() == {task["taskReferenceName"] for task, _path in walk(frozen["tasks"])}, key
        accepted += 1
    assert accepted == _COUNT - 1
    assert len(api("GET", "/api/metadata/workflow").body) == accepted
