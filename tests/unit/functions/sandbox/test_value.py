"""What a script's JSON may become."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from batuta_server.sandbox.limits import DEPTH_MAX, OUTPUT_MAX_BYTES
from batuta_server.sandbox.value import NoValue, value_of

MOST = sys.float_info.max


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e1000", MOST),
        ("-1e1000", -MOST),
        ("9" * 350, MOST),
        ("-" + "9" * 5000, -MOST),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", float(2**63)),
        ("[1.5, -0.0, 1e-400]", [1.5, 0.0, 0.0]),
        ("[" * DEPTH_MAX + "]" * DEPTH_MAX, None),
        (json.dumps("[{" * 1000), "[{" * 1000),
    ],
    ids=range(9),
)
def test_what_can_be_kept(text: str, value: Any) -> None:
    found = value_of(text)
    assert value is None or (found, type(found)) == (value, type(value))
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("text", ["", "nan", "{'a': 1}", "[1,]", '"\\x"', "<skipped: too deep>", "[" * 10])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(NoValue, match="cannot be read"):
        value_of(text)


@pytest.mark.parametrize("levels", [DEPTH_MAX + 2, 900, 2000, 100_000])
def test_what_is_too_deep(levels: int) -> None:
    for text in ("[" * levels + "]" * levels, '{"a":' * levels + "1" + "}" * levels):
        with pytest.raises(NoValue, match=f"deeper than {DEPTH_MAX} levels"):
            value_of(text)


@pytest.mark.parametrize("part", ["[]", "{}", "[[]]", "[{}]", '{"":[]}', "[0.5]", '[""]', '["ab"]', "[1000]"])
def test_five_megabytes_of_the_smallest_parts_are_refused(part: str) -> None:
    """Each would take more than 100 MB: together with what else a decider has in its 256, too much."""
    text = "[" + ",".join([part] * ((OUTPUT_MAX_BYTES - 2) // (len(part) + 1))) + "]"
    assert len(text) <= OUTPUT_MAX_BYTES
    with pytest.raises(NoValue, match="more memory"):
        value_of(text)


@pytest.mark.parametrize(
    "value",
    [
        [{"id": number, "name": "abc", "is_new": True} for number in range(100_000, 224_000)],
        [[1, 2, True, None]] * 400_000,
        "x" * (OUTPUT_MAX_BYTES - 2),
        "[{,}]," * 870_000,
    ],
    ids=["rows", "small numbers", "text", "brackets in a text"],
)
def test_five_megabytes_of_what_is_usual_are_not(value: Any) -> None:
    text = json.dumps(value, separators=(",", ":"))
    assert 4_500_000 < len(text) <= OUTPUT_MAX_BYTES + 1_500_000
    assert value_of(text) == value
