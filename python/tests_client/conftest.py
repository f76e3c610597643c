"""Fixtures: clients of one real server, which the first of them starts."""

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mlgym import Client
from mlgym.server import Address, local_server

TASK: dict[str, Any] = {"task": "battleOfSexes", "variant": "small"}

# How long something may take that is done in milliseconds on an idle machine. It
# decides no test: it only ends one that would wait for ever.
PATIENCE_S = 60.0


def eventually(what: Callable[[], bool]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def drop(client: Client) -> None:
    """Cuts the connection of a client as a broken network would."""
    assert client._connection is not None
    client._connection.socket.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def address() -> Address:
    """The server that all tests share."""
    return local_server()


@pytest.fixture
def client() -> Iterator[Client]:
    """A client like anybody's."""
    with Client() as made:
        yield made


@pytest.fixture
def impatient() -> Iterator[Client]:
    """A client that is often told that a command still runs."""
    with Client(patience_s=0.2) as made:
        yield made
