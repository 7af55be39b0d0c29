"""Definitions in DynamoDB: by name, frozen by content, and who polls for tasks. One partition per namespace.

Names hold any characters and so stand percent-encoded in the sort keys, which order nothing but the versions of one
name. A change and the namespace's revision are one transaction, so who reads a revision sees what it counted.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from batuta_core.engine.ports import ANY_TASK, NOTED_TASKS_MAX, Log, NullLog, PollData
from batuta_core.model.aws_codes import is_retriable
from batuta_core.model.error import BatutaError, DefinitionExists, InvalidInput, PayloadTooLarge, Problem, Unavailable
from batuta_server.aws.dynamodb import ConditionFailed, Item, Table, binary, bytes_of, number, number_of, text, text_of
from batuta_server.aws.errors import AwsError, to_batuta
from batuta_server.aws.transport import Transport, pause_s

BODY_MAX_BYTES = 390 * 1024  # DynamoDB quota "item size" is 400 KB; the rest is for keys
_SORT_KEY_MAX_BYTES = 1024  # DynamoDB quota "sort key"
_CHUNK_MAX_ITEMS = 99  # quota of TransactWriteItems is 100; one is the revision
_CHUNK_MAX_BYTES = 3 * 1024 * 1024  # its quota is 4 MB
_CONFLICTS_MAX = 12  # registrations in one namespace meet at its revision; with jitter, dozens at once get through
_VERSION_BASE = 2**31  # versions are whole numbers of 32 bits; lifted above 0, ten digits sort them

_POLL_TTL_S = 24 * 3600
_POLL_EVERY_MS = 5000  # a worker polls many times a second; that it is there needs no more
_POLLS_KEPT = 10_000

_REVISION = "!revision"
# Makes the item of a name, and leaves what it holds. An item with neither k nor t is of a version that noted no tasks.
_KNOWN = {"UpdateExpression": "SET k = :k", "ExpressionAttributeValues": {":k": {"N": "1"}}}


class DynamoDefinitions:
    def __init__(self, transport: Transport, table: Table, log: Log | None = None) -> None:
        self._transport = transport
        self._table = table
        self._log: Log = log or NullLog()
        self._polled_ms: dict[tuple[str, str], int] = {}

    def revision(self, namespace: str) -> int:
        item = self._table.get(_key(namespace, _REVISION), is_consistent=True)
        return number_of(item, "n") if item else 0

    # --- workflow definitions

    def put_workflows(self, namespace: str, definitions: Sequence[Mapping[str, Any]], *, is_new: bool = False) -> None:
        """Whole or not at all up to 49 definitions and 2 MB (compressed); beyond that, in chunks of at least so many."""
        named = {(str(definition["name"]), int(definition["version"])): definition for definition in definitions}
        condition = {"ConditionExpression": "attribute_not_exists(pk)"} if is_new else {}
        puts = [
            {"Put": {"TableName": self._table.name, "Item": _item(namespace, _workflow_key(*key), key[0], definition), **condition}}
            for key, definition in named.items()
        ]
        names = [
            {"Update": {"TableName": self._table.name, "Key": _key(namespace, _name_key(name)), **_KNOWN}}
            for name in {name: 0 for name, _ in named}
        ]
        refused = self._change(namespace, [*puts, *names])
        if refused is not None:
            name, version = list(named)[refused]
            raise DefinitionExists(f"Workflow with {name}.{version} already exists!")

    def workflow(self, namespace: str, name: str, version: int | None) -> Mapping[str, Any] | None:
        if not _fits(_workflow_key(name, 0)):
            return None
        if version is not None:
            item = self._table.get(_key(namespace, _workflow_key(name, version)), is_consistent=True)
            return _body(item) if item else None
        request = _beginning(namespace, f"w#{_quoted(name)}#")
        items = self._table.call("Query", **request, ScanIndexForward=False, Limit=1)["Items"]
        return _body(items[0]) if items else None

    def workflows(self, namespace: str, name: str = "") -> Sequence[Mapping[str, Any]]:
        if name and not _fits(_workflow_key(name, 0)):
            return []
        found = self._all(namespace, f"w#{_quoted(name)}#" if name else "w#")
        return sorted(found, key=lambda definition: (definition["name"], definition["version"]))

    def names(self, namespace: str, task: str = "") -> Sequence[str]:
        """Without those too long to be a key, which only inline definitions can have."""
        found = (item for page in self._table.query(**_beginning(namespace, "n#")) for item in page)
        return sorted(_unquoted(text_of(item, "sk")[2:]) for item in found if not task or _may_make(item, task))

    def note_name(self, namespace: str, name: str, tasks: Collection[str]) -> None:
        """One read, and a write when there is something new. Not an UpdateItem: the decider has no right to it."""
        if not _fits(_name_key(name)):
            return
        key = _key(namespace, _name_key(name))
        for _ in range(_CONFLICTS_MAX):
            item = self._table.get(key, is_consistent=True) or {}
            noted = frozenset(item["t"]["SS"]) if "t" in item else frozenset()
            found = noted | {_quoted(task) for task in tasks}
            if len(found) > NOTED_TASKS_MAX or _quoted(ANY_TASK) in found:
                found = frozenset((_quoted(ANY_TASK),))
            if found == noted:
                return
            times = number_of(item, "r")
            condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(r)"}
            if times:
                condition = {"ConditionExpression": "r = :r", "ExpressionAttributeValues": {":r": number(times)}}
            with contextlib.suppress(ConditionFailed):  # somebody noted other tasks meanwhile
                self._table.call("PutItem", Item={**key, "t": {"SS": sorted(found)}, "r": number(times + 1)}, **condition)
                return
        raise Unavailable(f"{self._table.name}: what {name} runs was noted by {_CONFLICTS_MAX} others in a row")

    def delete_workflow(self, namespace: str, name: str, version: int) -> bool:
        return self._delete(namespace, _workflow_key(name, version))

    # --- task definitions

    def put_tasks(self, namespace: str, definitions: Sequence[Mapping[str, Any]]) -> None:
        """In chunks like ``put_workflows``."""
        named = {str(definition["name"]): definition for definition in definitions}
        self._change(
            namespace,
            [
                {"Put": {"TableName": self._table.name, "Item": _item(namespace, _task_key(name), name, definition)}}
                for name, definition in named.items()
            ],
        )

    def tasks(self, namespace: str, names: Collection[str] | None = None) -> Mapping[str, Mapping[str, Any]]:
        if names is None:
            found = self._all(namespace, "t#")
        else:
            keys = [_key(namespace, key) for key in map(_task_key, sorted(set(names))) if _fits(key)]
            found = [_body(item) for item in self._table.batch_get(keys, is_consistent=True)]
        return {definition["name"]: definition for definition in sorted(found, key=lambda definition: str(definition["name"]))}

    def delete_task(self, namespace: str, name: str) -> bool:
        return self._delete(namespace, _task_key(name))

    # --- event handlers: an item by event, which holds it, and one by name, which says of which event it is

    def put_handler(self, namespace: str, handler: Mapping[str, Any], *, is_new: bool) -> bool:
        name, event = str(handler["name"]), str(handler["event"])
        for _ in range(_CONFLICTS_MAX):
            old = None if is_new else self._event_of(namespace, name)
            if old is None and not is_new:
                return False
            pointer = {**_key(namespace, _handler_key(name)), "ev": text(_quoted(event))}
            body = _item(namespace, _event_key(event, name), name, handler)  # first: it refuses a name that is too long
            actions: list[dict[str, Any]] = [
                {"Put": {"TableName": self._table.name, "Item": pointer, **_unchanged(old)}},
                {"Put": {"TableName": self._table.name, "Item": body}},
            ]
            if old not in (None, event):
                actions.append({"Delete": {"TableName": self._table.name, "Key": _key(namespace, _event_key(str(old), name))}})
            if self._change(namespace, actions) is None:
                return True
            if is_new:
                return False
        raise Unavailable(f"{self._table.name}: {_CONFLICTS_MAX} changes of an event handler in a row were overtaken")

    def delete_handler(self, namespace: str, name: str) -> bool:
        for _ in range(_CONFLICTS_MAX):
            old = self._event_of(namespace, name)
            if old is None:
                return False
            keys = [(_handler_key(name), _unchanged(old)), (_event_key(old, name), {})]
            actions = [{"Delete": {"TableName": self._table.name, "Key": _key(namespace, key), **condition}} for key, condition in keys]
            if self._change(namespace, actions) is None:
                return True
        raise Unavailable(f"{self._table.name}: {_CONFLICTS_MAX} changes of an event handler in a row were overtaken")

    def handlers(self, namespace: str, event: str | None = None) -> Sequence[Mapping[str, Any]]:
        prefix = "e#" if event is None else f"e#{_quoted(event)}#"
        return sorted(self._all(namespace, prefix), key=lambda handler: str(handler["name"])) if _fits(prefix) else []

    def _event_of(self, namespace: str, name: str) -> str | None:
        item = self._table.get(_key(namespace, _handler_key(name)), is_consistent=True) if _fits(_handler_key(name)) else None
        return _unquoted(text_of(item, "ev")) if item else None

    # --- frozen definitions

    def put_frozen(self, namespace: str, content_hash: str, definition: Mapping[str, Any]) -> None:
        self._table.call("PutItem", Item=_item(namespace, f"f#{content_hash}", str(definition.get("name", content_hash)), definition))

    def frozen(self, namespace: str, content_hash: str) -> Mapping[str, Any] | None:
        item = self._table.get(_key(namespace, f"f#{content_hash}"), is_consistent=True)
        return _body(item) if item else None

    # --- polls

    def note_poll(self, namespace: str, poll: PollData) -> None:
        """One in five seconds for each worker is written. Never fails: no task may wait for it."""
        sort_key = "#".join(("p", _quoted(poll.task_type), _quoted(poll.domain), _quoted(poll.worker_id)))
        last_ms = self._polled_ms.get((namespace, sort_key))
        if not _fits(sort_key) or (last_ms is not None and poll.at_ms - last_ms < _POLL_EVERY_MS):
            return
        if len(self._polled_ms) >= _POLLS_KEPT:
            self._polled_ms.clear()
        self._polled_ms[namespace, sort_key] = poll.at_ms
        item = {**_key(namespace, sort_key), "at": number(poll.at_ms), "ttl": number(poll.at_ms // 1000 + _POLL_TTL_S)}
        try:
            self._table.call("PutItem", Item=item)
        except BatutaError as error:
            self._log.warning("poll_not_noted", namespace=namespace, error=str(error))  # only who looks at polls misses it

    def polls(self, namespace: str, task_type: str = "") -> Sequence[PollData]:
        now_s = time.time()
        prefix = f"p#{_quoted(task_type)}#" if task_type else "p#"
        if not _fits(prefix):
            return []
        found: list[PollData] = []
        for page in self._table.query(**_beginning(namespace, prefix)):
            for item in page:
                if number_of(item, "ttl") > now_s:  # DynamoDB deletes expired items some days late
                    polled, domain, worker_id = map(_unquoted, text_of(item, "sk").split("#")[1:])
                    found.append(PollData(polled, domain, worker_id, number_of(item, "at")))
        return sorted(found, key=lambda poll: (poll.task_type, poll.domain, poll.worker_id))

    # --- inside

    def _all(self, namespace: str, prefix: str) -> list[Mapping[str, Any]]:
        return [_body(item) for page in self._table.query(**_beginning(namespace, prefix)) for item in page]

    def _delete(self, namespace: str, sort_key: str) -> bool:
        if not _fits(sort_key):
            return False
        delete = {"TableName": self._table.name, "Key": _key(namespace, sort_key), "ConditionExpression": "attribute_exists(pk)"}
        return self._change(namespace, [{"Delete": delete}]) is None

    def _change(self, namespace: str, actions: Sequence[Mapping[str, Any]]) -> int | None:
        """Does the actions, and the revision grows with each chunk of them. The index of the first action whose condition
        does not hold, when there is one: then nothing of its chunk is done."""
        begin = 0
        for size in _chunks(actions):
            refused = self._transact(namespace, actions[begin : begin + size])
            if refused is not None:
                return begin + refused
            begin += size
        return None

    def _transact(self, namespace: str, actions: Sequence[Mapping[str, Any]]) -> int | None:
        bump = {
            "TableName": self._table.name,
            "Key": _key(namespace, _REVISION),
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": number(1)},
        }
        # The token makes a repeat after a lost reply the same transaction, which therefore does not refuse itself.
        request = {"TransactItems": [*actions, {"Update": bump}], "ClientRequestToken": str(uuid.uuid4())}
        for tries in range(1, _CONFLICTS_MAX + 1):
            try:
                self._transport.call("dynamodb", "TransactWriteItems", request)
                return None
            except AwsError as error:
                if error.code != "TransactionCanceledException":
                    raise to_batuta(error, f"TransactWriteItems on {self._table.name}") from error
                codes = [reason.get("Code", "None") for reason in error.body.get("CancellationReasons", ())]
                if "ConditionalCheckFailed" in codes:
                    return codes.index("ConditionalCheckFailed")
                if not any(is_retriable(code) for code in codes):
                    raise BatutaError(f"{self._table.name}: {error}") from error
            time.sleep(pause_s(tries))
        raise Unavailable(f"{self._table.name}: {_CONFLICTS_MAX} changes of definitions in a row were overtaken")


def _chunks(actions: Sequence[Mapping[str, Any]]) -> list[int]:
    """How many actions go into each transaction, in order."""
    sizes: list[int] = []
    room = 0
    for action in actions:
        body = action["Put"]["Item"].get("b") if "Put" in action else None
        size = len(body["B"]) if body else 0
        if not sizes or sizes[-1] == _CHUNK_MAX_ITEMS or size > room:
            sizes.append(0)
            room = _CHUNK_MAX_BYTES
        sizes[-1] += 1
        room -= size
    return sizes


def _may_make(name: Item, task: str) -> bool:
    """Whether executions of that name may have such a task. Of a name that was registered and never frozen there are none."""
    if "t" in name:
        return not {_quoted(task), _quoted(ANY_TASK)}.isdisjoint(name["t"]["SS"])
    return "k" not in name


# --- keys and bodies


def _quoted(name: str) -> str:
    return quote(name, safe="", errors="surrogatepass")


def _unquoted(name: str) -> str:
    return unquote(name, errors="surrogatepass")


def _workflow_key(name: str, version: int) -> str:
    return f"w#{_quoted(name)}#{version + _VERSION_BASE:010d}"


def _name_key(name: str) -> str:
    return f"n#{_quoted(name)}"


def _task_key(name: str) -> str:
    return f"t#{_quoted(name)}"


def _handler_key(name: str) -> str:
    return f"h#{_quoted(name)}"


def _event_key(event: str, name: str) -> str:
    return f"e#{_quoted(event)}#{_quoted(name)}"


def _unchanged(event: str | None) -> dict[str, Any]:
    """The condition that a handler is still of that event; None: that there is none of its name."""
    if event is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {"ConditionExpression": "ev = :ev", "ExpressionAttributeValues": {":ev": text(_quoted(event))}}


def _fits(sort_key: str) -> bool:
    """Whether such a key can be in the table at all."""
    return len(sort_key) <= _SORT_KEY_MAX_BYTES


def _key(namespace: str, sort_key: str) -> dict[str, Any]:
    return {"pk": text(namespace), "sk": text(sort_key)}


def _beginning(namespace: str, prefix: str) -> dict[str, Any]:
    """The Query for the sort keys that begin so, strongly consistent: what a revision counted must be seen."""
    return {
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
        "ExpressionAttributeValues": {":pk": text(namespace), ":prefix": text(prefix)},
        "ConsistentRead": True,
    }


def _item(namespace: str, sort_key: str, name: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    """Raises InvalidInput or PayloadTooLarge, which name the definition."""
    if not _fits(sort_key):
        problem = Problem("name", "at most some 1,000 characters, fewer where they are not a-z", name[:64])
        raise InvalidInput(f"the name '{name[:64]}...' is too long", problems=[problem])
    raw = zlib.compress(json.dumps(definition, separators=(",", ":")).encode("ascii"), 6)
    if len(raw) > BODY_MAX_BYTES:
        message = f"the definition '{name[:64]}' has {len(raw)} bytes compressed, the limit is {BODY_MAX_BYTES}"
        raise PayloadTooLarge(message, size_bytes=len(raw))
    return {**_key(namespace, sort_key), "b": binary(raw)}


def _body(item: Item) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(zlib.decompress(bytes_of(item, "b")))
    return found
