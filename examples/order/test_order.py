"""The order workflow on the simulator: the worker's own functions, no server, in milliseconds. From the repository: pytest examples"""

from __future__ import annotations

import asyncio

import pytest
from examples.order.run import DEFINITION, ORDER
from examples.order.worker import worker

from batuta import WorkflowStatus, testing


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workflows skip time by themselves; what the functions sleep is left out here."""
    pause = asyncio.sleep
    monkeypatch.setattr("time.sleep", lambda _s: None)
    monkeypatch.setattr("asyncio.sleep", lambda _s: pause(0))


@pytest.mark.parametrize(("shipping", "carrier"), [("express", "courier"), ("post", "post")])
def test_an_order_from_the_customer_to_the_parcel(shipping: str, carrier: str) -> None:
    with testing.run(DEFINITION, input={**ORDER, "shipping": shipping}, workers=worker) as run:
        assert run.status is WorkflowStatus.COMPLETED
        assert run.path == ["stock", "payment", "reconsider", "parcel", "carrier", carrier, "letter"]
        assert [task.status for task in run.tasks("payment")] == ["FAILED", "FAILED", "COMPLETED"]
        assert run.output["paid"] == "417.90"
        assert run.execution.ended_ms - run.execution.created_ms == 5000  # two retries after a second each, three to reconsider


def test_a_card_that_stays_refused_ends_the_order_before_anything_is_packed() -> None:
    with testing.run(DEFINITION, input=ORDER, workers=worker, answers={"payment": ConnectionError("no")}) as run:
        assert run.status is WorkflowStatus.FAILED
        assert run.path == ["stock", "payment"]
        assert len(run.tasks("payment")) == 4


def test_the_customer_reconsiders() -> None:
    with testing.run(DEFINITION, input=ORDER, workers=worker, skip_time=False) as run:
        run.advance(seconds=2)  # the card is charged at the third attempt, and the customer has three seconds from then on
        run.terminate("the customer has reconsidered")
        run.advance(hours=1)
        assert run.status is WorkflowStatus.TERMINATED
        assert run.path == ["stock", "payment", "reconsider"]


def test_a_parcel_that_cannot_be_packed() -> None:
    no_boxes = [RuntimeError("no boxes"), {"number": "P-1", "weight_g": 400}]  # the second attempt, after the default minute
    with testing.run(DEFINITION, input=ORDER, workers=worker, answers={"parcel": no_boxes}) as run:
        assert run.output["parcel"] == "P-1"
        assert run.task("letter").output["result"].startswith("Dear Ada, thank you for 417.90.")
