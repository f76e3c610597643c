"""Clients of `mlgym serve`: one connection each, with one episode at a time.

`Client` blocks, `AsyncClient` is for asyncio. Both begin lazily: the connection is
made by the first request.
"""

import asyncio
import atexit
import contextlib
import http.client
import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import websockets.asyncio.client
import websockets.sync.client
from websockets.exceptions import InvalidStatus, WebSocketException

from mlgym.conversation import CLOSE, Connect, Conversation, Dropped, Effect, Pause, Receive, Send, Talk
from mlgym.errors import ClientClosed, ConnectionLost, ServerError, StillRunning
from mlgym.replies import Reply, Snapshot, State
from mlgym.server import Address, LocalServer, find_server

T = TypeVar("T")

OPEN_TIMEOUT_S = 10.0
"""How long one attempt to connect may take."""

CLOSE_TIMEOUT_S = 2.0
"""How long `close()` waits for the server before it hangs up."""

PATIENCE_S = 5.0
"""After how long a running command is asked for again."""

MAX_MESSAGE_BYTES = 16 << 20


def _loopback(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")


def _connecting(address: Address, err: Exception) -> Exception:
    """Says what an error while connecting means."""
    if isinstance(err, InvalidStatus) and err.response.status_code in (401, 403):
        return ServerError(
            "UNAUTHORIZED", f"{address.url} wants a token: give token=… or set MLGYM_TOKEN to that of the server"
        )
    reason = f"{address.url} cannot be reached: {err or type(err).__name__}"
    if (died := address.died()) is not None:
        return ConnectionLost(f"{reason}; the local server has ended: {died}")
    if isinstance(err, InvalidStatus) and err.response.status_code < 500:
        return ConnectionLost(f"{address.url} does not speak mlgym's protocol: {err}")
    return Dropped(reason)


def _failed(effect: Send | Receive, err: Exception) -> Exception:
    """Says what an error while sending or receiving means, whatever the library raised."""
    if isinstance(effect, Receive) and isinstance(err, TimeoutError):
        return TimeoutError(str(err))  # nothing came yet; a network that gives up is a TimeoutError of a Send
    return Dropped(str(err) or type(err).__name__)


def _connect_options(address: Address) -> dict[str, Any]:
    options: dict[str, Any] = {
        "open_timeout": OPEN_TIMEOUT_S,
        "close_timeout": CLOSE_TIMEOUT_S,
        "max_size": MAX_MESSAGE_BYTES,
        "compression": None,
    }
    if address.token:
        options["additional_headers"] = {"Authorization": f"Bearer {address.token}"}
    if _loopback(address.url):
        options["proxy"] = None
    return options


def _websocket(address: Address, path: str) -> str:
    return "ws" + address.url.removeprefix("http").rstrip("/") + path


def request_json(address: Address, method: str, path: str, *, session_id: str = "", timeout: float = 30.0) -> Any:
    """Makes one HTTP request without a body and returns the JSON of the answer."""
    request = urllib.request.Request(address.url.rstrip("/") + path, method=method)
    if session_id:
        request.add_header("X-Session-ID", session_id)
    if address.token:
        request.add_header("Authorization", f"Bearer {address.token}")
    handlers = [urllib.request.ProxyHandler({})] if _loopback(address.url) else []
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as answer:
            text = answer.read()
    except urllib.error.HTTPError as err:
        with err:
            said = err.read(1000).decode(errors="replace")
        raise ServerError("UNAUTHORIZED" if err.code == 401 else "EXECUTION_ERROR", f"{err}: {said}") from err
    except (OSError, http.client.HTTPException) as err:
        raise ConnectionLost(f"{address.url} cannot be reached: {err or type(err).__name__}") from err
    return json.loads(text) if text.strip() else None


class _Open:
    """What both clients are, apart from how they wait."""

    def __init__(
        self, url: str | None, token: str | None, server: LocalServer | None, reconnect_s: float, patience_s: float
    ) -> None:
        self._closed = True  # until there is something to close
        self._address = find_server(url, token) if server is None else server.address()
        self._process = os.getpid()
        self._conversation = Conversation(reconnect_s, patience_s)
        self._closed = False

    @property
    def url(self) -> str:
        """The server's address."""
        return self._address.url

    @property
    def token(self) -> str:
        """What the server is shown; "" where it wants nothing."""
        return self._address.token

    @property
    def session_id(self) -> str:
        """The session on the server; "" before the first reset."""
        return self._conversation.session_id

    @property
    def running(self) -> bool:
        """Whether a command is still running after a StepTimeout."""
        return self._conversation.busy

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    def _end_attached(self) -> None:
        """Ends a session that was taken over after a dropped connection, and so outlives this one."""
        talk = self._conversation
        if talk.attached and talk.session_id:
            request_json(self._address, "POST", "/close", session_id=talk.session_id, timeout=CLOSE_TIMEOUT_S)

    def _same(self) -> dict[str, Any]:
        """The arguments of a client like this one."""
        talk = self._conversation
        return {
            "url": self._address.url,
            "token": self._address.token,
            "server": self._address.local,
            "reconnect_s": talk.reconnect_s,
            "patience_s": talk.patience_s,
        }

    def _usable(self) -> None:
        if self._process != os.getpid():
            raise ClientClosed(f"this client belongs to process {self._process}; make one in each process")
        if self._closed:
            raise ClientClosed("the client is closed")


class Client(_Open):
    """A blocking client.

    Args:
        url: of the server; None takes MLGYM_URL, or starts a local server.
        token: of the server; None takes MLGYM_TOKEN.
        server: one that this process started, in place of both.
        reconnect_s: for how long a server that cannot be reached is tried again,
            in seconds. A dropped connection is made again, and its session taken
            over, without the caller's notice.
        patience_s: after how many seconds the server says that a command still
            runs; the client then waits further. `interrupt()` may take as long.

    A client is used by one thread at a time; only `close()` may be called by any
    thread at any time. It ends a request that is under way with ClientClosed.

    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        server: LocalServer | None = None,
        reconnect_s: float = 10.0,
        patience_s: float = PATIENCE_S,
    ) -> None:
        super().__init__(url, token, server, reconnect_s, patience_s)
        self._lock = threading.Lock()
        self._connection: websockets.sync.client.ClientConnection | None = None
        _clients.add(self)

    def reset(
        self,
        task: str | None = None,
        seed: int | None = None,
        *,
        variant: str | None = None,
        mode: str | None = None,
        reward: str | None = None,
        max_steps: int | None = None,
        snapshot: Snapshot | str | None = None,
        **options: Any,
    ) -> Reply:
        """Begins an episode and returns the task's statement.

        What is None is left to the server. `snapshot` begins in a saved state, with
        the seed that it was begun with. Further options are those of the protocol:
        episode_id, split, index, patience_s, attach.

        Raises:
            ServerError: the server refused, such as an unknown task.
            CapacityReached: it has no room for a further session.

        """
        return self._talk(
            self._conversation.reset(_reset_options(task, seed, variant, mode, reward, max_steps, snapshot, options))
        )

    def step(self, command: str, timeout: float | None = None) -> Reply:
        """Runs shell text and returns what came of it, however long that takes.

        Raises:
            StepTimeout: it was not done after `timeout` seconds, and goes on.

        """
        return self._talk(self._conversation.step({"command": command}, timeout))

    def call(self, tool: str, /, timeout: float | None = None, **arguments: Any) -> Reply:
        """Calls a tool with typed arguments, such as open, edit, validate or bash.

        The reply's info has `result` and `error`.
        """
        action = {"type": "call_tool", "tool_name": tool, "arguments": arguments}
        return self._talk(self._conversation.step(action, timeout))

    def tools(self) -> list[dict[str, Any]]:
        """Lists the tools, each with name, description and input_schema."""
        return self._talk(self._conversation.step({"type": "list_tools"}, None)).info.tools or []

    def wait(self, timeout: float | None = None) -> Reply:
        """Waits further for a command whose step ran into a StepTimeout."""
        return self._talk(self._conversation.wait(timeout))

    def interrupt(self, timeout: float | None = None) -> Reply:
        """Stops such a command, and returns what it wrote."""
        return self._talk(self._conversation.interrupt(timeout))

    def state(self) -> State:
        """Says where the episode is."""
        return self._talk(self._conversation.state())

    def snapshot(self) -> Snapshot:
        """Saves the state between two steps; the episode goes on."""
        return self._talk(self._conversation.snapshot())

    def delete_snapshot(self, snapshot: Snapshot | str) -> None:
        """Frees a snapshot on the server."""
        self._usable()
        request_json(self._address, "DELETE", f"/snapshots/{quote(_snapshot_id(snapshot), safe='')}")

    def fork(self, n: int) -> list["Client"]:
        """Returns n new clients whose episodes go on from the state of this one.

        Each has the seed of this episode, gradings included. They are to be closed
        by the caller.
        """
        saved = self.snapshot()
        children = [Client(**self._same()) for _ in range(n)]
        try:
            restore_all([partial(child.reset, snapshot=saved) for child in children])
        except BaseException:
            for child in children:
                child.close()
            raise
        finally:
            with contextlib.suppress(ServerError, ConnectionLost):
                self.delete_snapshot(saved)
        return children

    def close(self) -> None:
        """Ends the episode and the connection, within seconds, whatever the server does.

        It may be called again, by any thread, and while a step is under way.
        """
        self._close(CLOSE_TIMEOUT_S)

    def _close(self, timeout: float) -> None:
        if self._closed:
            return
        self._closed = True
        connection = self._connection
        if connection is None or self._process != os.getpid():
            return

        def goodbye() -> None:
            with contextlib.suppress(Exception):
                connection.send(CLOSE)
            with contextlib.suppress(Exception):
                connection.close()
            with contextlib.suppress(Exception):
                self._end_attached()

        # A sender that the server does not read from holds the connection's lock.
        try:
            farewell = threading.Thread(target=goodbye, name="mlgym-close", daemon=True)
            farewell.start()
            farewell.join(timeout)
        except RuntimeError:  # the interpreter is ending, and starts no threads
            pass
        _hang_up(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self._close(CLOSE_TIMEOUT_S)

    def _talk(self, talk: Talk[T]) -> T:
        self._usable()
        if not self._lock.acquire(blocking=False):
            raise StillRunning("another thread is using this client: make one for each thread")
        try:
            effect = next(talk)
            while True:
                try:
                    result = self._perform(effect)
                except (Dropped, TimeoutError) as err:
                    if self._closed:
                        raise ClientClosed("the client was closed while it waited") from err
                    effect = talk.throw(err)
                else:
                    effect = talk.send(result)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            self._lock.release()

    def _perform(self, effect: Effect) -> str | None:
        if isinstance(effect, Pause):
            time.sleep(effect.seconds)
            return None
        if isinstance(effect, Connect):
            if self._connection is not None:
                _hang_up(self._connection)
            try:
                # Entered and never left: _close() ends it, which may not wait as the context manager does.
                made = websockets.sync.client.connect(
                    _websocket(self._address, effect.path), **_connect_options(self._address)
                ).__enter__()
            except (OSError, WebSocketException) as err:
                raise _connecting(self._address, err) from err
            self._connection = made
            if self._closed:  # in the meantime, by another thread
                _hang_up(made)
                raise Dropped("closed")
            return None
        connection = self._connection
        if connection is None:
            raise Dropped("there is no connection")
        try:
            if isinstance(effect, Send):
                connection.send(effect.text)
                return None
            return connection.recv(effect.timeout, decode=True)
        except (OSError, WebSocketException) as err:
            raise _failed(effect, err) from err


class AsyncClient(_Open):
    """A client for asyncio, with the methods of Client as coroutines.

    It belongs to the loop in which it is first used. Only `close()` may run beside
    another request.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        server: LocalServer | None = None,
        reconnect_s: float = 10.0,
        patience_s: float = PATIENCE_S,
    ) -> None:
        super().__init__(url, token, server, reconnect_s, patience_s)
        self._busy = False
        self._connection: websockets.asyncio.client.ClientConnection | None = None

    async def reset(
        self,
        task: str | None = None,
        seed: int | None = None,
        *,
        variant: str | None = None,
        mode: str | None = None,
        reward: str | None = None,
        max_steps: int | None = None,
        snapshot: Snapshot | str | None = None,
        **options: Any,
    ) -> Reply:
        """Begins an episode, see Client.reset."""
        return await self._talk(
            self._conversation.reset(_reset_options(task, seed, variant, mode, reward, max_steps, snapshot, options))
        )

    async def step(self, command: str, timeout: float | None = None) -> Reply:
        """Runs shell text, see Client.step."""
        return await self._talk(self._conversation.step({"command": command}, timeout))

    async def call(self, tool: str, /, timeout: float | None = None, **arguments: Any) -> Reply:
        """Calls a tool, see Client.call."""
        action = {"type": "call_tool", "tool_name": tool, "arguments": arguments}
        return await self._talk(self._conversation.step(action, timeout))

    async def tools(self) -> list[dict[str, Any]]:
        """Lists the tools, each with name, description and input_schema."""
        return (await self._talk(self._conversation.step({"type": "list_tools"}, None))).info.tools or []

    async def wait(self, timeout: float | None = None) -> Reply:
        """Waits further for a command whose step ran into a StepTimeout."""
        return await self._talk(self._conversation.wait(timeout))

    async def interrupt(self, timeout: float | None = None) -> Reply:
        """Stops such a command, and returns what it wrote."""
        return await self._talk(self._conversation.interrupt(timeout))

    async def state(self) -> State:
        """Says where the episode is."""
        return await self._talk(self._conversation.state())

    async def snapshot(self) -> Snapshot:
        """Saves the state between two steps; the episode goes on."""
        return await self._talk(self._conversation.snapshot())

    async def delete_snapshot(self, snapshot: Snapshot | str) -> None:
        """Frees a snapshot on the server."""
        self._usable()
        path = f"/snapshots/{quote(_snapshot_id(snapshot), safe='')}"
        await asyncio.to_thread(request_json, self._address, "DELETE", path)

    async def fork(self, n: int) -> list["AsyncClient"]:
        """Returns n new clients whose episodes go on from the state of this one."""
        saved = await self.snapshot()
        children = [AsyncClient(**self._same()) for _ in range(n)]
        try:
            await asyncio.gather(*(child.reset(snapshot=saved) for child in children))
        except BaseException:
            await asyncio.gather(*(child.close() for child in children))
            raise
        finally:
            with contextlib.suppress(ServerError, ConnectionLost):
                await self.delete_snapshot(saved)
        return children

    async def close(self) -> None:
        """Ends the episode and the connection, within seconds, whatever the server does."""
        if self._closed:
            return
        self._closed = True
        connection = self._connection
        if connection is None or self._process != os.getpid():
            return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await connection.send(CLOSE)
                await connection.close()
                await asyncio.to_thread(self._end_attached)
        connection.transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _talk(self, talk: Talk[T]) -> T:
        self._usable()
        if self._busy:
            raise StillRunning("another task is using this client: make one for each task")
        self._busy = True
        try:
            effect = next(talk)
            while True:
                try:
                    result = await self._perform(effect)
                except (Dropped, TimeoutError) as err:
                    if self._closed:
                        raise ClientClosed("the client was closed while it waited") from err
                    effect = talk.throw(err)
                else:
                    effect = talk.send(result)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            self._busy = False

    async def _perform(self, effect: Effect) -> str | None:
        if isinstance(effect, Pause):
            await asyncio.sleep(effect.seconds)
            return None
        if isinstance(effect, Connect):
            if self._connection is not None:
                self._connection.transport.abort()
            try:
                made = await websockets.asyncio.client.connect(
                    _websocket(self._address, effect.path), **_connect_options(self._address)
                )
            except (OSError, WebSocketException) as err:
                raise _connecting(self._address, err) from err
            self._connection = made
            if self._closed:  # in the meantime, by another task
                made.transport.abort()
                raise Dropped("closed")
            return None
        connection = self._connection
        if connection is None:
            raise Dropped("there is no connection")
        try:
            if isinstance(effect, Send):
                await connection.send(effect.text)
                return None
            async with asyncio.timeout(effect.timeout):
                return await connection.recv(decode=True)
        except (OSError, WebSocketException) as err:
            raise _failed(effect, err) from err


def restore_all(work: Sequence[Callable[[], object]]) -> None:
    """Does pieces of work side by side, since a server restores several states at once."""
    if not work:
        return
    with ThreadPoolExecutor(min(len(work), 16), thread_name_prefix="mlgym-fork") as pool:
        for done in [pool.submit(piece) for piece in work]:
            done.result()


def _snapshot_id(snapshot: Snapshot | str) -> str:
    return snapshot.id if isinstance(snapshot, Snapshot) else snapshot


def _reset_options(
    task: str | None,
    seed: int | None,
    variant: str | None,
    mode: str | None,
    reward: str | None,
    max_steps: int | None,
    snapshot: Snapshot | str | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    named = {"task": task, "seed": seed, "variant": variant, "mode": mode, "reward": reward, "max_steps": max_steps}
    if snapshot is not None:
        named["snapshot"] = _snapshot_id(snapshot)
    return {key: value for key, value in {**named, **options}.items() if value is not None}


def _hang_up(connection: websockets.sync.client.ClientConnection) -> None:
    """Ends a connection at once; whoever waits for it wakes up."""
    with contextlib.suppress(OSError):
        connection.socket.shutdown(socket.SHUT_RDWR)


_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()


def _close_all() -> None:
    """Says goodbye at the end of the process, so that no server keeps a session for its grace period."""
    deadline = time.monotonic() + 2 * CLOSE_TIMEOUT_S
    for client in list(_clients):
        with contextlib.suppress(Exception):
            client._close(max(0.0, min(CLOSE_TIMEOUT_S, deadline - time.monotonic())))


def _forget_all() -> None:
    """In a fork the connections belong to the parent: they must neither be used nor ended here."""
    for client in list(_clients):
        client._closed = True
        if client._connection is not None:
            with contextlib.suppress(OSError):
                client._connection.socket.close()
    _clients.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)
