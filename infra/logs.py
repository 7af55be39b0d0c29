"""Log groups: named, kept for a while, gone with the stack."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.names import log_group_name
from infra.parameters import StageParameters


def make_log_group(scope: Construct, id_: str, what: str, parameters: StageParameters) -> logs.LogGroup:
    """Not retained: what outlives a stack are its executions, and their history is not in logs."""
    group = logs.LogGroup(scope, id_, log_group_name=log_group_name(parameters.stage, what), removal_policy=RemovalPolicy.DESTROY)
    resource = group.node.default_child
    assert isinstance(resource, logs.CfnLogGroup)
    resource.retention_in_days = parameters.log_retention_days  # CDK's own names for the numbers help nobody
    return group
