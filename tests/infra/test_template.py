"""What must not change by accident."""

from __future__ import annotations

import functools
import json
import re
import runpy
from collections import Counter
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from batuta_core.engine.ports import FUNCTION_VISIBILITY_S, MAX_RECEIVES, QUEUE_RETENTION_S
from batuta_server import layout
from batuta_server.telemetry import METRICS
from infra import bundle
from infra.functions import FUNCTION_TIMEOUT_S
from infra.parameters import ParameterError, StageParameters
from infra.stack import BatutaStack
from tests.infra.conftest import synthesize
from tests.infra.reading import Reading
from tests.shared import REPOSITORY

DEPLOYING = (REPOSITORY / "docs" / "explanation" / "deploying.md").read_text()

# --- tables


@pytest.mark.parametrize("table", layout.TABLES, ids=lambda table: table.what)
def test_a_table_is_as_the_layout_says(plain: Reading, table: layout.Table) -> None:
    made = plain.one("AWS::DynamoDB::Table", TableName=table.name("prod"))
    assert made["KeySchema"] == _key_schema(table.partition, table.sort)
    assert {(index["IndexName"], json.dumps(index["KeySchema"])) for index in made.get("GlobalSecondaryIndexes", ())} == {
        (index.name, json.dumps(_key_schema(index.partition, index.sort))) for index in table.indexes
    }
    assert all(index["Projection"] == {"ProjectionType": "KEYS_ONLY"} for index in made.get("GlobalSecondaryIndexes", ()))
    keys = {table.partition, table.sort, *(key for index in table.indexes for key in (index.partition, index.sort))}
    assert {(item["AttributeName"], item["AttributeType"]) for item in made["AttributeDefinitions"]} == {
        (key.name, key.type) for key in keys
    }
    assert made.get("TimeToLiveSpecification") == ({"AttributeName": table.ttl, "Enabled": True} if table.ttl else None)
    assert made["BillingMode"] == "PAY_PER_REQUEST"
    assert made["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert made["SSESpecification"] == {"SSEEnabled": False}  # which says: encrypted with a key that AWS owns, for nothing


def _key_schema(partition: layout.Key, sort: layout.Key) -> list[dict[str, str]]:
    return [{"AttributeName": partition.name, "KeyType": "HASH"}, {"AttributeName": sort.name, "KeyType": "RANGE"}]


def test_data_outlives_the_stack_unless_it_is_said_otherwise(plain: Reading, full: Reading) -> None:
    for reading, policy in ((plain, "RetainExceptOnCreate"), (full, "Delete")):
        kept = [item for item in reading.resources.values() if item["Type"] in ("AWS::DynamoDB::Table", "AWS::S3::Bucket")]
        assert [item["DeletionPolicy"] for item in kept] == [policy] * 4


def test_a_first_deployment_that_fails_can_take_its_tables_away_again(plain: Reading, asset: Path) -> None:
    """CloudFormation deletes what it has just made, whatever is retained later; DynamoDB would refuse that of protected tables."""
    tables = [item for item in plain.resources.values() if item["Type"] == "AWS::DynamoDB::Table"]
    assert {table["DeletionPolicy"] for table in tables} == {"RetainExceptOnCreate"}
    assert not any(table["Properties"]["DeletionProtectionEnabled"] for table in tables)
    on_request = Reading(synthesize(asset, StageParameters(deletion_protection=True)))
    assert all(table["DeletionProtectionEnabled"] for table in on_request.of_type("AWS::DynamoDB::Table").values())


# --- queues


@pytest.mark.parametrize("queue", layout.QUEUES, ids=lambda queue: queue.what)
def test_a_queue_is_as_the_layout_says(plain: Reading, queue: layout.Queue) -> None:
    made = plain.one("AWS::SQS::Queue", QueueName=queue.name("prod"))
    assert made["VisibilityTimeout"] == queue.visibility_s
    assert made["MessageRetentionPeriod"] == QUEUE_RETENTION_S
    assert made["SqsManagedSseEnabled"] is True
    if queue.is_fifo:  # high throughput
        assert (made["FifoQueue"], made["DeduplicationScope"], made["FifoThroughputLimit"]) == (True, "messageGroup", "perMessageGroupId")
    if queue.dead_letters:
        policy = made["RedrivePolicy"]
        assert plain.text(policy["deadLetterTargetArn"]).endswith(f"/batuta-prod--{queue.dead_letters}")
        assert policy["maxReceiveCount"] == MAX_RECEIVES
    else:
        assert "RedrivePolicy" not in made


def test_queues_and_bucket_refuse_what_does_not_come_by_tls(plain: Reading) -> None:
    policies = [*plain.of_type("AWS::SQS::QueuePolicy").values(), *plain.of_type("AWS::S3::BucketPolicy").values()]
    assert len(policies) == len(layout.QUEUES) + 1
    for policy in policies:
        refusals = [statement for statement in policy["PolicyDocument"]["Statement"] if statement["Effect"] == "Deny"]
        assert any(statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}} for statement in refusals)


def test_a_function_lives_for_a_sixth_of_its_messages_invisibility(plain: Reading) -> None:
    assert FUNCTION_TIMEOUT_S * 6 <= FUNCTION_VISIBILITY_S
    for what in ("api", "decider", "timers"):
        assert plain.one("AWS::Lambda::Function", FunctionName=f"batuta-prod--{what}")["Timeout"] == FUNCTION_TIMEOUT_S


def test_only_the_two_busy_queues_are_polled_by_lambda(plain: Reading) -> None:
    """Each costs money every month; the dead letters are looked at by the minute's tick."""
    sources = {
        plain.text(item["EventSourceArn"]).rpartition("--")[2]: item for item in plain.of_type("AWS::Lambda::EventSourceMapping").values()
    }
    assert set(sources) == {"decider.fifo", "timers"}
    for source in sources.values():
        assert source["BatchSize"] == 10
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert "MaximumBatchingWindowInSeconds" not in source
    assert {name: item["ScalingConfig"]["MaximumConcurrency"] for name, item in sources.items()} == {"decider.fifo": 50, "timers": 5}


# --- the bucket


def test_the_bucket_is_closed_and_nothing_in_it_but_uploads_expires_by_age(plain: Reading) -> None:
    bucket = plain.one("AWS::S3::Bucket")
    assert plain.text(bucket["BucketName"]) == layout.bucket_name("prod", "{AccountId}", "{Region}")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    rules = bucket["LifecycleConfiguration"]["Rules"]
    half_sent, uploads = ({key: value for key, value in rule.items() if key not in ("Id", "Status")} for rule in rules)
    assert set(half_sent) == {"AbortIncompleteMultipartUpload"}
    assert uploads == {"Prefix": "_uploads/", "ExpirationInDays": 1}  # which no namespace's payloads begin with


# --- the API


def test_every_route_demands_a_signature(plain: Reading) -> None:
    routes = plain.of_type("AWS::ApiGatewayV2::Route").values()
    assert {route["RouteKey"] for route in routes} == {"ANY /api/{proxy+}", "ANY /ns/{namespace}/api/{proxy+}", "GET /health"}
    assert {route["AuthorizationType"] for route in routes} == {"AWS_IAM"}


def test_the_function_gets_requests_in_the_form_that_it_reads(plain: Reading) -> None:
    assert plain.one("AWS::ApiGatewayV2::Integration")["PayloadFormatVersion"] == "2.0"


def test_the_api_is_throttled_and_logs_who_called(plain: Reading) -> None:
    stage = plain.one("AWS::ApiGatewayV2::Stage")
    assert stage["StageName"] == "$default"
    assert stage["DefaultRouteSettings"] == {"ThrottlingBurstLimit": 1000, "ThrottlingRateLimit": 500}
    line = json.loads(stage["AccessLogSettings"]["Format"])
    assert line["caller"] == "$context.identity.userArn"
    assert plain.text(stage["AccessLogSettings"]["DestinationArn"]).endswith("/batuta/prod/access")


# --- the rest


def test_the_tick_goes_to_timers_and_decider_without_records(plain: Reading) -> None:
    rule = plain.one("AWS::Events::Rule")
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert {plain.text(target["Arn"]).rpartition("--")[2]: target["Input"] for target in rule["Targets"]} == {
        "timers": "{}",
        "decider": "{}",
    }


# --- alarms


def test_six_alarms_and_someone_to_hear_them_if_wanted(plain: Reading, full: Reading) -> None:
    assert len(plain.of_type("AWS::CloudWatch::Alarm")) == 6
    assert all("AlarmActions" not in alarm for alarm in plain.of_type("AWS::CloudWatch::Alarm").values())
    assert all(len(alarm["AlarmActions"]) == 1 for alarm in full.of_type("AWS::CloudWatch::Alarm").values())
    assert full.one("AWS::SNS::Subscription")["Endpoint"] == "ops@example.com"


def test_alarms_and_nobody_else_may_publish_to_their_topic(full: Reading) -> None:
    """A policy of its own takes the place of SNS's, by which the account's alarms could."""
    (policy,) = full.of_type("AWS::SNS::TopicPolicy").values()
    (allowed,) = (item for item in policy["PolicyDocument"]["Statement"] if item["Effect"] == "Allow")
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    assert allowed["Resource"] == policy["Topics"][0]
    assert full.text(allowed["Condition"]["StringEquals"]["aws:SourceAccount"]) == "{AccountId}"
    sources = {full.text(arn) for arn in allowed["Condition"]["ArnEquals"]["aws:SourceArn"]}
    assert sources == {full.arn(id_) for id_ in full.of_type("AWS::CloudWatch::Alarm")}


def test_alarms_watch_what_the_functions_count(plain: Reading) -> None:
    ours = {item["MetricName"]: item for item in plain.of_type("AWS::CloudWatch::Alarm").values() if item["Namespace"] == "Batuta"}
    assert set(ours) == {"DeadLetters", "DecisionFailed"}
    assert all(alarm["Dimensions"] == [{"Name": "stage", "Value": "prod"}] for alarm in ours.values())


def test_dead_letters_that_cannot_be_looked_at_raise_the_alarm_on_dead_letters(plain: Reading) -> None:
    alarm = plain.one("AWS::CloudWatch::Alarm", AlarmName="batuta-prod--DeadLetters")
    assert {METRICS["dead_letters"], METRICS["sweep_failed"]} == {alarm["MetricName"]}
    assert alarm["Threshold"] == 1


@pytest.mark.parametrize("what", ["DecisionFailed", "TimersErrors"])
def test_one_message_that_fails_and_fails_again_raises_an_alarm(plain: Reading, what: str) -> None:
    """It comes again when its invisibility ends, so that is how often it can fail in a period."""
    alarm = plain.one("AWS::CloudWatch::Alarm", AlarmName=f"batuta-prod--{what}")
    most = -(-alarm["Period"] // FUNCTION_VISIBILITY_S)
    assert 1 < alarm["Threshold"] <= most  # one failure that goes well the next time is nobody's business


def test_a_tick_that_stops_raises_an_alarm(plain: Reading) -> None:
    alarm = plain.one("AWS::CloudWatch::Alarm", AlarmName="batuta-prod--TickStopped")
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Invocations")
    assert [plain.text(item["Value"]) for item in alarm["Dimensions"]] == [timers_ref(plain)]
    assert (alarm["ComparisonOperator"], alarm["Threshold"], alarm["Statistic"]) == ("LessThanThreshold", 1, "Sum")
    assert alarm["TreatMissingData"] == "breaching"  # a function that is not invoked is not measured
    others = [item for item in plain.of_type("AWS::CloudWatch::Alarm").values() if item is not alarm]
    assert {item["TreatMissingData"] for item in others} == {"notBreaching"}


def timers_ref(reading: Reading) -> str:
    functions = reading.of_type("AWS::Lambda::Function").items()
    return next("{" + id_ + "}" for id_, function in functions if function["FunctionName"].endswith("--timers"))


# --- the whole


def test_outputs(full: Reading) -> None:
    assert set(full.json["Outputs"]) == {"Url", "WorkerPolicy", "WorkerPolicy1", "WorkerPolicy2", "ClientPolicy", "OperatorPolicy"}


def test_resources_by_type(plain: Reading, full: Reading) -> None:
    """Each kind that is added costs something, if only attention: raised on purpose."""
    counts = {
        "AWS::ApiGatewayV2::Api": 1,
        "AWS::ApiGatewayV2::Integration": 1,
        "AWS::ApiGatewayV2::Route": 3,
        "AWS::ApiGatewayV2::Stage": 1,
        "AWS::CloudWatch::Alarm": 6,
        "AWS::DynamoDB::Table": 3,
        "AWS::Events::Rule": 1,
        "AWS::IAM::ManagedPolicy": 3,
        "AWS::IAM::Role": 7,
        "AWS::Lambda::EventInvokeConfig": 2,
        "AWS::Lambda::EventSourceMapping": 2,
        "AWS::Lambda::Function": 7,
        "AWS::Lambda::Permission": 5,
        "AWS::Logs::LogGroup": 8,
        "AWS::S3::Bucket": 1,
        "AWS::S3::BucketPolicy": 1,
        "AWS::SQS::Queue": 5,
        "AWS::SQS::QueuePolicy": 5,
        "AWS::SSM::Parameter": 1,
        "Custom::BatutaStage": 1,
    }
    assert Counter(item["Type"] for item in plain.resources.values()) == counts
    more = {"AWS::IAM::ManagedPolicy": 5, "AWS::SNS::Topic": 1, "AWS::SNS::TopicPolicy": 1, "AWS::SNS::Subscription": 1}
    more |= {"AWS::Lambda::EventSourceMapping": 3, "AWS::CloudWatch::Dashboard": 1}
    assert Counter(item["Type"] for item in full.resources.values()) == {**counts, **more}


def test_two_stages_in_one_app_do_not_collide(asset: Path) -> None:
    app = cdk.App(analytics_reporting=False)
    stacks = [BatutaStack(app, f"batuta-{stage}", StageParameters(stage=stage), asset, asset) for stage in ("blue", "green")]
    blue, green = (Reading(Template.from_stack(stack)) for stack in stacks)
    assert names(blue) & names(green) == set()
    assert len(names(blue)) > 25


def test_the_construct_stands_in_another_app_as_the_docs_have_it(asset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (app,) = re.findall(r"^```python\n(.*?)^```$", DEPLOYING, re.MULTILINE | re.DOTALL)
    (tmp_path / "app.py").write_text(app)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cdk, "App", functools.partial(cdk.App, outdir=str(tmp_path / "cdk.out"), analytics_reporting=False))
    monkeypatch.setattr(bundle, "build", lambda _arch, **_more: asset)  # test_bundle has the real one
    runpy.run_path("app.py", run_name="__main__")
    template = json.loads((tmp_path / "cdk.out" / "shop.template.json").read_text())
    assert sum(item["Type"] == "AWS::Lambda::Function" for item in template["Resources"].values()) == 7


def test_what_is_imported_again_is_what_is_retained(plain: Reading) -> None:
    (mapping,) = re.findall(r"^```json\n(.*?)^```$", DEPLOYING, re.MULTILINE | re.DOTALL)
    kept = {id_: item["Properties"] for id_, item in plain.resources.items() if item.get("DeletionPolicy") == "RetainExceptOnCreate"}
    told = mapping.replace("123456789012-eu-west-1", "{AccountId}-{Region}")
    names = {id_: {name: plain.text(item[name]) for name in ("TableName", "BucketName") if name in item} for id_, item in kept.items()}
    assert json.loads(told) == names


def names(reading: Reading) -> set[str]:
    """All that somebody chose: of resources, and of exports."""
    properties = ["Name", "TableName", "QueueName", "FunctionName", "LogGroupName", "AlarmName", "BucketName", "RoleName"]
    properties += ["ManagedPolicyName", "DashboardName", "TopicName"]
    found = {
        f"{resource['Type']} {reading.text(resource['Properties'][name])}"
        for resource in reading.resources.values()
        for name in properties
        if name in resource.get("Properties", {}) and "{Batuta" not in reading.text(resource["Properties"][name])  # those are references
    }
    return found | {str(output["Export"]) for output in reading.json["Outputs"].values() if "Export" in output}


def test_an_emulator_gets_plain_http_and_nobody_else(asset: Path) -> None:
    local = Reading(synthesize(asset, StageParameters(stage="local", endpoint_url="http://127.0.0.1:4566")))
    assert not local.of_type("AWS::SQS::QueuePolicy")
    variables = local.one("AWS::Lambda::Function", FunctionName="batuta-local--api")["Environment"]["Variables"]
    assert variables["BATUTA_ENDPOINT_URL"] == "http://127.0.0.1:4566"


def test_more_namespaces_than_a_policy_holds_are_refused(asset: Path) -> None:
    def deploy(count: int) -> None:
        namespaces = tuple(f"namespace-{number:022}" for number in range(count))
        BatutaStack(cdk.App(analytics_reporting=False), "batuta-prod", StageParameters(namespaces=namespaces), asset, asset)

    deploy(3)
    with pytest.raises(ParameterError, match=r"the parameter namespaces .* 6144"):
        deploy(8)
