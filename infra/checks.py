"""Where cdk-nag's AwsSolutions would have it otherwise, and why it is as it is. For tests, and for apps that run cdk-nag themselves.

Each exception is of one place and, for wildcards, of one pattern there: another wildcard, or the same one elsewhere, is found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cdk_nag import NagPackSuppression, NagSuppressions, RegexAppliesTo
from constructs import Construct

_WILDCARD = "AwsSolutions-IAM5"
_FUNCTION = r"(Functions/[A-Z][a-z]+|Keys/Stage)"
_POLICY = r"Access/(Worker(-[a-z0-9]+)?|Client|Operator)"

# As cdk-nag shows resources. Regular expressions that Python and node read alike.
_TASK_QUEUES = r"arn:.*:sqs:.*:batuta-[a-z0-9-]+--([a-z0-9_-]+|\*)--\*"
_ALL_TASK_QUEUES = r"arn:.*:sqs:.*:batuta-[a-z0-9-]+--\*--\*"
_UPLOADS = r"arn:.*:s3:::batuta-.*-payloads-[^/]*/_uploads/([a-z0-9_-]+/)?\*"
_PAYLOADS = r"arn:.*:s3:::batuta-.*-payloads-[^/]*/([a-z0-9_-]+/)?\*"
_ROUTES = r"arn:.*:execute-api:.*/\$default/[A-Z]+(/ns/([a-z0-9_-]+|\*))?/api/.*"
_LOG_STREAMS = r"arn:.*:logs:.*:log-group:/batuta/[a-z0-9-]+/[a-z]+:\*"
_EVERYTHING = r"\*"


@dataclass(frozen=True, slots=True)
class Excused:
    """``where``: the end of a construct's path. ``resource``: of a wildcard. Both as regular expressions."""

    rule: str
    where: str
    reason: str
    resource: str = ""

    def is_at(self, path: str) -> bool:
        return re.search(f"/{self.where}$", path) is not None


EXCUSED = (
    Excused(
        _WILDCARD,
        r"Functions/(Api|Decider|Timers|Events)Role",
        "Task queues are made at run time, and told by how their names begin.",
        _TASK_QUEUES,
    ),
    Excused(_WILDCARD, r"Functions/(Api|Decider|Events)Role", "Payloads below the prefixes of the stage's namespaces.", _PAYLOADS),
    Excused(_WILDCARD, r"Functions/ApiRole", "What clients of the stage's namespaces write by signed URLs.", _UPLOADS),
    Excused(_WILDCARD, r"Keys/StageRole", "At its end the stage deletes the task queues of every namespace.", _ALL_TASK_QUEUES),
    Excused(_WILDCARD, r"Keys/StageRole", "At its end the stage empties its bucket, unless it is retained.", _PAYLOADS),
    Excused(_WILDCARD, r"Keys/StageRole", "sqs:ListQueues knows no resource.", _EVERYTHING),
    Excused(_WILDCARD, r"Access/(Worker|Operator)", "Task queues are made at run time, and told by how their names begin.", _TASK_QUEUES),
    Excused(_WILDCARD, _POLICY, "Paths of the API hold names and ids.", _ROUTES),
    Excused(_WILDCARD, r"Access/Operator", "Streams of the stage's log groups.", _LOG_STREAMS),
    Excused(_WILDCARD, r"Access/Operator", "logs:GetQueryResults knows no resource.", _EVERYTHING),
    Excused("AwsSolutions-L1", _FUNCTION, "Python 3.13 on purpose: the asset's wheels and compiled files are of it, and tests run on it."),
    Excused(
        "AwsSolutions-S1",
        r"Payloads/Bucket",
        "Our functions read and write it, and clients by URLs that these sign; CloudTrail's data events show by request who did.",
    ),
    Excused("AwsSolutions-SQS3", r"Queues/TaskDeadLetters", "It is the dead letter queue of the task queues, which are made at run time."),
)


def excuse(scope: Construct) -> None:
    """Writes the reasons beside the resources, for cdk-nag to find. ``scope``: a stack or construct that holds stages."""
    for construct in scope.node.find_all():
        for item in EXCUSED:
            if item.is_at(construct.node.path):
                pattern = [RegexAppliesTo(regex=f"/^Resource::{item.resource.replace('/', chr(92) + '/')}$/")] if item.resource else None
                said = NagPackSuppression(id=item.rule, reason=item.reason, applies_to=pattern)
                NagSuppressions.add_resource_suppressions(construct, [said])
