"""Where cdk-nag's AwsSolutions would have it otherwise, and why it is as it is. For tests, and for apps that run cdk-nag themselves."""

from __future__ import annotations

from cdk_nag import NagPackSuppression, NagSuppressions
from constructs import Construct

REASONS = {
    "AwsSolutions-IAM5": (
        "The only wildcards: task queues, which are made at run time and told by the beginning and the hash of their names; payloads "
        "below the prefixes of namespaces; paths of the API; streams of a log group; and sqs:ListQueues, for which SQS knows no resource. "
        "Each is a row in docs/explanation/security.md."
    ),
    "AwsSolutions-L1": "Python 3.13 on purpose: the asset's wheels and compiled files are of one version, and tests run on it.",
    "AwsSolutions-S1": "Payloads are read and written by our functions alone; CloudTrail's data events show by request who did.",
    "AwsSolutions-SQS3": "task-dead-letters is the dead letter queue of the task queues, which are made at run time.",
}


def excuse(scope: Construct) -> None:
    """Writes the reasons beside the resources, for cdk-nag to find."""
    NagSuppressions.add_resource_suppressions(
        scope, [NagPackSuppression(id=rule, reason=reason) for rule, reason in REASONS.items()], apply_to_children=True
    )
