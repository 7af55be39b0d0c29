"""The sandbox as a program of its own: a line in, a line out."""

from __future__ import annotations

import json
import subprocess
import sys


def test_scripts_are_answered_line_by_line_and_it_ends_with_its_input() -> None:
    scripts = [
        ["javascript", "$.a + 1", '{"a": 1}', 7, ""],
        ["jq", ".a", '{"a": 1}', 7, ""],
        ["javascript", "throw new Error('no\\nway')", "{}", 7, ""],
    ]
    lines = "".join(f"{json.dumps(script)}\n" for script in scripts)
    command = [sys.executable, "-m", "batuta_server.sandbox.program"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True, timeout=30)
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert first == {"value": 2, "error": None, "isLate": False}
    assert second["value"] == [1]
    assert "no\nway" in third["error"]
