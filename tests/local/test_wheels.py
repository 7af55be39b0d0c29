"""What somebody has who only installed the wheels: a server, a worker, a client, and nothing of this repository."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORDER = ROOT / "examples" / "order"

WORKER = """
from batuta import Worker, task

@task("double")
def double(x: int) -> dict[str, int]:
    return {"x": 2 * x}

Worker(double).run()
"""

CLIENT = """
from batuta import Client

with Client() as client:
    task = {"name": "double", "taskReferenceName": "d", "type": "SIMPLE", "inputParameters": {"x": "${workflow.input.x}"}}
    client.register_workflow({"name": "doubling", "version": 1, "tasks": [task]})
    print(client.start_and_wait("doubling", {"x": 21}).output)
"""


@pytest.mark.slow
def test_the_wheels_alone_are_enough(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BATUTA_", "PYTHON", "AWS_", "VIRTUAL_ENV"))}
    home = {**kept, "BATUTA_HOME": str(tmp_path / "home")}  # the emulator's environment is made on first use

    def run(*command: str | Path, cwd: Path = tmp_path, **environment: str) -> str:
        done = subprocess.run(command, cwd=cwd, env={**home, **environment}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for package in ("core", "functions", "sdk"):
        run(uv, "build", "-q", "--wheel", "-o", tmp_path / "dist", ROOT / package)
    run(sys.executable, "-m", "venv", "--without-pip", "empty")
    python = tmp_path / "empty/bin/python"
    run(uv, "pip", "install", "-q", "--python", python, "--find-links", tmp_path / "dist", "batuta[dev]")

    server = subprocess.Popen(
        [tmp_path / "empty/bin/batuta", "dev", "--port", "0"], cwd=tmp_path, env=home, stdout=subprocess.PIPE, text=True
    )
    workers: list[subprocess.Popen[Any]] = []
    try:
        assert server.stdout is not None
        url = next(line.partition("BATUTA_URL=")[2].strip() for line in server.stdout if "BATUTA_URL=" in line)
        for program in (["-c", WORKER], [str(ORDER / "worker.py")]):
            workers.append(subprocess.Popen([python, *program], cwd=tmp_path, env={**home, "BATUTA_URL": url}))
        assert run(python, "-c", CLIENT, BATUTA_URL=url) == "{'x': 42}\n"
        assert "COMPLETED" in run(python, ORDER / "run.py", BATUTA_URL=url)
    finally:
        for process in [*workers, server]:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=40)
    assert server.returncode == 0
