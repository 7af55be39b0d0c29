"""``dataclass`` for values, in a third less time: a process makes some hundred and thirty at its start (docs/adr/0024).

The standard one compiles ``__eq__``, ``__hash__`` and ``__repr__`` anew for each class, and reads the signature for a docstring that nobody
asked for. Here they are the same functions for all classes, over a getter of the fields, and do the same.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(**options):
        """Takes what the standard one does; all but plain values it makes."""
        if not options.get("frozen") or options.keys() - {"frozen", "slots", "kw_only"}:
            return dataclasses.dataclass(**options)

        def make(cls):
            cls.__doc__ = cls.__doc__ or cls.__name__
            return _with_methods(dataclasses.dataclass(eq=False, repr=False, **options)(cls))

        return make


def _with_methods(cls: Any) -> Any:
    fields = dataclasses.fields(cls)
    values = _getter([field.name for field in fields if field.compare])
    shown = [field.name for field in fields if field.repr]

    def __eq__(self: Any, other: Any) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(values(self) == values(other))

    def __hash__(self: Any) -> int:
        return hash(values(self))

    def __repr__(self: Any) -> str:
        return f"{self.__class__.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    for method in (__eq__, __hash__, __repr__):
        if method.__name__ not in vars(cls) or (method is __hash__ and vars(cls)["__hash__"] is None):
            setattr(cls, method.__name__, method)
    return cls


def _getter(names: list[str]) -> Any:
    """The values as a tuple, or as themselves where there is one alone."""
    return attrgetter(*names) if names else lambda _self: ()
