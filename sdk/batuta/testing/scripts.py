"""A function of the test's in the place of the server's sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from batuta_core.decider.known import Script, ScriptResult

# (language, source, input) -> the value; of jq the list of all that the query gives out. What it raises is the script's error.
Evaluate = Callable[[str, str, Any], Any]


class Evaluator:
    """The engine's port ``Scripts`` over a function of the test's."""

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate

    def run(self, scripts: Sequence[Script]) -> Sequence[ScriptResult]:
        return [self._run(script) for script in scripts]

    def _run(self, script: Script) -> ScriptResult:
        try:
            return ScriptResult(self._evaluate(script.language.value, script.source, json.loads(script.input)))
        except Exception as error:
            return ScriptResult(error=f"{type(error).__qualname__}: {error}")
