"""Plays the recordings of the real Conductor against a local server: ``python -m tests.golden.play [GLOB ...]``.

The recordings and the driver that plays them lie in the folder that ``BATUTA_SHARED`` names (default: ``shared`` beside the
project).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from batuta_server.local.server import LocalServer

ROOT = Path(__file__).resolve().parents[2]


def shared() -> Path:
    return Path(os.environ.get("BATUTA_SHARED") or ROOT.parent / "shared")


def main() -> int:
    golden = shared() / "golden"
    if not golden.exists():
        if os.environ.get("BATUTA_REQUIRE_ALL"):
            sys.exit(f"golden: {golden} is missing")
        print(f"golden: SKIPPED, no recordings at {golden}; set BATUTA_SHARED")
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
