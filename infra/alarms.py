"""Six alarms, $0.10 a month each, on what somebody has to look at. Where nothing is measured, all is well, but for the tick.

A message that fails comes again when its invisibility ends, so in one period it fails twice at most. Hence the thresholds: what goes
well the second time is nobody's business, what fails twice may be all of the trouble that there is.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from batuta_core.engine.ports import FUNCTION_VISIBILITY_S
from batuta_core.model.names import resource_name
from batuta_server.telemetry import METRICS, METRICS_NAMESPACE
from infra.api import Api
from infra.functions import Functions
from infra.parameters import StageParameters
from infra.queues import Queues

_PERIOD = Duration.minutes(5)
_OLDEST_MESSAGE_S = 3 * FUNCTION_VISIBILITY_S
_TWICE = 2
_API_ERRORS = 3  # the client repeats a call up to five times, so one caller in trouble is enough


class Alarms(Construct):
    """Not on executions that cannot be decided: each of those has been a dead letter before."""

    def __init__(self, scope: Construct, id_: str, parameters: StageParameters, api: Api, functions: Functions, queues: Queues) -> None:
        super().__init__(scope, id_)
        self._stage = parameters.stage
        self.all: Sequence[cloudwatch.Alarm] = [
            self._alarm(
                "QueueAge",
                queues.decider.metric_approximate_age_of_oldest_message(period=_PERIOD, statistic="Maximum"),
                _OLDEST_MESSAGE_S,
                "Results and timers wait to be decided. Look at the decider function: throttled, failing, or too few of it?",
            ),
            self._alarm(
                "DeadLetters",
                counted("dead_letters", self._stage),
                1,
                "Messages were given up and are decided alone, or their queues cannot be read. The decider's log says which.",
            ),
            self._alarm(
                "DecisionFailed",
                counted("decision_failed", self._stage),
                _TWICE,
                "Decisions fail and are made again. The decider's log says why.",
            ),
            self._alarm(
                "ApiErrors", api.http.metric_server_error(period=_PERIOD, statistic="Sum"), _API_ERRORS, "The API answers with 5xx."
            ),
            self._alarm(
                "TimersErrors", functions.timers.metric_errors(period=_PERIOD), _TWICE, "The timers function fails: deadlines come late."
            ),
            self._alarm(
                "TickStopped",
                functions.timers.metric_invocations(period=_PERIOD),
                1,
                "The timers function is not run: far deadlines and dead letters lie. Is the rule off, is the function throttled?",
                comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
                missing=cloudwatch.TreatMissingData.BREACHING,  # who is not invoked is not measured
            ),
        ]
        if parameters.alarm_email:
            self._tell(parameters.alarm_email)

    def _alarm(
        self,
        what: str,
        metric: cloudwatch.IMetric,
        threshold: int,
        description: str,
        *,
        comparison: cloudwatch.ComparisonOperator = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            what,
            alarm_name=resource_name(self._stage, what),
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            comparison_operator=comparison,
            evaluation_periods=1,
            treat_missing_data=missing,
        )

    def _tell(self, email: str) -> None:
        topic = sns.Topic(self, "Topic", topic_name=resource_name(self._stage, "alarms"), enforce_ssl=True)
        topic.add_subscription(subscriptions.EmailSubscription(email))
        for alarm in self.all:
            alarm.add_alarm_action(actions.SnsAction(topic))
            alarm.add_ok_action(actions.SnsAction(topic))
        # A policy of its own, as TLS demands one, takes the place of SNS's, by which all of the account could publish.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alarms",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": Stack.of(self).account},
                    "ArnEquals": {"aws:SourceArn": [alarm.alarm_arn for alarm in self.all]},
                },
            )
        )


def counted(event: str, stage: str) -> cloudwatch.Metric:
    """What the functions count in their logs (``telemetry``)."""
    return cloudwatch.Metric(
        namespace=METRICS_NAMESPACE, metric_name=METRICS[event], dimensions_map={"stage": stage}, statistic="Sum", period=_PERIOD
    )
