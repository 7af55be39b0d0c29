"""The worker process of the step benchmark: a task says when it began and returned, when its message came, and when the result before it
was sent, by the bytes on the wire."""

import time
from typing import Any

from botocore.httpsession import URLLib3Session

from batuta import Worker, task

_noted = {"sent_ns": 0, "received_ns": 0}
_plain_send = URLLib3Session.send


def _send(self: URLLib3Session, request: Any) -> Any:
    target = request.headers.get("X-Amz-Target", b"")
    if target == b"AmazonSQS.SendMessageBatch":
        _noted["sent_ns"] = time.time_ns()
    answer = _plain_send(self, request)
    if target == b"AmazonSQS.ReceiveMessage" and b'"Messages"' in answer.content:
        _noted["received_ns"] = time.time_ns()
    return answer


@task("step_work")
def step_work(x: int) -> dict[str, int]:
    began_ns = time.time_ns()
    return {**_noted, "began_ns": began_ns, "ended_ns": time.time_ns()}


if __name__ == "__main__":
    URLLib3Session.send = _send
    Worker(step_work).run()
