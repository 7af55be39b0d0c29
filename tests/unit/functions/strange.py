"""Messages that nobody of ours has written."""

from __future__ import annotations

import json

STRANGE = (
    "",
    " ",
    "hello",
    "null",
    "[]",
    "{}",
    '"text"',
    '{"v": null}',
    '{"v": "1"}',
    '{"v": 1}',
    '{"v": 1.5, "ns": "a"}',
    '{"v": 1, "ns": {}, "wf": [], "rec": null, "ev": 1, "at": 1}',
    '{"v": 1, "ns": "default", "wf": "x", "rec": "many", "ev": {"e": "nothing"}, "at": ["a", "b"]}',
    '{"v": 1, "ns": "default", "wf": "x", "rec": [1], "ev": {"e": "task", "at": [1, 2, 3]}, "at": [1]}',
    json.dumps({"v": 1, "ns": "default", "wf": "x", "ev": {"e": "guard", "record": "one"}}),
    '{"v": 1, "ns": "default", "wf": "x", "rec": 1e999, "ev": {"e": "guard", "record": 1e999}, "att": 1e999}',
    '{"v": 1, "ns": "default", "wf": "x", "rec": Infinity, "ev": {"e": "guard", "record": NaN}}',
    json.dumps({"Type": "Notification", "Message": "from another service"}),
    json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}),
    "\x00\x01\ufffe",
    "half \ud800",
    "[" * 100_000,
    '{"v": 1, "ev": ' + '{"a":' * 100_000,
)
NEWER = '{"v": 4, "shape": "unknown"}'
