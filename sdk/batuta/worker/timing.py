"""All the worker's numbers of time in one place, so that tests can turn the clock faster."""

from __future__ import annotations

from dataclasses import dataclass

# A stopping worker lets its polls end: one that is abandoned still takes the next message, which then lies invisible until its
# lease ends. So a poll's wait is what stopping an idle worker takes. SQS allows 20 s; 10 halve that for a price of 0.1 requests
# a second and queue ($0.10 a month).
POLL_WAIT_S = 10
MISSING_RETRY_S = 3.0

# Requests to an emulator cost nothing; Ctrl-C should not take ten seconds there, nor a new queue three to be seen.
LOCAL_POLL_WAIT_S = 1
LOCAL_MISSING_RETRY_S = 0.3
LOCAL_LOOK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """In seconds."""

    poll_wait_s: int = POLL_WAIT_S
    poll_retry_first_s: float = 0.5
    poll_retry_max_s: float = 30.0
    missing_retry_s: float = MISSING_RETRY_S  # a queue that is not there: its task type may be registered at any moment
    # For a priority queue, which most task types never have: each look is a request, so an idle worker pays $0.02 a month and queue.
    look_s: float = 60.0
    look_busy_s: float = 10.0  # ... while there is work: only then does a priority matter much
    hint_s: float = 30.0  # after a task of a priority that came over the other queue it is looked for as a missing queue is
    stranger_pause_s: float = 1.0  # before the next poll of a queue that brought a task which is not served, or cannot be read, here

    visibility_s: int = 30  # the attribute that the stage gives its task queues
    renew_after_s: float = 8.0  # since the last renewal; eight more tries fit before the lease ends
    renew_tick_s: float = 2.5
    hold_max_s: float = 11.5 * 3600  # SQS holds a message for 12 h at most, however often it is renewed (quota "visibility timeout")

    started_after_s: float = 1.0  # only tasks that outlive this report that they have begun
    heartbeat_share: float = 0.8  # of the response time-out, as Conductor's SDKs have it
    leased_heartbeat_s: float = 20 * 60.0  # of a task held beyond SQS: a third of the hour that the server waits for one without
    words_every_s: float = 1.0  # how often a function's own heartbeats and progress are passed on

    timeout_grace_s: float = 5.0  # after a time-out the server's own timer, which knows the policy, gets this long to be first
    linger_s: float = 0.005  # how long a result waits for others to share its request
    # A message whose result is acknowledged: nobody waits for its deletion, and a chain of short tasks shares its requests so. Should the
    # process be killed meanwhile, the message comes again, as it does after any kill between result and deletion.
    delete_linger_s: float = 0.1
    send_retry_first_s: float = 0.2
    send_retry_max_s: float = 30.0

    flush_s: float = 5.0  # at the end of a shutdown: what results and hand-backs still get
    stale_after_s: float = 5 * 60.0  # a message older than that is asked after before it is run
    remembered_s: float = 120.0  # how long a finished task is known: its message comes again within a lease where deleting it failed

    settle_s: float = 30.0  # how long a start waits for the server to say where its queues are
    unhealthy_after_s: float = 60.0  # of polls that fail

    @classmethod
    def local(cls) -> Timing:
        """For a server on this machine."""
        return cls(poll_wait_s=LOCAL_POLL_WAIT_S, missing_retry_s=LOCAL_MISSING_RETRY_S, look_s=LOCAL_LOOK_S, look_busy_s=LOCAL_LOOK_S)
