"""An execution's journal in pages, and put together again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.core.engine.server import Server, simple

from batuta_core.engine import export as exports
from batuta_core.engine.export import Export, export, from_pages, page, payload
from batuta_core.engine.operate import remove
from batuta_core.engine.replay import replay
from batuta_core.model.error import ExecutionTooLarge, InvalidInput, NewerSchema, WorkflowNotFound
from batuta_core.model.names import ExecutionId

LARGE = "x" * 40_000  # above what a record keeps


@pytest.fixture
def server() -> Server:
    found = Server()
    found.register(simple("a"), simple("b", inputParameters={"text": "${a.output.text}"}))
    return found


def ended(server: Server) -> ExecutionId:
    execution = server.start(input={"k": 1})
    server.report(server.taken("a"), output={"text": LARGE})
    server.report(server.taken("b"), output={"n": 1})
    return execution


def pages(server: Server, execution: ExecutionId) -> Iterator[dict[str, Any]]:
    first: int | None = 1
    while first:
        found = page(server.ports, execution, first)
        first = found.get("next")
        yield found


def test_the_pages_together_are_the_export(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = ended(server)
    whole = export(server.ports, execution)
    assert whole.payloads
    for limit, count in ((1, len(whole.records)), (exports.PAGE_MAX_BYTES, 1)):
        monkeypatch.setattr(exports, "PAGE_MAX_BYTES", limit)
        found = list(pages(server, execution))
        assert [len(item["records"]) for item in found] == ([1] * count if limit == 1 else [len(whole.records)])
        again = from_pages(found, lambda ref: payload(server.ports, execution, ref.key))
        assert again.to_dict() == whole.to_dict()
        assert replay(Export.from_dict(again.to_dict())) is None


@pytest.mark.parametrize("first", [0, -1, 99])
def test_records_that_are_not_there_have_no_page(server: Server, first: int) -> None:
    with pytest.raises(InvalidInput, match="the records have the numbers 1 to"):
        page(server.ports, ended(server), first)


def test_of_a_removed_execution_nothing_is_given(server: Server) -> None:
    execution = ended(server)
    key = next(iter(export(server.ports, execution).payloads))
    remove(server.ports, execution, is_archived=True)
    with pytest.raises(WorkflowNotFound):
        page(server.ports, execution, 1)
    with pytest.raises(WorkflowNotFound):
        payload(server.ports, execution, key)


def test_a_payload_that_no_answer_holds_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = ended(server)
    key = next(iter(export(server.ports, execution).payloads))
    monkeypatch.setattr(exports, "ANSWER_MAX_BYTES", 1000)
    with pytest.raises(ExecutionTooLarge):
        payload(server.ports, execution, key)


def test_pages_of_a_newer_server_and_none_at_all_are_refused() -> None:
    with pytest.raises(NewerSchema):
        from_pages([{"v": 99}], lambda ref: None)
    with pytest.raises(InvalidInput, match="no records"):
        from_pages([], lambda ref: None)
