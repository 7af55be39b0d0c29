"""The names and shapes of everything that a stage has once: tables, queues, the bucket. Plain data, for whoever makes them.

============  ======================  =====================================  ==========================================
table         partition key           sort key                               item
============  ======================  =====================================  ==========================================
executions    ns#wf                   number >= 1                            a journal record
executions    ns#wf                   0                                      the summary, with the index keys
executions    ns#wf#log               at_ms * 1000 + 0..999                  a log line that came alone
executions    ns#!event#message       hash of handler and action             what an event handler did
definitions   ns                      !revision                              counter of changes
definitions   ns                      w#name#version                         workflow definition
definitions   ns                      n#name                                 that a workflow had the name
definitions   ns                      t#name                                 task definition
definitions   ns                      h#name                                 of which event the event handler is
definitions   ns                      e#event#name                           event handler
definitions   ns                      f#hash                                 frozen definition
definitions   ns                      p#type#domain#worker                   who last polled
timers        minute#shard            due_ms#ns#wf#record                    a deadline of that minute
timers        cursor                  cursor                                 where the mover of timers stands
timers        gate#ns#hash            =                                      where the gate of a limited task type stands
timers        gate#ns#hash            order_ms#wf#place.send                 a task that waits for its permit
============  ======================  =====================================  ==========================================
"""

from __future__ import annotations

from batuta_core.engine.ports import EVENT_RECEIVES, FUNCTION_VISIBILITY_S, MAX_RECEIVES, TASK_VISIBILITY_S
from batuta_core.model.frozen import dataclass
from batuta_core.model.names import resource_name

# Timers of one minute are spread over so many partitions: a partition takes 1,000 writes a second (DynamoDB quota).
TIMER_SHARDS = 4


@dataclass(frozen=True, slots=True)
class Key:
    """``type`` is DynamoDB's: S or N."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Index:
    """A global secondary index that holds the keys only: what it finds is read from the table."""

    name: str
    partition: Key
    sort: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Paid per request. ``ttl``: the attribute (epoch s) by which items expire; empty: none do."""

    what: str
    partition: Key
    sort: Key
    indexes: tuple[Index, ...] = ()
    ttl: str = ""

    def name(self, stage: str) -> str:
        return resource_name(stage, self.what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """``dead_letters``: the queue (its ``what``) that takes what was received ``max_receives`` times; empty: none does."""

    what: str
    visibility_s: int = FUNCTION_VISIBILITY_S
    dead_letters: str = ""
    max_receives: int = MAX_RECEIVES

    @property
    def is_fifo(self) -> bool:
        return self.what.endswith(".fifo")

    def name(self, stage: str) -> str:
        return resource_name(stage, self.what)


_STARTED = Key("t0", "N")
BY_NAME = Index("by_name", Key("n", "S"), _STARTED)
BY_STATUS = Index("by_status", Key("s", "S"), _STARTED)  # sparse: without the completed ones, which are most
BY_CORRELATION = Index("by_correlation", Key("c", "S"), _STARTED)  # sparse: with a correlation id only

EXECUTIONS = Table(
    what="executions", partition=Key("pk", "S"), sort=Key("seq", "N"), indexes=(BY_NAME, BY_STATUS, BY_CORRELATION), ttl="ttl"
)
DEFINITIONS = Table(what="definitions", partition=Key("pk", "S"), sort=Key("sk", "S"), ttl="ttl")
TIMERS = Table(what="timers", partition=Key("pk", "S"), sort=Key("sk", "S"))

TABLES = (EXECUTIONS, DEFINITIONS, TIMERS)

# A FIFO queue's dead letter queue must be FIFO itself (SQS), hence two for the functions' queues.
DEAD_LETTERS = Queue(what="dead-letters")
FIFO_DEAD_LETTERS = Queue(what="dead-letters.fifo")
TASK_DEAD_LETTERS = Queue(what="task-dead-letters")
DECIDER_QUEUE = Queue(what="decider.fifo", dead_letters=FIFO_DEAD_LETTERS.what)
TIMERS_QUEUE = Queue(what="timers", dead_letters=DEAD_LETTERS.what)

QUEUES = (DEAD_LETTERS, FIFO_DEAD_LETTERS, TASK_DEAD_LETTERS, DECIDER_QUEUE, TIMERS_QUEUE)  # in this order: targets first

# Of the functions that run tasks. HTTP's messages are given to the function once (docs/adr/0012). On AWS there are no such queues: sending
# to one invokes the function asynchronously, and Lambda's own queue, which costs nothing while it is idle, takes its place.
HTTP_QUEUE = Queue(what="http", dead_letters=TASK_DEAD_LETTERS.what, max_receives=1)

# Published again an event has the effect of once, so it is given again as often as Lambda would.
EVENTS_QUEUE = Queue(what="events", dead_letters=TASK_DEAD_LETTERS.what, max_receives=EVENT_RECEIVES)

SYSTEM_QUEUES = (HTTP_QUEUE, EVENTS_QUEUE)

# What every task queue looks like; there are many of it, named by model.names.task_queue_name.
TASK_QUEUE = Queue(what="", visibility_s=TASK_VISIBILITY_S, dead_letters=TASK_DEAD_LETTERS.what)


def bucket_name(stage: str, account: str, region: str) -> str:
    """The bucket of the payloads; at most 63 characters (S3's rule) in every region there is."""
    return f"batuta-{stage}-payloads-{account}-{region}"
