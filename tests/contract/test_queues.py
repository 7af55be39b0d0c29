"""The queues' promises: at least once, invisible while held, given up after five receives (a function's: one); order and groups where FIFO.

The engine rests on none of the FIFO ones (design.md, promise 3), but pays for their absence.
"""

from __future__ import annotations

import time

import pytest

from batuta_core.engine.ports import TASK_VISIBILITY_S, Incoming, Outgoing, QueueMissing
from batuta_core.model.error import BatutaError, PayloadTooLarge
from batuta_core.model.names import task_queue_name
from batuta_server import layout
from batuta_server.aws import queues as queues_module
from tests.contract.stand import AwsStand, Stand

FIFO, STANDARD = "decider.fifo", "timers"
NOT_FIFO_MOTO = "it delivers what it should drop, and batches in any order"


@pytest.fixture(autouse=True)
def _no_queue_needs_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """On AWS a new queue does; nowhere here."""
    monkeypatch.setattr(queues_module, "_SENDABLE_AFTER_S", 0.05)


def out(text: str, group: str = "g", dedup: str = "") -> Outgoing:
    return Outgoing(text, group=group, dedup=dedup or text)


def receive(stand: Stand, queue: str, count: int, within_s: float = 5) -> list[Incoming]:
    """``count`` messages, in as many receives as it takes."""
    received: list[Incoming] = []
    end = time.monotonic() + within_s
    while len(received) < count and time.monotonic() < end:
        received += stand.queues.receive(queue, min(count - len(received), 10), 1)
    assert len(received) == count
    return received


def nothing_in(stand: Stand, queue: str) -> bool:
    return not stand.queues.receive(queue, 10, 0)


def task_queue(stand: Stand, task_type: str = "charge") -> str:
    queue = task_queue_name(stand.stage, "shop", task_type)
    stand.queues.ensure_task_queue(queue)
    return queue


# --- standard queues


def test_message_comes_back_as_it_was_sent(stand: Stand) -> None:
    queue = task_queue(stand)
    stand.queues.send(queue, [Outgoing("text")])
    (message,) = receive(stand, queue, 1)
    assert (message.text, message.receives, message.group) == ("text", 1, "")
    assert message.message_id
    assert message.receipt


def test_odd_texts_survive(stand: Stand) -> None:
    """What XML 1.0 can hold, which is what SQS takes: the messages' own spelling escapes the rest."""
    texts = [
        "ünï 漢字 😀 עברית",
        "\t\n\r tabs and ends of lines",
        "\u0085\u00a0\u2028\u2029\ufeff\ufffd\U0010ffff",
        '{"a":"\\u0000 \\ud800"}',
        "<&>'\"]]>",
        "  edges  ",
    ]
    queue = task_queue(stand)
    stand.queues.send(queue, [Outgoing(text) for text in texts])
    assert sorted(message.text for message in receive(stand, queue, len(texts))) == sorted(texts)


def test_more_than_a_batch(stand: Stand) -> None:
    queue = task_queue(stand)
    texts = [f"m{place}" for place in range(25)]
    stand.queues.send(queue, [Outgoing(text) for text in texts])
    stand.queues.send(queue, [])
    received = receive(stand, queue, 25)
    assert sorted(message.text for message in received) == sorted(texts)
    assert len({message.message_id for message in received}) == 25
    stand.queues.delete(queue, [message.receipt for message in received])
    assert stand.queues.size(queue).total == 0


def test_large_messages_are_batched_by_size_too(stand: Stand) -> None:
    queue = task_queue(stand)
    texts = ["ü" * 100_000 + str(place) for place in range(5)]  # 200 KB each
    stand.queues.send(queue, [Outgoing("small"), *map(Outgoing, texts), Outgoing("small too")])
    assert sorted(message.text for message in receive(stand, queue, 7)) == sorted([*texts, "small", "small too"])


def test_receive_takes_no_more_than_asked_for(stand: Stand) -> None:
    queue = task_queue(stand)
    stand.queues.send(queue, [Outgoing(str(place)) for place in range(3)])
    assert len(stand.queues.receive(queue, 1, 1)) == 1
    assert len(receive(stand, queue, 2)) == 2
    assert nothing_in(stand, queue)


def test_held_message_is_invisible_until_its_time_is_over(stand: Stand) -> None:
    queue = task_queue(stand)
    stand.shorten_visibility(queue, 2)
    stand.queues.send(queue, [Outgoing("text")])
    (first,) = receive(stand, queue, 1)
    assert nothing_in(stand, queue)
    stand.pass_s(2.1)
    (second,) = receive(stand, queue, 1)
    assert (second.message_id, second.text, second.receives) == (first.message_id, "text", 2)
    stand.queues.delete(queue, [second.receipt])
    assert stand.queues.size(queue).total == 0


def test_released_message_is_visible_at_once(stand: Stand) -> None:
    queue = task_queue(stand)
    stand.queues.send(queue, [Outgoing("a"), Outgoing("b")])
    held = receive(stand, queue, 2)
    stand.queues.release(queue, [held[0].receipt])
    (again,) = receive(stand, queue, 1)
    assert (again.message_id, again.receives) == (held[0].message_id, 2)
    stand.queues.release(queue, [])
    assert nothing_in(stand, queue)


def test_delayed_message_waits(stand: Stand) -> None:
    stand.queues.send(stand.queue(STANDARD), [Outgoing("later", delay_s=2), Outgoing("now"), Outgoing("much later", delay_s=900)])
    (first,) = receive(stand, stand.queue(STANDARD), 1)
    assert first.text == "now"
    assert nothing_in(stand, stand.queue(STANDARD))
    stand.pass_s(2.1)
    (second,) = receive(stand, stand.queue(STANDARD), 1)
    assert second.text == "later"
    assert nothing_in(stand, stand.queue(STANDARD))


def test_size_tells_waiting_held_and_delayed(stand: Stand) -> None:
    queue = task_queue(stand)
    stand.queues.send(queue, [Outgoing(str(place)) for place in range(5)] + [Outgoing("d", delay_s=60)])
    receive(stand, queue, 2)
    size = stand.queues.size(queue)
    assert (size.waiting, size.in_flight, size.delayed, size.total) == (3, 2, 1, 6)


def test_receipts_that_are_no_longer_valid_are_ignored(stand: Stand) -> None:
    queue = task_queue(stand)
    stand.queues.send(queue, [Outgoing(str(place)) for place in range(12)])
    receipts = [message.receipt for message in receive(stand, queue, 12)]
    stand.queues.delete(queue, receipts[:2])
    stand.queues.delete(queue, [*receipts[:2], "garbage", receipts[2], "more garbage"])
    stand.queues.release(queue, [receipts[0], "garbage", receipts[3]])
    stand.queues.delete(queue, [])
    assert len(receive(stand, queue, 1)) == 1
    stand.queues.delete(queue, receipts)
    assert stand.queues.size(queue).total <= 1, "the one that was received anew may stay"


def test_long_poll_ends_when_a_message_comes_or_its_time_is_over(stand: Stand) -> None:
    queue = task_queue(stand)
    began = time.monotonic()
    assert stand.queues.receive(queue, 1, 1) == []
    stand.queues.send(queue, [Outgoing("text")])
    assert len(stand.queues.receive(queue, 1, 20)) == 1
    assert time.monotonic() - began < 5


# --- dead letters


@pytest.mark.parametrize(
    ("queue", "dead_letters", "most"),
    [(STANDARD, "dead-letters", 5), (FIFO, "dead-letters.fifo", 5), ("", "task-dead-letters", 5), ("http", "task-dead-letters", 1)],
)
def test_message_is_given_up_after_its_receives(stand: Stand, queue: str, dead_letters: str, most: int) -> None:
    from_, to = stand.queue(queue) if queue else task_queue(stand), stand.queue(dead_letters)
    sent = out("poison") if queue == FIFO else Outgoing("poison")
    stand.queues.send(from_, [sent])
    for receives in range(1, most + 1):
        (message,) = receive(stand, from_, 1)
        assert message.receives == receives
        stand.queues.release(from_, [message.receipt])
    assert nothing_in(stand, from_)
    (dead,) = receive(stand, to, 1)
    assert (dead.text, dead.message_id, dead.group) == ("poison", message.message_id, "g" if queue == FIFO else "")
    stand.queues.delete(to, [dead.receipt])
    assert stand.queues.size(to).total == stand.queues.size(from_).total == 0


# --- queues that are not there, and new ones


def test_missing_queue_is_named(stand: Stand) -> None:
    missing = task_queue_name(stand.stage, "shop", "nobody registered this")
    with pytest.raises(QueueMissing):
        stand.queues.size(missing)
    with pytest.raises(QueueMissing):
        stand.queues.receive(missing, 1, 0)
    with pytest.raises(QueueMissing) as refused:
        stand.queues.send(missing, [Outgoing("text")])
    assert refused.value.facts["queue"] == missing
    stand.queues.ensure_task_queue(missing)
    stand.queues.send(missing, [Outgoing("text")])
    assert len(receive(stand, missing, 1)) == 1


def test_queue_that_another_process_just_made_is_found(stand: Stand) -> None:
    queue = task_queue_name(stand.stage, "shop", "new")
    with pytest.raises(QueueMissing):
        stand.queues.receive(queue, 1, 0)
    other = stand.elsewhere()
    other.queues.ensure_task_queue(queue)
    stand.queues.send(queue, [Outgoing("text")])
    assert len(receive(other, queue, 1)) == 1


def test_ensuring_is_idempotent_and_keeps_messages(stand: Stand) -> None:
    queue = task_queue(stand)
    stand.queues.send(queue, [Outgoing("text")])
    for process in (stand, stand.elsewhere()):
        process.queues.ensure_task_queue(queue)
    assert len(receive(stand, queue, 1)) == 1


def test_queue_with_other_attributes_is_left_as_it_is(stand: Stand) -> None:
    """Somebody may have given a queue a longer visibility by hand."""
    queue = task_queue(stand)
    stand.shorten_visibility(queue, 1)
    other = stand.elsewhere()
    other.queues.ensure_task_queue(queue)
    other.queues.send(queue, [Outgoing("text")])
    receive(stand, queue, 1)
    stand.pass_s(1.1)
    assert len(receive(stand, queue, 1)) == 1


@pytest.mark.not_on("simulator", because="nobody deletes its queues")
def test_deleted_queue_is_missing_and_can_be_made_again(stand: AwsStand) -> None:
    queue = task_queue(stand)
    stand.queues.send(queue, [Outgoing("text")])
    url = stand.transport.call("sqs", "GetQueueUrl", {"QueueName": queue})["QueueUrl"]
    stand.transport.call("sqs", "DeleteQueue", {"QueueUrl": url})
    with pytest.raises(QueueMissing):
        stand.queues.receive(queue, 1, 0)
    stand.queues.ensure_task_queue(queue)
    stand.queues.send(queue, [Outgoing("anew")])
    assert [message.text for message in receive(stand, queue, 1)] == ["anew"]


@pytest.mark.not_on("simulator", because="it holds any text")
@pytest.mark.not_on("moto", because="it takes characters that SQS refuses")
def test_message_that_sqs_never_takes_is_an_error_and_the_others_go(stand: AwsStand) -> None:
    queue = task_queue(stand)
    with pytest.raises(BatutaError) as refused:
        stand.queues.send(queue, [Outgoing("good"), Outgoing("bad \u0001"), Outgoing("good too")])
    assert not refused.value.retryable
    assert sorted(message.text for message in receive(stand, queue, 2)) == ["good", "good too"]


@pytest.mark.not_on("simulator", because="it holds any size")
def test_message_that_is_too_long_for_any_queue_is_refused_by_name(stand: AwsStand) -> None:
    with pytest.raises(PayloadTooLarge):
        stand.queues.send(task_queue(stand), [Outgoing("x" * (1024 * 1024 + 1))])


# --- FIFO


@pytest.mark.not_on("moto", because=NOT_FIFO_MOTO)
def test_group_comes_in_order(stand: Stand) -> None:
    queue = stand.queue(FIFO)
    stand.queues.send(queue, [out(f"a{place:02d}", "a") for place in range(13)] + [out("b0", "b")])
    received: list[Incoming] = []
    while len(received) < 14:
        batch = receive(stand, queue, min(10, 14 - len(received)))
        stand.queues.delete(queue, [message.receipt for message in batch])
        received += batch
    assert [message.text for message in received if message.group == "a"] == [f"a{place:02d}" for place in range(13)]
    assert [message.text for message in received if message.group == "b"] == ["b0"]


def test_group_waits_while_one_of_it_is_held_and_others_go_on(stand: Stand) -> None:
    queue = stand.queue(FIFO)
    stand.queues.send(queue, [out("a1", "ns#wf-a"), out("a2", "ns#wf-a")])
    (held,) = stand.queues.receive(queue, 1, 1)
    assert (held.text, held.group) == ("a1", "ns#wf-a")
    assert nothing_in(stand, queue)
    stand.queues.send(queue, [out("b1", "ns#wf-b")])
    assert [message.text for message in receive(stand, queue, 1)] == ["b1"]
    stand.queues.delete(queue, [held.receipt])
    assert [message.text for message in receive(stand, queue, 1)] == ["a2"]


def test_released_message_comes_before_the_later_ones_of_its_group(stand: Stand) -> None:
    queue = stand.queue(FIFO)
    stand.queues.send(queue, [out("1"), out("2")])
    (held,) = stand.queues.receive(queue, 1, 1)
    stand.queues.release(queue, [held.receipt])
    (again,) = stand.queues.receive(queue, 1, 1)
    assert (again.text, again.receives) == ("1", 2)


@pytest.mark.not_on("moto", because=NOT_FIFO_MOTO)
def test_repeat_by_id_is_dropped_also_after_the_first_was_dealt_with(stand: Stand) -> None:
    queue = stand.queue(FIFO)
    stand.queues.send(queue, [out("first", dedup="id"), out("second", dedup="id")])
    (message,) = receive(stand, queue, 1)
    assert message.text == "first"
    stand.queues.delete(queue, [message.receipt])
    stand.queues.send(queue, [out("third", dedup="id"), out("other", dedup="id-2")])
    assert [message.text for message in receive(stand, queue, 1)] == ["other"]
    assert nothing_in(stand, queue)


@pytest.mark.not_on("moto", because=NOT_FIFO_MOTO)
@pytest.mark.not_on("jvm", because="ElasticMQ drops repeats across groups")
def test_ids_are_of_their_group_alone(stand: Stand) -> None:
    queue = stand.queue(FIFO)
    stand.queues.send(queue, [out("a", "a", "id"), out("b", "b", "id")])
    assert sorted(message.text for message in receive(stand, queue, 2)) == ["a", "b"]


def test_fifo_wants_group_and_id_and_no_delay(stand: Stand) -> None:
    for wrong in (Outgoing("x"), Outgoing("x", group="g"), Outgoing("x", group="g", dedup="d", delay_s=3)):
        with pytest.raises((ValueError, BatutaError)):  # the simulator's, ours
            stand.queues.send(stand.queue(FIFO), [wrong])
    assert stand.queues.size(stand.queue(FIFO)).total == 0


@pytest.mark.not_on("simulator", because="it has constants, compared in test_provision")
def test_task_queues_have_the_layouts_attributes(stand: AwsStand) -> None:
    queue = task_queue(stand)
    url = stand.transport.call("sqs", "GetQueueUrl", {"QueueName": queue})["QueueUrl"]
    found = stand.transport.call("sqs", "GetQueueAttributes", {"QueueUrl": url, "AttributeNames": ["All"]})["Attributes"]
    assert found["VisibilityTimeout"] == str(TASK_VISIBILITY_S)
    assert '"maxReceiveCount"' in found["RedrivePolicy"].replace(" ", "")
    assert layout.TASK_DEAD_LETTERS.name(stand.stage) in found["RedrivePolicy"]
