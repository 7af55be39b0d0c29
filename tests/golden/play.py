"""Plays the recordings of the real Conductor against a local server: ``python -m tests.golden.play [GLOB ...]``."""

from __future__ import annotations

import subprocess
import sys

from batuta_server.local.server import LocalServer
from tests.shared import IS_ALL_REQUIRED, NOT_TESTED, SHARED


def main() -> int:
    golden = SHARED / "golden"
    if not golden.exists():
        if IS_ALL_REQUIRED:
            sys.exit(f"golden: {golden} is missing")
        print(f"golden: {NOT_TESTED}, no recordings at {golden}; set BATUTA_SHARED")
        return 0
    chosen = [item for glob in sys.argv[1:] for item in ("--only", glob)] or ["--list", str(golden / "spine.txt")]
    server = LocalServer(0)
    server.start()
    try:
        command = [
            sys.executable,
            str(golden / "run.py"),
            "compare",
            "--server",
            f"{server.url}/api",
            "--expected",
            str(golden / "expected"),
        ]
        return subprocess.run([*command, "--handler-wait", "0", *chosen], check=False).returncode
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
