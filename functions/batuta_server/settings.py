"""What the functions are told from outside: environment variables, read once.

``infra`` fills them from the same class, so that a name cannot drift. Credentials are not settings: Lambda's come in
variables of its own, which the transport reads.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from batuta_core.model.names import check_namespace, check_stage

SERVICES = ("dynamodb", "sqs", "s3", "ssm", "lambda")

_STAGE = "BATUTA_STAGE"
_REGION = "BATUTA_REGION"
_BUCKET = "BATUTA_BUCKET"
_TOKEN_KEYS = "BATUTA_TOKEN_KEYS"  # noqa: S105 - the name of the variable; base64url, the newest first, commas between
_TOKEN_KEYS_PARAMETER = "BATUTA_TOKEN_KEYS_PARAMETER"  # noqa: S105
_NAMESPACES = "BATUTA_NAMESPACES"  # commas between
_RETENTION_S = "BATUTA_RETENTION_S"
_HTTP_ALLOWED = "BATUTA_HTTP_ALLOWED"  # commas between
_EVENT_SINKS = "BATUTA_EVENT_SINKS"  # commas between
_EVENT_SOURCES = "BATUTA_EVENT_SOURCES"  # commas between
_ACCOUNT = "BATUTA_ACCOUNT"
_IS_LOCAL = "BATUTA_LOCAL"
_SANDBOX_FUNCTION = "BATUTA_SANDBOX_FUNCTION"
_ENDPOINT_URL = "BATUTA_ENDPOINT_URL"
_SERVICE_URLS = {service: f"BATUTA_{service.upper()}_URL" for service in SERVICES}
_LAMBDA_REGION = "AWS_REGION"  # Lambda sets it and lets nobody else set it

_KEY_MIN_BYTES = 16  # as model.token.Signer wants


class SettingsError(Exception):
    """The environment is not fit to start in. The message names the variable or the endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``endpoint_url`` stands in for AWS for every service, ``service_urls`` for single ones; without either it is AWS.

    The token keys are given themselves, or as the name of the parameter in SSM that holds their ring.
    """

    stage: str
    region: str
    bucket: str
    token_keys: tuple[bytes, ...] = field(default=(), repr=False)
    token_keys_parameter: str = ""
    namespaces: tuple[str, ...] = ()  # which there may be; none named: any
    retention_s: int = 0  # how long ended executions are kept; 0: until somebody deletes them
    is_local: bool = False  # on a laptop or in a test: nothing may reach AWS, and nobody is asked who he is
    sandbox_function: str = ""  # the name of the function that runs users' scripts; without one they are run here, where that is allowed
    endpoint_url: str = ""
    service_urls: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """Raises SettingsError, which says what is missing or wrong."""
        parameter = env.get(_TOKEN_KEYS_PARAMETER, "")
        return cls(
            stage=check_stage(_required(env, _STAGE)),
            region=env.get(_REGION) or _required(env, _LAMBDA_REGION),
            bucket=_required(env, _BUCKET),
            token_keys=() if parameter else tuple(_key(text) for text in _required(env, _TOKEN_KEYS).split(",")),
            token_keys_parameter=parameter,
            namespaces=tuple(check_namespace(name) for name in env.get(_NAMESPACES, "").split(",") if name),
            retention_s=_number(env, _RETENTION_S),
            is_local=env.get(_IS_LOCAL, "") == "1",
            sandbox_function=env.get(_SANDBOX_FUNCTION, ""),
            endpoint_url=env.get(_ENDPOINT_URL, ""),
            service_urls={service: env[name] for service, name in _SERVICE_URLS.items() if env.get(name)},
        )

    def to_env(self) -> dict[str, str]:
        """What ``from_env`` reads; credentials are apart."""
        env = {
            _STAGE: self.stage,
            _REGION: self.region,
            _BUCKET: self.bucket,
            _TOKEN_KEYS: ",".join(base64.urlsafe_b64encode(key).decode() for key in self.token_keys),
            _TOKEN_KEYS_PARAMETER: self.token_keys_parameter,
            _NAMESPACES: ",".join(self.namespaces),
            _RETENTION_S: str(self.retention_s) if self.retention_s else "",
            _IS_LOCAL: "1" if self.is_local else "",
            _SANDBOX_FUNCTION: self.sandbox_function,
            _ENDPOINT_URL: self.endpoint_url,
            **{_SERVICE_URLS[service]: url for service, url in self.service_urls.items()},
        }
        return {name: value for name, value in env.items() if value}

    def endpoint(self, service: str) -> str:
        """The URL that the service is called at."""
        suffix = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return self.service_urls.get(service) or self.endpoint_url or f"https://{service}.{self.region}.{suffix}"

    def endpoints(self) -> dict[str, str]:
        """All of them. Raises SettingsError when this is a laptop or a test and one of them is elsewhere: nothing that runs
        there may ever reach a real account."""
        # On a laptop queues stand in its place, and processes for the scripts.
        unused = {"ssm": not self.token_keys_parameter, "lambda": self.is_local and not self.sandbox_function}
        needed = [service for service in SERVICES if not unused.get(service)]
        found = {service: self.endpoint(service) for service in needed}
        if self.is_local or "PYTEST_VERSION" in os.environ:
            for service, url in found.items():
                if not _is_loopback(url):
                    raise SettingsError(f"local or a test, but {service} would be called at {url}, which is not loopback")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Of the http function, which is told nothing else. ``allowed``: ranges (CIDR) that may be called although they are not public."""

    stage: str
    region: str
    allowed: tuple[str, ...] = ()
    endpoint_url: str = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> HttpSettings:
        """Raises SettingsError."""
        allowed = tuple(text for text in env.get(_HTTP_ALLOWED, "").split(",") if text)
        try:
            [ipaddress.ip_network(text) for text in allowed]
        except ValueError as error:
            raise SettingsError(f"the environment variable {_HTTP_ALLOWED} must hold ranges like 10.1.0.0/16: {error}") from error
        return cls(
            stage=check_stage(_required(env, _STAGE)),
            region=env.get(_REGION) or _required(env, _LAMBDA_REGION),
            allowed=allowed,
            endpoint_url=env.get(_ENDPOINT_URL, ""),
        )

    def to_env(self) -> dict[str, str]:
        """What ``from_env`` reads; credentials are apart."""
        env = {_STAGE: self.stage, _REGION: self.region, _HTTP_ALLOWED: ",".join(self.allowed), _ENDPOINT_URL: self.endpoint_url}
        return {name: value for name, value in env.items() if value}

    @property
    def sqs_url(self) -> str:
        """Raises SettingsError in a test whose URL is not loopback."""
        url = Settings(stage=self.stage, region=self.region, bucket="", endpoint_url=self.endpoint_url).endpoint("sqs")
        if "PYTEST_VERSION" in os.environ and not _is_loopback(url):
            raise SettingsError(f"a test, but sqs would be called at {url}, which is not loopback")
        return url


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSettings:
    """What the events function is told beyond ``Settings``. ``sinks``: where EVENT tasks may publish to, as ``provider:name``; ``*`` for
    any. ``sources``: the queues of others whose messages are events for the handlers of a namespace, as ``namespace/queue``."""

    account: str
    sinks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> EventsSettings:
        """Raises SettingsError."""
        texts = [tuple(text for text in env.get(name, "").split(",") if text) for name in (_EVENT_SINKS, _EVENT_SOURCES)]
        return cls(account=_required(env, _ACCOUNT), sinks=texts[0], sources=texts[1])

    def to_env(self) -> dict[str, str]:
        """What ``from_env`` reads."""
        env = {_ACCOUNT: self.account, _EVENT_SINKS: ",".join(self.sinks), _EVENT_SOURCES: ",".join(self.sources)}
        return {name: value for name, value in env.items() if value}

    def namespaces(self) -> dict[str, str]:
        """Of each source's queue, whose handlers hear of it."""
        return {queue: namespace for namespace, _slash, queue in (source.partition("/") for source in self.sources)}


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if not value:
        raise SettingsError(f"the environment variable {name} is not set")
    return value


def _number(env: Mapping[str, str], name: str) -> int:
    text = env.get(name, "") or "0"
    if not (text.isascii() and text.isdigit()):
        raise SettingsError(f"the environment variable {name} must be a whole number of seconds, not '{text}'")
    return int(text)


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) < _KEY_MIN_BYTES:
        raise SettingsError(f"the environment variable {_TOKEN_KEYS} must hold keys of {_KEY_MIN_BYTES} bytes or more in base64url")
    return key


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
