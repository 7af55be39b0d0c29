"""The scripts of the generated workloads, each with what it means said again in Python; and a memo of what the sandbox makes of them.

None of them asks for the time or for chance, so the memo need not tell moments apart.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batuta_core.decider.known import Language, Script, ScriptResult
from batuta_server.sandbox.runner import Sandbox

ENDLESS = "for (;;) {}"  # never run: four seconds are too long for a schedule
LATE = ScriptResult(error="Script not evaluated within 4 seconds, interrupted.", is_late=True)

Meaning = Callable[[Mapping[str, Any]], ScriptResult]
Inputs = Mapping[str, Any]


def _number(inputs: Inputs) -> int:
    return inputs.get("n") or 0


def _thrown(text: str) -> ScriptResult:
    return ScriptResult(error=f"Error evaluating the script `Error: {text}`")


_SWITCHES: dict[str, Meaning] = {
    "$.which > 1 ? 2 : 0": lambda i: ScriptResult(2 if (i["which"] or 0) > 1 else 0),
    "$.which === null ? null : String($.which % 2)": lambda i: ScriptResult(None if i["which"] is None else str(i["which"] % 2)),
}
_INLINES: dict[str, Meaning] = {
    "$.n * 2 + 1": lambda i: ScriptResult(_number(i) * 2 + 1),
    "[$.n, {half: 0.5, nothing: undefined}]": lambda i: ScriptResult([i.get("n"), {"half": 0.5, "nothing": None}]),
    "if ($.n > 2) throw new Error('too many'); $.n": lambda i: _thrown("too many") if _number(i) > 2 else ScriptResult(i.get("n")),
    "Object.keys($).length; Array.prototype.map = 1; Date.now = null": lambda i: ScriptResult(None),
    "[1, 2].map(x => x + Date.now() * 0)": lambda i: ScriptResult([1, 2]),
    ENDLESS: lambda i: LATE,
}
_LAMBDAS: dict[str, Meaning] = {
    "return $.n": lambda i: ScriptResult(i.get("n")),
    "if ($.n > 1) { throw new Error('no'); } return [$.n]": lambda i: _thrown("no") if _number(i) > 1 else ScriptResult([i.get("n")]),
}
_QUERIES: dict[str, Meaning] = {
    ".n": lambda i: ScriptResult([i.get("n")]),
    ".n | select(. == 1)": lambda i: ScriptResult([1] if i.get("n") == 1 else []),
    "[.n, .n] | .[]": lambda i: ScriptResult([i.get("n"), i.get("n")]),
    'if .n == 2 then error("two") else "\\(.n)" end': lambda i: (
        ScriptResult(error="two") if i.get("n") == 2 else ScriptResult(["null" if i.get("n") is None else str(i["n"])])
    ),
}


def condition(loop: str, rounds: int) -> str:
    """Of a DO_WHILE: true before the iteration ``rounds``."""
    return f"$.{loop}['iteration'] < {rounds}"


def holds(text: str, iteration: int) -> bool:
    """What ``condition`` gave; without one, a loop is over when its items are."""
    return not text or iteration < int(text.rpartition("<")[2])


SWITCHES, INLINES, LAMBDAS, QUERIES = map(list, (_SWITCHES, _INLINES, _LAMBDAS, _QUERIES))
TOLD: Mapping[str, Meaning] = {**_SWITCHES, **_INLINES, **_LAMBDAS, **_QUERIES}


class Memo:
    """The port ``Scripts``: the real sandbox, asked once for each script and input."""

    def __init__(self) -> None:
        self._sandbox = Sandbox()
        self._known: dict[tuple[Language, str, str], ScriptResult] = {}
        os.register_at_fork(after_in_child=self._begin_anew)
        atexit.register(self._sandbox.close)

    def run(self, scripts: Sequence[Script]) -> Sequence[ScriptResult]:
        return [self._run(script) for script in scripts]

    def _run(self, script: Script) -> ScriptResult:
        if script.source == ENDLESS:
            return LATE
        key = (script.language, script.source, script.input)
        if key not in self._known:
            (self._known[key],) = self._sandbox.run([script])
        return self._known[key]

    def _begin_anew(self) -> None:
        """Two processes must not ask one child."""
        self._sandbox = Sandbox()


MEMO = Memo()
