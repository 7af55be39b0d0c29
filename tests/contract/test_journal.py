"""The journal's promises: one conditional write per number, read back as it was written."""

from __future__ import annotations

import threading

import pytest

from batuta_core.engine.ports import TOMBSTONE_S, LogLine, Refused
from batuta_core.model.error import PayloadTooLarge
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import needs_first, pack
from batuta_server import layout
from tests.contract.records import record, record_of_size
from tests.contract.stand import AwsStand, Stand
from tests.contract.test_summaries import summary


def append(stand: Stand, execution: ExecutionId, *seqs: int) -> None:
    for seq in seqs:
        stand.journal.append(execution, record(seq), record(seq).to_json())


def seqs_of(stand: Stand, execution: ExecutionId, first: int = 1) -> list[int]:
    return [found.seq for found in stand.journal.scan(execution, first)]


def test_unknown_execution_has_no_records(stand: Stand) -> None:
    execution = stand.execution()
    assert stand.journal.newest(execution) is None
    assert stand.journal.read(execution, [1, 2]) == {}
    assert seqs_of(stand, execution) == []
    stand.journal.purge(execution, 5)


def test_record_is_read_back_as_it_was_written(stand: Stand) -> None:
    execution = stand.execution()
    made = record(1, "naïve – 漢字 😀 \u0000 \u2028 \ud800")
    stand.journal.append(execution, made, made.to_json())
    assert stand.journal.newest(execution) == made
    assert stand.journal.read(execution, [1]) == {1: made}
    assert list(stand.journal.scan(execution)) == [made]


def test_a_glance_sees_the_newest_in_the_end(stand: Stand) -> None:
    execution = stand.execution()
    assert stand.journal.glance(execution) is None
    append(stand, execution, 1, 2, 3)
    for _ in range(100):
        if stand.journal.glance(execution) == record(3):
            return
        stand.pass_s(0.05)
    pytest.fail("three records were written, and the last is not seen after five seconds")


def test_compressed_bytes_survive(stand: Stand) -> None:
    execution = stand.execution()
    made = record(1, "".join(map(chr, range(32, 0x500))) * 20)
    raw = pack(made, made.to_json())
    assert raw[:1] != b"{", "it is meant to be compressed"
    assert len(set(raw)) > 200, "it is meant to hold nearly every byte"
    stand.journal.append(execution, made, made.to_json())
    assert stand.journal.newest(execution) == made


def test_what_repeats_the_first_record_is_read_by_who_has_not_met_it(stand: Stand) -> None:
    execution = stand.execution()
    first, noise = record_of_size(1, 3000)
    made = [first, *(record(seq, noise.decode()[-2000:]) for seq in (2, 3))]
    for item in made:
        stand.journal.append(execution, item, item.to_json())
    assert needs_first(pack(made[1], made[1].to_json(), first.to_json())), "it is meant to be stored with the first as dictionary"
    for other in (stand.journal, stand.elsewhere().journal):
        assert other.newest(execution) == made[-1]
    assert stand.elsewhere().journal.read(execution, [3, 2]) == {2: made[1], 3: made[2]}
    assert list(stand.elsewhere().journal.scan(execution, 2)) == made[1:]
    assert list(stand.elsewhere().journal.scan(execution)) == made
    with pytest.raises(Refused) as refused:
        stand.elsewhere().journal.append(execution, record(3), record(3).to_json())
    assert refused.value.existing == made[-1]


def test_a_tombstone_is_read_when_the_first_record_is_gone(stand: Stand) -> None:
    execution = stand.execution()
    first, noise = record_of_size(1, 3000)
    tombstone = record(2, noise.decode()[-2000:], WorkflowStatus.REMOVED)
    for item in (first, tombstone):
        stand.journal.append(execution, item, item.to_json())
    stand.journal.purge(execution, 2)
    for other in (stand.journal, stand.elsewhere().journal):
        assert other.newest(execution) == tombstone
        assert list(other.scan(execution)) == [tombstone]


def test_newest_is_the_highest_number_and_not_the_last_in_the_alphabet(stand: Stand) -> None:
    execution = stand.execution()
    append(stand, execution, 8, 9, 10, 11, 99, 100)
    newest = stand.journal.newest(execution)
    assert newest is not None
    assert newest.seq == 100
    assert seqs_of(stand, execution) == [8, 9, 10, 11, 99, 100]


def test_taken_number_refuses_and_shows_who_has_it(stand: Stand) -> None:
    execution = stand.execution()
    first, second = record(1, "first"), record(1, "second")
    stand.journal.append(execution, first, first.to_json())
    with pytest.raises(Refused) as refused:
        stand.journal.append(execution, second, second.to_json())
    assert refused.value.existing == first
    assert stand.journal.newest(execution) == first


def test_echo_of_ones_own_write_shows_ones_own_record(stand: Stand) -> None:
    execution = stand.execution()
    made, raw = record_of_size(1, 300_000)
    stand.journal.append(execution, made, raw)
    with pytest.raises(Refused) as refused:
        stand.journal.append(execution, made, raw)
    assert refused.value.existing == made


@pytest.mark.not_on("simulator", "moto", because="one thread at a time there")
def test_of_eight_writers_one_wins(stand: Stand) -> None:
    execution = stand.execution()
    numbers = range(1, 13)
    winners: list[tuple[int, int]] = []
    refusals: list[tuple[int, str]] = []
    barrier = threading.Barrier(8)

    def write(writer: int) -> None:
        for seq in numbers:
            made = record(seq, str(writer))
            barrier.wait(30)
            try:
                stand.journal.append(execution, made, made.to_json())
                winners.append((seq, writer))
            except Refused as refused:
                refusals.append((seq, refused.existing.events[0].input["text"]))  # type: ignore[union-attr]

    stand.journal.newest(execution)  # the tables are made before the race
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(seq for seq, _ in winners) == list(numbers)
    assert len(refusals) == 7 * len(numbers)
    won_by = dict(winners)
    assert all(won_by[seq] == int(shown) for seq, shown in refusals), "the refusal shows the winner's record"
    assert [found.events[0].input["text"] for found in stand.journal.scan(execution)] == [  # type: ignore[union-attr]
        str(won_by[seq]) for seq in numbers
    ]


def test_read_gives_those_that_exist(stand: Stand) -> None:
    execution = stand.execution()
    append(stand, execution, 1, 2, 3, 5)
    assert set(stand.journal.read(execution, {2, 4, 5, 77})) == {2, 5}
    assert stand.journal.read(execution, []) == {}
    assert stand.journal.read(execution, [3, 3, 3])[3] == record(3)


def test_more_records_than_one_batch_takes(stand: Stand) -> None:
    execution = stand.execution()
    append(stand, execution, *range(1, 111))
    assert sorted(stand.journal.read(execution, range(1, 200))) == list(range(1, 111))
    stand.journal.purge(execution, 109)
    assert seqs_of(stand, execution) == [109, 110]


def test_scan_begins_where_it_is_told(stand: Stand) -> None:
    execution = stand.execution()
    append(stand, execution, 1, 2, 3, 4)
    assert seqs_of(stand, execution, 3) == [3, 4]
    assert seqs_of(stand, execution, 9) == []


def test_scan_goes_over_pages_of_a_megabyte(stand: Stand) -> None:
    execution = stand.execution()
    made = [record_of_size(seq, 370_000) for seq in range(1, 8)]
    for written, raw in made:
        stand.journal.append(execution, written, raw)
    assert list(stand.journal.scan(execution)) == [written for written, _ in made]
    assert sorted(stand.journal.read(execution, range(1, 8))) == list(range(1, 8))
    stand.journal.purge(execution, 7)
    assert seqs_of(stand, execution) == [7]


def test_record_of_380_kilobytes(stand: Stand) -> None:
    execution = stand.execution()
    made, raw = record_of_size(1, 380 * 1024)
    stand.journal.append(execution, made, raw)
    assert stand.journal.newest(execution) == made


@pytest.mark.not_on("simulator", because="its records have no limit")
def test_record_beyond_the_limit_is_refused_by_name(stand: Stand) -> None:
    execution = stand.execution()
    made, raw = record_of_size(1, 600 * 1024)  # random text shrinks by a quarter
    with pytest.raises(PayloadTooLarge):
        stand.journal.append(execution, made, raw)
    assert stand.journal.newest(execution) is None


def test_summary_and_logs_are_no_records(stand: Stand) -> None:
    execution = stand.execution()
    stand.summaries.write(summary(execution, 1))
    stand.logs.add(execution, LogLine("task", "text", 1_764_000_000_000), "op")
    assert stand.journal.newest(execution) is None
    assert stand.journal.read(execution, [0, 1]) == {}
    assert seqs_of(stand, execution, 0) == []
    append(stand, execution, 1)
    assert seqs_of(stand, execution) == [1]


def test_purge_takes_the_records_below_and_nothing_else(stand: Stand) -> None:
    execution, other = stand.execution(), stand.execution()
    append(stand, execution, *range(1, 31))
    append(stand, other, 1, 2)
    stand.summaries.write(summary(execution, 30))
    for _ in range(2):
        stand.journal.purge(execution, 30)
        assert seqs_of(stand, execution) == [30]
    stand.journal.purge(execution, 1)
    stand.journal.purge(execution, 0)
    assert seqs_of(stand, execution) == [30]
    assert seqs_of(stand, other) == [1, 2]
    assert stand.summaries.get(execution) is not None


def test_executions_do_not_mix(stand: Stand) -> None:
    one = ExecutionId("shop", "11111111-0000-4000-8000-000000000000")
    others = (ExecutionId("shop-2", one.workflow_id), ExecutionId("sho", one.workflow_id), ExecutionId("shop", one.workflow_id[:-1] + "1"))
    append(stand, one, 1, 2, 3)
    for other in others:
        assert stand.journal.newest(other) is None
        append(stand, other, 1)
    stand.journal.purge(one, 4)
    assert stand.journal.newest(one) is None
    assert [seqs_of(stand, other) for other in others] == [[1], [1], [1]]


@pytest.mark.not_on("simulator", because="nothing expires there")
def test_tombstone_expires_and_nothing_else_does(stand: AwsStand) -> None:
    execution = stand.execution()
    now_ms = stand.now_ms()
    for seq, status in ((1, WorkflowStatus.RUNNING), (2, WorkflowStatus.TERMINATED), (3, WorkflowStatus.REMOVED)):
        made = record(seq, status=status, at_ms=now_ms)
        stand.journal.append(execution, made, made.to_json())
    items = [stand.item(layout.EXECUTIONS, pk={"S": str(execution)}, seq={"N": str(seq)}) for seq in (1, 2, 3)]
    assert ["ttl" in item for item in items] == [False, False, True]
    assert int(items[2]["ttl"]["N"]) == now_ms // 1000 + TOMBSTONE_S
