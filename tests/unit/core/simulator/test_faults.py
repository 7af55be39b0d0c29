"""Which faults befall which call, and the count of what was hit."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from batuta_core.simulator.faults import ONLY_AT, Fault, Hits, NoFaults, RandomFaults, ToldFaults

SITES = ["journal.append", "queues.send", "queues.receive", "summaries.get", "payloads.purge", "made.up"]


def chosen(faults: RandomFaults, calls: int = 2000, *, has_paused: bool = False) -> list[tuple[str, Fault]]:
    found = []
    for call in range(calls):
        site = SITES[call % len(SITES)]
        fault = faults.choose(site, call, has_paused=has_paused)
        if fault is not None:
            found.append((site, fault))
    return found


def test_the_same_seed_gives_the_same_faults_and_another_seed_others() -> None:
    runs = [chosen(RandomFaults(Random(seed), 0.2, 50)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("seed", range(20))
def test_no_more_faults_than_the_budget_and_the_one_that_is_aimed(seed: int) -> None:
    assert 5 <= len(chosen(RandomFaults(Random(seed), 1, 5))) <= 6


@pytest.mark.parametrize("seed", range(20))
def test_without_a_budget_only_the_aimed_fault_is_left(seed: int) -> None:
    found = chosen(RandomFaults(Random(seed), 1, 0))
    assert len(found) <= 1
    assert {site for site, _fault in found} <= {"payloads.purge"}


def test_at_a_rate_of_zero_the_budget_is_kept() -> None:
    assert len(chosen(RandomFaults(Random(1), 0, 50))) <= 1


def test_a_fault_befalls_only_calls_that_it_can_befall_and_each_kind_comes_up() -> None:
    found = [hit for seed in range(10) for hit in chosen(RandomFaults(Random(seed), 0.5, 500))]
    assert all(site in ONLY_AT.get(fault, (site,)) for site, fault in found)
    assert {fault for _site, fault in found} == set(Fault)


def test_who_has_paused_meets_more_faults() -> None:
    counts = [sum(len(chosen(RandomFaults(Random(seed), 0.05, 10**6), has_paused=paused)) for seed in range(5)) for paused in (False, True)]
    assert counts[1] > 3 * counts[0]


def test_told_faults_befall_the_calls_that_were_told() -> None:
    told = ToldFaults({2: Fault.ECHO})
    assert [told.choose("any", call, has_paused=False) for call in range(1, 4)] == [None, Fault.ECHO, None]
    assert NoFaults().choose("any", 1, has_paused=True) is None


# --- hits


def hits(*pairs: tuple[str, str]) -> Hits:
    found = Hits()
    for what, site in pairs:
        found.add(what, site)
    return found


def test_of_a_site_that_was_hit_every_other_fault_that_could_have_come_is_missing() -> None:
    missing = Counter(hits(("throttle", "journal.append")).missing())
    everywhere = {fault.value for fault in Fault if fault not in ONLY_AT}
    expected = (everywhere | {"echo"}) - {"throttle"}
    assert missing == Counter((what, "journal.append") for what in expected)


def test_faults_of_other_sites_are_not_missed() -> None:
    missing = {what for what, _site in hits(("pause", "payloads.get")).missing()}
    assert missing.isdisjoint({fault.value for fault in ONLY_AT})


def test_when_all_came_up_nothing_is_missing() -> None:
    every = [(fault.value, site) for site in SITES for fault in Fault if site in ONLY_AT.get(fault, (site,))]
    assert hits(*every).missing() == []
    assert hits(*every[1:]).missing() == every[:1]
    assert hits(*every, *every).total() == 2 * len(every)


def test_without_hits_nothing_is_known_to_be_missing() -> None:
    assert (Hits().missing(), Hits().total()) == ([], 0)
    assert Hits().table().strip() == ""


def test_the_table_has_a_row_per_site_and_a_column_per_kind() -> None:
    table = hits(("echo", "journal.append"), ("echo", "journal.append"), ("refused", "queues.send")).table()
    assert [line.split() for line in table.splitlines()] == [["echo", "refused"], ["journal.append", "2"], ["queues.send", "1"]]
