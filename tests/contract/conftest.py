"""The stands of the contract suite. A server that this machine cannot run is skipped loudly."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.contract.servers import Jvm, Ministack, Missing, Moto, Server
from tests.contract.stand import AwsStand, SimulatedStand, Stand
from tests.shared import not_tested

_SERVERS: dict[str, type[Server]] = {server.name: server for server in (Ministack, Jvm, Moto)}
_missing: dict[str, str] = {}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "not_on(*names, because): the stands on which the promise cannot be shown, and why")


@pytest.fixture(scope="session")
def server() -> Iterator[Callable[[str], Server]]:
    """Starts the server of that name, or gives the one that runs."""
    running: dict[str, Server] = {}

    def start(name: str) -> Server:
        if name not in running and name not in _missing:
            try:
                running[name] = _SERVERS[name]()
            except Missing as error:
                _missing[name] = str(error)
        if name in _missing:
            not_tested(f"the adapters on {name}", _missing[name])
        return running[name]

    yield start
    for found in running.values():
        found.stop()


@pytest.fixture(params=["simulator", *_SERVERS])
def stand(request: pytest.FixtureRequest, server: Callable[[str], Server]) -> Iterator[Stand]:
    """A fresh stage on each of the adapters' judges."""
    for mark in request.node.iter_markers("not_on"):
        if request.param in mark.args:
            pytest.skip(f"not on {request.param}: {mark.kwargs['because']}")
    made: Stand = SimulatedStand() if request.param == "simulator" else AwsStand(server(request.param))
    yield made
    made.close()
