"""The bucket of payloads that are too large for a record."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_s3 as s3
from constructs import Construct

from batuta_core.engine.external import UPLOADS
from infra.names import Arns
from infra.parameters import StageParameters

_HALF_SENT_DAYS = 1
_UPLOAD_DAYS = 1  # the least that S3 has; a request follows its upload within minutes


class Payloads(Construct):
    """Closed to the public and to what does not come by TLS; encrypted with S3's own keys, which are free.

    A payload lives as long as its execution, which deletes it. Only what clients uploaded expires by age: what is of use was copied to
    its execution when a request named it. Not versioned: objects are named by their content and never change.
    """

    def __init__(self, scope: Construct, id_: str, parameters: StageParameters, arns: Arns) -> None:
        super().__init__(scope, id_)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            bucket_name=arns.bucket_name,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=parameters.is_tls_demanded,
            minimum_tls_version=1.2 if parameters.is_tls_demanded else None,
            lifecycle_rules=[
                s3.LifecycleRule(id="half-sent", abort_incomplete_multipart_upload_after=Duration.days(_HALF_SENT_DAYS)),
                s3.LifecycleRule(id="uploads", prefix=f"{UPLOADS}/", expiration=Duration.days(_UPLOAD_DAYS)),
            ],
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if parameters.retain else RemovalPolicy.DESTROY,
        )
