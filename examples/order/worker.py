"""The tasks of the order workflow: plain functions and a coroutine, with typed inputs and results."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from decimal import Decimal

from batuta import Fixed, TaskContext, Worker, task

PRICES = {"violin": Decimal("349.00"), "bow": Decimal("59.90"), "rosin": Decimal("4.50")}


@dataclass(frozen=True)
class Item:
    name: str
    count: int = 1


@dataclass(frozen=True)
class Stock:
    total: Decimal
    count: int


@dataclass(frozen=True)
class Receipt:
    number: str
    amount: Decimal


@dataclass(frozen=True)
class Parcel:
    number: str
    weight_g: int


@task("check_stock")
async def check_stock(items: list[Item]) -> Stock:
    """A coroutine: it waits for the warehouse without holding a thread."""
    await asyncio.sleep(0.3)
    return Stock(total=sum((PRICES[item.name] * item.count for item in items), Decimal(0)), count=sum(item.count for item in items))


@task("charge_card", retry=Fixed(delay_s=1, limit=3), timeout_s=30, max_in_progress=5)
def charge_card(order_id: str, amount: Decimal, context: TaskContext) -> Receipt:
    """Fails twice, as card networks do. The third attempt carries the same idempotency key, so nobody pays twice."""
    context.log(f"attempt {context.attempt} with key {context.idempotency_key}")
    if context.attempt <= 2:
        raise ConnectionError("the card network does not answer")
    return Receipt(number=f"R-{order_id}", amount=amount)


@task("pack_parcel", response_timeout_s=60)
def pack_parcel(items: list[Item], context: TaskContext) -> Parcel:
    """Takes its time, and says how far it is."""
    for place, item in enumerate(items, start=1):
        time.sleep(0.5)
        context.progress(place, len(items), item.name)
    return Parcel(number=f"P-{context.workflow_id[:8]}", weight_g=400 * sum(item.count for item in items))


@task("call_courier")
def call_courier(parcel: Parcel) -> str:
    return f"a courier fetches {parcel.number}"


@task("take_to_post_office")
def take_to_post_office(parcel: Parcel) -> str:
    return f"{parcel.number} goes by post"


@task("write_to_customer")
def write_to_customer(customer: str, receipt: Receipt) -> str:
    return f"Dear {customer}, thank you for {receipt.amount}. Your receipt is {receipt.number}."


worker = Worker(check_stock, charge_card, pack_parcel, call_courier, take_to_post_office, write_to_customer)

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="worker: %(message)s")
    worker.run()
