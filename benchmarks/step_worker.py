"""The worker process of the step benchmark: a task says when it began and when it returned."""

import time

from batuta import Worker, task


@task("step_work")
def step_work(x: int) -> dict[str, int]:
    began_ns = time.time_ns()
    return {"began_ns": began_ns, "ended_ns": time.time_ns()}


if __name__ == "__main__":
    Worker(step_work).run()
