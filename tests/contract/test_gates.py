"""The gates' promises: one write over each state, and a line in order from which entries are taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batuta_core.engine.ports import GateOvertaken
from batuta_core.model.gate import Entry, GateId, GateState, Held, Limits
from batuta_core.model.place import TaskPlace
from tests.contract.stand import NAMESPACE, Stand

ODD = 'card "α" #1\n\ud800'  # task types hold any characters


def gate(name: str = ODD) -> GateId:
    return GateId(NAMESPACE, name)


def entry(stand: Stand, order_ms: int, record: int = 1) -> Entry:
    return Entry(order_ms, stand.execution("11111111-0000-4000-8000-000000000000"), TaskPlace(record, 0), 0)


def test_a_gate_that_nobody_wrote_stands_open(stand: Stand) -> None:
    assert stand.gates.read(gate()) == GateState()
    assert stand.gates.waiting(gate(), 5) == []


def test_what_is_written_is_read_whole(stand: Stand) -> None:
    state = GateState(
        version=1,
        held={"abcdefghijk": Held(1_764_000_000_000, True), "bbcdefghijk": Held(1_764_000_000_001, False)},
        starts=((5, 1), (7, 3)),
        unsent=(entry(stand, 1_764_000_000_000),),
        has_waiting=True,
        wake_ms=9,
        is_wake_unsent=True,
        pinned=Limits(1, 2, 3),
    )
    stand.gates.write(gate(), state)
    assert stand.gates.read(gate()) == state
    assert stand.elsewhere().gates.read(gate()) == state
    assert stand.gates.read(gate("another")) == GateState()


def test_a_thousand_permits_are_kept(stand: Stand) -> None:
    held = {f"permit{number:05d}": Held(1_764_000_000_000 + number, False) for number in range(1000)}
    stand.gates.write(gate(), GateState(version=1, held=held))
    assert stand.gates.read(gate()).held == held


def test_only_one_writes_over_a_state(stand: Stand) -> None:
    first = GateState(version=1)
    stand.gates.write(gate(), first)
    with pytest.raises(GateOvertaken):
        stand.gates.write(gate(), first)
    second = replace(first, version=2, has_waiting=True)
    stand.gates.write(gate(), second)
    for version in (1, 2, 4):
        with pytest.raises(GateOvertaken):
            stand.gates.write(gate(), replace(first, version=version))
    assert stand.gates.read(gate()) == second


def test_those_who_wait_come_in_their_order_and_once_each(stand: Stand) -> None:
    orders = [1_764_000_000_010, 1_764_000_000_009, 900_000_000_000, 1_764_000_000_010]
    entries = [entry(stand, order, record) for record, order in enumerate(orders, 1)]
    stand.gates.wait(gate(), entries)
    stand.gates.wait(gate(), entries[1:3])
    wanted = [entries[2], entries[1], entries[0], entries[3]]
    assert stand.gates.waiting(gate(), 10) == wanted
    assert stand.gates.waiting(gate(), 2) == wanted[:2]
    assert stand.gates.waiting(gate(), 2, wanted[1].sort_key) == wanted[2:]
    assert stand.gates.waiting(gate("another"), 10) == []


def test_the_state_is_none_of_those_who_wait(stand: Stand) -> None:
    stand.gates.write(gate(), GateState(version=1))
    assert stand.gates.waiting(gate(), 10) == []


def test_who_is_forgotten_waits_no_more(stand: Stand) -> None:
    entries = [entry(stand, 1_764_000_000_000 + number) for number in range(60)]  # more than one batch
    stand.gates.wait(gate(), entries)
    stand.gates.forget(gate(), entries[:50])
    stand.gates.forget(gate(), entries[:51])
    stand.gates.forget(gate(), [])
    assert stand.gates.waiting(gate(), 100) == entries[51:]


def test_gates_of_namespaces_are_apart(stand: Stand) -> None:
    stand.gates.write(GateId("other", ODD), GateState(version=1))
    assert stand.gates.read(gate()).version == 0
