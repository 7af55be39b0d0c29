"""What a cold start costs before the first event: the import of each handler entry from the asset that is deployed.

The asset is made by ``infra/bundle.py`` for x86_64, this machine's kind, and run by the runtime's own version of Python where that
is installed; compiled as Lambda gets it. Each figure is the median of fresh interpreters, begun in turn so that a busy
moment meets all of them. ``import_ms`` is CPU time, which is all that an import from a warm disk takes: the clock on the wall, shown
beside it, also counts what the machine does for others meanwhile. On Lambda expect other numbers in much the same order.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batuta_server.local.emulator import ACCOUNT, REGION, Emulator
from batuta_server.settings import Settings
from benchmarks import report
from benchmarks.stage import http_event
from infra import bundle
from infra.parameters import ARM64, X86_64

HANDLERS = ("decider", "timers", "api")
TARGETS_MS = {"decider": 200, "timers": 200, "api": 300}
ASSET_TARGET_MB = 20
ROUNDS = 21

# In the interpreter that is measured. ``-I`` keeps this machine's environment out; what the interpreter itself needs is not counted.
_IMPORT = """
import sys, time
sys.path.insert(0, {asset!r})
began, began_cpu = time.perf_counter(), time.process_time()
import batuta_server.{what}.entry as entry
took_ms, cpu_ms = (time.perf_counter() - began) * 1000, (time.process_time() - began_cpu) * 1000
modules = len(sys.modules)
first_ms = None
event = {event!r}
if event is not None:
    began = time.perf_counter()
    answer = entry.handle(event, None)
    assert answer.get("statusCode", 200) == 200, answer
    first_ms = (time.perf_counter() - began) * 1000
import json
print(json.dumps({{"wall_ms": took_ms, "import_ms": cpu_ms, "modules": modules, "first_call_ms": first_ms}}))
"""

_REQUEST = http_event("GET", "/api/metadata/workflow", "")
# The first event of each: one that makes calls to AWS, but needs nothing to be there except tables and queues.
_EVENTS: Mapping[str, Mapping[str, Any]] = {"decider": {}, "timers": {}, "api": _REQUEST}


def python() -> str:
    """The runtime's version, the bundle's own finder; without it the one at hand, which cannot load the asset's binaries."""
    found = bundle.find_python()
    if found is None:
        sys.exit(f"bench-cold-start: no Python {bundle.PYTHON}, the runtime's; `uv python install {bundle.PYTHON}` brings one")
    return os.path.realpath(_itself(found))


def _itself(command: str) -> str:
    """The interpreter behind a shim, which would take a second of its own."""
    return subprocess.run([command, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, check=True).stdout.strip()


def is_optimized(interpreter: str) -> bool:
    """Whether it was built as Lambda's is, by profile: one that was not takes a fifth longer and more."""
    code = "import sysconfig; print('--enable-optimizations' in (sysconfig.get_config_var('CONFIG_ARGS') or ''))"
    return subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "True"


def run(interpreter: str, asset: Path, what: str, settings: Settings, *, with_call: bool) -> dict[str, Any]:
    code = _IMPORT.format(asset=str(asset), what=what, event=dict(_EVENTS[what]) if with_call else None)
    environment = {**settings.to_env(), "AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "local", "PATH": os.environ["PATH"]}
    done = subprocess.run([interpreter, "-I", "-B", "-c", code], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{what}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(interpreter: str, asset: Path, settings: Settings, *, with_call: bool) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {what: [] for what in HANDLERS}
    for what in HANDLERS:
        run(interpreter, asset, what, settings, with_call=with_call)  # the files come into the page cache
    for _ in range(ROUNDS):
        for what in HANDLERS:
            found[what].append(run(interpreter, asset, what, settings, with_call=with_call))
    return found


def check_compiled(asset: Path) -> float:
    """The share of modules that have compiled files; less than all would measure the compiler."""
    sources = list(asset.rglob("*.py"))
    compiled = sum(1 for _ in asset.rglob("__pycache__/*.pyc"))
    return compiled / len(sources)


def _settings(endpoint: str) -> Settings:
    keys = (b"the benchmark's only key",)
    return Settings(stage="cold", region=REGION, bucket="cold", token_keys=keys, is_local=True, endpoint_url=endpoint)


def first_calls(interpreter: str, asset: Path) -> dict[str, float]:
    """The first event of a new environment, on the emulator: connections, and the code that runs for the first time."""
    from batuta_server.aws.provision import provision
    from batuta_server.aws.signature import Credentials
    from batuta_server.bootstrap import connect

    emulator = Emulator()
    try:
        emulator.wait_until_ready()
        settings = _settings(emulator.endpoint)
        transport = connect(settings, Credentials(ACCOUNT, "local"))
        provision(settings, transport)
        transport.close()
        found = measure(interpreter, asset, settings, with_call=True)
    finally:
        emulator.stop()
    return {what: round(statistics.median(row["first_call_ms"] for row in rows), 1) for what, rows in found.items()}


def main() -> None:
    began = time.monotonic()
    interpreter = python()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an asset without compiled files would say nothing of Lambda
        assets = {arch: bundle.build(arch) for arch in (X86_64, ARM64)}
    asset_mb = {arch: round(bundle.size_mb(asset), 2) for arch, asset in assets.items()}
    asset = assets[X86_64]
    found = measure(interpreter, asset, _settings("http://127.0.0.1:9"), with_call=False)
    calls = first_calls(interpreter, asset)
    rows = [
        {
            "handler": what,
            "import_ms": round(statistics.median(row["import_ms"] for row in found[what]), 1),
            "fastest": round(min(row["import_ms"] for row in found[what]), 1),
            "slowest": round(max(row["import_ms"] for row in found[what]), 1),
            "wall_ms": round(statistics.median(row["wall_ms"] for row in found[what]), 1),
            "target": TARGETS_MS[what],
            "modules": found[what][0]["modules"],
            "first_call_ms": calls[what],
        }
        for what in HANDLERS
    ]
    print(report.table(rows))
    version = subprocess.run([interpreter, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    print(f"\n{ROUNDS} fresh interpreters each, Python {version}; asset {asset_mb[ARM64]} MB (arm64), {asset_mb[X86_64]} MB (x86_64)")
    report.write(
        "cold_start",
        {
            "import_ms": {row["handler"]: row["import_ms"] for row in rows},
            "targets_ms": TARGETS_MS,
            "modules": {row["handler"]: row["modules"] for row in rows},
            "first_call_ms": calls,
            "asset_mb": max(asset_mb.values()),
            "asset_target_mb": ASSET_TARGET_MB,
            "assets_mb": asset_mb,
            "compiled_share": round(check_compiled(asset), 3),
            "interpreter": version,
            "is_optimized_build": is_optimized(interpreter),
            "import_wall_ms": {row["handler"]: row["wall_ms"] for row in rows},
            "rounds": ROUNDS,
            "spread_ms": {row["handler"]: [row["fastest"], row["slowest"]] for row in rows},
            "took_s": round(time.monotonic() - began, 1),
        },
    )


if __name__ == "__main__":
    main()
