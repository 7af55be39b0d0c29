"""How a task's input becomes the arguments of its function.

* Every parameter takes the input of its own name; what no parameter asks for is dropped, or goes into ``**kwargs``.
* A parameter annotated ``TaskContext`` receives the context.
* The whole input goes to the only other parameter if that is called ``input``, or is annotated
  ``Annotated[Order, WholeInput]``. A lone parameter of any other name is no special case: it takes the input of its name.
* An input of null counts as absent where None does not fit and the parameter has a default.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin

from batuta.context import TaskContext
from batuta.plain_readers import InputMismatch, Reader
from batuta.readers import FieldReader, reader_of

_WHOLE_NAME = "input"


class WholeInput:
    """In ``Annotated[T, WholeInput]``: this parameter is the task's whole input, not the input of its name."""


class Binding:
    """Made once per function. Raises TypeError when the function's parameters cannot be filled from JSON."""

    def __init__(self, function: Callable[..., Any], shown_name: str) -> None:
        self._name = shown_name
        self._positional: dict[str, Any] = {}  # positional-only names and their defaults
        self._contexts: list[str] = []
        self._readers: dict[str, FieldReader] = {}
        self._rest: Reader | None = None
        self._whole: tuple[str, Reader] | None = None
        hints = self._hints(function)
        marked: list[str] = []
        for parameter in inspect.signature(function).parameters.values():
            annotation = hints.get(parameter.name, Any)
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                raise TypeError(f"{shown_name}: inputs have names, so *{parameter.name} cannot be filled")
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                self._positional[parameter.name] = parameter.default
            if _is_context(annotation):
                self._contexts.append(parameter.name)
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                self._rest = self._reader(parameter.name, annotation)
            else:
                has_default = parameter.default is not inspect.Parameter.empty
                self._readers[parameter.name] = FieldReader(self._reader(parameter.name, annotation), has_default)
                if _is_marked(annotation):
                    marked.append(parameter.name)
        self._find_whole(marked)

    def _hints(self, function: Callable[..., Any]) -> dict[str, Any]:
        target = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
        try:
            return typing.get_type_hints(inspect.unwrap(target), include_extras=True)
        except NameError as error:
            raise TypeError(f"{self._name}: an annotation cannot be resolved: {error}. Define it at the top of the module.") from error

    def _reader(self, name: str, annotation: Any) -> Reader:
        try:
            return reader_of(annotation)
        except TypeError as error:
            raise TypeError(f"{self._name}: parameter '{name}': {error}") from error

    def _find_whole(self, marked: list[str]) -> None:
        is_alone = len(self._readers) == 1 and self._rest is None
        if marked and not is_alone:
            raise TypeError(f"{self._name}: '{marked[0]}' is the whole input, so no other parameter can take a part of it")
        if is_alone and (marked or _WHOLE_NAME in self._readers):
            name, field = self._readers.popitem()
            self._whole = name, field.read

    def arguments(self, task_input: Any, context: TaskContext) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named arguments. Raises InputMismatch, which names every field that does not fit."""
        given: dict[str, Any] = dict.fromkeys(self._contexts, context)
        if self._whole is not None:
            name, read = self._whole
            given[name] = read(task_input, "")
        else:
            self._read_fields(given, task_input)
        positional = [given.get(name, default) for name, default in self._positional.items()]
        return positional, {name: value for name, value in given.items() if name not in self._positional}

    def _read_fields(self, given: dict[str, Any], task_input: Any) -> None:
        if not isinstance(task_input, dict):
            raise InputMismatch("", "the input must be an object")
        problems: list[str] = []
        for name, field in self._readers.items():
            try:
                field.read_into(given, name, task_input, "")
            except InputMismatch as problem:
                problems.append(str(problem))
        for name in task_input.keys() - self._readers.keys() - given.keys() if self._rest else ():
            try:
                given[name] = self._rest(task_input[name], name) if self._rest else None
            except InputMismatch as problem:
                problems.append(str(problem))
        if problems:
            raise InputMismatch("", "; ".join(problems))


def _is_context(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, types.UnionType):  # TaskContext | None: optional for those who call it directly
        return any(_is_context(arg) for arg in get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, TaskContext)


def _is_marked(annotation: Any) -> bool:
    extras = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return any(extra is WholeInput or isinstance(extra, WholeInput) for extra in extras)
