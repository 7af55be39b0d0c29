"""Runs seeded schedules: ``python -m tests.simulation.run --seeds 2000 --from 0``. Exit status 1 and the seed when one fails.

A failing seed is run again with ``--trace``, which prints every I/O call and the journals.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator
from itertools import islice

from batuta_core.simulator.faults import Hits
from tests.simulation.mutants import build_in

_CHUNK = 50


def main() -> int:
    options = _options()
    if options.mutant:
        build_in.install(options.mutant)
    if options.trace:
        return _trace(options.first)
    if options.mutant and (caught := _first_told_violation()):
        print(f"FAILED {caught[:1500]}")
        return 1
    began = time.monotonic()
    hits, faults, done, failed = Hits(), [], 0, []
    chunks = _chunks(options.first, options.seeds)
    for seeds, counts, per_schedule, failures in _results(chunks, options.jobs):
        hits.counts.update(counts)
        faults += per_schedule
        done += seeds
        failed += failures
        if failed:
            break
    took_s = time.monotonic() - began
    for seed, text in failed[:5]:
        print(
            f"FAILED seed {seed}: {text[:1500]}\n  make sim SEEDS=1 FROM={seed}   (or python -m tests.simulation.run --trace --from {seed})"
        )
    if not options.quiet:
        print(hits.table())
    missing = hits.missing()
    if missing and not failed and options.seeds >= options.complete_from:
        print(f"never hit: {missing}")
    print(
        f"simulation: {done} schedules from seed {options.first}, {len(failed)} failed, {hits.total()} faults, "
        f"median {statistics.median(faults) if faults else 0:g} a schedule, {len(missing)} pairs of fault and call site never hit, "
        f"{took_s:.0f} s"
    )
    return 1 if failed or (missing and options.seeds >= options.complete_from) else 0


def _first_told_violation() -> str | None:
    """Of a mutant: one is enough."""
    from tests.simulation.scenarios import SCENARIOS

    for scenario in SCENARIOS:
        try:
            scenario()
        except Exception as error:
            return f"{scenario.__name__}: {type(error).__name__}: {error}"
    return None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--mutant", help="run with this fault built into the protocol")
    parser.add_argument("--trace", action="store_true", help="run the seed of --from alone, and print what happened")
    parser.add_argument("--quiet", action="store_true", help="leave out the table of hits")
    parser.add_argument("--complete-from", type=int, default=5000, help="so many seeds must hit every fault at every call site")
    return parser.parse_args()


def _chunks(first: int, seeds: int) -> Iterator[range]:
    everything = iter(range(first, first + seeds))
    while chunk := list(islice(everything, _CHUNK)):
        yield range(chunk[0], chunk[-1] + 1)


_Result = tuple[int, dict[tuple[str, str], int], list[int], list[tuple[int, str]]]


def _results(chunks: Iterator[range], jobs: int) -> Iterator[_Result]:
    if jobs <= 1:
        yield from map(_run, chunks)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap_unordered(_run, chunks)


def _run(seeds: range) -> _Result:
    from tests.simulation.schedule import run_seed

    hits, faults, failures = Hits(), [], []
    for seed in seeds:
        before = hits.total()
        try:
            run_seed(seed, hits)
        except Exception as error:
            failures.append((seed, f"{type(error).__name__}: {error}"))
        faults.append(hits.total() - before)
    return len(seeds), dict(hits.counts), faults, failures


def _trace(seed: int) -> int:
    from tests.simulation import plan, schedule

    trace: list[str] = []
    runs: list[plan.Run] = []
    status = 0
    try:
        schedule.run_seed(seed, trace=trace, runs=runs)
    except Exception as error:
        trace.append(f"{type(error).__name__}: {error}")
        status = 1
    print("\n".join(trace))
    for run in runs:
        for execution, records in run.watcher.records.items():
            print(execution)
            for record in records:
                print("   ", json.dumps(record.to_dict()))
    return status


if __name__ == "__main__":
    sys.exit(main())
