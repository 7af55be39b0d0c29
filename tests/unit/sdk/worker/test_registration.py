"""What decorators say goes to a server that has no such definition, and never over one that has."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from batuta import BatutaError, Exponential, InvalidInput, NoAnswer, TaskDefinitionNotFound, task
from batuta.http import Call
from batuta.task_function import TaskFunction, task_function
from batuta.worker import registration
from batuta.worker.registration import register
from batuta.worker.sources import Offer, offers_of
from batuta_core.model.definition import normalize_task_definition


@task("charge", retry=Exponential(first_s=1, limit=3), timeout_s=30)
def charge() -> None: ...


@task("plain")
def plain() -> None: ...


class Server:
    """``troubles`` are raised first, one each."""

    def __init__(self, *troubles: BatutaError) -> None:
        self.definitions: dict[str, Any] = {}
        self.asked: list[str] = []
        self._troubles = list(troubles)

    async def ask(self, namespace: str, call: Call[Any]) -> Any:
        self.asked.append(f"{namespace} {call.method} {'/'.join(call.path)}")
        if self._troubles:
            raise self._troubles.pop(0)
        if call.method == "POST":
            for definition in call.body:
                self.definitions[definition["name"]] = definition
            return None
        if call.path[-1] not in self.definitions:
            raise TaskDefinitionNotFound("none")
        return self.definitions[call.path[-1]]


def registered(server: Server | None, *functions: TaskFunction, queue: str | None = None) -> list[Offer]:
    return asyncio.run(register(offers_of(functions, "shop", queue), server.ask if server else None))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "RETRY_FIRST_S", 0.001)
    monkeypatch.setattr(registration, "RETRY_MAX_S", 0.001)


def test_a_definition_that_is_missing_is_registered() -> None:
    server = Server()
    registered(server, task_function(charge), task_function(plain))
    look, word = "shop GET metadata/taskdefs/charge", "shop POST metadata/taskdefs"
    assert server.asked == [look, word, look, "shop GET metadata/taskdefs/plain"]
    assert server.definitions == {"charge": task_function(charge).definition()}


def test_an_equal_definition_is_left_alone_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    there = normalize_task_definition(dict(task_function(charge).definition() or {}))
    server.definitions["charge"] = {**there, "createTime": 5, "ownerEmail": "a@b.c", "pollTimeoutSeconds": 7}
    registered(server, task_function(charge))
    assert server.asked == ["shop GET metadata/taskdefs/charge"]
    assert caplog.messages == []


def test_a_different_definition_wins_and_the_difference_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.definitions["charge"] = {
        "name": "charge",
        "retryLogic": "FIXED",
        "retryCount": 9,
        "timeoutSeconds": 30,
        "responseTimeoutSeconds": 30,
    }
    registered(server, task_function(charge))
    assert server.definitions["charge"]["retryCount"] == 9
    assert len(caplog.messages) == 1
    for part in (
        "retryLogic is 'FIXED' there, 'EXPONENTIAL_BACKOFF' here",
        "retryCount is 9 there, 3 here",
        "timeoutPolicy is 'TIME_OUT_WF' there",
    ):
        assert part in caplog.messages[0]
    assert "timeoutSeconds is" not in caplog.messages[0]


def test_a_worker_that_lost_the_race_hears_it(caplog: pytest.LogCaptureFixture) -> None:
    """Two look, two register, the last one wins: there is no call that only creates."""
    server = Server()
    other = {"name": "charge", "retryLogic": "FIXED", "queue": "theirs"}

    async def ask(namespace: str, call: Call[Any]) -> Any:
        found = await server.ask(namespace, call)
        if call.method == "POST":
            server.definitions["charge"] = other
        return found

    (offer,) = asyncio.run(register(offers_of([task_function(charge)], "shop", None), ask))
    assert offer.further == ("theirs",)
    assert any("retryLogic is 'FIXED' there" in message for message in caplog.messages)


# --- queues


def test_a_shared_queue_is_registered_whatever_else_is_said() -> None:
    server = Server()
    plain_offer, named_offer = registered(
        server, task_function(plain), task_function(task("named", queue="mine")(lambda: 1)), queue="shared"
    )
    assert server.definitions == {"plain": {"name": "plain", "queue": "shared"}, "named": {"name": "named", "queue": "mine"}}
    assert (plain_offer.queue, named_offer.queue) == ("shared", "mine")
    assert plain_offer.further == named_offer.further == ("",)  # executions that began before go on with the types' own


def test_the_queue_that_the_server_has_already_is_left_alone_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.definitions |= {"plain": {"name": "plain", "queue": "shared"}, "charge": task_function(charge).definition()}
    offers = registered(server, task_function(plain), queue="shared") + registered(server, task_function(charge))
    assert [offer.further for offer in offers] == [(), ()]
    assert caplog.messages == []


@pytest.mark.parametrize(("there", "shown"), [("theirs", "the queue 'theirs'"), ("", "a queue of its own")])
def test_a_queue_that_the_server_has_otherwise_wins_and_is_polled_too(there: str, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.definitions["plain"] = {"name": "plain", "queue": there} if there else {"name": "plain"}
    (offer,) = registered(server, task_function(plain), queue="shared")
    assert "POST" not in str(server.asked)
    assert offer.further == (there,)
    assert "'shared' here" in caplog.messages[0]
    assert caplog.messages[1] == f"by its definition on the server plain is sent to {shown}, which is polled, too"


def test_a_queue_that_only_the_server_names_is_polled_too() -> None:
    server = Server()
    server.definitions["plain"] = {"name": "plain", "queue": "theirs"}
    (offer,) = registered(server, task_function(plain))
    assert offer.further == ("theirs",)


def test_a_shared_queue_with_the_task_types_name_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.definitions["plain"] = {"name": "plain"}
    (offer,) = registered(server, task_function(plain), queue="plain")
    assert (offer.further, caplog.messages) == ((), [])


def test_without_a_url_a_shared_queue_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    (offer,) = registered(None, task_function(plain), queue="shared")
    assert offer.further == ()
    assert caplog.messages == [
        "no URL is known: tasks come to a shared queue only if their registered definitions name it: plain on shared"
    ]


# --- servers in trouble


def test_without_a_url_there_is_one_line_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        registered(None, task_function(charge), task_function(plain))
    assert caplog.messages == ["no URL is known, so nothing is registered of what decorators say: charge"]


def test_a_server_that_is_starting_is_asked_again() -> None:
    server = Server(NoAnswer("nobody"), BatutaError("HTTP 502: bad gateway", http_status=502), NoAnswer("nobody"))
    registered(server, task_function(charge))
    assert "charge" in server.definitions


@pytest.mark.parametrize(
    "trouble", [BatutaError("HTTP 403: no", http_status=403), BatutaError("HTTP 401: no", http_status=401), InvalidInput("bad")]
)
def test_what_will_not_pass_is_not_repeated_and_ends_nothing(trouble: BatutaError, caplog: pytest.LogCaptureFixture) -> None:
    server = Server(trouble)
    registered(server, task_function(charge))
    assert len(server.asked) == 1
    assert "could not be registered" in caplog.messages[-1]


def test_tries_end(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(*[NoAnswer("nobody")] * 100)
    registered(server, task_function(charge))
    assert len(server.asked) == registration.TRIES_MAX
    assert "could not be registered" in caplog.messages[-1]
