"""Batuta's local server beside the real Conductor on the same machine, in one run: ``rest_bench.py`` of the shared folder
plays the same load against both; then the same line through our own SDK, and the engine alone on ports in memory.

Fetches Conductor 3.32.1 with Maven (458 MB) and needs a JDK of 21 or newer. CPU is the server's alone: of Batuta without
the emulator, which stands for DynamoDB and SQS; of Conductor with its SQLite, which it has inside. Both figures are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.shared import SHARED

from batuta_server.local.emulator import free_port
from benchmarks import report
from benchmarks.line import engine_alone, through_sdk

VERSION = "3.32.1"
ARTIFACT = f"org.conductoross:conductor-server:{VERSION}:jar:boot"
ROOT = Path(__file__).resolve().parents[1]
_START_MAX_S = 120


def java() -> str:
    """A JDK of 21 or newer: the environment's, else one beside the system's."""
    found = [os.environ.get("JAVA_HOME", "") + "/bin/java", *map(str, Path("/usr/lib/jvm").glob("*/bin/java")), shutil.which("java") or ""]
    for path in found:
        if path and Path(path).exists():
            version = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
            if int(version.split('"')[1].split(".")[0]) >= 21:
                return path
    sys.exit("bench-peer: no JDK of 21 or newer; set JAVA_HOME")


def jar() -> Path:
    path = Path.home() / f".m2/repository/org/conductoross/conductor-server/{VERSION}/conductor-server-{VERSION}-boot.jar"
    if not path.exists():
        print("fetching Conductor (458 MB, once) ...", flush=True)
        subprocess.run(["mvn", "-q", "dependency:get", "-Dtransitive=false", f"-Dartifact={ARTIFACT}"], check=True)
    return path


def wait_for(url: str, process: subprocess.Popen[Any]) -> None:
    end = time.monotonic() + _START_MAX_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    sys.exit(f"bench-peer: nothing answers at {url}")


@contextlib.contextmanager
def conductor() -> Iterator[tuple[str, dict[str, int]]]:
    """The real server with its default SQLite, in an empty folder; its URL and pids."""
    folder = ROOT / ".batuta" / "peer"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = free_port()
    options = [f"--server.port={port}", "--server.address=127.0.0.1", "--conductor.integrations.ai.enabled=false"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([java(), "-Xmx4g", "-jar", str(jar()), *options], cwd=folder, stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}/api", {"server": process.pid}
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def batuta() -> Iterator[tuple[str, dict[str, int]]]:
    """`batuta dev`; its URL and pids, the emulator's apart."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "batuta_server.local", "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        emulator = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        yield f"http://127.0.0.1:{port}/api", {"server": process.pid, "emulator": emulator}
    finally:
        process.terminate()
        process.wait(30)


def play(server: str, pids: dict[str, int], options: argparse.Namespace) -> dict[str, Any]:
    out = ROOT / ".batuta" / "peer.json"
    out.parent.mkdir(exist_ok=True)
    command = [
        sys.executable,
        str(SHARED / "bench/rest_bench.py"),
        "--server",
        server,
        "--cases",
        options.cases,
        "--seconds",
        str(options.seconds),
    ]
    named = ",".join(f"{name}={pid}" for name, pid in pids.items())
    subprocess.run([*command, "--pids", named, "--json", str(out), "--sizes", options.sizes], check=True)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="line,latency,growth,fork")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--sizes", default="10,100,1000")
    parser.add_argument("--without-conductor", action="store_true")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with batuta() as (server, pids):
        print("Batuta, HTTP workers", flush=True)
        figures["batuta"] = play(server, pids, options)
    with batuta() as (server, pids):
        print("Batuta, SDK workers", flush=True)
        figures["batuta_sdk"] = through_sdk(server.removesuffix("/api"), pids, seconds=options.seconds)
        print(json.dumps(figures["batuta_sdk"]))
    figures["engine_alone"] = engine_alone()
    print("engine alone on ports in memory", json.dumps(figures["engine_alone"]))
    if not options.without_conductor:
        with conductor() as (server, pids):
            print(f"Conductor {VERSION}, SQLite", flush=True)
            figures["conductor"] = play(server, pids, options)
    print("\n" + report.table(_rows(figures)))
    print("\nwall ms a task of one line, a branch of one dynamic fork, by how many there are\n")
    print(report.table(_by_size(figures)))
    report.write("peer", figures)


def _rows(figures: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, found in figures.items():
        line, latency = found.get("line", found), found.get("latency", {})
        cpu = line.get("cpu_ms_per_task", {})
        rows.append(
            {
                "": name,
                "tasks/s": line.get("tasks_per_s", ""),
                "server CPU ms/task": cpu.get("server", ""),
                "emulator CPU ms/task": cpu.get("emulator", ""),
                "next task ms p50": latency.get("next_task_ms_p50", ""),
                "10 tasks ms p50": latency.get("workflow_ms_p50", ""),
            }
        )
    return rows


def _by_size(figures: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, found in figures.items():
        for case, many, each in (("growth", "tasks", "task"), ("fork", "branches", "branch")):
            sizes = found.get(case, [])
            row = {str(size[many]): size[f"wall_ms_per_{each}"] for size in sizes}
            if sizes:
                last_over_first = round(sizes[-1][f"wall_ms_per_{each}"] / sizes[0][f"wall_ms_per_{each}"], 2)
                rows.append({"": name, "of": case, **row, "last over first": last_over_first})
    return rows


if __name__ == "__main__":
    main()
