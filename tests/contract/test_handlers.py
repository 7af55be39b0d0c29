"""The promises of event handlers' storage: who reads after a registration finds it, one of a name, and an action's record once."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from batuta_core.engine.event_ports import ActionStatus, HandlerAction
from batuta_core.model.error import InvalidInput
from tests.contract.stand import Stand
from tests.contract.test_definitions import NAMES

NS = "shop"


def handler(name: str, event: str = "conductor:w:x", **fields: Any) -> dict[str, Any]:
    return {"name": name, "event": event, "active": True, "actions": [], **fields}


def action(**fields: Any) -> HandlerAction:
    said: dict[str, Any] = {"handler": "h", "index": 0, "event": "conductor:w:x", "action": "start_workflow", "at_ms": stamp(), **fields}
    return HandlerAction(namespace=NS, message_id=said.pop("message_id", "m"), **said)


def stamp() -> int:
    return 4_000_000_000_000  # far ahead: no server expires it


def test_any_name_of_any_event_is_found_by_both(stand: Stand) -> None:
    for name in NAMES:
        assert stand.definitions.put_handler(NS, handler(name, f"sqs:{name}"), is_new=True)
    for name in NAMES:
        assert stand.definitions.handlers(NS, f"sqs:{name}") == [handler(name, f"sqs:{name}")]
    assert list(stand.definitions.handlers(NS)) == [handler(name, f"sqs:{name}") for name in sorted(NAMES)]
    assert list(stand.definitions.handlers("other")) == []
    for name in NAMES:
        assert stand.definitions.delete_handler(NS, name)
        assert not stand.definitions.delete_handler(NS, name)
    assert list(stand.definitions.handlers(NS)) == []


def test_of_an_event_are_its_own_handlers_by_name(stand: Stand) -> None:
    for name, event in (("b", "e"), ("a", "e"), ("c", "e:x"), ("d", "")):
        stand.definitions.put_handler(NS, handler(name, event), is_new=True)
    assert [found["name"] for found in stand.definitions.handlers(NS, "e")] == ["a", "b"]
    assert [found["name"] for found in stand.definitions.handlers(NS, "e:x")] == ["c"]
    assert list(stand.definitions.handlers(NS, "nobody")) == []


def test_a_name_is_there_once_and_moves_to_another_event(stand: Stand) -> None:
    assert not stand.definitions.put_handler(NS, handler("h"), is_new=False)
    assert stand.definitions.put_handler(NS, handler("h"), is_new=True)
    assert not stand.definitions.put_handler(NS, handler("h", "other"), is_new=True)
    assert list(stand.definitions.handlers(NS, "other")) == []
    assert stand.definitions.put_handler(NS, handler("h", active=False), is_new=False)
    assert list(stand.definitions.handlers(NS)) == [handler("h", active=False)]
    assert stand.definitions.put_handler(NS, handler("h", "other"), is_new=False)
    assert list(stand.definitions.handlers(NS)) == list(stand.definitions.handlers(NS, "other")) == [handler("h", "other")]
    assert list(stand.definitions.handlers(NS, "conductor:w:x")) == []


def test_changes_side_by_side_leave_one(stand: Stand) -> None:
    stand.definitions.put_handler(NS, handler("h", "e0"), is_new=True)
    stands = [stand, *(stand.elsewhere() for _ in range(2))]

    def change(number: int, mine: Stand) -> None:
        for turn in range(4):
            assert mine.definitions.put_handler(NS, handler("h", f"e{number}-{turn}"), is_new=False)

    threads = [threading.Thread(target=change, args=item) for item in enumerate(stands)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (last,) = stand.definitions.handlers(NS)
    assert list(stand.definitions.handlers(NS, last["event"])) == [last]


@pytest.mark.not_on("simulator", because="its keys have no limit")
def test_a_name_beyond_the_limit_is_refused(stand: Stand) -> None:
    with pytest.raises(InvalidInput):
        stand.definitions.put_handler(NS, handler("h" * 600, "e" * 600), is_new=True)
    assert list(stand.definitions.handlers(NS, "e" * 2000)) == []


def test_an_actions_record_is_begun_once(stand: Stand) -> None:
    first = action(workflow_id="w", since=7, output={"ü": [1, None, "\u0000"]})
    assert stand.actions.begin(first) is None
    assert stand.actions.begin(replace(first, since=9)) == first
    ended = replace(first, status=ActionStatus.COMPLETED, output={"done": 1})
    stand.actions.end(ended)
    assert stand.actions.begin(first) == ended
    assert list(stand.actions.of_message(NS, "m")) == [ended]


def test_records_of_a_message_are_told_apart_and_in_order(stand: Stand) -> None:
    found = [action(handler=name, index=index) for name in ("b", "a", "a\ud800") for index in (1, 0, -1)]
    for one in found:
        assert stand.actions.begin(one) is None
    assert stand.actions.begin(action(message_id="other")) is None
    assert list(stand.actions.of_message(NS, "m")) == sorted(found, key=lambda one: (one.handler, one.index))
    assert list(stand.actions.of_message("elsewhere", "m")) == []
