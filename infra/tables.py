"""The tables, as ``layout`` describes them."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from batuta_server import layout
from infra.parameters import StageParameters

_TYPES = {"S": dynamodb.AttributeType.STRING, "N": dynamodb.AttributeType.NUMBER}


class Tables(Construct):
    """Paid per request, restorable to any second of the last 35 days (``$0.20`` per GB and month).

    Encrypted with a key that AWS owns: every table is encrypted, that key is free, and one of the account's own would cost $1 a
    month and a call to KMS now and then, to keep out nobody but those whom IAM keeps out already.
    """

    def __init__(self, scope: Construct, id_: str, parameters: StageParameters) -> None:
        super().__init__(scope, id_)
        # Also kept when a deployment that replaces them goes through, but not when the one that makes them fails.
        removal = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if parameters.retain else RemovalPolicy.DESTROY
        self.by_what: Mapping[str, dynamodb.Table] = {
            table.what: self._make(table, parameters.stage, removal, parameters.deletion_protection) for table in layout.TABLES
        }

    def _make(self, table: layout.Table, stage: str, removal: RemovalPolicy, is_protected: bool) -> dynamodb.Table:
        made = dynamodb.Table(
            self,
            table.what.capitalize(),
            table_name=table.name(stage),
            partition_key=_attribute(table.partition),
            sort_key=_attribute(table.sort),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.DEFAULT,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True),
            time_to_live_attribute=table.ttl or None,
            deletion_protection=is_protected,
            removal_policy=removal,
        )
        for index in table.indexes:
            made.add_global_secondary_index(
                index_name=index.name,
                partition_key=_attribute(index.partition),
                sort_key=_attribute(index.sort),
                projection_type=dynamodb.ProjectionType.KEYS_ONLY,
            )
        return made


def _attribute(key: layout.Key) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=key.name, type=_TYPES[key.type])
