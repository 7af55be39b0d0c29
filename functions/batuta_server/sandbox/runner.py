"""Runs users' scripts, here and now: in child processes that are kept while they behave, and killed when they do not."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from batuta_core.decider.known import Language, Script, ScriptResult
from batuta_core.model.error import Unavailable
from batuta_server.sandbox import protocol
from batuta_server.sandbox.limits import TIME_S

if TYPE_CHECKING:
    from batuta_server.sandbox.process import Ended, Process

_IDLE_MAX = 4
_WHAT = {Language.JAVASCRIPT: "Script", Language.JQ: "jq expression"}


class Sandbox:
    """The port ``Scripts``, for any number of threads. A script that hit a limit takes its process with it."""

    def __init__(self) -> None:
        self._idle: deque[Process] = deque()
        self._is_closed = False

    def begin(self) -> None:
        """Has a process ready for the first script. Raises Unavailable."""
        self._give_back(self._take())

    def run(self, scripts: Sequence[Script]) -> Sequence[ScriptResult]:
        return [self._run(script) for script in scripts]

    def close(self) -> None:
        self._is_closed = True
        while self._idle:
            self._idle.pop().kill()

    def _run(self, script: Script) -> ScriptResult:
        from batuta_server.sandbox.process import Ended  # with the first script: most processes run none

        process = self._take()
        try:
            kind, text = process.ask(script, TIME_S)
        except TimeoutError:
            return ScriptResult(error=f"{_WHAT[script.language]} not evaluated within {TIME_S} seconds, interrupted.", is_late=True)
        except Ended as ended:
            return _of_ended(script, ended)
        if kind == protocol.WORN:
            process.kill()
        else:
            self._give_back(process)
        return _result(script, kind, text)

    def _take(self) -> Process:
        from batuta_server.sandbox.process import Ended, Process

        while self._idle:
            try:
                process = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if process.is_alive():
                return process
            process.kill()
        try:
            return Process()
        except (Ended, TimeoutError, OSError) as error:
            raise Unavailable(f"no process for scripts: {error!r}") from error

    def _give_back(self, process: Process) -> None:
        if self._is_closed or len(self._idle) >= _IDLE_MAX:
            process.kill()
        else:
            self._idle.append(process)


def _of_ended(script: Script, ended: Ended) -> ScriptResult:
    """What ends a process is the lack of memory: jq's way to say so is to abort."""
    if ended.by in ("SIGXCPU", "SIGALRM"):
        return ScriptResult(error=f"{_WHAT[script.language]} not evaluated within {TIME_S} seconds, interrupted.", is_late=True)
    by = f" by {ended.by}" if ended.by else ""
    return ScriptResult(error=f"{_WHAT[script.language]} interrupted: its process was ended{by}, most likely for want of memory.")


def _result(script: Script, kind: bytes, text: bytes) -> ScriptResult:
    from batuta_server.sandbox.value import NoValue, value_of  # likewise

    said = text.decode("utf-8", "surrogatepass")
    if kind != protocol.VALUE:
        return ScriptResult(error=said)
    try:
        return ScriptResult(value_of(said))
    except NoValue as error:
        return ScriptResult(error=str(error))
