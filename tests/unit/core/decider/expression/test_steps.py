"""Steps: where Jayway 2.9.0 was seen to go."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.decider.expression.documents import read, same

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


@pytest.mark.parametrize(("path", "expected"), RECORDED_STEPS)
def test_steps_lead_where_jayway_was_seen_to_go(path: str, expected: Any) -> None:
    assert same(read(path), expected)


def test_a_deep_scan_through_a_wildcard_leads_where_one_expects_and_not_where_jayway_stumbles() -> None:
    assert same(read("items..*.id", {"items": [{"id": 1}, {"id": 2, "m": {}}]}), [1, 2])
