"""Keeps the emulator of AWS for ``Cloud``: ends it, and clears away its folder, when the parent closes the pipe or is no more.

Two processes of the same file in the emulator's own environment: ``keep FOLDER LAUNCHER`` watches over ``serve LAUNCHER``.
"""

import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
from typing import Any

_INVOCATION_MAX_S = 30


def keep(folder: str, launcher: str) -> int:
    command = [sys.executable, __file__, "serve", launcher]
    emulator = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def end(*_: object) -> None:
        try:
            os.killpg(emulator.pid, signal.SIGKILL)  # it has nothing to save; its functions' processes are of its group
        except ProcessLookupError:
            pass

    def watch() -> None:
        while os.read(0, 4096):
            pass
        end()

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=watch, daemon=True).start()
    code = emulator.wait()
    end()
    shutil.rmtree(folder, ignore_errors=True)
    return code


def serve(launcher: str) -> None:
    import ministack.app  # noqa: F401 - reads LOG_LEVEL

    os.environ.pop("LOG_LEVEL", None)  # functions would inherit it, and say less than on AWS
    try:
        import ministack.services.lambda_svc as functions

        functions._ESM_IDLE_WAKE_GAP_SECONDS = 0.002  # else every second batch of a queue waits for 50 ms
        let_invocations_end()
    except (ImportError, AttributeError):
        pass
    sys.argv = [launcher]
    runpy.run_path(launcher, run_name="__main__")


def let_invocations_end() -> None:
    """When a function is changed, what it works on ends on the code that it began with, as on AWS. The emulator kills it."""
    import ministack.core.lambda_runtime as runtime

    kill = runtime.kill_workers

    def end(workers: list[Any]) -> None:
        for worker in workers:
            if worker is not None and worker._lock.acquire(timeout=_INVOCATION_MAX_S):  # held while it works
                worker._lock.release()
        kill(workers)

    runtime.kill_workers = lambda workers: threading.Thread(target=end, args=(list(workers),), daemon=True).start()


if __name__ == "__main__":
    if sys.argv[1] == "keep":
        sys.exit(keep(*sys.argv[2:]))
    serve(sys.argv[2])
