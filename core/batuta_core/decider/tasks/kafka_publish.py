"""KAFKA_PUBLISH: publishes a message to a Kafka topic. A worker does it: brokers are the user's, and so is the client to reach them."""

from __future__ import annotations

from collections.abc import Iterator

from batuta_core.decider.tasks.rules import is_input_given, required
from batuta_core.decider.tasks.task_type import WorkflowTask
from batuta_core.decider.tasks.user_defined import UserDefined
from batuta_core.model.error import Problem


class KafkaPublish(UserDefined):
    name = "KAFKA_PUBLISH"

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if not is_input_given("kafka_request", task):
            yield required("inputParameters.kafka_request", task, path)
