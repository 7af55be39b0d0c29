"""A template as one reads it: resources by type and name, ARNs as text, grants as a table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from aws_cdk.assertions import Template

Grants = Mapping[str, frozenset[str]]  # what -> actions


class Reading:
    def __init__(self, template: Template) -> None:
        self.json: Mapping[str, Any] = template.to_json()
        self.resources: Mapping[str, Mapping[str, Any]] = self.json["Resources"]

    def of_type(self, type_: str) -> dict[str, Mapping[str, Any]]:
        """Their properties, by logical id."""
        return {id_: resource.get("Properties", {}) for id_, resource in self.resources.items() if resource["Type"] == type_}

    def one(self, type_: str, **properties: Any) -> Mapping[str, Any]:
        found = [
            item for item in self.of_type(type_).values() if all(self.text(item.get(name)) == value for name, value in properties.items())
        ]
        assert len(found) == 1, f"{len(found)} of {type_} with {properties}"
        return found[0]

    def text(self, value: Any) -> Any:
        """Joined, with references as ``{name}``; a reference to a resource that has a name as that name."""
        match value:
            case {"Fn::Join": [separator, parts]}:
                return separator.join(str(self.text(part)) for part in parts)
            case {"Ref": str(name)}:
                return "{" + name.removeprefix("AWS::") + "}"
            case {"Fn::GetAtt": [str(name), "Arn"]}:
                return self.arn(name)
            case _:
                return value

    def arn(self, logical_id: str) -> str:
        resource = self.resources[logical_id]
        properties = resource["Properties"]
        for name in ("TableName", "QueueName", "FunctionName", "LogGroupName", "AlarmName", "BucketName"):
            if name in properties:
                return f"{resource['Type']}/{self.text(properties[name])}"
        return f"{resource['Type']}/{logical_id}"

    # --- who may do what

    def function_grants(self, what: str) -> Grants:
        """Of the role of a function, by the short names of docs/explanation/security.md."""
        function = next(item for item in self.of_type("AWS::Lambda::Function").values() if item["FunctionName"].endswith(f"--{what}"))
        role = self.resources[function["Role"]["Fn::GetAtt"][0]]["Properties"]
        assert "ManagedPolicyArns" not in role
        found: dict[str, set[str]] = defaultdict(set)
        for policy in role["Policies"]:
            for resource, action in self.allowed(policy["PolicyDocument"]):
                found[short(resource)].add(action)
        return {name: frozenset(actions) for name, actions in found.items()}

    def policy_grants(self, name: str) -> Grants:
        """Of a managed policy, by the logical id's part. What it may do on the API are routes."""
        found: dict[str, set[str]] = defaultdict(set)
        policies = self.of_type("AWS::IAM::ManagedPolicy").items()
        document = next(policy["PolicyDocument"] for id_, policy in policies if re.fullmatch(f"BatutaAccess{name}[0-9A-F]{{8}}", id_))
        for resource, action in self.allowed(document):
            if route := re.fullmatch(r"arn:\{Partition\}:execute-api:.*/\$default/([A-Z]+)(/.*)", resource):
                assert action == "execute-api:Invoke"
                found["API"].add(f"{route[1]} {route[2]}")
            else:
                found[short(resource)].add(action)
        return {name: frozenset(actions) for name, actions in found.items()}

    def allowed(self, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Each (resource, action); a condition stands behind its resource."""
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow"
            suffix = " if " + repr(statement["Condition"]) if "Condition" in statement else ""
            for resource in _list(statement["Resource"]):
                for action in _list(statement["Action"]):
                    yield f"{self.text(resource)}{suffix}", action


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_SHORT = (
    (r"arn:\{Partition\}:dynamodb:.*:table/batuta-\w+--(\w+)/index/\w+", r"indexes of table \1"),
    (r"arn:\{Partition\}:dynamodb:.*:table/batuta-\w+--(\w+)", r"table \1"),
    (r"arn:\{Partition\}:sqs:.*:batuta-\w+--\*--\*", "all task queues"),
    (r"arn:\{Partition\}:sqs:.*:batuta-\w+--[a-z]+--\*", "task queues"),
    (r"arn:\{Partition\}:sqs:.*:batuta-\w+--(.*)", r"queue \1"),
    (r"arn:\{Partition\}:s3:::batuta-\w+-payloads-\{AccountId\}-\{Region\}/[a-z]+/\*", "payloads"),
    (r"arn:\{Partition\}:s3:::batuta-\w+-payloads-\{AccountId\}-\{Region\}/_uploads/(\w+/)?\*", "uploads"),
    (r"arn:\{Partition\}:s3:::batuta-\w+-payloads-\{AccountId\}-\{Region\} if .*'s3:prefix': \[.*/\*'\].*", "bucket, below payloads"),
    (r"arn:\{Partition\}:s3:::batuta-\w+-payloads-\{AccountId\}-\{Region\}/\*", "all payloads"),
    (r"arn:\{Partition\}:s3:::batuta-\w+-payloads-\{AccountId\}-\{Region\}", "bucket"),
    (r"arn:\{Partition\}:ssm:.*:parameter/batuta/\w+/(.*)", r"parameter \1"),
    (r"arn:\{Partition\}:logs:.*:log-group:/batuta/\w+/\w+:\*", "logs"),
    (r"arn:\{Partition\}:lambda:.*:function:batuta-\w+--(\w+)", r"function \1"),
    (r"AWS::Logs::LogGroup//batuta/\w+/\w+", "its log"),
    (r"arn:\{Partition\}:execute-api:.*/\$default/[A-Z]+/.*", "API"),
    (r"AWS::CloudWatch::Alarm/batuta-\w+--\w+", "alarms"),
    (r"\*", "everything"),
)


def short(arn: str) -> str:
    for pattern, name in _SHORT:
        if found := re.fullmatch(pattern, arn):
            return found.expand(name)
    return arn
