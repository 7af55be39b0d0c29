"""A worker in a process of its own, for signals: two tasks, one short and one of a minute."""

from __future__ import annotations

import os
import sys
import threading
import time

from tests.unit.sdk.memory import FAST, STAGE, MemoryQueues

from batuta import Worker, task
from batuta_core.model.event import TaskHandedBack

begun = 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")  # in one piece: several threads speak
    sys.stdout.flush()


def note() -> None:
    global begun
    begun += 1
    say(f"begun {begun}")


@task("short")
def short() -> None:
    note()
    time.sleep(0.1)


@task("long")
def long() -> None:
    note()
    time.sleep(60)


@task("child", run_in_process=True)
def child() -> None:
    say(f"child {os.getpid()}")
    time.sleep(60)


def main() -> None:
    queues = MemoryQueues()
    for name in ("short", "long", *sys.argv[2:3]):
        queues.put("child" if name == "process" else name)
    worker = Worker(short, long, child, queues=queues, stage=STAGE, timing=FAST, graceful_shutdown_s=float(sys.argv[1]))

    def watch() -> None:
        said = set()
        while True:
            state = worker.health().state
            if state not in said:
                said.add(state)
                say(state)
            time.sleep(0.002)

    threading.Thread(target=watch, daemon=True).start()
    worker.run()
    say(f"completed {len(queues.results())}")
    say(f"handed back {len({event.place for event in queues.events(TaskHandedBack)})}")
    say("run() returned")


if __name__ == "__main__":
    main()
