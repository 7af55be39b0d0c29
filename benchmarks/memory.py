"""How much memory each function needs, and what each size of memory would make of its time and price.

Each case runs in a fresh interpreter of the runtime's version, from the asset that is deployed, against the emulator: the import, then
the case's events one after the other, parsed from JSON and answered in JSON as Lambda's runtime does. The typical event gives CPU time
and calls, the worst ones, each at a limit of ours or of AWS's, the peak of memory. A size fits when it holds the peak ``MARGIN`` times
and the worst event ends before the function's timeout.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from batuta_core.engine.ports import FUNCTION_VISIBILITY_S, NullLog
from batuta_server.aws.provision import provision
from batuta_server.aws.signature import Credentials
from batuta_server.bootstrap import connect, make_ports
from batuta_server.local.emulator import ACCOUNT, REGION, Emulator
from batuta_server.settings import Settings
from benchmarks import prices, report
from benchmarks.cold_start import HANDLERS, python
from benchmarks.memory_load import TYPICAL, Case, Load
from benchmarks.stage import WAIT_MS
from infra import bundle
from infra.parameters import X86_64, StageParameters

SIZES_MB = (128, 256, 512, 1024, prices.LAMBDA_CPU_MB)
MARGIN = 1.5
TIMEOUT_S = FUNCTION_VISIBILITY_S // 6  # as in infra/functions.py
# An empty Python function reports 30 to 40 MB as "Max Memory Used", of which a bare interpreter has 10; it is added all, to be safe.
RUNTIME_MB = 30
_RUNTIME = "runtime"
_BOTO3 = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
_WAIT_MS = {**WAIT_MS, "s3": 30.0}

# In the interpreter that is measured. VmHWM, since ``ru_maxrss`` begins with what the parent had before exec (Linux).
_RUN = """
import collections, json, sys, time
sys.path[:0], sys.path[len(sys.path):] = [{asset!r}], [{runtime!r}]
def peak_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
began = time.process_time()
import batuta_server.{what}.entry as entry
import_ms, import_mb = (time.process_time() - began) * 1000, peak_mb()
from batuta_server.aws.payloads import S3Payloads
from batuta_server.aws.transport import Transport
calls = collections.Counter()
def counted(inner, name):
    def call(self, *given, **named):
        calls[name(given)] += 1
        return inner(self, *given, **named)
    return call
Transport.call = counted(Transport.call, lambda given: given[0])
S3Payloads._call = counted(S3Payloads._call, lambda given: "s3")
with open({events!r}, "rb") as file:
    for raw in file:
        calls.clear()
        began = time.process_time()
        answer = json.dumps(entry.handle(json.loads(raw), None), ensure_ascii=False).encode("utf-8", "replace")
        cpu_ms = (time.process_time() - began) * 1000
        facts = {{"cpu_ms": cpu_ms, "calls": calls, "peak_mb": peak_mb(), "answer": answer.decode()[:300], "answer_bytes": len(answer)}}
        print(json.dumps({{"import_ms": import_ms, "import_mb": import_mb, **facts}}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of one case. ``cpu_ms`` and ``calls`` are of its median event, of a typical case's warm ones."""

    case: Case
    import_ms: float
    import_mb: float
    peak_mb: float
    cpu_ms: float
    calls: Mapping[str, int]
    answer_bytes: int

    @property
    def wait_ms(self) -> float:
        return sum(_WAIT_MS[service] * count for service, count in self.calls.items())

    def ms(self, size_mb: int) -> float:
        """How long an event takes. A function has the share of a CPU that its memory is of 1,769 MB."""
        return self.cpu_ms * max(1.0, prices.LAMBDA_CPU_MB / size_mb) + self.wait_ms

    def row(self) -> dict[str, Any]:
        return {
            "function": self.case.what,
            "case": self.case.name,
            "peak_mb": round(self.peak_mb, 1),
            "after_import_mb": round(self.import_mb, 1),
            "import_ms": round(self.import_ms, 1),
            "cpu_ms": round(self.cpu_ms, 2),
            "calls": sum(self.calls.values()),
            "answer_mb": round(self.answer_bytes / 1e6, 1),
        }


def bring_boto3(interpreter: str, folder: Path) -> None:
    """Lambda's runtime has boto3, which large payloads need; here it is this environment's, compiled for the interpreter."""
    target = folder / _RUNTIME
    target.mkdir()
    for module in _BOTO3:
        spec = find_spec(module)
        source = Path(str(spec and spec.origin))
        if source.name == "__init__.py":
            shutil.copytree(source.parent, target / module, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    subprocess.run([interpreter, "-m", "compileall", "-q", str(target)], check=True)


def run(interpreter: str, asset: Path, settings: Settings, case: Case, folder: Path) -> Found:
    events = folder / "events.jsonl"
    events.write_text("".join(json.dumps(event) + "\n" for event in case.events))
    code = _RUN.format(asset=str(asset), what=case.what, events=str(events), runtime=str(folder / _RUNTIME))
    credentials = {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "local"}
    environment = {**settings.to_env(), **credentials, "PATH": os.environ["PATH"]}
    done = subprocess.run([interpreter, "-I", "-B", "-c", code], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{case.what}, {case.name}: {done.stderr}")
    rows = [row for line in done.stdout.splitlines() if "peak_mb" in (row := json.loads(line))]
    for row in rows:
        if '"statusCode": 200' not in row["answer"] and '"batchItemFailures": []' not in row["answer"]:
            raise RuntimeError(f"{case.what}, {case.name}: {row['answer']}\n{done.stdout[:2000]}")
    warm = sorted(rows[len(rows) // 2 :], key=lambda row: row["cpu_ms"])
    median = warm[len(warm) // 2]
    return Found(
        case=case,
        import_ms=rows[0]["import_ms"],
        import_mb=rows[0]["import_mb"],
        peak_mb=max(row["peak_mb"] for row in rows),
        cpu_ms=median["cpu_ms"],
        calls=median["calls"],
        answer_bytes=median["answer_bytes"],
    )


def size_rows(found: Sequence[Found]) -> list[dict[str, Any]]:
    """Of one function: what each size of memory makes of it. The peak is the highest of the cases at a limit."""
    typical = next(one for one in found if one.case.name == TYPICAL)
    counted = [one for one in found if not one.case.is_beyond]
    needed_mb = (max(one.peak_mb for one in counted) + RUNTIME_MB) * MARGIN
    rows = []
    for size_mb in SIZES_MB:
        ms, worst_s = typical.ms(size_mb), max(one.ms(size_mb) for one in counted) / 1000
        gb_s = math.ceil(ms) / 1000 * size_mb / 1024
        rows.append(
            {
                "function": typical.case.what,
                "memory_mb": size_mb,
                "holds_peak": size_mb >= needed_mb,
                "worst_s": round(worst_s, 1),
                "fits": size_mb >= needed_mb and worst_s < TIMEOUT_S,
                "typical_ms": round(ms, 1),
                "usd_per_million": round(prices.LAMBDA_GB_S.of(gb_s * prices.MILLION) + prices.LAMBDA_REQUEST.of(prices.MILLION), 2),
                "cold_start_ms": round(typical.import_ms * max(1.0, prices.LAMBDA_CPU_MB / size_mb)),
            }
        )
    return rows


def measure(interpreter: str, asset: Path) -> list[Found]:
    emulator = Emulator()
    try:
        emulator.wait_until_ready()
        keys = (b"the benchmark's only key",)
        settings = Settings(stage="memory", region=REGION, bucket="memory", token_keys=keys, is_local=True, endpoint_url=emulator.endpoint)
        transport = connect(settings, Credentials(ACCOUNT, "local"))
        provision(settings, transport)
        with tempfile.TemporaryDirectory() as folder:
            bring_boto3(interpreter, Path(folder))
            load = Load(make_ports(settings, transport, NullLog()))
            return [run(interpreter, asset, settings, case, Path(folder)) for case in load.cases()]
    finally:
        emulator.stop()


def main() -> None:
    began = time.monotonic()
    interpreter = python()
    found = measure(interpreter, bundle.build(X86_64))
    cases = [one.row() for one in found]
    print(report.table(cases))
    chosen = {what: getattr(StageParameters(), f"{what}_memory_mb") for what in HANDLERS}
    sizes = {what: size_rows([one for one in found if one.case.what == what]) for what in HANDLERS}
    for rows in sizes.values():
        print("\n" + report.table(rows))
    fits = {what: next(row["fits"] for row in sizes[what] if row["memory_mb"] == chosen[what]) for what in HANDLERS}
    print(f"\nchosen: {chosen}; fits: {fits}")
    report.write(
        "memory",
        {
            "chosen_mb": chosen,
            "fits": fits,
            "cases": cases,
            "sizes": sizes,
            "assumptions": {
                "margin": MARGIN,
                "runtime_client_mb": RUNTIME_MB,
                "timeout_s": TIMEOUT_S,
                "wait_ms_per_call": _WAIT_MS,
                "prices": f"{prices.REGION}, list, read on {prices.READ_ON}",
                "cpu": f"a function has memory / {prices.LAMBDA_CPU_MB} MB of a CPU, which is taken to be as fast as this one",
            },
            "took_s": round(time.monotonic() - began, 1),
        },
    )


if __name__ == "__main__":
    main()
