"""Templates resolved: the verified table, what was recorded, and no surprises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from tests.unit.core.decider.expression.roots import INPUT, JSON, ROOTS, TEXTS, Values, resolve, same

from batuta_core.decider.expression.path_parser import MAX_PATH_CHARS, compile_path
from batuta_core.decider.expression.template_parser import compile_template
from batuta_core.model.error import PayloadTooLarge


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
        def field(self, root: str, name: str, key: str | None = None) -> Any:
            raise Missing(root, name)

        def document(self, root: str) -> Mapping[str, Any] | None:
            raise Missing(root, None)

    for text in ("${a.output.x}", "<${a.output.x}>", "${a.output[?(@.x)]}", "${a}", "${${a.output.x}.output.y}", "${workflow.env.X}"):
        with pytest.raises(Missing):
            resolve(text, Elsewhere(ROOTS))


def test_a_path_that_begins_with_no_root_reads_nothing() -> None:
    assert resolve(["${$}", "${$..id}", "${*.input}", "${[0]}"]) == [None, [], [], None]


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
