"""Leases: renewed in batches, lost when SQS says so or when nothing came through, moved before SQS's own limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from tests.unit.sdk.memory import FAST, PATIENCE_S, make_message

from batuta.worker.held import Held, Lease
from batuta.worker.lease import LeaseKeeper
from batuta.worker.queues import Failure
from batuta_core.model.error import Unavailable


def hold(number: int, queue: str = "q", *, renewed_ago_s: float = 1.0, received_ago_s: float = 1.0) -> Held:
    now_s = time.monotonic()
    held = Held(
        message=make_message(number, "t", {}),
        served=cast(Any, None),
        context=cast(Any, None),
        link=cast(Any, None),
        started_ms=0,
        abandoned=asyncio.get_running_loop().create_future(),
    )
    held.leases[f"m{number}"] = Lease(queue, f"r{number}", now_s - received_ago_s, now_s - renewed_ago_s)
    return held


class Desk:
    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str], int]] = []
        self.lost: list[Held] = []
        self.moved: list[Held] = []
        self.answers: dict[str, Failure | Exception] = {}
        self.hang_s: dict[str, float] = {}

    async def change(self, queue: str, receipts: Sequence[str], visibility_s: int) -> Sequence[Failure]:
        self.calls.append((queue, list(receipts), visibility_s))
        await asyncio.sleep(self.hang_s.get(queue, 0))
        failures = []
        for index, receipt in enumerate(receipts):
            answer = self.answers.get(receipt)
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                failures.append(replace(answer, index=index))
        return failures

    def keeper(self, held: Sequence[Held], **timing: float) -> LeaseKeeper:
        return LeaseKeeper(held, self.change, self.moved.append, self.lost.append, replace(FAST, **cast(Any, timing)))


async def true(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


async def rounds(keeper: LeaseKeeper, condition: Callable[[], Any]) -> None:
    """Until the condition holds, and a few more."""
    running = asyncio.ensure_future(keeper.run())
    await true(condition)
    await asyncio.sleep(FAST.renew_tick_s * 2)
    running.cancel()


def test_due_leases_are_renewed_ten_to_a_request_and_by_queue() -> None:
    async def main() -> None:
        desk = Desk()
        held = [hold(number, "a") for number in range(23)] + [hold(30, "b")]
        await rounds(desk.keeper(held, renew_after_s=0.9), lambda: desk.calls)
        assert sorted((queue, len(receipts), visibility) for queue, receipts, visibility in desk.calls) == [
            ("a", 3, 30), ("a", 10, 30), ("a", 10, 30), ("b", 1, 30),
        ]  # fmt: skip

    asyncio.run(main())


def test_what_was_renewed_of_late_is_left_alone() -> None:
    async def main() -> None:
        desk = Desk()
        await rounds(desk.keeper([hold(1, renewed_ago_s=0.0)], renew_after_s=10.0), lambda: True)
        assert desk.calls == []

    asyncio.run(main())


def test_a_lease_that_sqs_refuses_to_renew_is_lost_and_the_others_are_not() -> None:
    async def main() -> None:
        desk = Desk()
        held = [hold(1), hold(2)]
        desk.answers["r1"] = Failure(0, "ReceiptHandleIsInvalid", is_final=True)
        await rounds(desk.keeper(held), lambda: desk.lost)
        assert desk.lost == [held[0]]
        assert held[0].leases == {}
        assert len(held[1].leases) == 1

    asyncio.run(main())


def test_a_passing_failure_is_tried_again_and_loses_nothing() -> None:
    async def main() -> None:
        for trouble in (Failure(0, "throttled", is_final=False), Unavailable("no network")):
            desk = Desk()
            held = [hold(1)]
            desk.answers["r1"] = trouble
            running = asyncio.ensure_future(desk.keeper(held).run())
            await true(lambda desk=desk: len(desk.calls) > 1)
            failed_s = held[0].leases["m1"].renewed_s
            desk.answers.clear()
            await true(lambda held=held, failed_s=failed_s: held[0].leases["m1"].renewed_s > failed_s)
            running.cancel()
            assert desk.lost == []

    asyncio.run(main())


def test_a_lease_that_could_not_be_renewed_in_its_time_is_lost() -> None:
    async def main() -> None:
        desk = Desk()
        held = [hold(1, renewed_ago_s=29.99)]
        desk.answers["r1"] = Unavailable("no network")
        await rounds(desk.keeper(held), lambda: desk.lost)
        assert desk.lost == held

    asyncio.run(main())


def test_a_request_that_hangs_holds_up_no_other_and_is_not_sent_twice() -> None:
    async def main() -> None:
        desk = Desk()
        desk.hang_s["slow"] = 3600
        running = asyncio.ensure_future(desk.keeper([hold(1, "slow"), hold(2, "quick")]).run())
        await true(lambda: sum(queue == "quick" for queue, _receipts, _visibility in desk.calls) == 3)
        running.cancel()
        assert sum(queue == "slow" for queue, _receipts, _visibility in desk.calls) == 1

    asyncio.run(main())


def test_of_two_messages_of_a_task_one_is_enough() -> None:
    async def main() -> None:
        desk = Desk()
        held = hold(1)
        held.leases["m2"] = Lease("q", "r2", time.monotonic(), 0.0)
        desk.answers["r1"] = Failure(0, "gone", is_final=True)
        await rounds(desk.keeper([held]), lambda: set(held.leases) == {"m2"})
        assert desk.lost == []
        assert set(held.leases) == {"m2"}

    asyncio.run(main())


def test_a_lease_that_was_replaced_while_its_renewal_was_refused_is_kept() -> None:
    async def main() -> None:
        desk = Desk()
        held = hold(1)
        desk.hang_s["q"] = 0.02
        desk.answers["r1"] = Failure(0, "gone", is_final=True)
        running = asyncio.ensure_future(desk.keeper([held]).run())
        await true(lambda: desk.calls)
        held.leases["m1"] = Lease("q", "r9", time.monotonic(), time.monotonic())  # the message came to us again
        await asyncio.sleep(0.04)
        running.cancel()
        assert desk.lost == []
        assert held.leases["m1"].receipt == "r9"

    asyncio.run(main())


def test_a_task_held_for_too_long_is_moved_before_sqs_lets_go() -> None:
    async def main() -> None:
        desk = Desk()
        held = [hold(1, received_ago_s=11.6 * 3600), hold(2)]
        await rounds(desk.keeper(held), lambda: desk.moved)
        assert set(map(id, desk.moved)) == {id(held[0])}

    asyncio.run(main())


def test_an_error_of_ours_does_not_end_the_renewals() -> None:
    async def main() -> None:
        desk = Desk()
        held = [hold(1)]
        keeper = desk.keeper(held)
        broken = hold(2)
        broken.leases = cast(Any, None)
        held.append(broken)
        running = asyncio.ensure_future(keeper.run())
        await asyncio.sleep(FAST.renew_tick_s * 3)
        held.remove(broken)
        await true(lambda: desk.calls)
        running.cancel()

    asyncio.run(main())
