"""The answer to CloudFormation: a PUT to the address that the request brought."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

_TIMEOUT_S = 10
_REASON_MAX_CHARS = 1000  # CloudFormation takes answers up to 4 KB


def send_reply(event: Mapping[str, Any], *, physical_id: str, reason: str) -> None:
    """``reason``: why it failed; empty: it did not."""
    answer = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason[:_REASON_MAX_CHARS],
        "PhysicalResourceId": event.get("PhysicalResourceId", physical_id),
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    # The URL is signed for an empty content type.
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), {"Content-Type": ""}, method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310 - the address is CloudFormation's
        pass
