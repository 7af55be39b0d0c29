"""What event handlers did, in DynamoDB: an item per action, beside the executions, for as long as its event may come again."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

from batuta_core.engine.event_ports import ACTION_KEPT_S, ActionStatus, HandlerAction
from batuta_core.model import ids
from batuta_server.aws.dynamodb import ConditionFailed, Item, Table, binary, bytes_of, number, text, without_surrogates

_OUTPUT_MAX_BYTES = 300 * 1024  # DynamoDB quota "item size" is 400 KB; the rest is for names


class DynamoHandlerActions:
    """The item (ns#!event#message, hash of handler and index): no workflow id begins so."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def begin(self, action: HandlerAction) -> HandlerAction | None:
        try:
            self._table.call(
                "PutItem",
                Item=_item(action),
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as failed:
            if failed.item is not None:
                return _action(failed.item, action.namespace, action.message_id)
            raise  # it was there, so it is told
        return None

    def end(self, action: HandlerAction) -> None:
        self._table.call("PutItem", Item=_item(action))

    def of_message(self, namespace: str, message_id: str) -> Sequence[HandlerAction]:
        request = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": _partition(namespace, message_id)}}
        pages = self._table.query(**request, ConsistentRead=True)
        found = [_action(item, namespace, message_id) for page in pages for item in page]
        return sorted(found, key=lambda action: (action.handler, action.index))


def _partition(namespace: str, message_id: str) -> dict[str, str]:
    return text(without_surrogates(f"{namespace}#!event#{message_id}"))


def _item(action: HandlerAction) -> dict[str, Any]:
    body = {
        "handler": action.handler,
        "index": action.index,
        "event": action.event,
        "action": action.action,
        "at": action.at_ms,
        "status": action.status.value,
        "wf": action.workflow_id,
        "since": action.since,
        "output": dict(action.output),
    }
    raw = _packed(body)
    if len(raw) > _OUTPUT_MAX_BYTES:
        raw = _packed({**body, "output": {"omitted": f"{len(raw)} bytes"}})
    number_ = int.from_bytes(ids.digest_of(action.handler, str(action.index))[:12], "big")  # DynamoDB's numbers have 38 digits
    return {
        "pk": _partition(action.namespace, action.message_id),
        "seq": number(number_),
        "b": binary(raw),
        "ttl": number(action.at_ms // 1000 + ACTION_KEPT_S),
    }


def _packed(body: dict[str, Any]) -> bytes:
    return zlib.compress(json.dumps(body, separators=(",", ":")).encode("ascii"))


def _action(item: Item, namespace: str, message_id: str) -> HandlerAction:
    body = json.loads(zlib.decompress(bytes_of(item, "b")))
    return HandlerAction(
        namespace=namespace,
        message_id=message_id,
        handler=body["handler"],
        index=body["index"],
        event=body["event"],
        action=body["action"],
        at_ms=body["at"],
        status=ActionStatus(body["status"]),
        workflow_id=body["wf"],
        since=body["since"],
        output=body["output"],
    )
