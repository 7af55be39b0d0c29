"""The definitions' promises: any name, any JSON, versions in order, all or nothing, and a revision that grows."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from batuta_core.engine.ports import ANY_TASK, NOTED_TASKS_MAX, PollData
from batuta_core.model.error import DefinitionExists, InvalidInput, PayloadTooLarge
from batuta_server import layout
from tests.contract.stand import AwsStand, Stand

NS = "shop"
NAMES = [
    "a",
    "a b",
    "a/b",
    "a#b",
    "a#",
    "#",
    "a?b",
    "100%",
    "%23",
    "größe",
    "漢字",
    "😀",
    "w#a#1",
    "a\u0000b",
    ".",
    "..",
    "~",
    "A",
    "a\ud800",
]


def workflow(name: str, version: int = 1, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": version, "tasks": [], **more}


def noise(chars: int) -> str:
    return random.Random(chars).randbytes(chars // 2).hex()


# --- workflow definitions


def test_any_name_is_kept_apart(stand: Stand) -> None:
    for number, name in enumerate(NAMES):
        stand.definitions.put_workflows(NS, [workflow(name, version, mark=number) for version in (1, 2)])
        stand.definitions.put_tasks(NS, [{"name": name, "mark": number}])
    for number, name in enumerate(NAMES):
        assert stand.definitions.workflow(NS, name, 1) == workflow(name, 1, mark=number)
        assert stand.definitions.workflow(NS, name, None) == workflow(name, 2, mark=number)
        assert stand.definitions.workflows(NS, name) == [workflow(name, version, mark=number) for version in (1, 2)]
        assert stand.definitions.tasks(NS, [name]) == {name: {"name": name, "mark": number}}
    assert list(stand.definitions.names(NS)) == list(stand.definitions.tasks(NS)) == sorted(NAMES)


@pytest.mark.parametrize("name", ["a", "a#b", "größe %"])
def test_name_is_found_by_itself_alone(stand: Stand, name: str) -> None:
    others = [other for other in NAMES if other != name]
    stand.definitions.put_workflows(NS, [workflow(name)])
    stand.definitions.put_tasks(NS, [{"name": name}])
    assert all(stand.definitions.workflow(NS, other, None) is None for other in others)
    assert all(stand.definitions.workflow(NS, other, 1) is None for other in others)
    assert all(stand.definitions.workflows(NS, other) == [] for other in others)
    assert stand.definitions.tasks(NS, others) == {}


def test_json_goes_in_and_out_unchanged(stand: Stand) -> None:
    odd: Mapping[str, Any] = {
        "name": "odd",
        "version": 1,
        "z": None,
        "a": [1, 1.5, -0.0, 2**70, "", True, {}, []],
        "text": "half \ud800, ünï 漢字 😀 \u0000 \u2028",
        "ключ": {"${a.b}": "${c}"},
    }
    stand.definitions.put_workflows(NS, [odd])
    found = stand.definitions.workflow(NS, "odd", 1)
    assert found == odd
    assert list(found or ()) == list(odd), "the order of keys, too"


def test_versions_sort_as_numbers_negative_ones_first(stand: Stand) -> None:
    versions = [10, 9, -1, 0, 2**31 - 1, -(2**31), 100, -10]
    stand.definitions.put_workflows(NS, [workflow("order", version) for version in versions])
    stand.definitions.put_workflows(NS, [workflow("order2", 5), workflow("orde", 7)])
    assert [found["version"] for found in stand.definitions.workflows(NS, "order")] == sorted(versions)
    latest = stand.definitions.workflow(NS, "order", None)
    assert latest is not None
    assert latest["version"] == 2**31 - 1
    assert stand.definitions.workflow(NS, "order", -1) == workflow("order", -1)
    stand.definitions.put_workflows(NS, [workflow("old", version) for version in (-10, -1, -2)])
    assert stand.definitions.workflow(NS, "old", None) == workflow("old", -1)
    assert stand.definitions.workflow(NS, "order", 1) is None


def test_all_are_listed_by_name_then_version(stand: Stand) -> None:
    made = [workflow(name, version) for name in ("b", "a b", "a", "ä", "B") for version in (10, 2, -1)]
    stand.definitions.put_workflows(NS, made)
    listed = [(found["name"], found["version"]) for found in stand.definitions.workflows(NS)]
    assert listed == sorted((item["name"], item["version"]) for item in made)


def test_later_definition_replaces_the_one_before(stand: Stand) -> None:
    stand.definitions.put_workflows(NS, [workflow("order", mark=1)])
    stand.definitions.put_workflows(NS, [workflow("order", mark=2), workflow("order", mark=3)])
    assert stand.definitions.workflows(NS) == [workflow("order", mark=3)]


def test_new_definition_does_not_replace(stand: Stand) -> None:
    stand.definitions.put_workflows(NS, [workflow("order", 1, mark=1)], is_new=True)
    stand.definitions.put_workflows(NS, [workflow("order", 2)], is_new=True)
    revision = stand.definitions.revision(NS)
    with pytest.raises(DefinitionExists, match=r"^Workflow with order\.1 already exists!$"):
        stand.definitions.put_workflows(NS, [workflow("fresh", 1), workflow("order", 1, mark=9)], is_new=True)
    assert stand.definitions.workflow(NS, "order", 1) == workflow("order", 1, mark=1)
    assert stand.definitions.workflow(NS, "fresh", 1) is None, "all or nothing"
    assert stand.definitions.revision(NS) == revision
    assert list(stand.definitions.names(NS)) == ["order"]


def test_deleted_workflow_is_gone(stand: Stand) -> None:
    stand.definitions.put_workflows(NS, [workflow("order", version) for version in (1, 2)])
    assert stand.definitions.delete_workflow(NS, "order", 2) is True
    assert stand.definitions.delete_workflow(NS, "order", 2) is False
    assert stand.definitions.delete_workflow(NS, "other", 1) is False
    assert stand.definitions.workflow(NS, "order", None) == workflow("order", 1)


def test_more_definitions_than_one_transaction_takes(stand: Stand) -> None:
    stand.definitions.put_workflows(NS, [workflow(f"w{place}") for place in range(130)])
    stand.definitions.put_tasks(NS, [{"name": f"t{place}"} for place in range(130)])
    assert len(stand.definitions.workflows(NS)) == len(stand.definitions.names(NS)) == 130
    assert len(stand.definitions.tasks(NS)) == 130
    assert len(stand.definitions.tasks(NS, [f"t{place}" for place in range(0, 300, 2)])) == 65


def test_large_definitions(stand: Stand) -> None:
    """Some 340 KB compressed each: more than a page of a query and than a transaction take."""
    made = [workflow("large", version, text=noise(680_000 + version)) for version in range(1, 12)]
    stand.definitions.put_workflows(NS, made)
    assert stand.definitions.workflows(NS) == made
    assert stand.definitions.workflow(NS, "large", None) == made[-1]


@pytest.mark.not_on("simulator", because="its definitions have no limit")
def test_definition_beyond_the_limit_is_refused_by_name(stand: Stand) -> None:
    with pytest.raises(PayloadTooLarge, match="'huge'"):
        stand.definitions.put_workflows(NS, [workflow("huge", text=noise(900_000))])
    with pytest.raises(PayloadTooLarge, match="'huge'"):
        stand.definitions.put_frozen(NS, "hash", workflow("huge", text=noise(900_000)))


@pytest.mark.not_on("simulator", because="its names have no limit")
def test_name_beyond_the_limit_is_refused_by_name_and_found_nowhere(stand: Stand) -> None:
    fitting, long = "x" * 1000, "漢" * 200
    stand.definitions.put_workflows(NS, [workflow(fitting)])
    stand.definitions.put_tasks(NS, [{"name": fitting}])
    with pytest.raises(InvalidInput, match="too long"):
        stand.definitions.put_workflows(NS, [workflow(long)])
    with pytest.raises(InvalidInput, match="too long"):
        stand.definitions.put_tasks(NS, [{"name": long}])
    stand.definitions.note_name(NS, long, ["a"])
    stand.definitions.note_poll(NS, PollData(long, "", "w", stand.now_ms()))
    assert stand.definitions.workflow(NS, long, None) is None
    assert stand.definitions.workflow(NS, long, 1) is None
    assert stand.definitions.workflows(NS, long) == []
    assert stand.definitions.delete_workflow(NS, long, 1) is False
    assert stand.definitions.tasks(NS, [long, fitting]) == {fitting: {"name": fitting}}
    assert stand.definitions.delete_task(NS, long) is False
    assert stand.definitions.polls(NS, long) == []
    assert stand.definitions.names(NS) == [fitting]


# --- names, task definitions, revisions


def test_names_hold_what_was_registered_or_noted(stand: Stand) -> None:
    stand.definitions.put_workflows(NS, [workflow("b", 1), workflow("b", 2), workflow("a b")])
    for _ in range(2):
        stand.definitions.note_name(NS, "inline #1", ["a"])
    stand.definitions.note_name("other", "elsewhere", ["a"])
    assert list(stand.definitions.names(NS)) == ["a b", "b", "inline #1"]
    assert stand.definitions.workflows(NS, "inline #1") == []


def test_names_are_narrowed_by_a_task_that_their_executions_may_have(stand: Stand) -> None:
    stand.definitions.put_workflows(NS, [workflow("registered"), workflow("a"), workflow("b")])
    stand.definitions.note_name(NS, "a", ["pay", "WAIT"])
    stand.definitions.note_name(NS, "b", ["pack \ud800", "#"])
    stand.definitions.note_name(NS, "b", ["WAIT"])
    stand.definitions.note_name(NS, "dynamic", ["ship"])
    stand.definitions.note_name(NS, "dynamic", [ANY_TASK])
    stand.definitions.note_name(NS, "dynamic", ["late"])
    stand.definitions.note_name(NS, "wide", [f"t{n}" for n in range(NOTED_TASKS_MAX + 1)])
    stand.definitions.put_workflows(NS, [workflow("a", 2)])  # which forgets nothing
    unknown = ["dynamic", "wide"]  # nothing was ever started of what was registered and not noted
    for task, known in (("pay", ["a"]), ("WAIT", ["a", "b"]), ("pack \ud800", ["b"]), ("#", ["b"]), ("none", [])):
        assert list(stand.definitions.names(NS, task)) == sorted([*known, *unknown]), task
    assert list(stand.definitions.names(NS)) == sorted(["a", "b", "registered", *unknown])


def test_task_definitions(stand: Stand) -> None:
    stand.definitions.put_tasks(NS, [{"name": name, "retryCount": 1} for name in ("b", "a", "c")])
    stand.definitions.put_tasks(NS, [{"name": "a", "retryCount": 2}, {"name": "d"}, {"name": "d", "last": True}])
    assert list(stand.definitions.tasks(NS)) == ["a", "b", "c", "d"]
    assert stand.definitions.tasks(NS, ["d", "a", "x"]) == {"a": {"name": "a", "retryCount": 2}, "d": {"name": "d", "last": True}}
    assert stand.definitions.tasks(NS, []) == {}
    assert stand.definitions.delete_task(NS, "a") is True
    assert stand.definitions.delete_task(NS, "a") is False
    assert list(stand.definitions.tasks(NS)) == ["b", "c", "d"]


def test_every_change_raises_the_revision_of_its_namespace(stand: Stand) -> None:
    revisions = [stand.definitions.revision(NS)]

    def note() -> None:
        revisions.append(stand.definitions.revision(NS))

    stand.definitions.put_workflows(NS, [workflow("order")])
    note()
    stand.definitions.put_workflows(NS, [workflow("order")])
    note()
    stand.definitions.put_tasks(NS, [{"name": "t"}])
    note()
    stand.definitions.delete_task(NS, "t")
    note()
    stand.definitions.delete_workflow(NS, "order", 1)
    note()
    assert revisions == sorted(set(revisions)), "it grows each time"
    assert stand.definitions.revision("other") == 0
    stand.definitions.put_frozen(NS, "hash", {})
    stand.definitions.note_poll(NS, PollData("t", "", "w", stand.now_ms()))
    assert stand.definitions.revision(NS) == revisions[-1]


@pytest.mark.not_on("simulator", "moto", because="one thread at a time there")
def test_changes_at_once_are_all_counted(stand: Stand) -> None:
    stand.definitions.revision(NS)  # the tables are made before the race

    def register(place: int) -> None:
        for version in (1, 2):
            stand.definitions.put_workflows(NS, [workflow(f"w{place}", version)], is_new=True)

    threads = [threading.Thread(target=register, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(stand.definitions.workflows(NS)) == 12
    assert stand.definitions.revision(NS) == 12


def test_namespaces_do_not_mix(stand: Stand) -> None:
    stand.definitions.put_workflows("a", [workflow("order")])
    stand.definitions.put_tasks("a", [{"name": "t"}])
    stand.definitions.put_frozen("a", "hash", {"x": 1})
    assert stand.definitions.workflows("a2") == []
    assert stand.definitions.tasks("a2") == {}
    assert stand.definitions.frozen("a2", "hash") is None
    assert list(stand.definitions.names("a2")) == []


# --- frozen definitions, polls


def test_frozen_definitions(stand: Stand) -> None:
    assert stand.definitions.frozen(NS, "h1") is None
    for _ in range(2):
        stand.definitions.put_frozen(NS, "h1", workflow("order", text="ü \ud800"))
    assert stand.definitions.frozen(NS, "h1") == workflow("order", text="ü \ud800")
    assert stand.definitions.frozen(NS, "h2") is None
    assert stand.definitions.workflows(NS) == []


def test_polls_are_listed_with_their_last_moment(stand: Stand) -> None:
    now_ms = stand.now_ms()
    polls = [
        PollData("t#1", "", "w", now_ms),
        PollData("t#1", "eu/#", "w 1", now_ms),
        PollData("t", "", "", now_ms),
        PollData("t", "", "ü", now_ms),
    ]
    for poll in polls:
        stand.definitions.note_poll(NS, poll)
    later = PollData("t", "", "", now_ms + 6000)
    stand.definitions.note_poll(NS, later)
    assert list(stand.definitions.polls(NS, "t#1")) == polls[:2]
    assert list(stand.definitions.polls(NS)) == [later, polls[3], *polls[:2]]
    assert list(stand.definitions.polls(NS, "x")) == []
    assert list(stand.definitions.polls("other")) == []


@pytest.mark.not_on("simulator", because="it writes every poll, and forgets none")
def test_polls_are_written_now_and_then_and_expire(stand: AwsStand) -> None:
    calls: list[str] = []
    now_ms = stand.now_ms()
    stand.definitions.polls(NS)
    stand.transport.on_call = lambda _service, operation, *_: calls.append(operation)
    for at_ms in range(now_ms, now_ms + 12_000, 100):
        stand.definitions.note_poll(NS, PollData("t", "", "w", at_ms))
    stand.definitions.note_poll(NS, PollData("t", "", "w2", now_ms))
    stand.transport.on_call = None
    assert calls == ["PutItem"] * 4
    item = stand.item(layout.DEFINITIONS, pk={"S": NS}, sk={"S": "p#t##w"})
    assert int(item["ttl"]["N"]) == (now_ms + 10_000) // 1000 + 24 * 3600
    old = PollData("old", "", "w", now_ms - 25 * 3600 * 1000)
    stand.definitions.note_poll(NS, old)
    assert list(stand.definitions.polls(NS, "old")) == [], "DynamoDB deletes what has expired some days later"


@pytest.mark.not_on("simulator", because="it never fails")
def test_poll_that_cannot_be_noted_fails_nobody(stand: AwsStand) -> None:
    stand.ports.definitions.note_poll(NS, PollData("t", "", "w", stand.now_ms()))  # its table was never made
