"""The worker process of the SDK line."""

from batuta import Worker, task


@task("sdk_work", max_in_progress=20)
def sdk_work(x: int) -> dict[str, str]:
    return {"text": "x" * 400}


if __name__ == "__main__":
    Worker(sdk_work).run()
