"""SQS events, read as the engine wants them."""

from __future__ import annotations

from tests.unit.functions.lambda_events import sqs_event

from batuta_core.engine.ports import Incoming
from batuta_server.incoming import incoming_of


def test_messages_keep_their_order_and_all_that_the_engine_needs() -> None:
    batch = [Incoming("m1", "ü{}", "r1", 1, "shop#w"), Incoming("m2", "", "r2", 12), Incoming("m3", "x", "r3", 3, "a:b")]
    assert incoming_of(sqs_event("q", batch)) == batch
