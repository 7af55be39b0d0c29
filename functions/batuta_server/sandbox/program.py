"""Runs users' scripts for another program, ``batuta.testing``: ``python -m batuta_server.sandbox.program``.

On its standard input one JSON list ``[language, source, input, now in ms, seed]`` a line, on its standard output one answer a line, in
order. It ends with its input.
"""

from __future__ import annotations

import json
import sys

from batuta_core.decider.known import Language, Script
from batuta_server.sandbox.runner import Sandbox


def main() -> None:
    sandbox = Sandbox()
    try:
        for line in sys.stdin:
            language, source, given, now_ms, seed = json.loads(line)
            (result,) = sandbox.run([Script(Language(language), source, given, now_ms, seed)])
            print(json.dumps({"value": result.value, "error": result.error, "isLate": result.is_late}), flush=True)
    finally:
        sandbox.close()


if __name__ == "__main__":
    main()
