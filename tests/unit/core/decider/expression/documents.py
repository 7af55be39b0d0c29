"""The document that the paths of these tests read, and any other."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from batuta_core.decider.expression.path_parser import compile_path

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

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "id", "k 1"]), inner, max_size=4),
    max_leaves=15,
)


def read(path: str, document: Any = DOCUMENT) -> Any:
    return compile_path(path).read(document)


def same(left: Any, right: Any) -> bool:
    """Equal in type, too: 1 is not 1.0 and not true."""
    return repr(left) == repr(right)


def twice(levels: int) -> Any:
    value: Any = [1]
    for _ in range(levels):
        value = [value, value]
    return value
