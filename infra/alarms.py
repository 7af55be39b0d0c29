"""Five alarms, $0.10 a month each, on what somebody has to look at. Where nothing is measured, all is well."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
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
# A decision that fails once comes again when its message's visibility ends; one that succeeds then is nobody's business.
_OLDEST_MESSAGE_S = 3 * FUNCTION_VISIBILITY_S


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
                "DeadLetters", counted("dead_letters", self._stage), 1, "Messages were given up and are decided alone. Its log says which."
            ),
            self._alarm(
                "DecisionFailed",
                counted("decision_failed", self._stage),
                5,
                "Decisions fail and are made again. The decider's log says why.",
            ),
            self._alarm("ApiErrors", api.http.metric_server_error(period=_PERIOD, statistic="Sum"), 5, "The API answers with 5xx."),
            self._alarm(
                "TimersErrors", functions.timers.metric_errors(period=_PERIOD), 3, "The timers function fails: deadlines come late."
            ),
        ]
        if parameters.alarm_email:
            self._tell(parameters.alarm_email)

    def _alarm(self, what: str, metric: cloudwatch.IMetric, threshold: int, description: str) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            what,
            alarm_name=resource_name(self._stage, what),
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )

    def _tell(self, email: str) -> None:
        topic = sns.Topic(self, "Topic", topic_name=resource_name(self._stage, "alarms"), enforce_ssl=True)
        topic.add_subscription(subscriptions.EmailSubscription(email))
        for alarm in self.all:
            alarm.add_alarm_action(actions.SnsAction(topic))
            alarm.add_ok_action(actions.SnsAction(topic))


def counted(event: str, stage: str) -> cloudwatch.Metric:
    """What the functions count in their logs (``telemetry``)."""
    return cloudwatch.Metric(
        namespace=METRICS_NAMESPACE, metric_name=METRICS[event], dimensions_map={"stage": stage}, statistic="Sum", period=_PERIOD
    )
