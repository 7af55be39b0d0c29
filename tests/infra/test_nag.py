"""cdk-nag's AwsSolutions: clean but for what ``infra/checks.py`` gives a reason for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Annotations, Match
from cdk_nag import AwsSolutionsChecks

from infra import checks, policies
from infra.parameters import StageParameters, TaskType
from infra.stack import BatutaStack

FULL = StageParameters(
    namespaces=("default", "shop"), task_types=(TaskType("shop", "a"),), alarm_email="ops@example.com", dashboard=True, retain=False
)
ANY_NAMESPACE = StageParameters(namespaces=("*",))
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:batuta-prod"


def found(asset: Path, parameters: StageParameters, *, is_excused: bool) -> set[tuple[str, str]]:
    """The path of a construct, and what is said of it."""
    app = cdk.App(analytics_reporting=False)
    stack = BatutaStack(app, "batuta-prod", parameters, asset, asset)
    if is_excused:
        checks.excuse(stack)
    cdk.Aspects.of(stack).add(AwsSolutionsChecks(verbose=True))
    annotations = Annotations.from_stack(stack)
    entries = [*annotations.find_error("*", Match.any_value()), *annotations.find_warning("*", Match.any_value())]
    return {(entry.id.removesuffix("/Resource"), str(entry.entry.data)) for entry in entries}


@pytest.mark.parametrize("parameters", [FULL, ANY_NAMESPACE], ids=["full", "any namespace"])
def test_nothing_is_found_that_has_no_reason(asset: Path, parameters: StageParameters) -> None:
    assert not found(asset, parameters, is_excused=True)


@pytest.fixture(scope="module")
def everything(asset: Path) -> set[tuple[str, str]]:
    return found(asset, FULL, is_excused=False)


@pytest.mark.parametrize("excused", checks.EXCUSED, ids=lambda excused: f"{excused.rule} {excused.where} {excused.reason[:30]}")
def test_every_reason_is_still_needed(everything: set[tuple[str, str]], excused: checks.Excused) -> None:
    said = re.escape(excused.rule) + (rf"\[Resource::{excused.resource}\]:" if excused.resource else ":")
    assert any(excused.is_at(path) and re.match(said, message) for path, message in everything)


@pytest.mark.parametrize(
    ("what", "action", "resource"),
    [
        ("http", "sqs:SendMessage", f"{QUEUE}--default--*"),  # a pattern that others may have
        ("api", "sqs:SendMessage", f"{QUEUE}--*"),  # the stage's own queues, too
        ("api", "dynamodb:GetItem", "*"),
        ("decider", "s3:*", "arn:aws:s3:::batuta-prod-payloads-1-eu/default/x"),
    ],
)
def test_a_wildcard_more_is_found(asset: Path, monkeypatch: pytest.MonkeyPatch, what: str, action: str, resource: str) -> None:
    usual = policies.FUNCTIONS[what]
    service, _, name = action.partition(":")
    monkeypatch.setitem(cast(Any, policies.FUNCTIONS), what, lambda arns: [*usual(arns), policies.allow(service, [name], [resource])])
    ((path, message),) = found(asset, FULL, is_excused=True)
    assert path.endswith(f"/Functions/{what.capitalize()}Role")
    assert message.startswith("AwsSolutions-IAM5[")
