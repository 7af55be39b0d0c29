"""The server's sandbox for JavaScript and jq as a program of its own, for what is played or decided again on this machine."""

from __future__ import annotations

import atexit
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Sequence

from batuta_core.decider.known import Script, ScriptResult

_PROGRAM = "batuta_server.sandbox.program"


class NoEvaluator(Exception):
    """The workflow has a script, and nothing here can run it."""


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
                    "pip install 'batuta[testing]'; a test may give batuta.testing.run a function instead (scripts=...)"
                )
            self._process = subprocess.Popen(  # noqa: S603 - our own code, in the interpreter that we run in
                [sys.executable, "-m", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
            atexit.register(self.close)
        return self._process


SANDBOX = SandboxProgram()  # one for all that a process plays or decides again
