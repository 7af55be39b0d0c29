"""What a deployment may choose, with defaults that suit production. ``cdk deploy -c stage=prod -c alarm_email=ops@example.com``,
or the same names under ``context`` in cdk.json."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from batuta_core.model.error import InvalidInput
from batuta_core.model.names import DEFAULT_NAMESPACE, check_namespace, check_stage

ANY_NAMESPACE = "*"
ARM64, X86_64 = "arm64", "x86_64"

# What CloudWatch Logs takes for a retention (PutRetentionPolicy); 0, for ever, is left out: logs must not outgrow the data.
LOG_RETENTIONS_DAYS = frozenset({1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653})
_MEMORY_MB = range(128, 10241)  # Lambda's quota
_CONCURRENCY = range(2, 1001)  # of an event source mapping, Lambda's API
_OF_THE_FUNCTION = tuple(map(ipaddress.ip_network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "::/127", "fe80::/10", "fd00:ec2::/32")))
_QUEUE = r"[A-Za-z0-9_-]{1,75}(\.fifo)?"
_SINKS = {"sqs": _QUEUE, "sns": r"[A-Za-z0-9_-]{1,250}(\.fifo)?", "eventbridge": r"[/.A-Za-z0-9_-]{1,256}"}  # the services' own rules
_TASK_TYPES_MAX = 40  # a policy each; CloudFormation takes 500 resources in a stack, and a role 10 policies anyway


class ParameterError(ValueError):
    """A parameter of the deployment is not fit to deploy. The message names it, the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class TaskType:
    """A task type that is known before anybody registers it: its workers get a policy of their own."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> TaskType:
        """``shop/charge_card``, or ``charge_card`` in the default namespace. A namespace holds no slash, a name may."""
        namespace, slash, name = text.partition("/")
        if not slash:
            namespace, name = DEFAULT_NAMESPACE, text
        if not name:
            raise ParameterError(f"task_types: '{text}' names no task type; write namespace/name, like shop/charge_card")
        return cls(_checked("task_types", check_namespace, namespace), name)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageParameters:
    stage: str = "prod"
    namespaces: tuple[str, ...] = (DEFAULT_NAMESPACE,)  # that clients and workers may be allowed in; ("*",): any
    task_types: tuple[TaskType, ...] = ()  # their queues are made at run time like all others; these only shape policies
    retention_s: int = 0  # how long ended executions are kept; 0: until somebody deletes them, since nothing goes unasked
    log_retention_days: int = 14

    retain: bool = True  # tables, payloads and token keys outlive `cdk destroy`
    # Of the tables. On request only: a first deployment that fails could not take them away again, and would be stuck half-way. They
    # survive `cdk destroy` without it, and DynamoDB keeps a backup of a deleted table with point-in-time recovery for 35 days.
    deletion_protection: bool = False
    token_key_generation: int = 1  # raise it by one to have a new token key made; old ones verify for another 30 days

    # Chosen by `make bench-memory` (benchmarks/README.md has the table): each holds its worst event one and a half times. The share of
    # a CPU goes with the memory (1,769 MB: one), but all three mostly wait for DynamoDB and SQS, and waiting is paid by memory.
    api_memory_mb: int = 512  # 183 MB at worst, and a client waits for its cold start
    decider_memory_mb: int = 256  # 108 MB at worst; 512 would make a decision 5 ms faster, for two thirds more of its time's price
    timers_memory_mb: int = 256  # 30 MB at worst: 128 would do, but save less than a cent a month, and moving far timers takes CPU
    http_memory_mb: int = 256  # ten answers of a megabyte at once
    events_memory_mb: int = 256  # as the decider, whose work it does for handlers' actions
    sandbox_memory_mb: int = 512  # less would end a script before the limits of its own do (batuta_server/sandbox/limits.py)

    # A new on-demand table takes 4,000 writes a second; 50 deciders make about 2,000 decisions with a write or two each.
    decider_concurrency: int = 50
    timers_concurrency: int = 5  # ten messages each in some 20 ms: 2,500 a second

    # Reserved concurrency is taken from all other functions of the account, and a fresh account (10 in all) refuses any; so none
    # unless the account is shared with functions that could starve these. The event sources above are bounded anyway.
    api_reserved_concurrency: int | None = None
    decider_reserved_concurrency: int | None = None
    timers_reserved_concurrency: int | None = None

    http_reserved_concurrency: int | None = None  # nothing else bounds it: ten requests each, for as long as the slowest takes

    events_reserved_concurrency: int | None = None
    # Of the stage's account and region, by name: sqs:QUEUE, sns:TOPIC, eventbridge:BUS. An EVENT task with any other sink fails.
    event_sinks: tuple[str, ...] = ()
    # Queues of others whose messages are events for handlers, NAMESPACE/QUEUE: $0.26 a month each, since Lambda polls them.
    event_sources: tuple[str, ...] = ()

    http_allowed: tuple[str, ...] = ()  # ranges (CIDR) that HTTP tasks may call although they are not public, never the function itself

    api_rate: int = 500  # requests a second, so that a client in a loop costs cents, not hundreds of dollars
    api_burst: int = 1000

    alarm_email: str = ""  # who hears of alarms; empty: nobody, they only show
    dashboard: bool = False  # $3 a month by the list, twice what all the rest costs when idle

    arch: str = ARM64  # a fifth cheaper; x86_64 for emulators, which run functions on their own CPU
    endpoint_url: str = ""  # an emulator's; on AWS empty

    def __post_init__(self) -> None:
        _checked("stage", check_stage, self.stage)
        self._check_namespaces()
        _require(
            len(self.task_types) <= _TASK_TYPES_MAX, "task_types", f"at most {_TASK_TYPES_MAX}; the others' workers use the policy of all"
        )
        _require(self.retention_s >= 0, "retention_s", "a number of seconds, 0 for ever")
        _require(
            self.log_retention_days in LOG_RETENTIONS_DAYS,
            "log_retention_days",
            f"one of {', '.join(map(str, sorted(LOG_RETENTIONS_DAYS)))}",
        )
        _require(self.token_key_generation >= 1, "token_key_generation", "1 or more")
        for name in ("api_memory_mb", "decider_memory_mb", "timers_memory_mb", "http_memory_mb", "events_memory_mb", "sandbox_memory_mb"):
            _require(getattr(self, name) in _MEMORY_MB, name, f"{_MEMORY_MB[0]} to {_MEMORY_MB[-1]}")
        for name in ("decider_concurrency", "timers_concurrency"):
            _require(getattr(self, name) in _CONCURRENCY, name, f"{_CONCURRENCY[0]} to {_CONCURRENCY[-1]}")
        self._check_reserved()
        self._check_http_allowed()
        self._check_events()
        _require(self.api_rate >= 1 and self.api_burst >= 1, "api_rate, api_burst", "1 or more")
        _require(
            not self.alarm_email or re.fullmatch(r"[^@\s]+@[^@\s]+", self.alarm_email) is not None, "alarm_email", "an address, or empty"
        )
        _require(self.arch in (ARM64, X86_64), "arch", f"{ARM64} or {X86_64}")
        host = urlsplit(self.endpoint_url).hostname
        _require(not self.endpoint_url or host in ("127.0.0.1", "localhost"), "endpoint_url", "an emulator's on this machine, or empty")

    @property
    def is_emulated(self) -> bool:
        return bool(self.endpoint_url)

    @property
    def is_tls_demanded(self) -> bool:
        """Not where there is none: an emulator on this machine that checks policies would let nobody in."""
        return not self.endpoint_url.startswith("http://")

    @property
    def is_any_namespace(self) -> bool:
        return self.namespaces == (ANY_NAMESPACE,)

    def reserved(self, what: str) -> int | None:
        return {
            "api": self.api_reserved_concurrency,
            "decider": self.decider_reserved_concurrency,
            "timers": self.timers_reserved_concurrency,
            "http": self.http_reserved_concurrency,
            "events": self.events_reserved_concurrency,
        }.get(what)

    @classmethod
    def from_context(cls, get: Callable[[str], Any]) -> StageParameters:
        """``get`` gives the context of a name, None where it is not said; ``-c`` gives texts, cdk.json any JSON. Raises
        ParameterError."""
        given = {}
        for field in fields(cls):
            value = get(field.name)
            if value is not None:
                given[field.name] = _READERS[str(field.type)](field.name, value)
        return cls(**given)

    def _check_namespaces(self) -> None:
        _require(len(self.namespaces) > 0, "namespaces", f"one or more, or '{ANY_NAMESPACE}' for any")
        if self.is_any_namespace:
            return
        for namespace in self.namespaces:
            _checked("namespaces", check_namespace, namespace)
        strange = sorted({task_type.namespace for task_type in self.task_types} - set(self.namespaces))
        _require(not strange, "task_types", f"of the namespaces that are allowed; add {', '.join(strange)} to namespaces")

    def _check_reserved(self) -> None:
        """The event source must not invoke more than there may be: what Lambda throttles counts as received, and five of those
        make a dead letter."""
        for name, concurrency in (("decider", self.decider_concurrency), ("timers", self.timers_concurrency)):
            reserved = self.reserved(name)
            _require(
                reserved is None or reserved > concurrency,
                f"{name}_reserved_concurrency",
                f"more than {name}_concurrency, which is {concurrency}: the minute's tick needs one beside",
            )
        for name in ("api", "http", "events"):
            reserved = self.reserved(name)
            _require(reserved is None or reserved >= 1, f"{name}_reserved_concurrency", "1 or more")

    def _check_events(self) -> None:
        """A queue of the stage's own is no sink and no source: what lies there is for its functions."""
        for sink in self.event_sinks:
            is_named = any(re.fullmatch(f"{provider}:({name})", sink) for provider, name in _SINKS.items())
            _require(is_named, "event_sinks", f"names like sqs:QUEUE, sns:TOPIC or eventbridge:BUS, not '{sink}'")
        for source in self.event_sources:
            namespace, _slash, queue = source.partition("/")
            _require(re.fullmatch(_QUEUE, queue) is not None, "event_sources", f"names like NAMESPACE/QUEUE, not '{source}'")
            _checked("event_sources", check_namespace, namespace)
            is_served = self.is_any_namespace or namespace in self.namespaces
            _require(is_served, "event_sources", f"of the namespaces that are allowed; add {namespace} to namespaces")
        queues = [text.partition("/")[2] for text in self.event_sources]
        _require(len(set(queues)) == len(queues), "event_sources", "each queue once: its messages are for one namespace")
        own = [
            name for name in (*queues, *(sink.partition(":")[2] for sink in self.event_sinks)) if name.startswith(f"batuta-{self.stage}--")
        ]
        _require(not own, "event_sinks, event_sources", f"queues of others, not {', '.join(own)}")

    def _check_http_allowed(self) -> None:
        """Loopback and link-local are the function's own: Lambda's runtime answers there, and gives away what it is about to run."""
        for text in self.http_allowed:
            try:
                network = ipaddress.ip_network(text)
            except ValueError as error:
                raise ParameterError(f"the parameter http_allowed must be ranges like 10.1.0.0/16: {error}") from error
            own = [other for other in _OF_THE_FUNCTION if other.version == network.version and other.overlaps(network)]
            own = [] if self.is_emulated else own  # there, loopback is where everything is
            _require(not own, "http_allowed", f"ranges without {', '.join(map(str, own))}, which are the function's own: {text}")


def _require(holds: bool, name: str, wanted: str) -> None:
    if not holds:
        raise ParameterError(f"the parameter {name} must be {wanted}")


def _checked(name: str, check: Callable[[str], str], text: str) -> str:
    try:
        return check(text)
    except InvalidInput as error:
        raise ParameterError(f"the parameter {name}: {error.message}") from error


# --- from context


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ParameterError(f"the parameter {name} must be a text, not {value!r}")
    return value


def _number(name: str, value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\d{1,12}", value):
        return int(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value):  # jsii makes floats of numbers
        return int(value)
    raise ParameterError(f"the parameter {name} must be a whole number, not {value!r}")


def _flag(name: str, value: Any) -> bool:
    found = {"true": True, "false": False}.get(str(value).lower())
    if found is None:
        raise ParameterError(f"the parameter {name} must be true or false, not {value!r}")
    return found


def _texts(name: str, value: Any) -> tuple[str, ...]:
    """A list, or texts with commas between."""
    items = [item.strip() for item in value.split(",")] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        raise ParameterError(f"the parameter {name} must be a list, or texts with commas between, not {value!r}")
    return tuple(dict.fromkeys(_text(name, item) for item in items if item))


def _task_types(name: str, value: Any) -> tuple[TaskType, ...]:
    return tuple(TaskType.parse(item) for item in _texts(name, value))


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "str": _text,
    "int": _number,
    "int | None": _number,
    "bool": _flag,
    "tuple[str, ...]": _texts,
    "tuple[TaskType, ...]": _task_types,
}
