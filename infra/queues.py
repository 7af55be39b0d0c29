"""The queues that a stage has once. Those of task types are made by the API when the types are registered."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from batuta_core.engine.ports import MAX_RECEIVES, QUEUE_RETENTION_S
from batuta_server import layout
from infra.parameters import StageParameters


class Queues(Construct):
    """Encrypted with SQS's own keys, which are free, and closed to what does not come by TLS.

    They go with the stack, whatever is retained, and with them what lies in them. All but results that were not decided on can be sent
    again from the journal (``engine/requeue.py``, ``send_again``).
    """

    def __init__(self, scope: Construct, id_: str, parameters: StageParameters) -> None:
        super().__init__(scope, id_)
        self._by_what: dict[str, sqs.Queue] = {}
        for queue in layout.QUEUES:  # the targets of dead letters come first
            self._by_what[queue.what] = self._make(queue, parameters)
        self.decider = self._by_what[layout.DECIDER_QUEUE.what]
        self.timers = self._by_what[layout.TIMERS_QUEUE.what]
        self.task_dead_letters = self._by_what[layout.TASK_DEAD_LETTERS.what]

    def _make(self, queue: layout.Queue, parameters: StageParameters) -> sqs.Queue:
        target = self._by_what[queue.dead_letters] if queue.dead_letters else None
        return sqs.Queue(
            self,
            "".join(word.capitalize() for word in queue.what.replace(".", "-").split("-")),
            queue_name=queue.name(parameters.stage),
            visibility_timeout=Duration.seconds(queue.visibility_s),
            retention_period=Duration.seconds(QUEUE_RETENTION_S),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=parameters.is_tls_demanded,
            dead_letter_queue=sqs.DeadLetterQueue(queue=target, max_receive_count=MAX_RECEIVES) if target else None,
            # High throughput: 3,000 messages a second and more, counted by message group, not by queue.
            fifo=True if queue.is_fifo else None,
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP if queue.is_fifo else None,
            fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID if queue.is_fifo else None,
        )
