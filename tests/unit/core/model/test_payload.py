"""The size of payloads, counted without writing them."""

from __future__ import annotations

from typing import Any

import pytest

from batuta_core.model.error import PayloadTooLarge
from batuta_core.model.payload import PAYLOAD_MAX_BYTES, check_size


@pytest.mark.parametrize("value", [None, 5, "", "x" * 1000, {}, [], {"a": [1, {"b": ()}]}, "x" * (PAYLOAD_MAX_BYTES - 2)])
def test_what_is_small_enough(value: Any) -> None:
    check_size(value, "it")


@pytest.mark.parametrize(
    "value",
    [
        "x" * (PAYLOAD_MAX_BYTES - 1),
        {"x" * PAYLOAD_MAX_BYTES: 1},
        [["x" * 1_000_000] * 6],
        [0] * 1_100_000,
        {"a": {"b": ["x" * 6_000_000]}},
    ],
    ids=range(5),
)
def test_what_is_too_large_is_named(value: Any) -> None:
    with pytest.raises(PayloadTooLarge, match=f"the thing has more than {PAYLOAD_MAX_BYTES} bytes"):
        check_size(value, "the thing")


def test_few_objects_that_stand_for_gigabytes_are_soon_counted() -> None:
    value: Any = "x" * 1000
    for _ in range(60):
        value = [value, value]
    with pytest.raises(PayloadTooLarge):
        check_size(value, "it")
