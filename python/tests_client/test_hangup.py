"""Both clients against a server that hangs up before they speak, as one does that a busy client comes late to."""

import asyncio
import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import PATIENCE_S, eventually
from mlgym import AsyncClient, CapacityReached, Client, ConnectionLost, SessionLost
from mlgym.client import _failed, request_json
from mlgym.conversation import Connect, Dropped, Effect, Receive, Send
from mlgym.server import Address
from websockets.exceptions import ConcurrencyError, ConnectionClosed, InvalidMessage
from websockets.protocol import State
from websockets.sync.server import ServerConnection, serve

OBSERVATION = {"type": "observation", "data": {"observation": {"text": "hello\n"}, "metadata": {"session_id": "one"}}}


def error(code: str, message: str) -> dict[str, Any]:
    return {"type": "error", "data": {"code": code, "message": message, "active_sessions": 3, "max_sessions": 3}}


class Script:
    """A server that does the same whatever it is told.

    `answers` says of each connection, the last entry of all further ones, whether one
    request is answered before it is dropped without a word; on the others it says
    `last`, if anything, and hangs up with 1013 and `reason` before it is spoken to.
    """

    def __init__(self, answers: list[bool], last: dict[str, Any] | None, reason: str) -> None:
        self.answers, self.last, self.reason = answers, last, reason
        self.paths: list[str] = []

    def answering(self, connection: int) -> bool:
        return self.answers[min(connection, len(self.answers) - 1)]

    def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        with contextlib.suppress(ConnectionClosed):
            if self.answering(len(self.paths) - 1):
                connection.recv()
                connection.send(json.dumps(OBSERVATION))
                connection.close(1001)
                return
            if self.last is not None:
                connection.send(json.dumps(self.last))
            connection.close(1013, self.reason)


@contextmanager
def served(script: Script) -> Iterator[str]:
    with serve(script.handle, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


class LateClient(Client):
    """A client that speaks on a connection when the server has hung up, if it is going to."""

    def __init__(self, url: str, script: Script, **options: Any) -> None:
        super().__init__(url, **options)
        self.script, self.made = script, 0

    def _perform(self, effect: Effect) -> str | None:
        got = super()._perform(effect)
        if isinstance(effect, Connect):
            self.made += 1
            connection = self._connection
            assert connection is not None
            if not self.script.answering(self.made - 1):
                eventually(lambda: connection.state is State.CLOSED)
        return got


class LateAsyncClient(AsyncClient):
    """The same for asyncio."""

    def __init__(self, url: str, script: Script, **options: Any) -> None:
        super().__init__(url, **options)
        self.script, self.made = script, 0

    async def _perform(self, effect: Effect) -> str | None:
        got = await super()._perform(effect)
        if isinstance(effect, Connect):
            self.made += 1
            assert self._connection is not None
            if not self.script.answering(self.made - 1):
                async with asyncio.timeout(PATIENCE_S):
                    await self._connection.wait_closed()
        return got


Request = tuple[str, tuple[Any, ...]]
"""The name of a method, and its arguments."""


def ask(kind: type[Client | AsyncClient], script: Script, *requests: Request, reconnect_s: float = PATIENCE_S) -> Any:
    """Makes requests of a late client, one after another, and returns the last one's reply."""

    async def work(url: str) -> Any:
        async with kind(url, script, reconnect_s=reconnect_s) as client:
            for name, arguments in requests:
                got = await getattr(client, name)(*arguments)
            return got

    with served(script) as url:
        if kind is LateAsyncClient:
            return asyncio.run(work(url))
        with kind(url, script, reconnect_s=reconnect_s) as client:
            for name, arguments in requests:
                got = getattr(client, name)(*arguments)
            return got


KINDS = pytest.mark.parametrize("kind", [LateClient, LateAsyncClient])
RESET: Request = ("reset", ("t",))
REQUESTS: list[Request] = [("step", ("ls",)), ("call", ("open",)), ("tools", ()), ("state", ()), ("snapshot", ())]


def each(requests: list[Request]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("asked", requests, ids=[name for name, _ in requests])


@KINDS
@each(REQUESTS)
def test_session_is_lost(kind: type[Client | AsyncClient], asked: Request) -> None:
    script = Script([True, False], error("SESSION_ERROR", "no session one"), "SESSION_ERROR")
    with pytest.raises(SessionLost, match="does not have session one any more: no session one"):
        ask(kind, script, RESET, asked)
    assert script.paths == ["/ws", "/ws?session_id=one"], "once is enough, with the patience of a minute"


@KINDS
def test_reset_begins_another_session(kind: type[Client | AsyncClient]) -> None:
    script = Script([True, False, True], error("SESSION_ERROR", "no session one"), "SESSION_ERROR")
    assert ask(kind, script, RESET, RESET).observation == "hello\n"
    assert script.paths == ["/ws", "/ws?session_id=one", "/ws"]


@KINDS
def test_no_room(kind: type[Client | AsyncClient]) -> None:
    script = Script([False], error("CAPACITY_REACHED", "full"), "CAPACITY_REACHED")
    with pytest.raises(CapacityReached, match="full") as caught:
        ask(kind, script, RESET)
    assert (caught.value.active_sessions, caught.value.max_sessions) == (3, 3) and script.paths == ["/ws"]


@KINDS
@each([*REQUESTS, RESET])
def test_without_a_word(kind: type[Client | AsyncClient], asked: Request) -> None:
    script = Script([True, False], None, "SESSION_ERROR")
    with pytest.raises(ConnectionLost, match=r"1013.*SESSION_ERROR"):
        ask(kind, script, RESET, asked, reconnect_s=0.3)
    assert set(script.paths[1:]) == {"/ws?session_id=one"}


def test_every_error_of_the_library() -> None:
    for err in (InvalidMessage("no"), ConcurrencyError("two"), ConnectionResetError(), TimeoutError()):
        got = _failed(Send("x"), err)
        assert isinstance(got, Dropped) and str(got), err
    assert isinstance(_failed(Receive(1.0), TimeoutError()), TimeoutError)


def test_no_http() -> None:
    class Babble(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1000)
            self.request.sendall(b"what?\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Babble) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = Address(f"http://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(ConnectionLost, match="cannot be reached"):
            request_json(address, "POST", "/close")
        server.shutdown()
        thread.join(PATIENCE_S)
