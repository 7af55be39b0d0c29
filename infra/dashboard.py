"""One page on what a stage does and what drives its cost. $3 a month (three dashboards of an account are free), so on request."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from batuta_core.model.names import resource_name
from infra.alarms import counted
from infra.api import Api
from infra.functions import Functions
from infra.names import log_group_name
from infra.parameters import StageParameters
from infra.queues import Queues
from infra.tables import Tables

_WIDTH = 8
_MINUTE = Duration.minutes(1)


class Dashboard(Construct):
    def __init__(
        self, scope: Construct, id_: str, parameters: StageParameters, api: Api, functions: Functions, queues: Queues, tables: Tables
    ) -> None:
        super().__init__(scope, id_)
        all_functions, all_tables = functions.all, list(tables.by_what.values())
        rows: list[list[cloudwatch.IWidget]] = [
            [
                _counted_in_log(
                    "Starts",
                    log_group_name(parameters.stage, "api"),
                    'filter message = "request" and method = "POST" and status = 200 and path like /\\/api\\/workflow(\\/[^\\/]+)?$/',
                    "stats count(*) as starts by bin(1m)",
                ),
                _counted_in_log(
                    "Events decided",
                    log_group_name(parameters.stage, "decider"),
                    'filter message = "decider" and ispresent(messages)',
                    "stats sum(messages) as events by bin(1m)",
                ),
            ],
            [
                _graph(
                    "API calls", [api.http.metric_count(period=_MINUTE), api.http.metric_client_error(), api.http.metric_server_error()]
                ),
                _graph("API latency", [api.http.metric_latency(statistic=statistic) for statistic in ("p50", "p95", "p99")]),
                _graph("Decider: batches", [functions.decider.metric_invocations(period=_MINUTE), functions.decider.metric_errors()]),
            ],
            [
                _graph(
                    "Decider: duration of a batch", [functions.decider.metric_duration(statistic=name) for name in ("p50", "p95", "p99")]
                ),
                _graph(
                    "Age of the oldest message",
                    [queue.metric_approximate_age_of_oldest_message(statistic="Maximum") for queue in (queues.decider, queues.timers)],
                ),
                _graph("Trouble", [counted(event, parameters.stage) for event in ("dead_letters", "decision_failed", "execution_broken")]),
            ],
            [
                _graph("Cost: write units", [table.metric_consumed_write_capacity_units(period=_MINUTE) for table in all_tables]),
                _graph("Cost: read units", [table.metric_consumed_read_capacity_units(period=_MINUTE) for table in all_tables]),
                _graph(
                    "Cost: time of functions", [function.metric_duration(statistic="Sum", period=_MINUTE) for function in all_functions]
                ),
            ],
        ]
        cloudwatch.Dashboard(self, "Page", dashboard_name=resource_name(parameters.stage, "overview"), widgets=rows)


def _counted_in_log(title: str, log_group: str, *lines: str) -> cloudwatch.LogQueryWidget:
    """Out of the functions' own lines, when somebody looks: a metric of its own would cost every month."""
    return cloudwatch.LogQueryWidget(
        title=title, log_group_names=[log_group], query_lines=list(lines), view=cloudwatch.LogQueryVisualizationType.BAR, width=_WIDTH
    )


def _graph(title: str, metrics: list[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=metrics, width=_WIDTH)
