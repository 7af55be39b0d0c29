"""Definitions normalized, frozen and read by the decider; and all public ones against the recordings."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.lost_paths import lost_paths

from batuta_core.model.definition import (
    RetryLogic,
    RetryPolicy,
    TaskDefinition,
    TimeoutPolicy,
    Timeouts,
    child_lists,
    definition_hash,
    freeze,
    normalize_task_definition,
    normalize_workflow_definition,
    task_names,
    walk,
)
from batuta_core.model.definition_fields import TASK, WORKFLOW, WORKFLOW_TASK
from batuta_core.model.error import InvalidInput

Json = dict[str, Any]


def simple(ref: str, **fields: Any) -> Json:
    return {"name": f"{ref}_task", "taskReferenceName": ref, **fields}


def workflow(*tasks: Json, **fields: Any) -> Json:
    return normalize_workflow_definition({"name": "w", "tasks": list(tasks), **fields})


# --- arbitrary JSON

_NAMES = sorted({*WORKFLOW, *TASK, *WORKFLOW_TASK, "payload", "a"})
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["5", "true", "${a}", "FIXED", "SWITCH"])
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES) | st.text(max_size=3), inner, max_size=5),
    max_leaves=25,
)


@given(_VALUES | st.fixed_dictionaries({"tasks": st.lists(st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=6), max_size=3)}))
def test_any_json_is_normalized_once_and_for_all_or_refused(data: Any) -> None:
    before = repr(data)  # not ==, since nan differs from itself
    for normalize in (normalize_workflow_definition, normalize_task_definition):
        found = answer(normalize, data)
        if isinstance(found, InvalidInput):
            assert found.problems
        else:
            assert repr(normalize(found)) == repr(found)
            assert normalize is normalize_task_definition or definition_hash(freeze(found, {}))
        assert repr(data) == before


def answer(normalize: Callable[[Any], Json], data: Any) -> Json | InvalidInput:
    try:
        return normalize(data)
    except InvalidInput as error:
        return error


# --- the public definitions


def test_every_public_definition_loses_exactly_what_conductor_loses(shared: Path, corpus: list[Json]) -> None:
    expected = next(step["http"]["body"] for step in recorded_steps(shared, "corpus_round_trip") if step["op"] == "corpus")
    assert len(expected) == len(corpus) == 563
    audit = {"createTime", "updateTime", "createdBy", "updatedBy"}
    for (key, answer), item in zip(expected.items(), corpus, strict=True):
        definition = item["definition"]
        before = copy.deepcopy(definition)
        found = normalize_workflow_definition(definition)
        assert definition == before
        assert normalize_workflow_definition(found) == found
        if answer != 400:  # refused by validation, so never stored
            sent = {name: value for name, value in definition.items() if name not in audit}
            assert (key, sorted(set(lost_paths(sent, found, "")))) == (key, answer[1])


def recorded_steps(shared: Path, name: str) -> list[Json]:
    steps: list[Json] = json.loads((shared / "golden" / "expected" / "definitions" / f"{name}.json").read_text(encoding="utf-8"))["steps"]
    return steps


def test_every_public_definition_freezes_to_a_definition(corpus: list[Json]) -> None:
    for item in corpus:
        found = normalize_workflow_definition(item["definition"])
        frozen = freeze(found, {})
        assert normalize_workflow_definition(frozen) == frozen
        assert task_names(frozen) == frozenset()
        assert all(TaskDefinition.from_dict(task["taskDefinition"]) for task, _path in walk(frozen["tasks"]))


# --- the tree and freezing

NESTED = (
    simple("s", type="SWITCH", decisionCases={"x": [simple("a")], "y": []}, defaultCase=[simple("b")]),
    simple("f", type="FORK_JOIN", forkTasks=[[simple("c")], [simple("d", type="DO_WHILE", loopOver=[simple("e")])]]),
    simple("g", type="DECISION", decisionCases={"x": [simple("h")]}),
    simple("i", type="SIMPLE", decisionCases={"x": [simple("no")]}, defaultCase=[simple("no")], loopOver=[simple("no")]),
)


def test_the_tree_is_walked_by_type() -> None:
    found = [(task["taskReferenceName"], path) for task, path in walk(workflow(*NESTED)["tasks"])]
    assert found == [
        ("s", "tasks[0]"),
        ("a", "tasks[0].decisionCases.x[0]"),
        ("b", "tasks[0].defaultCase[0]"),
        ("f", "tasks[1]"),
        ("c", "tasks[1].forkTasks[0][0]"),
        ("d", "tasks[1].forkTasks[1][0]"),
        ("e", "tasks[1].forkTasks[1][0].loopOver[0]"),
        ("g", "tasks[2]"),
        ("h", "tasks[2].decisionCases.x[0]"),
        ("i", "tasks[3]"),
    ]


def test_children_come_with_their_path() -> None:
    assert [path for path, _tasks in child_lists(workflow(*NESTED)["tasks"][0])] == ["decisionCases.x", "decisionCases.y", "defaultCase"]


def test_freezing_embeds_the_registered_definition_at_every_level_whatever_the_type() -> None:
    registered = {f"{ref}_task": normalize_task_definition({"name": f"{ref}_task", "retryCount": 9}) for ref in "sabfcdeghi"}
    frozen = freeze(workflow(*NESTED), registered)
    assert {task["taskDefinition"]["retryCount"] for task, _path in walk(frozen["tasks"])} == {9}
    assert "taskDefinition" not in frozen["tasks"][3]["loopOver"][0]


def test_freezing_makes_a_definition_for_a_name_that_is_not_registered() -> None:
    frozen = freeze(workflow(simple("a"), simple("b", type="WAIT"), simple("c", type="MINE")), {})
    limits = [(task["taskDefinition"]["retryCount"], task["taskDefinition"]["responseTimeoutSeconds"]) for task in frozen["tasks"]]
    assert limits == [(3, 3600), (0, 0), (0, 0)]
    assert frozen["tasks"][1]["taskDefinition"]["name"] == "b_task"


def test_an_inline_definition_wins_over_the_registered_one() -> None:
    definition = workflow(simple("a", taskDefinition={"name": "mine", "retryCount": 1}))
    frozen = freeze(definition, {"a_task": normalize_task_definition({"name": "a_task"})})
    assert frozen["tasks"][0]["taskDefinition"]["name"] == "mine"
    assert task_names(definition) == frozenset()


def test_a_task_without_a_name_wants_no_definition_and_gets_one_without_retries() -> None:
    definition = workflow({"name": " ", "taskReferenceName": "a"}, {"taskReferenceName": "b"})
    assert task_names(definition) == frozenset()
    frozen = freeze(definition, {" ": normalize_task_definition({"name": " "})})
    assert [task["taskDefinition"]["retryCount"] for task in frozen["tasks"]] == [0, 0]


def test_freezing_leaves_the_definition_alone_and_a_second_time_changes_nothing() -> None:
    definition = workflow(*NESTED)
    before = copy.deepcopy(definition)
    frozen = freeze(definition, {})
    assert definition == before
    assert freeze(frozen, {"s_task": normalize_task_definition({"name": "s_task", "retryCount": 9})}) == frozen


def test_the_names_that_freezing_wants() -> None:
    assert task_names(workflow(*NESTED)) == {f"{ref}_task" for ref in "sabfcdeghi"}


def test_the_hash_names_the_content_whatever_the_order_of_keys() -> None:
    one, other = workflow(simple("a"), variables={"x": 1, "y": 2}), workflow(simple("a"), variables={"y": 2, "x": 1})
    assert definition_hash(one) == definition_hash(other)
    assert definition_hash(one) != definition_hash(workflow(simple("b"), variables={"x": 1, "y": 2}))
    assert definition_hash(workflow(simple("a"), description="\ud800"))


# --- what the decider reads


def test_a_task_definition_is_read_in_units() -> None:
    data = {
        "name": "t",
        "retryCount": 4,
        "retryLogic": "LINEAR_BACKOFF",
        "retryDelaySeconds": 5,
        "backoffScaleFactor": 2,
        "maxRetryDelaySeconds": 60,
        "backoffJitterMs": 250,
        "timeoutPolicy": "RETRY",
        "timeoutSeconds": 100,
        "responseTimeoutSeconds": 10,
        "pollTimeoutSeconds": 20,
        "totalTimeoutSeconds": 1000,
        "inputTemplate": {"k": 1},
        "concurrentExecLimit": 7,
        "rateLimitPerFrequency": 8,
        "rateLimitFrequencyInSeconds": 9,
        "runtimeMetadata": ["KEY"],
    }
    assert TaskDefinition.from_dict(normalize_task_definition(data)) == TaskDefinition(
        name="t",
        retry=RetryPolicy(logic=RetryLogic.LINEAR_BACKOFF, limit=4, delay_ms=5000, backoff_scale=2, max_delay_ms=60_000, jitter_ms=250),
        timeouts=Timeouts(policy=TimeoutPolicy.RETRY, task_ms=100_000, response_ms=10_000, poll_ms=20_000, total_ms=1_000_000),
        input_template={"k": 1},
        concurrent_limit=7,
        rate_limit=8,
        rate_window_s=9,
        secret_names=("KEY",),
    )


def test_the_defaults_of_a_task_definition_are_conductors() -> None:
    found = TaskDefinition.from_dict(normalize_task_definition({"name": "t"}))
    assert found.retry == RetryPolicy(logic=RetryLogic.FIXED, limit=3, delay_ms=60_000)
    assert found.timeouts == Timeouts(policy=TimeoutPolicy.TIME_OUT_WF, response_ms=3_600_000)
    assert (found.concurrent_limit, found.rate_limit, found.rate_window_s) == (0, 0, 1)


def test_limits_out_of_range_count_as_none() -> None:
    data = {
        name: -5
        for name, field in TASK.items()
        if field.default in (0, 1, 3, 60, 3600) or name in ("concurrentExecLimit", "pollTimeoutSeconds")
    }
    found = TaskDefinition.from_dict(normalize_task_definition(data))
    assert found.retry == RetryPolicy(backoff_scale=0)
    assert found.timeouts == Timeouts()
    assert (found.name, found.concurrent_limit, found.rate_limit, found.rate_window_s) == ("", 0, 0, 1)
