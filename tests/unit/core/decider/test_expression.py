"""Expressions: the verified table, the recordings of the real Conductor as values, the public definitions, and no surprises."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batuta_core.decider.expression import MAX_DEPTH, MAX_INNER, Need, Scope, Template, Token, compile_template, tokens
from batuta_core.decider.jsonpath import MAX_PATH_CHARS, compile_path
from batuta_core.model.error import InvalidInput, PayloadTooLarge

INPUT: dict[str, Any] = {
    "a": 1,
    "b": {"k": "v"},
    "c": "a",
    "d": [1, 2],
    "x": {"a": 77},
    "n": None,
    "e": "${workflow.input.a}",
    "g": "$${a}",
    "f": 1.0,
    "t": True,
    "w": "workflow",
    "i": 1,
    "items": [{"id": 1, "p": 5}, {"id": 2, "p": 15}, {"id": 3, "p": 25}],
}


class Values:
    """A Scope over plain maps."""

    def __init__(self, roots: Mapping[str, Mapping[str, Any]], task_id: str | None = None) -> None:
        self.roots = roots
        self._task_id = task_id

    def field(self, root: str, name: str) -> Any:
        return self.roots.get(root, {}).get(name)

    def document(self, root: str) -> Mapping[str, Any] | None:
        return self.roots.get(root)

    def task_id(self) -> str | None:
        return self._task_id


class Watched(Values):
    """Fails a test that reads what its template did not say it needs."""

    def __init__(self, roots: Mapping[str, Mapping[str, Any]], template: Template) -> None:
        super().__init__(roots)
        self.template = template

    def _expect(self, *needs: Need) -> None:
        assert self.template.is_dynamic or self.template.needs.intersection(needs), needs

    def field(self, root: str, name: str) -> Any:
        self._expect((root, name), (root, None))
        return super().field(root, name)

    def document(self, root: str) -> Mapping[str, Any] | None:
        self._expect((root, None))
        return super().document(root)


ROOTS: dict[str, dict[str, Any]] = {
    "workflow": {"input": INPUT, "status": "RUNNING", "workflowId": "wf-1"},
    "charge_ref": {"output": {"r": "x/y", "l": ["q", "r"], "k": {"j": 3}}, "status": "COMPLETED"},
}


def resolve(value: Any, scope: Scope | None = None) -> Any:
    return compile_template(value).resolve(scope or Values(ROOTS))


def same(left: Any, right: Any) -> bool:
    """Equal in type, too: 1 is not 1.0 and not true."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def at_input(text: str) -> str:
    """The table is written as if the fields of the input were roots."""
    names = "|".join(("missing", *INPUT))
    return re.sub(rf"(?<!\$)\$\{{(?=({names})[}}.])", "${workflow.input.", text)


VERIFIED: list[tuple[str, Any]] = [
    ("${a}", 1),
    (" ${a}", " 1"),
    ("${a} ", "1 "),
    ("${a}\n", "1\n"),
    ("${a}${a}", "11"),
    ("x ${a} y ${b} z", "x 1 y {k=v} z"),
    ("${n}", None),
    ("${missing}", None),
    ("${missing.deeper}", None),
    ("${a.b}", None),
    ("pre-${n}", "pre-null"),
    ("${x.${c}}", 77),
    ("v=${x.${c}}", "v=77"),
    ("${}", ""),
    ("${ }", ""),
    ("q${}q", "qq"),
    ("$${a}", "${a}"),
    ("$$${a}", "$${a}"),
    ("x$${a}", "x${a}"),
    ("${a} $${a}", "1 ${a}"),
    ("$${${a}}", "${1}"),
    ("${a", "${a"),
    ("a}", "a}"),
    ("$ {a}", "$ {a}"),
    ("${a}}", "1}"),
    ("{${a}}", "{1}"),
    ("{ ${a}", "{ 1"),
    ('{"k":{"j":"${a}","m":"${d}"}}', '{"k":{"j":"1","m":"[1, 2]"}}'),
    ("${e}", "${workflow.input.a}"),
    ("<${e}>", "<${workflow.input.a}>"),
    ("${g}", "$${a}"),
    ("<${g}>", "<${a}>"),
    ("one\n${a}\nthree", "one\n1\nthree"),
    ("f=${f}, t=${t}", "f=1.0, t=true"),
    ("${f}", 1.0),
    ("${t}", True),
]


@pytest.mark.parametrize(("text", "expected"), VERIFIED)
def test_the_verified_table_holds(text: str, expected: Any) -> None:
    assert same(resolve(at_input(text)), expected)


# Recorded with Conductor's own pattern and Jayway 2.9.0, on the same values.
RECORDED: list[tuple[str, Any]] = [
    ("${workflow.input.a ${workflow.input.a}", "${workflow.input.a ${workflow.input.a}"),
    ("${workflow.input.a} ${b ${workflow.input.a}", "1 ${b ${workflow.input.a}"),
    ("{ { ${workflow.input.a}", "{ { 1"),
    ("$${a ${workflow.input.a}", "${a 1"),
    ("${a\n}${workflow.input.a}", "null1"),
    ("${${workflow.input.w}.input.a}", 1),
    ("${workflow.input.d[${workflow.input.i}]}", 2),
    ("${workflow.input.items[${workflow.input.i}]['id']}", 2),
    ("${ workflow.input.a }", None),
    ("${bad[}", None),
    ("${bad[?(]}|", "null|"),
    ("${ ${x} }", None),
    ("${${missing}}", None),
    ("${$.workflow.input.a}", 1),
    ("${$['workflow']['input']['a']}", 1),
    ("${charge_ref}", ROOTS["charge_ref"]),
    ("${charge_ref.status} and ${charge_ref['status']}", "COMPLETED and COMPLETED"),
    ("${charge_ref['status','zz']}", {"status": "COMPLETED"}),
    ("${charge_ref..j}", [3]),
    ("${charge_ref.output.l.length()}", 2),
    ("${nobody.output.x}", None),
    ("${nobody.output.x[*]}", []),
    ("${nobody.output[?(@.x)]}", []),
    ("${nobody}", None),
    ("${workflow.input.items[*].id}", [1, 2, 3]),
    ("<${workflow.input.items[*].id}>", "<[1,2,3]>"),
    ("<${charge_ref.output.l[*]}>", '<["q","r"]>'),
    ("<${charge_ref.output.l}>", "<[q, r]>"),
    ("<${charge_ref.output['r','l']}>", "<{r=x/y, l=[q, r]}>"),
    ("<${charge_ref..r}>", '<["x\\/y"]>'),
    ("${workflow.input.items[?(@.p > 10)].id}", [2, 3]),
    ("${workflow.input.items[?(@.id > $.workflow.input.f)].id}", [2, 3]),
    ("${workflow.input.items[?(@.id == $.charge_ref.output.k.j)].p}", [25]),
    ('${concat($.workflow.input.c, "-", $.charge_ref.status)}', "a-COMPLETED"),
    ("${NETFLIX_ENV} ${NETFLIX_STACK}", "${NETFLIX_ENV} ${NETFLIX_STACK}"),
    ("${workflow.secrets.s}", "${workflow.secrets.s}"),
    ("-${workflow.secrets.s.k}-", "-${workflow.secrets.s.k}-"),
    ("${workflow.secrets.${workflow.input.c}}", "${workflow.secrets.${workflow.input.c}}"),
    ("${CPEWF_TASK_ID}", "${CPEWF_TASK_ID}"),
    ("id=${CPEWF_TASK_ID}", "id=${CPEWF_TASK_ID}"),
]


@pytest.mark.parametrize(("text", "expected"), RECORDED)
def test_what_was_recorded_holds(text: str, expected: Any) -> None:
    assert same(resolve(text), expected)


def test_the_id_of_the_task_being_made_can_be_had() -> None:
    scope = Values(ROOTS, task_id="task-1")
    assert resolve("${CPEWF_TASK_ID}", scope) == "task-1"
    assert resolve("id=${CPEWF_${workflow.input.zz}}", scope) == "id=null"
    assert resolve("id=${CPEWF_TASK_ID}", scope) == "id=task-1"


def test_containers_are_walked_and_keys_are_left_alone() -> None:
    value = {
        "m": {"k": ["${workflow.input.a}", {"z": "${workflow.input.b}"}], "${workflow.input.a}": "$${x}"},
        "l": [["${workflow.input.d}"]],
    }
    assert resolve(value) == {"m": {"k": [1, {"z": {"k": "v"}}], "${workflow.input.a}": "${x}"}, "l": [[[1, 2]]]}


def test_the_keys_of_a_map_keep_their_order() -> None:
    assert list(resolve({"z": "${workflow.input.a}", "a": 1, "m": "${workflow.input.b}", "b": "x"})) == ["z", "a", "m", "b"]


@pytest.mark.parametrize("value", [7, 2.5, 1.0, False, None, {}, [], 12345678901234567890, [1, [2, {"a": None}]]])
def test_what_is_no_text_passes_through_with_its_type(value: Any) -> None:
    assert same(resolve(value), value)


def test_the_outermost_container_of_a_result_is_always_new() -> None:
    for value in ({"a": 1, "b": {"c": "x"}}, {"a": "${workflow.input.a}"}, {}, [], [1, "x"]):
        template = compile_template(value)
        first, second = template.resolve(Values(ROOTS)), template.resolve(Values(ROOTS))
        assert first == second
        assert first is not second


def test_a_variable_of_the_environment_is_read_from_the_scope_alone() -> None:
    scope = Values({"workflow": {"env": {"REGION": "eu", "CONF": '{"a": {"b": [1, 2]}}', "BAD": "{"}}})
    assert resolve("${workflow.env.REGION}", scope) == "eu"
    assert resolve("in ${workflow.env.REGION}", scope) == "in eu"
    assert resolve("${workflow.env.CONF.a.b[1]}", scope) == 2
    assert (
        resolve(["${workflow.env.CONF.zz}", "${workflow.env.BAD.a}", "${workflow.env.NONE}", "${workflow.env.REGION.a[}"], scope)
        == [None] * 4
    )
    assert resolve("${workflow.env.REGION}") is None
    assert resolve("${HOME} ${PATH} ${user.name} ${java.version}") == "null null null null"


def test_an_exception_of_the_scope_passes_through_untouched() -> None:
    class Missing(Exception):
        pass

    class Elsewhere(Values):
        def field(self, root: str, name: str) -> Any:
            raise Missing(root, name)

        def document(self, root: str) -> Mapping[str, Any] | None:
            raise Missing(root, None)

    for text in ("${a.output.x}", "<${a.output.x}>", "${a.output[?(@.x)]}", "${a}", "${${a.output.x}.output.y}", "${workflow.env.X}"):
        with pytest.raises(Missing):
            resolve(text, Elsewhere(ROOTS))


@pytest.mark.parametrize(
    ("value", "needs"),
    [
        ("plain", set()),
        ("$${a.output.x}", set()),
        ({"x": "${workflow.input.x}", "y": [{"z": "<${a.output.k.j}>"}]}, {("workflow", "input"), ("a", "output")}),
        ("${a.status}${a.output}", {("a", "status"), ("a", "output")}),
        ("${a}", {("a", None)}),
        ("${a..id}", {("a", None)}),
        ("${a['output','status']}", {("a", None)}),
        ("${a['output'].x[0]}", {("a", "output")}),
        ("${a.output..id}", {("a", "output")}),
        ("${a.output[?(@.x > $.b.output.y)].z}", {("a", "output"), ("b", "output")}),
        ("${concat($.a.output.x, $.b.status)}", {("a", "output"), ("b", "status")}),
        ("${workflow.input.x.${a.output.k}}", {("workflow", "input"), ("a", "output")}),
        ("${workflow.input[${a.output.k}]}", {("workflow", "input"), ("a", "output")}),
        ("${workflow.in${a.output.k}}", {("workflow", None), ("a", "output")}),
        ("${workflow.env.X}", {("workflow", "env")}),
        ("${workflow.secrets.X}${CPEWF_TASK_ID}${}${workflow.secrets.${a.output.k}}", set()),
        ("${$..id}", set()),
        ("${not [ a path}", set()),
    ],
)
def test_a_template_names_what_it_reads(value: Any, needs: set[Need]) -> None:
    template = compile_template(value)
    assert (template.needs, template.is_dynamic) == (needs, False)


@pytest.mark.parametrize(
    "text", ["${${a.output.k}.output.y}", "${a${a.output.k}.output}", "${a.output[?(@.x == ${a.output.k} && @.y == $.b.output.z)]}"]
)
def test_a_template_says_when_a_value_decides_what_it_reads(text: str) -> None:
    template = compile_template(text)
    assert template.is_dynamic
    assert ("a", "output") in template.needs


def test_a_value_cannot_make_an_expression_read_what_was_not_foreseen() -> None:
    roots = {"workflow": {"input": {"l": [{"id": 1}], "f": "?(@.id < $.other.output.n)"}}, "other": {"output": {"n": 5}}}
    template = compile_template("${workflow.input.l[${workflow.input.f}]}")
    assert template.needs == {("workflow", "input")}
    assert template.resolve(Watched(roots, template)) is None


def test_a_path_that_begins_with_no_root_reads_nothing() -> None:
    assert resolve(["${$}", "${$..id}", "${*.input}", "${[0]}"]) == [None, [], [], None]


# --- registration -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("no expression", []),
        ("${}", [Token("", False, "")]),
        ("${ }", [Token(" ", False, " ")]),
        ("$${a}", []),
        ("$$${a}", []),
        ("${workflow.input.a", []),
        ("${ workflow.input.a }", [Token(" workflow.input.a ", False, " workflow")]),
        ("${workflow.input.x.${workflow.input.c}}", [Token("workflow.input.c", True, "workflow")]),
        ("${workflow.input.items[?(@.p > 10)].id}", [Token("workflow.input.items[?(@.p > 10)].id", True, "workflow")]),
        ("${workflow.input.m['k 1']}", [Token("workflow.input.m['k 1']", True, "workflow")]),
        ("${workflow.input.nums.length()}", [Token("workflow.input.nums.length()", True, "workflow")]),
        ("${a__2.output.n}", [Token("a__2.output.n", True, "a__2")]),
        ("${CPEWF_TASK_ID}", [Token("CPEWF_TASK_ID", True, None)]),
        ("${HOME}", [Token("HOME", True, None)]),
        ("${HOME.output}", [Token("HOME.output", True, "HOME")]),
        ("${workflow.secrets.x}", [Token("workflow.secrets.x", True, "workflow")]),
        ("${workflow.env.x}", [Token("workflow.env.x", True, "workflow")]),
        ("${workflow.input.x[}", [Token("workflow.input.x[", True, "workflow")]),
        ("${workflow.input[?(]}", [Token("workflow.input[?(]", False, "workflow")]),
        ("text ${zzz.output.x} and ${b[}.", [Token("zzz.output.x", True, "zzz"), Token("b[", True, "b[")]),
        ("${$.workflow.input.x}", [Token("$.workflow.input.x", True, "$")]),
    ],
)
def test_tokens_are_what_registration_was_seen_to_judge(value: str, expected: list[Token]) -> None:
    assert tokens(value) == expected


# --- recordings and public definitions --------------------------------------------------------------------------------


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


# --- any text at all --------------------------------------------------------------------------------------------------


PIECES = [
    "${",
    "}",
    "{",
    "$",
    "$${",
    " ",
    "a",
    ".",
    "\n",
    "[",
    "]",
    "workflow.input.",
    "charge_ref",
    "${workflow.input.a}",
    "${workflow.input.c}",
]
PIECES += [
    "${charge_ref.output.l[*]}",
    "${workflow.secrets.",
    "${workflow.env.",
    "CPEWF_TASK_ID",
    "${}",
    "[?(@.p > $.charge_ref.output.k.j)]",
    "..",
    "'",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=500, deadline=None)
@given(JSON)
def test_any_value_compiles_and_resolves_and_reads_only_what_it_names(value: Any) -> None:
    template = compile_template(value)
    template.resolve(Watched(ROOTS, template))


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_any_text_has_tokens(text: str) -> None:
    for token in tokens(text):
        assert "${" + token.text + "}" in text


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_escaping_brings_any_text_through(text: str) -> None:
    assert resolve(text.replace("${", "$${")) == text


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_a_value_that_was_put_in_is_never_looked_through(value: Any) -> None:
    scope = Values({"workflow": {"input": {"x": value}}})
    assert resolve("${workflow.input.x}", scope) is value
    if isinstance(value, str):
        assert resolve("<${workflow.input.x}>", scope) == f"<{value}>".replace("$${", "${")


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_resolving_twice_gives_the_same_and_changes_nothing(value: Any) -> None:
    before = repr((value, ROOTS))
    template = compile_template(value)
    assert repr(template.resolve(Values(ROOTS))) == repr(template.resolve(Values(ROOTS)))
    assert repr((value, ROOTS)) == before


def test_containers_that_nest_too_deep_are_refused_and_those_below_the_limit_are_not() -> None:
    def nested(levels: int) -> Any:
        value: Any = "${workflow.input.a}"
        for level in range(levels):
            value = [value] if level % 2 else {"k": value}
        return value

    resolve(nested(MAX_DEPTH))
    with pytest.raises(InvalidInput, match="nested deeper"):
        compile_template(nested(MAX_DEPTH + 2))


def test_expressions_that_nest_too_deep_are_null() -> None:
    def nested(levels: int) -> str:
        return "${workflow.input.b." * levels + "k" + "}" * levels

    assert resolve("${workflow.input.${workflow.input.${workflow.input.${workflow.input.c}}}}") is None
    assert resolve(nested(MAX_INNER + 1)) is None
    assert resolve("${" * 20_000 + "}" * 20_000) is None
    assert resolve("${" * 20_000) == "${" * 20_000


def test_a_path_that_a_value_makes_too_long_is_null() -> None:
    scope = Values({"workflow": {"input": {"x": "k" * MAX_PATH_CHARS}}})
    assert resolve("${workflow.input.${workflow.input.x}}", scope) is None


def test_texts_that_grow_beyond_measure_are_stopped() -> None:
    scope = Values({"workflow": {"input": {"x": "k" * 1_000_000}}})
    with pytest.raises(PayloadTooLarge):
        resolve(["<${workflow.input.x}>"] * 100, scope)


def test_paths_put_together_from_values_are_compiled_once() -> None:
    template = compile_template("${workflow.input.x.${workflow.input.c}}")
    template.resolve(Values(ROOTS))
    before = compile_path.cache_info().misses
    assert template.resolve(Values(ROOTS)) == 77
    assert compile_path.cache_info().misses == before
