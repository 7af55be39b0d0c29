"""Each rule of registration, its reach, and what it must let pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from batuta_core.decider.validate import task_definition_faults, task_definition_problems, workflow_faults, workflow_problems
from batuta_core.model.definition import normalize_task_definition, normalize_workflow_definition, read_workflow_definition
from batuta_core.model.error import Problem

Json = dict[str, Any]


def is_javascript(source: str) -> str | None:
    return "SyntaxError" if source.count("(") != source.count(")") else None


def simple(ref: str, **fields: Any) -> Json:
    return {"name": f"{ref}_task", "taskReferenceName": ref, **fields}


def switch(ref: str, *tasks: Json, **fields: Any) -> Json:
    return simple(ref, type="SWITCH", decisionCases={"x": list(tasks)}, **{"evaluatorType": "value-param", "expression": "v", **fields})


def loop(ref: str, *tasks: Json) -> Json:
    return simple(ref, type="DO_WHILE", loopCondition="false", loopOver=list(tasks))


def problems(*tasks: Json, registered: Json | None = None, **fields: Any) -> list[Problem]:
    definition = normalize_workflow_definition({"name": "w", "tasks": list(tasks), **fields})
    known = {name: normalize_task_definition(item) for name, item in (registered or {}).items()}
    return workflow_problems(definition, known, is_javascript)


def told(*tasks: Json, **fields: Any) -> list[tuple[str, str]]:
    return [(problem.path, problem.message) for problem in problems(*tasks, **fields)]


# --- the definition itself


def test_a_definition_without_faults_has_none() -> None:
    assert problems(simple("a"), switch("s", simple("b")), loop("l", simple("c"))) == []


def test_a_name_and_tasks_are_required() -> None:
    assert problems(name="") == [
        Problem("name", "WorkflowDef name cannot be null or empty", ""),
        Problem("tasks", "WorkflowTask list cannot be empty"),
    ]
    assert problems(simple("a"), name=None) == [Problem("name", "WorkflowDef name cannot be null or empty")]


@pytest.mark.parametrize("version", [1, 3, None])
def test_schema_version_two_is_the_only_one(version: int | None) -> None:
    expected = Problem("schemaVersion", "workflowDef schemaVersion: 2 is only supported", str(version or 0))
    assert problems(simple("a"), schemaVersion=version) == [expected]


def test_names_may_hold_any_character() -> None:
    assert problems(simple("a"), name="a:b/c #<x>{y}") == []


def test_paths_begin_where_the_caller_says() -> None:
    definition = normalize_workflow_definition({"tasks": [simple("a", name="")]})
    found = workflow_problems(definition, {}, is_javascript, "[2]")
    assert [problem.path for problem in found] == ["[2].name", "[2].tasks[0].name"]


# --- reference names


@pytest.mark.parametrize(
    ("second", "path"),
    [
        (simple("a"), "tasks[1].taskReferenceName"),
        (switch("s", simple("a")), "tasks[1].decisionCases.x[0].taskReferenceName"),
        (switch("s", simple("b"), defaultCase=[simple("a")]), "tasks[1].defaultCase[0].taskReferenceName"),
        (simple("f", type="FORK_JOIN", forkTasks=[[simple("b")], [simple("a")]]), "tasks[1].forkTasks[1][0].taskReferenceName"),
        (loop("l", simple("a")), "tasks[1].loopOver[0].taskReferenceName"),
    ],
)
def test_reference_names_are_unique_in_the_whole_tree(second: Json, path: str) -> None:
    message = "taskReferenceName: a should be unique across tasks for a given workflowDefinition: w"
    assert problems(simple("a"), second) == [Problem(path, message, "a")]


@pytest.mark.parametrize(
    "second",
    [
        simple("s", type="SUB_WORKFLOW", subWorkflowParam={"workflowDefinition": {"name": "c", "tasks": [simple("a")]}}),
        simple("b", defaultCase=[simple("a")], loopOver=[simple("a")]),
    ],
)
def test_reference_names_may_repeat_outside_the_tree(second: Json) -> None:
    assert problems(simple("a"), second) == []


# --- expressions


def test_the_root_of_an_expression_must_be_a_task_or_the_workflow() -> None:
    message = "taskReferenceName: zzz for given task: a_task input value: v of input parameter: x ${zzz.output.y}"
    assert told(simple("a", inputParameters={"v": "x ${zzz.output.y}"})) == [
        ("tasks[0].inputParameters.v", f"{message} is not defined in workflow definition."),
    ]
    nested = loop("l", switch("s", simple("b")))
    assert problems(simple("a", inputParameters={"v": "${b.output.x} ${workflow.input.y} ${l.output.z}"}), nested) == []


def test_expressions_are_looked_for_at_any_depth_of_an_input() -> None:
    found = problems(simple("a", inputParameters={"m": {"k": ["${zzz.x}", {"n": "${zzz.y}"}]}}))
    assert [problem.path for problem in found] == ["tasks[0].inputParameters.m.k[0]", "tasks[0].inputParameters.m.k[1].n"]
    assert ["input value: k of" in found[0].message, "input value: n of" in found[1].message] == [True, True]


def test_expressions_are_not_looked_for_anywhere_else() -> None:
    bad = {"v": "${zzz.output.x}"}
    inner = simple("b", inputParameters=bad)
    assert problems(switch("s", inner), loop("l", simple("c", inputParameters=bad)), outputParameters=bad, variables=bad) == []


@pytest.mark.parametrize("text", ["${}", "${ }", "${ workflow.input.a }", "${workflow.input[?(]}"])
def test_an_expression_that_is_no_path_is_refused(text: str) -> None:
    message = f"key: v input parameter value: {text[2:-1]} is not valid"
    assert told(simple("a", inputParameters={"v": text})) == [("tasks[0].inputParameters.v", message)]


@pytest.mark.parametrize(
    "text",
    [
        "$${a}",
        "$$${a}",
        "${workflow.input.a",
        "${workflow.input.x.${workflow.input.c}}",
        "${workflow.input.items[?(@.p > 10)].id}",
        "${workflow.input.m['k 1']}",
        "${workflow.input.nums.length()}",
        "${workflow.input.x[}",
        "${workflow.secrets.x} ${workflow.env.x}",
        "${CPEWF_TASK_ID} ${NETFLIX_STACK} ${HOME}",
    ],
)
def test_odd_but_legal_expressions_pass(text: str) -> None:
    assert problems(simple("a", inputParameters={"v": text})) == []


def test_one_iteration_of_a_task_cannot_be_named() -> None:
    found = problems(loop("l", simple("a")), simple("z", inputParameters={"v": "${a__2.output.n}"}))
    assert ["taskReferenceName: a__2" in problem.message for problem in found] == [True]


# --- tasks


def test_every_task_needs_a_name_and_a_reference_name() -> None:
    assert problems({"name": ""}) == [
        Problem("tasks[0].name", "WorkflowTask name cannot be empty or null", ""),
        Problem("tasks[0].taskReferenceName", "WorkflowTask taskReferenceName name cannot be empty or null"),
    ]


def test_a_task_cannot_start_before_its_time() -> None:
    assert problems(simple("a", startDelay=-1)) == [Problem("tasks[0].startDelay", "must be greater than or equal to 0", "-1")]


NAMELESS = {"taskReferenceName": "n"}


@pytest.mark.parametrize(
    ("task", "path"),
    [
        (switch("s", NAMELESS), "tasks[0].decisionCases.x[0].name"),
        (switch("s", simple("a"), defaultCase=[NAMELESS]), "tasks[0].defaultCase[0].name"),
        (simple("f", type="FORK_JOIN", forkTasks=[[simple("a"), NAMELESS]]), "tasks[0].forkTasks[0][1].name"),
        (switch("s", switch("t", NAMELESS)), "tasks[0].decisionCases.x[0].decisionCases.x[0].name"),
        (simple("a", defaultCase=[NAMELESS]), "tasks[0].defaultCase[0].name"),
        (loop("l") | {"loopOver": [simple("a")], "defaultCase": [NAMELESS]}, "tasks[0].defaultCase[0].name"),
    ],
)
def test_the_rules_of_a_task_hold_in_cases_and_branches(task: Json, path: str) -> None:
    assert [problem.path for problem in problems(task)] == [path]


@pytest.mark.parametrize(
    "task",
    [
        loop("l", NAMELESS),
        loop("l", simple("e", type="EVENT"), simple("t", type="TERMINATE", inputParameters={"terminationStatus": "${workflow.input.s}"})),
        loop("l", switch("s", NAMELESS)),
        simple("s", type="SUB_WORKFLOW", subWorkflowParam={"workflowDefinition": {"tasks": [NAMELESS], "schemaVersion": 1}}),
        simple("a", taskDefinition={"retryCount": -1}),
    ],
)
def test_the_rules_of_a_task_do_not_hold_in_loops_and_inline_definitions(task: Json) -> None:
    assert problems(task) == []


def test_a_task_without_a_registered_definition_is_no_fault() -> None:
    assert problems(simple("never_registered")) == []


def test_a_type_that_nobody_knows_has_no_rules() -> None:
    assert problems(simple("a", type="MINE"), simple("b", type="")) == []


# --- rules that look beyond the task


@pytest.mark.parametrize(
    ("kind", "key"), [("HTTP", "http_request"), ("KAFKA_PUBLISH", "kafka_request"), ("JSON_JQ_TRANSFORM", "queryExpression")]
)
def test_an_input_may_come_from_the_template_of_the_definition_that_counts(kind: str, key: str) -> None:
    template = {"name": "t", "inputTemplate": {key: {}}}
    assert len(problems(simple("a", type=kind))) == 1
    assert problems(simple("a", type=kind), registered={"a_task": template}) == []
    assert problems(simple("a", type=kind, taskDefinition=template)) == []
    assert len(problems(simple("a", type=kind, taskDefinition={"name": "t"}), registered={"a_task": template})) == 1


@pytest.mark.parametrize(
    "task",
    [
        switch("s", simple("a"), evaluatorType="javascript", expression="f("),
        simple("s", type="DECISION", caseExpression="f(", decisionCases={"x": [simple("a")]}),
    ],
)
def test_the_javascript_of_a_switch_must_be_well_formed(task: Json) -> None:
    message = f"Expression is not well formatted: SyntaxError, taskType: {task['type']} taskName s_task"
    assert told(task) == [("tasks[0]", message)]
    assert problems(loop("l", task)) == []


@pytest.mark.parametrize("evaluator", ["graaljs", "value-param", "cobol"])
def test_no_other_script_is_looked_at(evaluator: str) -> None:
    assert problems(switch("s", simple("a"), evaluatorType=evaluator, expression="f(")) == []
    assert problems(simple("i", type="INLINE", inputParameters={"evaluatorType": "javascript", "expression": "f("})) == []
    assert problems(loop("l", simple("a")) | {"loopCondition": "f("}) == []


# --- task definitions


@pytest.mark.parametrize(
    ("fields", "path", "message", "shown"),
    [
        ({"name": ""}, "name", "TaskDef name cannot be null or empty", ""),
        ({"name": None}, "name", "TaskDef name cannot be null or empty", None),
        ({"retryCount": -1}, "retryCount", "TaskDef retryCount: 0 must be >= 0", "-1"),
        ({"responseTimeoutSeconds": 0}, "responseTimeoutSeconds", "TaskDef responseTimeoutSeconds: 0 should be minimum 1 second", "0"),
        ({"pollTimeoutSeconds": -1}, "pollTimeoutSeconds", "TaskDef pollTimeoutSeconds: 0 must be >= 0", "-1"),
        ({"backoffScaleFactor": 0}, "backoffScaleFactor", "Backoff scale factor. Applicable for LINEAR_BACKOFF", "0"),
        ({"maxRetryDelaySeconds": -1}, "maxRetryDelaySeconds", "TaskDef maxRetryDelaySeconds: 0 must be >= 0", "-1"),
        ({"backoffJitterMs": -1}, "backoffJitterMs", "TaskDef backoffJitterMs: 0 must be >= 0", "-1"),
        ({"totalTimeoutSeconds": -1}, "totalTimeoutSeconds", "TaskDef totalTimeoutSeconds: 0 must be >= 0", "-1"),
        ({"timeoutSeconds": 60}, "", "TaskDef: t responseTimeoutSeconds: 3600 must be less than timeoutSeconds: 60", None),
        (
            {"timeoutSeconds": 60, "responseTimeoutSeconds": 10, "totalTimeoutSeconds": 30},
            "",
            "TaskDef: t timeoutSeconds: 60 must be less than or equal to totalTimeoutSeconds: 30",
            None,
        ),
    ],
)
def test_each_rule_of_a_task_definition(fields: Json, path: str, message: str, shown: str | None) -> None:
    definition = normalize_task_definition({"name": "t", **fields})
    assert task_definition_problems(definition) == [Problem(path, message, shown)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "a:b @c"},
        {"timeoutSeconds": 60, "responseTimeoutSeconds": 60, "totalTimeoutSeconds": 60},
        {"timeoutSeconds": -5, "responseTimeoutSeconds": 10},
        {"retryCount": 500, "retryDelaySeconds": -1, "pollTimeoutSeconds": 0},
    ],
)
def test_what_a_task_definition_may_hold(fields: Json) -> None:
    assert task_definition_problems(normalize_task_definition({"name": "t", **fields})) == []


def test_all_faults_of_a_task_definition_are_told_with_their_paths() -> None:
    definition = normalize_task_definition({"retryCount": -1, "timeoutSeconds": 1})
    assert [problem.path for problem in task_definition_problems(definition, "[1]")] == ["[1].name", "[1].retryCount", "[1]"]


# --- wrong types and broken rules together


def all_faults(*tasks: Any, **fields: Any) -> list[str]:
    return sorted(
        problem.path for problem in workflow_faults({"name": "w", "tasks": list(tasks), **fields}, lambda names: {}, is_javascript)
    )


def test_a_wrong_type_hides_no_broken_rule() -> None:
    broken = simple("s", type="SWITCH", evaluatorType="javascript", expression="(", decisionCases={"x": [{"name": ""}]}, retryCount="x")
    found = all_faults(
        broken, simple("s", startDelay=-1), simple("c", inputParameters={"x": "${nobody.output}"}), version="x", schemaVersion=1
    )
    assert found == [
        "schemaVersion",
        "tasks[0]",
        "tasks[0].decisionCases.x[0].name",
        "tasks[0].decisionCases.x[0].taskReferenceName",
        "tasks[0].retryCount",
        "tasks[1].startDelay",
        "tasks[1].taskReferenceName",
        "tasks[2].inputParameters.x",
        "version",
    ]


@pytest.mark.parametrize(
    ("tasks", "fields", "only"),
    [
        ([simple("a")], {"name": {}}, "name"),
        ([simple("a")], {"schemaVersion": "x"}, "schemaVersion"),
        ([], {"tasks": "x"}, "tasks"),
        (["x", simple("a", inputParameters={"x": "${b.output}"})], {}, "tasks[0]"),
        ([simple("a", name=[])], {}, "tasks[0].name"),
        ([{"name": "a", "taskReferenceName": {}}, simple("b", inputParameters={"x": "${a.output}"})], {}, "tasks[0].taskReferenceName"),
        ([simple("a", startDelay="x")], {}, "tasks[0].startDelay"),
        ([switch("a", simple("b"), evaluatorType={})], {}, "tasks[0].evaluatorType"),
        ([switch("a", simple("b"), expression={})], {}, "tasks[0].expression"),
        ([{**switch("a"), "decisionCases": []}, simple("b", inputParameters={"x": "${c.output}"})], {}, "tasks[0].decisionCases"),
        (
            [{**switch("a"), "decisionCases": {"retryCount": "x"}}, simple("b", inputParameters={"x": "${c.output}"})],
            {},
            "tasks[0].decisionCases.retryCount",
        ),
        ([simple("a", type="FORK_JOIN", forkTasks="x")], {}, "tasks[0].forkTasks"),
        ([simple("a", type="DO_WHILE", loopCondition="x", loopOver={})], {}, "tasks[0].loopOver"),
        ([simple("a", type="SUB_WORKFLOW", subWorkflowParam="x")], {}, "tasks[0].subWorkflowParam"),
        ([simple("a", type="TERMINATE", inputParameters="x")], {}, "tasks[0].inputParameters"),
        ([simple("a", type="HTTP", taskDefinition="x")], {}, "tasks[0].taskDefinition"),
        ([simple("a", type={}, loopOver=[simple("b")]), simple("c", inputParameters={"x": "${b.output}"})], {}, "tasks[0].type"),
    ],
)
def test_what_comes_of_a_wrong_type_alone_is_not_told_again(tasks: list[Any], fields: Json, only: str) -> None:
    assert all_faults(*tasks, **fields) == [only]


def test_a_wrong_type_in_a_child_hides_nothing_of_its_parent() -> None:
    found = all_faults(switch("a", simple("b", retryCount="x"), evaluatorType=None))
    assert found == ["tasks[0]", "tasks[0].decisionCases.x[0].retryCount"]


@pytest.mark.parametrize("body", [None, 5, "text", [], True])
def test_what_is_no_definition_at_all_has_one_fault(body: Any) -> None:
    for found in (workflow_faults(body, lambda names: {}, is_javascript, "[1]"), task_definition_faults(body, "[1]")):
        assert found == [Problem("[1]", "must be an object", found[0].invalid_value)]


def test_a_definition_that_is_nested_too_deeply_has_that_fault_alone() -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    assert [problem.message for problem in workflow_faults({"tasks": deep, "version": "x"}, lambda names: {}, is_javascript)] == [
        "is nested deeper than 200 levels"
    ]


def test_the_rules_look_at_the_registered_definitions_as_ever() -> None:
    asked: list[Any] = []

    def find(names: Any) -> Json:
        asked.extend(names)
        return {"h_task": normalize_task_definition({"name": "h_task", "inputTemplate": {"http_request": {}}})}

    found = workflow_faults({"name": "w", "version": "x", "tasks": [simple("h", type="HTTP")]}, find, is_javascript)
    assert ([problem.path for problem in found], asked) == (["version"], ["h_task"])


def test_faults_of_a_task_definition_are_told_together() -> None:
    found = task_definition_faults(
        {"name": "", "retryCount": "x", "backoffJitterMs": -1, "timeoutSeconds": 5, "totalTimeoutSeconds": 3}, "[0]"
    )
    assert sorted(problem.path for problem in found) == ["[0]", "[0]", "[0].backoffJitterMs", "[0].name", "[0].retryCount"]
    found = task_definition_faults({"name": "t", "responseTimeoutSeconds": "x", "timeoutSeconds": 5})
    assert [problem.path for problem in found] == ["responseTimeoutSeconds"]


WRONG: list[Any] = [None, 0, -5, True, "x", "", "${x.y}", [], [None], ["x"], {}, {"x": None}, {"x": [5]}, 1.5, 10**40]


def test_any_value_anywhere_is_told_and_breaks_nothing() -> None:
    """Whatever stands in the place of whatever part: no crash, the faults that reading alone finds, and no place told twice over."""
    whole = {
        "name": "w",
        "tasks": [
            switch("s", simple("a", taskDefinition={"name": "x", "inputTemplate": {"y": 1}}), loop("l", simple("b"))),
            simple("f", type="FORK_JOIN", forkTasks=[[simple("c")], [simple("d")]]),
            simple("j", type="JOIN", joinOn=["c", "d"]),
            simple("h", type="HTTP", inputParameters={"uri": "${a.output.x}", "method": ["${workflow.input.m}"]}),
            simple("u", type="SUB_WORKFLOW", subWorkflowParam={"workflowDefinition": {"name": "i", "tasks": [simple("a")]}}),
            simple("w", type="WAIT", inputParameters={"duration": "5s"}, onStateChange={"x": [{"type": "y"}]}),
            simple("e", type="TERMINATE", inputParameters={"terminationStatus": "FAILED"}),
        ],
    }
    assert workflow_faults(whole, lambda names: {}, is_javascript) == []
    count = 0
    for changed in variants(whole):
        found = workflow_faults(changed, lambda names: {}, is_javascript)
        definition, wrong_types = read_workflow_definition(changed)
        assert definition is not None
        assert found[: len(wrong_types)] == wrong_types
        assert wrong_types or found == workflow_problems(definition, {}, is_javascript)
        assert len(found) == len({(problem.path, problem.message) for problem in found})
        count += 1
    assert count > 1000


def variants(value: Any) -> Iterator[Any]:
    yield from WRONG
    if isinstance(value, dict):
        for key, item in value.items():
            yield from ({**value, key: changed} for changed in variants(item))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from ([*value[:place], changed, *value[place + 1 :]] for changed in variants(item))
