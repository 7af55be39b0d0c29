"""Builds in one mutant after the other and says which survive: ``python -m tests.simulation.mutants [NAME ...]``."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.simulation.mutants.build_in import ALL
from tests.simulation.scenarios import SCENARIOS

_SEEDS = 10_000


def _is_caught(name: str) -> tuple[str, bool, str, float]:
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.simulation.run", "--mutant", name, "--seeds", str(_SEEDS), "--jobs", "1", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    first = next((line for line in done.stdout.splitlines() if line.startswith("FAILED")), (done.stderr.splitlines() or ["?"])[-1])
    return name, done.returncode == 1 and first.startswith("FAILED"), first, time.monotonic() - began


def main() -> int:
    """Exit status 1 when one survives."""
    names = sys.argv[1:] or list(ALL)
    for scenario in SCENARIOS:  # one that fails without a mutant would catch them all
        scenario()
    survivors = []
    with ThreadPoolExecutor(2) as pool:
        for name, is_caught, first, took_s in pool.map(_is_caught, names):
            print(f"{'caught' if is_caught else 'SURVIVED':<9} {name:<45} {took_s:5.1f} s  {first[:110]}", flush=True)
            if not is_caught:
                survivors.append(name)
    print(f"mutants: {len(names)} of the protocol, {len(names) - len(survivors)} caught, {len(survivors)} survived {survivors or ''}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
