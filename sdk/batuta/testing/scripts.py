"""Who runs the JavaScript and jq of a workflow under test: the server's sandbox as a program of its own, or a function of the test."""

from __future__ import annotations

import atexit
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from batuta_core.decider.known import Script, ScriptResult

# (language, source, input) -> the value; of jq the list of all that the query gives out. What it raises is the script's error.
Evaluate = Callable[[str, str, Any], Any]

_PROGRAM = "batuta_server.sandbox.program"


class NoEvaluator(Exception):
    """The workflow has a script, and nothing here can run it."""


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


class SandboxProgram:
    """The server's sandbox, begun with the first script and kept until the interpreter ends: it takes a fifth of a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def run(self, scripts: Sequence[Script]) -> Sequence[ScriptResult]:
        with self._lock:
            return [self._run(script) for script in scripts]

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.communicate()  # closes its input, which ends it

    def _run(self, script: Script) -> ScriptResult:
        process = self._begun(script)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([script.language.value, script.source, script.input, script.now_ms, script.seed]) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise NoEvaluator(f"the sandbox ended: python -m {_PROGRAM} exited with {process.wait()}")
        answer = json.loads(line)
        return ScriptResult(answer["value"], answer["error"], answer["isLate"])

    def _begun(self, script: Script) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            missing = [name for name in ("batuta_server", "_quickjs", "jq") if importlib.util.find_spec(name) is None]
            if missing:
                raise NoEvaluator(
                    f"the workflow has a script in {script.language.value}, and {', '.join(missing)} is not installed to run it: "
                    "pip install 'batuta[testing]', or give batuta.testing.run a function as scripts=..."
                )
            self._process = subprocess.Popen(  # noqa: S603 - our own code, in the interpreter that we run in
                [sys.executable, "-m", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
            atexit.register(self.close)
        return self._process


SANDBOX = SandboxProgram()  # one for all runs of a process
