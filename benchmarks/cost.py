"""What a task costs: every AWS call of a ten-task line counted, from the HTTP start to the far timer that nobody needs any more.

Two profiles: one execution alone, so that nothing is ever batched; ten side by side, so that every batch holds ten. Each for three
kinds of input (``cost_load.Inputs``), and each priced for slower answers of AWS, too: the headline is for inputs that repeat the
workflow's, the targets are held against all of them. Then lines of 10 to 10,000 tasks in one execution, to see whether the price of a
task depends on what came before it; then an idle month.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from batuta_server import layout
from benchmarks import idle, prices, report, sizes
from benchmarks.cost_load import AFTERMATH_MINUTES, INPUT_BYTES, OUTPUT_BYTES, Inputs, Load
from benchmarks.ledger import Ledger
from benchmarks.stage import SOCKET_CPU_MS, STAGE, WAIT_MS, WAITED_FOR

TASKS = 10
TARGETS = {
    "usd_per_million_tasks_unbatched": 4.75,
    "usd_per_million_tasks_batched": 2.00,
    "write_units_per_task": 2,
    "cost_per_task_10000_over_10": 1.2,
    "idle_usd_per_month": 1.50,
}
SLOWER_WAITS_MS: tuple[Mapping[str, float], ...] = ({"dynamodb": 8.0, "sqs": 12.0}, {"dynamodb": 10.0, "sqs": 20.0})
SERVERS_USD_PER_MONTH = 190  # the smallest highly available Conductor: two servers, PostgreSQL on two zones, a load balancer

_HEADINGS = {  # the first that fits; "who: what"
    "timers: DynamoDB": "timers and guards",
    "timers: ": "timers and guards",
    " timers": "timers and guards",
    "for timers": "timers and guards",
    "gateway:": "API: gateway, function, access log",
    "api: Lambda": "API: gateway, function, access log",
    "api: log": "API: gateway, function, access log",
    "UpdateItem executions": "summary and its indexes",
    "write units": "journal: writes",
    "read units": "reads",
    "SQS": "queues",
    "Lambda": "decider's time",
    "log": "decider's log",
}


def profile(side_by_side: int, rounds: int, inputs: Inputs = Inputs.REPEATED) -> dict[str, Any]:
    """``rounds`` times so many executions, after one that warms up. What ticks cost anyway belongs to the idle month."""
    load = Load(side_by_side, inputs)
    try:
        load.register(TASKS)
        load.run(TASKS)
        used, tick = _run(load, rounds)
        kept = _stored_bytes(load) / (side_by_side * (rounds + 1) * TASKS)
        lines = {what: load.stage.log_line(what) for what in ("api", "decider")}
        memory_mb = load.stage.memory_mb
    finally:
        load.stop()
    count = side_by_side * rounds * TASKS
    if not used.amount("log, our line") or not tick.amount("log, our line"):
        raise RuntimeError("the functions' log lines went somewhere else, so that what they cost is missing")
    return {
        "usd_per_million_tasks": round(used.total_usd / count * prices.MILLION, 3),
        "usd_by_wait_ms": {
            f"{waits['dynamodb']:g}/{waits['sqs']:g}": round(_with_waits(used, waits, memory_mb) / count * prices.MILLION, 3)
            for waits in (WAIT_MS, *SLOWER_WAITS_MS)
        },
        "by": used.by(_HEADINGS, count),
        "items": used.rows(count),
        "write_units_per_task": round(used.amount("write units") / count, 3),
        "stored_bytes_per_task": round(kept),
        "log_lines": lines,
        "memory_mb": memory_mb,
        "tick": tick,
    }


def _with_waits(used: Ledger, waits_ms: Mapping[str, float], memory_mb: Mapping[str, int]) -> float:
    """What it costs where DynamoDB and SQS take so long to answer."""
    usd = used.total_usd
    for (who, what), count in used.amounts.items():
        if what.startswith(WAITED_FOR):
            service = what.removeprefix(WAITED_FOR)
            usd += prices.LAMBDA_GB_S.of(count * (waits_ms[service] - WAIT_MS[service]) / 1000 * memory_mb[who] / 1024)
    return usd


def _run(load: Load, rounds: int) -> tuple[Ledger, Ledger]:
    """What the executions used, and what one tick used."""
    stage = load.stage
    before = stage.ledger.copy()
    stage.pass_minutes(AFTERMATH_MINUTES)
    ticks = stage.ledger.since(before)
    before = stage.ledger.copy()
    for _ in range(rounds):
        load.run(TASKS)
    return stage.ledger.since(before).less(ticks, rounds), Ledger().less(ticks, -1 / AFTERMATH_MINUTES)


def _stored_bytes(load: Load) -> float:
    """With the 100 bytes that DynamoDB adds to each item and each line of an index ("storage overhead")."""
    table = load.stage.aws.dynamodb.tables[layout.EXECUTIONS.name(STAGE)]
    rows = [row for rows in table.partitions.values() for row in rows.values()]
    return sum(sizes.item_bytes(row) + 100 + (150 if "n" in row else 0) for row in rows)


def line(size: int, repeats: int) -> dict[str, Any]:
    """The marginal cost of a task in the middle of one execution: the first and the last one are not counted."""
    load = Load(1)
    began = time.monotonic()
    try:
        load.register(size)
        used = Ledger()
        for _ in range(repeats):
            load.start(size)
            load.step()
            before = load.stage.ledger.copy()
            for _ in range(size - 2):
                load.step()
            used = used.less(load.stage.ledger.since(before), -1)
            load.step()
    finally:
        load.stop()
    count = (size - 2) * repeats
    return {
        "tasks": size,
        "usd_per_million_tasks": round(used.total_usd / count * prices.MILLION, 4),
        "write_units": round(used.amount("write units") / count, 4),
        "read_units": round(used.amount("read units") / count, 4),
        "requests": round(sum(used.calls[line] for line in used.calls if "SQS" in line[1]) / count, 4),
        "decider_gb_s": round(used.amount("Lambda GB-s") / count, 5),
        "took_s": round(time.monotonic() - began, 1),
    }


def _of_input(inputs: Inputs, one: Mapping[str, Any], ten: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"input": inputs.name.lower(), "is": inputs.value, "write_units_per_task": one["write_units_per_task"]}
    for name, found in (("unbatched", one), ("batched", ten)):
        target = TARGETS[f"usd_per_million_tasks_{name}"]
        for waits, usd in found["usd_by_wait_ms"].items():
            row[f"{name} {waits}"] = usd
        row[f"{name} meets {target}"] = [waits for waits, usd in found["usd_by_wait_ms"].items() if usd <= target] or "never"
    return row


def by_load(unbatched: float, batched: float, idle_usd: float) -> list[dict[str, Any]]:
    return [
        {
            "tasks_per_month": f"{tasks:,}",
            "one at a time": round(idle_usd + unbatched * tasks / prices.MILLION, 2),
            "batches of ten": round(idle_usd + batched * tasks / prices.MILLION, 2),
            "servers": SERVERS_USD_PER_MONTH,
        }
        for tasks in (10_000, 1_000_000, 10_000_000, 100_000_000)
    ]


def main() -> None:
    profiles = {inputs: (profile(1, rounds=10, inputs=inputs), profile(10, rounds=3, inputs=inputs)) for inputs in Inputs}
    one, ten = profiles[Inputs.REPEATED]
    ticks = [found.pop("tick") for pair in profiles.values() for found in pair]
    for name, found in (("one execution at a time", one), ("ten side by side", ten)):
        print(f"\n{name}: ${found['usd_per_million_tasks']} per million tasks, starts and ends included\n")
        print(report.table(found["items"]))
        print(
            report.table([{"": heading, "usd_per_million": usd} for heading, usd in sorted(found["by"].items(), key=lambda row: -row[1])])
        )
    by_input = [_of_input(inputs, *pair) for inputs, pair in profiles.items()]
    print("\nby where a task's input comes from; waits are ms for DynamoDB / SQS\n")
    print(report.table(by_input))
    lines = [line(10, 20), line(100, 2), line(1000, 1), line(10_000, 1)]
    print("\na task in the middle of one execution, by its length\n")
    print(report.table(lines))
    monthly = idle.items(ticks[0], one["memory_mb"])
    workers = idle.waiting_workers()
    idle_usd = round(sum(item["usd_per_month"] for item in monthly), 3)
    print(f"\nan idle month: ${idle_usd}\n")
    print(report.table(monthly))
    print(report.table(workers))
    figures: dict[str, Any] = {
        "usd_per_million_tasks_unbatched": one["usd_per_million_tasks"],
        "usd_per_million_tasks_batched": ten["usd_per_million_tasks"],
        "write_units_per_task": one["write_units_per_task"],
        "write_units_per_task_in_the_middle": lines[-1]["write_units"],
        "cost_per_task_10000_over_10": round(lines[-1]["usd_per_million_tasks"] / lines[0]["usd_per_million_tasks"], 3),
        "idle_usd_per_month": idle_usd,
        "idle_usd_per_month_with_dashboard": round(idle_usd + prices.DASHBOARD.usd, 3),
    }
    loads = by_load(one["usd_per_million_tasks"], ten["usd_per_million_tasks"], idle_usd)
    print("\ndollars a month\n" + report.table(loads))
    _judge(figures)
    report.write(
        "cost",
        {
            **figures,
            "targets": TARGETS,
            "by_input": by_input,
            "unbatched": one,
            "batched": ten,
            "others": {inputs.name.lower(): {"unbatched": pair[0], "batched": pair[1]} for inputs, pair in list(profiles.items())[1:]},
            "lines": lines,
            "idle": monthly,
            "dashboard": "Off by default. By the list it is $3.00 a month, twice all the rest; an account's first three are free.",
            "idle_workers": workers,
            "by_load": loads,
            "servers_are_cheaper_above_tasks_per_month": {
                name: round((SERVERS_USD_PER_MONTH - idle_usd) / found["usd_per_million_tasks"] * prices.MILLION, -5)
                for name, found in (("unbatched", one), ("batched", ten))
            },
            "assumptions": _assumptions(),
        },
    )


def _judge(figures: Mapping[str, Any]) -> None:
    print()
    for name, target in TARGETS.items():
        print(f"{name:<34} {figures[name]:>8}  target {target:<5} {'' if figures[name] <= target else 'MISSED'}")
    print(f"{'idle_usd_per_month_with_dashboard':<34} {figures['idle_usd_per_month_with_dashboard']:>8}  (off by default: $3 by the list)")


def _assumptions() -> dict[str, Any]:
    return {
        "prices": f"{prices.REGION}, list, read on {prices.READ_ON}, no free tier, no volume discount",
        "input_bytes": INPUT_BYTES,
        "output_bytes": OUTPUT_BYTES,
        "wait_ms_per_call": dict(WAIT_MS),
        "cpu_ms_per_call_for_sockets_and_tls": SOCKET_CPU_MS,
        "cpu": f"measured here; a function has memory / {prices.LAMBDA_CPU_MB} MB of a CPU, which is taken to be as fast as this one",
        "pollers_per_event_source": idle.POLLERS,
        "environments": "warm: what a cold start reads is not in the price of a task",
    }


if __name__ == "__main__":
    main()
