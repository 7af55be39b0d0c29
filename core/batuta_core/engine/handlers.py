"""Event handlers by name: registered, replaced, deleted."""

from __future__ import annotations

from typing import Any

from batuta_core.engine.ports import Ports
from batuta_core.model.error import HandlerExists, HandlerNotFound
from batuta_core.model.handler import normalize_event_handler


def register(ports: Ports, namespace: str, body: Any) -> None:
    """Every event that is published from now on finds it. Raises HandlerExists."""
    handler = normalize_event_handler(body)
    if not ports.definitions.put_handler(namespace, handler, is_new=True):
        raise HandlerExists(f"EventHandler with name {handler['name']} already exists!", name=handler["name"])


def replace(ports: Ports, namespace: str, body: Any) -> None:
    """Raises HandlerNotFound."""
    handler = normalize_event_handler(body)
    if not ports.definitions.put_handler(namespace, handler, is_new=False):
        raise _not_found(handler["name"])


def delete(ports: Ports, namespace: str, name: str) -> None:
    """Raises HandlerNotFound."""
    if not ports.definitions.delete_handler(namespace, name):
        raise _not_found(name)


def _not_found(name: str) -> HandlerNotFound:
    return HandlerNotFound(f"EventHandler with name {name} not found!", name=name)
