"""What a stage has made at run time, and a stack that is deleted would leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batuta_core.model.names import resource_name

_DELETE_MAX = 1000  # quota of DeleteObjects; of ListQueues, too


def delete_task_queues(sqs: Any, stage: str) -> int:
    """Deletes the task queues of the stage; how many it were. ``engine/requeue.py`` sends again what lay in them."""
    count = 0
    prefix = resource_name(stage, "")
    for url in list(_queue_urls(sqs, prefix)):
        if "--" not in url.rpartition("/")[2].removeprefix(prefix):
            continue  # the stack's own, which it deletes itself
        try:
            sqs.delete_queue(QueueUrl=url)
            count += 1
        except sqs.exceptions.QueueDoesNotExist:
            continue  # lists are a minute behind
    return count


def _queue_urls(sqs: Any, prefix: str) -> Iterator[str]:
    request = {"QueueNamePrefix": prefix, "MaxResults": _DELETE_MAX}
    while True:
        page = sqs.list_queues(**request)
        yield from page.get("QueueUrls", ())
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]


def empty_bucket(s3: Any, bucket: str) -> None:
    """CloudFormation deletes empty buckets only."""
    while True:
        try:
            page = s3.list_objects_v2(Bucket=bucket, MaxKeys=_DELETE_MAX)
        except s3.exceptions.NoSuchBucket:
            return
        keys = [{"Key": item["Key"]} for item in page.get("Contents", ())]
        if not keys:
            return
        failed = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True}).get("Errors")
        if failed:
            raise RuntimeError(f"{bucket}: {len(failed)} payloads could not be deleted: {failed[0].get('Code')}; delete the stack again")
