"""The minute's tick: far timers come near, dead letters are looked at."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from batuta_core.model.names import resource_name

# Any number of ticks may be lost for 13 minutes without harm (engine/timers.py), so an old one is worth nothing.
_EVENT_AGE_MAX = Duration.minutes(1)


def tick(scope: Construct, stage: str, functions: Sequence[lambda_.IFunction]) -> events.Rule:
    """A rule rather than EventBridge Scheduler: a schedule would need a role, and rules with a rate cost nothing."""
    return events.Rule(
        scope,
        "Tick",
        rule_name=resource_name(stage, "tick"),
        description="Batuta: far timers come near, dead letters are looked at",
        schedule=events.Schedule.rate(Duration.minutes(1)),
        targets=[
            targets.LambdaFunction(  # an event without records is the tick
                function, event=events.RuleTargetInput.from_object({}), max_event_age=_EVENT_AGE_MAX, retry_attempts=0
            )
            for function in functions
        ],
    )
