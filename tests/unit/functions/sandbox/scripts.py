"""Short ways to run a script in a test."""

from __future__ import annotations

import json
from typing import Any

from batuta_core.decider.known import Language, Script, ScriptResult
from batuta_server.sandbox.runner import Sandbox

NOW_MS = 1_764_000_000_000


def javascript(source: str, given: Any = None, *, now_ms: int = NOW_MS, seed: str = "seed") -> Script:
    return Script(Language.JAVASCRIPT, source, json.dumps({} if given is None else given), now_ms, seed)


def jq(source: str, given: Any = None) -> Script:
    return Script(Language.JQ, source, json.dumps({} if given is None else given), NOW_MS, "seed")


def run(sandbox: Sandbox, script: Script) -> ScriptResult:
    (found,) = sandbox.run([script])
    return found
