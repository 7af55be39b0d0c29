"""Where the server and its queues are: arguments first, then the environment, then what the server says of itself.

============  ============================================  ================================================
setting       environment                                   meaning
============  ============================================  ================================================
url           BATUTA_URL                                    the server's root, without ``/api``; else the stage's own
namespace     BATUTA_NAMESPACE                              ``default`` when it is said nowhere
stage         BATUTA_STAGE                                  which of an account's Batutas: in every queue's name
endpoint      AWS_ENDPOINT_URL_SQS, AWS_ENDPOINT_URL        where SQS is; nowhere said: AWS
region        AWS_REGION, AWS_DEFAULT_REGION                else as boto3 finds it
============  ============================================  ================================================

**The local guard**: a server that names an endpoint runs on somebody's laptop. Then the queues must be on a loopback
address, wherever the setting came from, so that a worker for a local server never takes tasks from a real account.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

from batuta.aws import environment_region, is_loopback, stage_url
from batuta.results import ServerInfo
from batuta_core.model.error import BatutaError
from batuta_core.model.names import DEFAULT_NAMESPACE, check_namespace, check_stage

logger = logging.getLogger("batuta")

LOCAL_ACCOUNT = "000000000000"  # what emulators take for the account when nobody names one
LOCAL_REGION = "us-east-1"  # likewise


class SettingsError(ValueError):
    """A setting is missing or contradicts another; the text says which, and what to set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """``local_account`` is the account that a local server names: an emulator tells accounts apart by the access key, so that
    its digits are the credentials to use, whatever others are configured."""

    url: str | None
    stage: str
    endpoint: str | None
    region: str | None
    local_account: str | None

    @property
    def shown(self) -> str:
        where = f" at {self.endpoint}" if self.endpoint is not None else f" in {self.region}" if self.region is not None else ""
        return f"stage {self.stage}, SQS{where}"

    @property
    def is_local(self) -> bool:
        return self.endpoint is not None and is_loopback(self.endpoint)


def server_of(url: str | None, stage: str | None) -> tuple[str | None, str]:
    """For a client: the server's URL, or None and the stage whose URL its deployment has published. A stage that is passed comes
    before $BATUTA_URL: who says ``prod`` must not reach what the shell was set up for. Raises SettingsError."""
    for url_said, stage_said in ((url, stage), (os.environ.get("BATUTA_URL"), os.environ.get("BATUTA_STAGE"))):
        if url_said:
            return _root(url_said), ""
        if stage_said:
            return None, check_stage(stage_said)
    raise SettingsError("no server is known: pass url='http://127.0.0.1:8080' or stage='prod', or set BATUTA_URL or BATUTA_STAGE")


def optional_url(url: str | None) -> str | None:
    return _root(url or os.environ.get("BATUTA_URL", "")) or None


def _root(url: str) -> str:
    return url.rstrip("/").removesuffix("/api")


def namespace_from(namespace: str | None) -> str:
    return check_namespace(namespace or os.environ.get("BATUTA_NAMESPACE") or DEFAULT_NAMESPACE)


def resolve(
    *,
    url: str | None = None,
    stage: str | None = None,
    endpoint: str | None = None,
    region: str | None = None,
    ask: Callable[[str], ServerInfo],
    find_url: Callable[..., str] | None = stage_url,
) -> Connection:
    """``ask`` gets a server's own account of itself, where something is missing that it may know; ``find_url`` the URL of a
    deployed stage, None: it is not looked for. Raises SettingsError."""
    url = optional_url(url)
    stage = stage or os.environ.get("BATUTA_STAGE") or None
    endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_SQS") or os.environ.get("AWS_ENDPOINT_URL") or None
    region = region or environment_region()
    if url is None and stage is not None and find_url is not None:
        url = _found_url(check_stage(stage), region, endpoint, find_url)
    info = _asked(url, ask, is_needed=stage is None) if url is not None and (stage is None or endpoint is None) else None
    if info is not None:
        endpoint = _guarded(endpoint or info.endpoint, info)
        stage, region = stage or info.stage, region or info.region
    if stage is None:
        raise SettingsError("no stage is known: pass stage='prod' or set BATUTA_STAGE, or url=... / BATUTA_URL to ask the server")
    is_local = endpoint is not None and is_loopback(endpoint)
    return Connection(
        url=url,
        stage=check_stage(stage),
        endpoint=endpoint,
        region=region or (LOCAL_REGION if is_local else None),
        local_account=info.account if info is not None and info.endpoint is not None else None,
    )


def _found_url(stage: str, region: str | None, endpoint: str | None, find_url: Callable[..., str]) -> str | None:
    """None when it is not to be found: a worker can do without, but for what only the API does (registering, large inputs). An
    emulator has SSM where it has SQS; elsewhere the endpoint is one of SQS alone, in a VPC say."""
    try:
        return find_url(stage, region=region, endpoint=endpoint if endpoint is not None and is_loopback(endpoint) else None)
    except BatutaError as error:
        logger.warning("the URL of stage %s is not known (%s); going on with its queues alone", stage, error.message)
        return None


def _asked(url: str, ask: Callable[[str], ServerInfo], *, is_needed: bool) -> ServerInfo | None:
    """None when the server does not answer and can be done without. A local one cannot: AWS would be taken for its queues."""
    try:
        return ask(url)
    except BatutaError as error:
        if is_needed or is_loopback(url):
            raise
        logger.warning("%s says nothing of itself (%s); going on with the stage that is set", url, error.message)
        return None


def _guarded(endpoint: str | None, info: ServerInfo) -> str | None:
    if info.endpoint is not None and (endpoint is None or not is_loopback(endpoint)):
        raise SettingsError(
            f"the server is a local one (its queues are at {info.endpoint}), but the queues to be used are at {endpoint}: "
            "unset AWS_ENDPOINT_URL, or name the server that belongs to those queues"
        )
    return endpoint
