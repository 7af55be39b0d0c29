from __future__ import annotations

from batuta_core.model.names import ExecutionId
from batuta_server.facts import facts_of

ONE, OTHER = ExecutionId("shop", "w1"), ExecutionId("shop", "w2")


def test_one_is_named_by_its_own_keys() -> None:
    assert facts_of([ONE, ONE], ["t", "t"]) == {"namespace": "shop", "workflow_id": "w1", "task_id": "t"}


def test_several_are_lists() -> None:
    assert facts_of([ONE, OTHER], ["t", "u"]) == {"executions": ["shop#w1", "shop#w2"], "task_ids": ["t", "u"]}


def test_what_is_not_known_is_not_there() -> None:
    assert facts_of([]) == {}
    assert facts_of([ONE]) == {"namespace": "shop", "workflow_id": "w1"}
