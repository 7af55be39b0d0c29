"""What Lambda imports for CloudFormation's custom resource: it makes what a template cannot, and clears away what no template made.

CloudFormation waits for an answer whatever happens here, so there always is one. Every request may come twice.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3

from batuta_server.stage import leftovers, ring
from batuta_server.stage.reply import send_reply

_log = logging.getLogger()  # Lambda's own handler makes JSON of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The resource's properties. CloudFormation makes texts of all values."""

    stage: str
    parameter: str
    generation: int
    is_retained: bool
    bucket: str  # to be emptied at the end; empty: none

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Wanted:
        return cls(
            stage=properties["Stage"],
            parameter=properties["Parameter"],
            generation=int(properties["Generation"]),
            is_retained=properties["Retain"] == "true",
            bucket=properties.get("Bucket", ""),
        )


def handle(event: Mapping[str, Any], context: Any) -> None:
    reason = ""
    try:
        _do(event["RequestType"], Wanted.from_properties(event["ResourceProperties"]))
    except Exception as error:  # whatever it is, CloudFormation must hear of it, or it waits
        _log.exception("stage_failed")
        reason = f"{type(error).__name__}: {error}"
    # The id never changes, so that no update of the stack is taken for a replacement, which would delete the keys.
    send_reply(event, physical_id=f"batuta-{event['ResourceProperties'].get('Stage', '')}", reason=reason)


def _do(request: str, wanted: Wanted) -> None:
    if request == "Delete":
        _clear(wanted)
    else:
        _keep_ring(boto3.client("ssm"), wanted)


def _keep_ring(ssm: Any, wanted: Wanted) -> None:
    """Has the ring there, with a key of the wanted generation."""
    try:
        kept = ring.Ring.from_text(ssm.get_parameter(Name=wanted.parameter, WithDecryption=True)["Parameter"]["Value"])
    except ssm.exceptions.ParameterNotFound:
        kept = ring.Ring()
    turned = ring.turn(kept, wanted.generation, time.time_ns() // 1_000_000)
    if turned == kept:
        return
    ssm.put_parameter(
        Name=wanted.parameter,
        Value=turned.to_text(),
        Type="SecureString",
        Overwrite=True,
        Description="Batuta: what tokens and messages are signed with, the newest first",
    )
    _log.info(json.dumps({"event": "keys_turned", "generation": turned.generation, "keys": len(turned.keys)}))


def _clear(wanted: Wanted) -> None:
    count = leftovers.delete_task_queues(boto3.client("sqs"), wanted.stage)
    _log.info(json.dumps({"event": "task_queues_deleted", "count": count}))
    if wanted.bucket:
        leftovers.empty_bucket(boto3.client("s3"), wanted.bucket)
    if not wanted.is_retained:
        ssm = boto3.client("ssm")
        try:
            ssm.delete_parameter(Name=wanted.parameter)
        except ssm.exceptions.ParameterNotFound:
            pass  # deleted by the same request, the first time it came
