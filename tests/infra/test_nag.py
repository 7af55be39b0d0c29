"""cdk-nag's AwsSolutions: clean but for what ``infra/checks.py`` gives a reason for."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Annotations, Match
from cdk_nag import AwsSolutionsChecks

from infra import checks
from infra.parameters import StageParameters
from infra.stack import BatutaStack

PARAMETERS = StageParameters(alarm_email="ops@example.com", dashboard=True, retain=False)


def found(asset: Path, *, is_excused: bool) -> set[str]:
    app = cdk.App(analytics_reporting=False)
    stack = BatutaStack(app, "batuta-prod", PARAMETERS, asset, asset)
    if is_excused:
        checks.excuse(stack)
    cdk.Aspects.of(stack).add(AwsSolutionsChecks(verbose=True))
    annotations = Annotations.from_stack(stack)
    entries = [*annotations.find_error("*", Match.any_value()), *annotations.find_warning("*", Match.any_value())]
    return {str(entry.entry.data) for entry in entries}


def test_nothing_is_found_that_has_no_reason(asset: Path) -> None:
    assert not found(asset, is_excused=True)


@pytest.mark.parametrize("rule", checks.REASONS)
def test_every_reason_is_still_needed(everything: set[str], rule: str) -> None:
    assert any(rule in message for message in everything)


@pytest.fixture(scope="module")
def everything(asset: Path) -> set[str]:
    return found(asset, is_excused=False)
