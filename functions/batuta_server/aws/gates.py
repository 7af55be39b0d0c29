"""Gates in DynamoDB: an item for where one stands, and an item for each that waits at it, in order of the sort key."""

from __future__ import annotations

from collections.abc import Sequence

from batuta_core.engine.ports import GateOvertaken
from batuta_core.model.gate import Entry, GateId, GateState
from batuta_core.model.ids import short_hash
from batuta_server.aws.dynamodb import ConditionFailed, Item, Table, binary, bytes_of, number, text, text_of

_STATE = "="  # sorts behind all that wait, which begin with a digit


class DynamoGates:
    """The state is the item (gate#ns#hash, =), an entry the item (gate#ns#hash, its sort key), which says all of it."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, gate: GateId) -> GateState:
        item = self._table.get(_key(gate, _STATE), is_consistent=True)
        return GateState.from_bytes(gate.namespace, bytes_of(item, "d")) if item else GateState()

    def write(self, gate: GateId, state: GateState) -> None:
        item = {**_key(gate, _STATE), "d": binary(state.to_bytes()), "v": number(state.version)}
        try:
            if state.version == 1:
                self._table.call("PutItem", Item=item, ConditionExpression="attribute_not_exists(pk)")
            else:
                values = {":before": number(state.version - 1)}
                self._table.call("PutItem", Item=item, ConditionExpression="v = :before", ExpressionAttributeValues=values)
        except ConditionFailed as error:
            raise GateOvertaken(f"the gate {gate} was overtaken") from error

    def wait(self, gate: GateId, entries: Sequence[Entry]) -> None:
        self._table.batch_put([_key(gate, entry.sort_key) for entry in dict.fromkeys(entries)])

    def waiting(self, gate: GateId, limit: int, after: str = "") -> Sequence[Entry]:
        answer = self._table.call(
            "Query",
            KeyConditionExpression="pk = :pk AND sk BETWEEN :after AND :last",
            ExpressionAttributeValues={":pk": _key(gate, "")["pk"], ":after": text(f"{after}!" if after else "!"), ":last": text(":")},
            ConsistentRead=True,
            Limit=limit,
        )
        return [Entry.from_sort_key(gate.namespace, text_of(item, "sk")) for item in answer["Items"]]

    def forget(self, gate: GateId, entries: Sequence[Entry]) -> None:
        self._table.batch_delete([_key(gate, entry.sort_key) for entry in dict.fromkeys(entries)])


def _key(gate: GateId, sort_key: str) -> Item:
    """Names of task types hold any characters, so the key holds their hash."""
    return {"pk": text(f"gate#{gate.namespace}#{short_hash(gate.name)}"), "sk": text(sort_key)}
