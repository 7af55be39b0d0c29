"""From a task's input to the arguments of its function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import pytest

from batuta.binding import Binding, WholeInput
from batuta.context import TaskContext
from batuta.plain_readers import InputMismatch

CONTEXT = TaskContext(ref="r")


def called(function: Callable[..., Any], task_input: Any) -> Any:
    positional, named = Binding(function, "f").arguments(task_input, CONTEXT)
    return function(*positional, **named)


@dataclass
class Order:
    number: int


class Options(TypedDict):
    number: int


def test_each_parameter_takes_the_input_of_its_name() -> None:
    def f(order_id: str, amount: Decimal, note: str = "none") -> Any:
        return order_id, amount, note

    assert called(f, {"order_id": "a", "amount": "1.5", "unasked": 1}) == ("a", Decimal("1.5"), "none")


def test_a_lone_dataclass_takes_the_input_of_its_name_too() -> None:
    def f(order: Order) -> Any:
        return order

    assert called(f, {"order": {"number": 1}}) == Order(1)
    with pytest.raises(InputMismatch, match="order: is missing"):
        called(f, {"number": 1})


def test_a_parameter_called_input_takes_the_whole() -> None:
    def f(input: Order) -> Any:
        return input

    def g(context: TaskContext, input: dict[str, Any]) -> Any:
        return context.ref, input

    assert called(f, {"number": 1}) == Order(1)
    assert called(g, {"x": 1}) == ("r", {"x": 1})


def test_a_marked_parameter_takes_the_whole() -> None:
    def f(order: Annotated[Order, WholeInput]) -> Any:
        return order

    def g(order: Annotated[Options, WholeInput()]) -> Any:
        return order

    assert called(f, {"number": 1}) == Order(1)
    assert called(g, {"number": 1}) == {"number": 1}


def test_input_beside_others_is_a_name_like_any() -> None:
    def f(input: int, other: int) -> Any:
        return input, other

    assert called(f, {"input": 1, "other": 2}) == (1, 2)


def test_the_whole_input_allows_no_other_parameter() -> None:
    def f(order: Annotated[Order, WholeInput], number: int) -> None: ...

    with pytest.raises(TypeError, match="'order' is the whole input"):
        Binding(f, "f")


def test_the_rest_goes_into_kwargs() -> None:
    def f(a: int, context: TaskContext, **rest: int) -> Any:
        return a, context.ref, rest

    assert called(f, {"a": 1, "b": 2, "c": 3}) == (1, "r", {"b": 2, "c": 3})
    assert called(f, {"a": 1, "context": 9}) == (1, "r", {})
    with pytest.raises(InputMismatch, match='b: must be a whole number, not "x"'):
        called(f, {"a": 1, "b": "x"})


def test_positional_only_parameters_and_their_defaults() -> None:
    def f(a: int = 1, b: int = 2, /, c: int = 3) -> Any:
        return a, b, c

    assert called(f, {"b": 5}) == (1, 5, 3)
    assert called(f, {"a": 9, "c": 7}) == (9, 2, 7)


def test_the_context_comes_by_annotation_also_where_it_is_optional() -> None:
    def f(x: int, ctx: TaskContext | None = None) -> Any:
        return x, ctx

    assert called(f, {"x": 1}) == (1, CONTEXT)


def test_null_counts_as_absent_where_it_does_not_fit_and_there_is_a_default() -> None:
    def f(limit: int = 10, name: str | None = "x") -> Any:
        return limit, name

    def g(limit: int) -> Any:
        return limit

    assert called(f, {"limit": None, "name": None}) == (10, None)
    with pytest.raises(InputMismatch, match="limit: must be a whole number, not null"):
        called(g, {"limit": None})


def test_all_fields_that_do_not_fit_are_named_at_once() -> None:
    def f(a: int, b: str, c: bool) -> None: ...

    with pytest.raises(InputMismatch) as refused:
        called(f, {"a": "x", "c": True})
    assert str(refused.value) == 'a: must be a whole number, not "x"; b: is missing'


def test_an_input_that_is_no_object_is_refused() -> None:
    def f(a: int = 1) -> None: ...

    with pytest.raises(InputMismatch, match="must be an object"):
        called(f, [1])


def test_functions_without_parameters_or_annotations() -> None:
    assert called(lambda: 5, {"x": 1}) == 5
    assert called(lambda x, y=2: (x, y), {"x": {"any": [1]}}) == ({"any": [1]}, 2)


def test_methods_partials_and_callable_objects() -> None:
    class Shop:
        def sell(self, item: str) -> str:
            return f"sold {item}"

        def __call__(self, item: str) -> str:
            return f"called {item}"

    def f(a: int, b: int) -> int:
        return a + b

    assert called(Shop().sell, {"item": "bow"}) == "sold bow"
    assert called(Shop(), {"item": "bow"}) == "called bow"
    assert called(functools.partial(f, b=5), {"a": 1}) == 6


def test_wrapped_functions_show_their_own_parameters() -> None:
    def f(a: int) -> int:
        return a

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return f(*args, **kwargs)

    assert called(wrapper, {"a": 1}) == 1


def test_star_args_cannot_be_filled() -> None:
    def f(*names: str) -> None: ...

    with pytest.raises(TypeError, match=r"\*names cannot be filled"):
        Binding(f, "f")


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    def f(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match="f: an annotation cannot be resolved: name 'Nowhere' is not defined"):
        Binding(f, "f")


def test_a_type_that_json_cannot_fill_is_named_with_its_parameter() -> None:
    def f(x: bytes) -> None: ...

    with pytest.raises(TypeError, match=r"f: parameter 'x': builtins\.bytes cannot be read from JSON"):
        Binding(f, "f")
