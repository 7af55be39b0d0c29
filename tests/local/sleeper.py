"""A worker process for tests: python -m tests.local.sleeper TASK_TYPE SECONDS. It gives a running task 2 s more when it is stopped."""

import os
import sys
import time

from batuta import Worker, task

task_type, seconds = sys.argv[1], float(sys.argv[2])


@task(task_type)
def work(x: int = 0) -> dict[str, int]:
    print("begun", flush=True)
    time.sleep(seconds)
    return {"x": x, "pid": os.getpid()}


Worker(work, graceful_shutdown_s=2).run()
