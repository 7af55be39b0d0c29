"""JSONPath: what Jayway 2.9.0 was seen to answer, what we mean to answer otherwise, and that nothing hangs or crashes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batuta_core.decider.jsonpath import MAX_NESTING, MAX_PATH_CHARS, Budget, InvalidPath, compile_path, java_text
from batuta_core.model.error import PayloadTooLarge

DOCUMENT: dict[str, Any] = {
    "items": [
        {"id": 1, "p": 5, "t": "aa", "l": ["x", 1.5, None]},
        {"id": 2, "p": 15, "m": {}},
        {"id": 3, "p": 25, "q": None},
    ],
    "m": {"k 1": "sp", "k.2": "dot", "k-3": "dash", "it's": "quote", "é": "acute"},
    "nums": [3, 1, 2],
    "none": [],
    "n": None,
    "s": "text",
    "i": 7,
    "one": "1",
    "nest": [[1, 2], [3, [4]]],
    "mixed": [True, 1, "1", None],
}

# Recorded: json-path 2.9.0 with SUPPRESS_EXCEPTIONS, as Conductor 3.32 reads; None where it threw.
RECORDED_STEPS: list[tuple[str, Any]] = [
    ("$.s", "text"),
    ("s", "text"),
    ("$['s']", "text"),
    ('["s"]', "text"),
    ("@.s", "text"),
    ("s ", "text"),
    ("m.k-3", "dash"),
    ("m['k 1']", "sp"),
    ('m["k.2"]', "dot"),
    ("m['it\\'s']", "quote"),
    ("m['\\u00e9']", "acute"),
    ("m.é", "acute"),
    ("items[0].id", 1),
    ("items[-1].id", 3),
    ("items[9].id", None),
    ("items[-9]", None),
    ("items.[0].id", 1),
    ("items[ 0 ].id", 1),
    ("items[0,2].id", [1, 3]),
    ("items[0 , -1].id", [1, 3]),
    ("items[0,9].id", [1]),
    ("nums[1:]", [1, 2]),
    ("nums[:2]", [3, 1]),
    ("nums[:-1]", [3, 1]),
    ("nums[-2:]", [1, 2]),
    ("nums[0:2]", [3, 1]),
    ("nums[0:-1]", []),
    ("nums[-2:1]", [1, 2, 3]),
    ("nums[9:]", []),
    ("nums[0:2:9]", [3, 1]),
    ("items[*].id", [1, 2, 3]),
    ("items.*.id", [1, 2, 3]),
    ("m.*", ["sp", "dot", "dash", "quote", "acute"]),
    ("m[*]", ["sp", "dot", "dash", "quote", "acute"]),
    ("s.*", []),
    ("items[*].zz", []),
    ("['s','i']", {"s": "text", "i": 7}),
    ("['s','zz']", {"s": "text"}),
    ("m['k 1','k-3']", {"k 1": "sp", "k-3": "dash"}),
    ("items['id']", None),
    ("items[*]['id','p']", [{"id": 1, "p": 5}, {"id": 2, "p": 15}, {"id": 3, "p": 25}]),
    ("['items','nest'][0]", [{"id": 1, "p": 5, "t": "aa", "l": ["x", 1.5, None]}, [1, 2]]),
    ("$..id", [1, 2, 3]),
    ("items..id", [1, 2, 3]),
    ("$..zz", []),
    ("nest..[0]", [[1, 2], 1, 3, 4]),
    ("nest..*", [[1, 2], [3, [4]], 1, 2, 3, [4], 4]),
    ("$..['id','p']", [{"id": 1, "p": 5}, {"id": 2, "p": 15}, {"id": 3, "p": 25}]),
    ("$..[?(@.q)]", [{"id": 3, "p": 25, "q": None}]),
    ("n", None),
    ("n.x", None),
    ("s.x", None),
    ("zz", None),
    ("zz.x", None),
    ("zz[*]", []),
    ("zz[?(@.x)]", []),
    ("s[?(@.x)]", None),
    ("s[0]", None),
    ("items.id", None),
    ("s[", "text"),
    ("nums[0]x", 3),
    ("['m']é", {"k 1": "sp", "k.2": "dot", "k-3": "dash", "it's": "quote", "é": "acute"}),
]

RECORDED_FUNCTIONS: list[tuple[str, Any]] = [
    ("items.length()", 3),
    ("m.length()", 5),
    ("s.length()", None),
    ("nums.size()", 3),
    ("nums.min()", 1.0),
    ("nums.max()", 3.0),
    ("nums.avg()", 2.0),
    ("nums.sum()", 6.0),
    ("nums.stddev()", 0.8164965809277263),
    ("none.sum()", None),
    ("items.sum()", None),
    ("nums.sum(10, 4)", 20.0),
    ("m.keys()", ["k 1", "k.2", "k-3", "it's", "é"]),
    ("s.keys()", None),
    ("nums.first()", 3),
    ("nums.last()", 2),
    ("none.first()", None),
    ("nums.index(1)", 1),
    ("nums.index(-1)", 2),
    ("nums.concat()", ""),
    ("items[*].l.concat()", ["x"]),
    ('concat($.s, "-", $.i)', "text-7"),
    ("concat($.nums, 4)", "3124"),
    ('s.concat("!")', "!"),
    ("concat('x')", ""),
    ("nums.append(4)", [3, 1, 2, 4]),
    ('nums.append({"a":1})', [3, 1, 2, {"a": 1}]),
    ("s.append(1)", "text"),
    ("nums.foo()", None),
    ("zz.length()", None),
    ("n.length()", None),
    ("items[*].id.length()", [None, None, None]),
    ("items[*].l.length()", [3]),
    ("mixed.sum()", 1.0),
]

RECORDED_FILTERS: list[tuple[str, Any]] = [
    ("items[?(@.p > 5)].id", [2, 3]),
    ("items[?(@.p >= 15)].id", [2, 3]),
    ("items[?(@.p<15)].id", [1]),
    ("items[?(@.p <= 15)].id", [1, 2]),
    ("items[?(@.p == 15)].id", [2]),
    ("items[?(@.p != 15)].id", [1, 3]),
    ("items[?(@.p == '15')].id", [2]),
    ("items[?('15' == @.p)].id", [2]),
    ("items[?(15 < @.p)].id", [3]),
    ("items[?(@.p === '15')].id", []),
    ("items[?(@.p !== '15')].id", [1, 2, 3]),
    ("items[?(@.t > 'a')].id", [1]),
    ("items[?(@.t > 1)].id", []),
    ('items[?(@.t == "aa")].id', [1]),
    ("items[?(@.q)].id", [3]),
    ("items[?(!@.q)].id", [1, 2]),
    ("items[?(@.q == null)].id", [1, 2, 3]),
    ("items[?(@.m)].id", [2]),
    ("items[?(@.m == {})].id", [2]),
    ("items[?(@.l == ['x', 1.5, null])].id", [1]),
    ("items[?(@.l[*])].id", [1]),
    ("items[?(@.l.length() == 3)].id", [1]),
    ("items[?(@.p > 5 && @.p < 25)].id", [2]),
    ("items[?(@.p < 15 || @.p > 15)].id", [1, 3]),
    ("items[?(!(@.p == 5))].id", [2, 3]),
    ("items[?(@.p == 5 || @.p == 25 && @.q)].id", [1, 3]),
    ("items[?((@.p == 5 || @.p == 25) && @.q)].id", [3]),
    ("items[?(@.id in [1, 3])].id", [1, 3]),
    ("items[?(@.t IN ['aa','b'])].id", [1]),
    ("items[?(@.id in ['1', '2'])].id", [1, 2]),
    ("items[?(@.id nin [1])].id", [2, 3]),
    ("items[?(@.id in 1)].id", []),
    ("items[?(@.l contains 'x')].id", [1]),
    ("items[?(@.t contains 'a')].id", [1]),
    ("items[?(@.t size 2)].id", [1]),
    ("items[?(@.l size 3)].id", [1]),
    ("items[?(@.t empty false)].id", [1]),
    ("items[?(@.l anyof ['x','y'])].id", [1]),
    ("items[?(@.l noneof ['z'])].id", [1]),
    ("items[?(@.l subsetof ['x', 1.5, null, 2])].id", [1]),
    ("items[?(@['p'] == 5)].id", [1]),
    ("items[?(@.p > $.i)].id", [2, 3]),
    ("items[?(@.p > $.zz)].id", []),
    ("items[?(@.t == $.items[0].t)].id", [1]),
    ("items[?(1 == 1)].id", [1, 2, 3]),
    ("items[?(@.t == 'it\\'s')].id", []),
    ("nums[?(@ > 1)]", [3, 2]),
    ("m[?(@.k-3)]", [{"k 1": "sp", "k.2": "dot", "k-3": "dash", "it's": "quote", "é": "acute"}]),
    ("m[?(@.k-3 == 'dash')].k-3", ["dash"]),
    ("items[?(@.l[?(@ == 'x')])].id", [1]),
    ("items[ ? (@.id == 1) ].id", [1]),
    ("items[?(@.id == true)]", []),
    ("items[?(@.sum() > 1)].id", None),
    ("items[?(@..x)].id", [1, 2, 3]),
    ("$.items[?(@.p > 5)][0]", []),
    ("$.items[?(@.p > 5)].p.max()", None),
    ("items[*].id[?(@.x)]", []),
    ("items[0].id[?(@.x)]", None),
    ("mixed[?(@ == 1)]", [1, "1"]),
    ("mixed[?(@ > 0)]", [1]),
    ("items[?(@.id[*] == 1)].id", []),
    ("items[?(@.l[*].zz)].id", [1]),
    ("items[?(@.id.zz)].id", []),
    ("items[?(@['id','p'])].id", [1, 2, 3]),
    ("items[?(@['id','t'])].id", [1]),
]

RECORDED_AS_INVALID = [
    "",
    "$.",
    "a.",
    "a..",
    "..a",
    "$a",
    " a",
    "a b",
    "a. b",
    "a[b]",
    "a[?]",
    "a[?(]",
    "a[?(@.x]",
    "a[?(@.x)",
    "a[?()]",
    "a[?(@.x ==)]",
    "a[?(@.x == y)]",
    "a[?(@.x = 1)]",
    "a[?(1)]",
    "a[?(@.x == 'y)]",
    "a[?(@.x == [1)]",
    "a['b",
    "a['b'",
    "a['b',]",
    "a['b' 'c']",
    "a[1",
    "a[1,]",
    "a[,1]",
    "a[1 2]",
    "a[:]",
    "a[::2]",
    "a[0:1,2]",
    "a[2147483648]",
    "a[--1]",
    "a[*",
    "a[* 1]",
    "a[0] .b",
    "a.f(",
    "a.f($.b",
    "a[(@.length-1)]",
    "a[?(@.x && )]",
    "a...b",
]

RECORDED_DOUBLES = [
    (1.0, "1.0"),
    (-0.0, "-0.0"),
    (0.1, "0.1"),
    (1.5, "1.5"),
    (100.0, "100.0"),
    (1234567.0, "1234567.0"),
    (9999999.0, "9999999.0"),
    (10000000.0, "1.0E7"),
    (12345678.9, "1.23456789E7"),
    (10000000000.0, "1.0E10"),
    (0.001, "0.001"),
    (0.000999, "9.99E-4"),
    (1e-05, "1.0E-5"),
    (1.25e-07, "1.25E-7"),
    (1e20, "1.0E20"),
    (1e21, "1.0E21"),
    (1e22, "1.0E22"),
    (1.2345678901234568e17, "1.2345678901234568E17"),
    (5e-324, "4.9E-324"),
    (1.7976931348623157e308, "1.7976931348623157E308"),
    (0.6666666666666666, "0.6666666666666666"),
]


def read(path: str, document: Any = DOCUMENT) -> Any:
    return compile_path(path).read(document)


def same(left: Any, right: Any) -> bool:
    """Equal in type, too: 1 is not 1.0 and not true."""
    return repr(left) == repr(right)


@pytest.mark.parametrize(("path", "expected"), RECORDED_STEPS)
def test_steps_lead_where_jayway_was_seen_to_go(path: str, expected: Any) -> None:
    assert same(read(path), expected)


@pytest.mark.parametrize(("path", "expected"), RECORDED_FUNCTIONS)
def test_functions_answer_what_jayway_was_seen_to_answer(path: str, expected: Any) -> None:
    assert same(read(path), expected)


@pytest.mark.parametrize(("path", "expected"), RECORDED_FILTERS)
def test_filters_keep_what_jayway_was_seen_to_keep(path: str, expected: Any) -> None:
    assert same(read(path), expected)


@pytest.mark.parametrize("path", RECORDED_AS_INVALID)
def test_what_jayway_refuses_is_refused(path: str) -> None:
    with pytest.raises(InvalidPath):
        compile_path(path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$['nums'].max()", 3.0),
        ("neg.max()", -1.0),
        ("one.last()", 7),
        ("one.index(-1)", 7),
        ("items.first().id", 1),
        ("items..*.id", [1, 2]),
        ("items[?(@.id==1&&@.id==1)].id", [1]),
        ("items[?($.neg)].id", [1, 2]),
        ("items[?(@.m empty true)].id", [2]),
        ("items[?(@.m all [1])].id", []),
    ],
)
def test_where_jayway_stumbles_we_give_what_one_expects(path: str, expected: Any) -> None:
    document = {"nums": [3], "neg": [-3, -1], "one": [7], "items": [{"id": 1}, {"id": 2, "m": {}}]}
    assert same(read(path, document), expected)


def test_all_asks_for_every_one_of_the_values() -> None:
    document = [{"l": [1, 2, 3]}, {"l": [1]}]
    assert read("$[?(@.l all [1, 2])]", document) == [{"l": [1, 2, 3]}]


def test_append_does_not_change_the_document() -> None:
    document = {"l": [1]}
    assert read("l.append(2)", document) == [1, 2]
    assert document == {"l": [1]}


def test_a_sum_that_is_no_json_number_is_null() -> None:
    assert read("l.sum()", {"l": [1.7e308, 1.7e308]}) is None
    assert read("l.sum()", {"l": [10**400]}) is None


@pytest.mark.parametrize("literal", ['{"a": NaN}', '{"a": 1e999}', '{"a": -Infinity}'])
def test_literals_that_are_no_json_are_refused(literal: str) -> None:
    with pytest.raises(InvalidPath, match="no JSON"):
        compile_path(f"l.append({literal})")


def test_regular_expressions_are_refused_by_name() -> None:
    with pytest.raises(InvalidPath, match="regular expressions"):
        compile_path("items[?(@.t =~ /(a+)+b/i)]")


@pytest.mark.parametrize(
    ("path", "is_definite", "keys"),
    [
        ("a.b.c", True, ("a", "b", "c")),
        ("$['a']['b c'][0].d", True, ("a", "b c")),
        ("a['b','c']", True, ("a",)),
        ("a['b','c'].d", False, ("a",)),
        ("a..b", False, ("a",)),
        ("a[*]", False, ("a",)),
        ("a[0,1]", False, ("a",)),
        ("a[0:1]", False, ("a",)),
        ("a[?(@.b)]", False, ("a",)),
        ("a.length()", True, ("a",)),
        ("$", True, ()),
    ],
)
def test_a_path_knows_whether_it_is_definite_and_how_it_begins(path: str, is_definite: bool, keys: tuple[str, ...]) -> None:
    compiled = compile_path(path)
    assert (compiled.is_definite, compiled.keys) == (is_definite, keys)


def test_a_path_knows_what_else_it_reads_from_the_document() -> None:
    path = compile_path("a[?(@.b > $.c.d && @.e[?(@.f == $.g)])].concat($.h)")
    assert [inner.keys for inner in path.references] == [("c", "d"), ("g",), ("h",)]


def test_the_rest_of_a_path_reads_the_same_from_further_inside() -> None:
    path = compile_path("items[?(@.p > $.i)].id")
    assert path.after(1).read(DOCUMENT["items"], DOCUMENT) == path.read(DOCUMENT) == [2, 3]


def test_strict_types_hold_inside_of_containers() -> None:
    assert read("$[?(@.l == [1])]", [{"l": [1]}, {"l": [1.0]}, {"l": [True]}, {"l": [1, 2]}]) == [{"l": [1]}]
    assert read("$[?(@.l == {'a': 1})]", [{"l": {"a": 1}}, {"l": {"a": 2}}, {"l": {}}]) == [{"l": {"a": 1}}]


# --- nothing hangs, nothing crashes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["a" + "[0,0]" * 40, "a" + "[*]" * 40, "a..x", "a..*..*..*", "a..[?(@..x)]", "a[?(@ == $.b)]", "concat($.a, $.b)"],
)
def test_a_path_that_would_visit_too_much_is_stopped(path: str) -> None:
    one, other = twice(40), twice(40)  # 2**40 values in 40 lists
    with pytest.raises(PayloadTooLarge):
        read(path, {"a": [one], "b": other})


def twice(levels: int) -> Any:
    value: Any = [1]
    for _ in range(levels):
        value = [value, value]
    return value


def test_text_that_would_grow_too_long_is_stopped() -> None:
    with pytest.raises(PayloadTooLarge):
        java_text(twice(40), Budget())
    with pytest.raises(PayloadTooLarge):
        java_text(["x" * 6400] * 200, Budget(10_000))


def test_a_budget_is_shared_by_the_paths_that_are_paid_from_it() -> None:
    budget = Budget(100)
    compile_path("nums[*]").read(DOCUMENT, None, budget)
    assert budget.left < 100


def test_a_document_may_be_deeper_than_python_recurses() -> None:
    deep: Any = 1
    for _ in range(20_000):
        deep = {"a": [deep]}
    assert len(read("a..a", deep)) == 19_999
    assert java_text(deep, Budget()).startswith("{a=[{a=[")
    assert read("$[?(@ == $[0])].length()", [deep, 1]) == [1]


@pytest.mark.parametrize(
    "path",
    [
        "a[?(" + "(" * 1000 + "@.b" + ")" * 1000 + ")]",
        "a[?(" + "!" * 1000 + "@.b)]",
        "a" + "[?(@" * 600 + ")]" * 600,
        "a[?(@.b == " + "[" * 1500 + "]" * 1500 + ")]",
        "concat(" * 400 + ")" * 400,
        "concat(" + "$.concat(" * 400 + "1" + ")" * 401,
        "a" * (MAX_PATH_CHARS + 1),
    ],
)
def test_a_path_that_nests_too_deep_is_refused_or_read_but_never_crashes(path: str) -> None:
    with contextlib.suppress(InvalidPath):
        read(path)


def test_filters_may_nest_up_to_the_limit() -> None:
    def nested(levels: int) -> str:
        return "a" + "[?(@.b" * levels + ")]" * levels

    compile_path(nested(4))
    with pytest.raises(InvalidPath, match="nest deeper"):
        compile_path(nested(MAX_NESTING))


# fmt: off
PIECES = [
    "a", "b", "id", ".", "..", "[", "]", "(", ")", "?", "@", "$", "*", "'", '"', ",",
    ":", "-", "1", "0", "==", "&&", "||", "!", "<", "[?(", ")]", "['a']", "[0]", "[*]", "[0:1]", "@.a",
    "length()", "concat(", "in", "null", "true", "/", "=~", "\\", "{", "}", "é", " ",
]
# fmt: on
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "id", "k 1"]), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=20), JSON)
def test_any_text_is_refused_as_a_path_or_read_without_an_error(text: str, document: Any) -> None:
    try:
        path = compile_path(text)
    except InvalidPath:
        return
    value = path.read(document)
    assert path.is_definite or value is None or isinstance(value, list)


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_reading_changes_nothing(document: Any) -> None:
    before = repr(document)
    for path in ("a.append(1)", "$..a", "$[?(@.a)]", "a[0:1]", "$['a','b']", "a.keys()"):
        read(path, document)
    assert repr(document) == before


# --- values as text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "expected"), RECORDED_DOUBLES)
def test_doubles_are_printed_as_by_java(number: float, expected: str) -> None:
    assert java_text(number, Budget()) == expected
    assert java_text(-number, Budget()) == (expected[1:] if expected.startswith("-") else "-" + expected)


@settings(max_examples=200, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
@example(2.0**-24)  # its shortest form is not its 16-digit rounding
@example(1e-323)
def test_a_printed_double_reads_back_as_itself(number: float) -> None:
    assert float(java_text(number, Budget())) == number


def test_containers_are_printed_as_by_java() -> None:
    value = {"k": "v", "l": [1, None, True, 1.0, []], "m": {}, "n": {"o": [{"p": "q"}]}}
    assert java_text(value, Budget()) == "{k=v, l=[1, null, true, 1.0, []], m={}, n={o=[{p=q}]}}"


def test_lists_of_indefinite_paths_are_printed_as_json() -> None:
    value = ["a/b", 1, {"k": [None, True, 1e20], "l": {}}, [], '\x01\t"\\\x7f\u2028é😀']
    expected = '["a\\/b",1,{"k":[null,true,1.0E20],"l":{}},[],"\\u0001\\t\\"\\\\\\u007F\\u2028é😀"]'
    assert java_text(value, Budget(), as_json=True) == expected
