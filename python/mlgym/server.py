"""The server that a client talks to: one that runs already, or one of our own.

A process that names no server gets one of its own, started at the first use,
shared by everything in the process and in its children, and ended with it.
"""

import atexit
import contextlib
import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self
from urllib.parse import urlsplit

from mlgym.errors import ServerNotStarted

START_TIMEOUT_S = 30.0
"""How long a local server may take until it says its address."""

_INHERITED = "MLGYM_LOCAL_SERVER"
"""The variable through which children find the server of their parent: URL, a blank, token."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and what it wants to be shown."""

    url: str
    token: str = ""
    local: "LocalServer | None" = None

    def died(self) -> str | None:
        """What a local server of this process left behind, if it has ended."""
        if self.local is None or self.local.alive():
            return None
        return self.local.epitaph()


def find_binary() -> Path:
    """Finds the program mlgym: MLGYM_BINARY, the search path, the repository's bin.

    Raises:
        ServerNotStarted: there is none; the text says how to get one.

    """
    if named := os.environ.get("MLGYM_BINARY"):
        path = Path(named)
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise ServerNotStarted(f"MLGYM_BINARY names {named}, which is no program; name mlgym's, or unset it")
        return path
    if found := shutil.which("mlgym"):
        return Path(found)
    repository = Path(__file__).resolve().parents[2]
    path = repository / "bin" / "mlgym"
    if (repository / "go.mod").is_file() and os.access(path, os.X_OK):
        return path
    raise ServerNotStarted(
        "the program mlgym was not found; build it in the repository with "
        "`CGO_ENABLED=0 go build -o bin/ ./cmd/mlgym ./cmd/mlgym-shim` and put bin on PATH, or name it with "
        "MLGYM_BINARY, or give the url of a server that runs"
    )


class LocalServer:
    """A server as a child of this process, on a free port of the loopback device.

    Args:
        arguments: further ones of `mlgym serve`, such as `["--runs", "runs/trained"]`. They come
            after those of the variable MLGYM_SERVE, which are for servers that are
            started without a word.

    It ends with this process, also where that is killed, and takes a token that
    only this process and its children know. Most programs need none of this: a
    client without a URL uses the one that `local_server()` starts.

    Raises:
        ServerNotStarted: the program is missing or did not start.

    """

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self._owner = os.getpid()
        self._stopped = False
        self.token = secrets.token_hex(16)
        command = [str(find_binary()), "serve", "--addr", "127.0.0.1:0", "--with-parent", "--json"]
        # Whoever uses a server of their own knows how much of it they want.
        command += ["--max-sessions", "1024", *shlex.split(os.environ.get("MLGYM_SERVE", "")), *arguments]
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the server)
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**os.environ, "MLGYM_TOKEN": self.token},
                # An interrupt at the terminal is for this process, which then ends its server.
                process_group=0,
            )
        except OSError as err:
            self._log.close()
            raise ServerNotStarted(f"{command[0]} cannot be started: {err}") from err
        _servers.append(self)
        try:
            self.url = self._first_line()
        except BaseException:
            self.stop()
            raise

    def _first_line(self) -> str:
        assert self._child.stdout is not None
        stdout, line = self._child.stdout, b""

        def read() -> None:
            nonlocal line
            line = stdout.readline()

        reader = threading.Thread(target=read, name="mlgym-server", daemon=True)
        reader.start()
        reader.join(START_TIMEOUT_S)
        if reader.is_alive():
            raise ServerNotStarted(f"mlgym serve did not say its address in {START_TIMEOUT_S:.0f} s: {self._said()}")
        try:
            return str(json.loads(line)["url"])
        except (ValueError, KeyError, TypeError) as err:
            if not line:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(5)
                raise ServerNotStarted(f"mlgym serve did not start: {self.epitaph()}") from err
            raise ServerNotStarted(f"mlgym serve said no address but {line[:200]!r}") from err

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._child.pid

    def alive(self) -> bool:
        """Whether it still runs. Only the process that started it can tell; others are told yes."""
        return self._owner != os.getpid() or self._child.poll() is None

    def epitaph(self) -> str:
        """How it ended, and the last it wrote to its standard error."""
        return f"exit code {self._child.poll()}; {self._said()}"

    def _said(self) -> str:
        try:
            size = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, size - 2000))
            text = self._log.read().decode(errors="replace").strip()
        except (OSError, ValueError):
            text = ""
        return f"it wrote: {text}" if text else "it wrote nothing"

    def address(self) -> Address:
        """Where it is."""
        return Address(self.url, self.token, self)

    def stop(self) -> None:
        """Ends it, within ten seconds. It may be called again; in a fork it does nothing."""
        if self._stopped or self._owner != os.getpid():
            return
        self._stopped = True
        if self in _servers:
            _servers.remove(self)
        if self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()  # which is what it waits for
        try:
            self._child.wait(8)
        except subprocess.TimeoutExpired:
            self._child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(2)
        if self._child.stdout is not None:
            self._child.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _leave_to_parent(self) -> None:
        """In a fork: the pipe whose end ends the server is the parent's alone."""
        if self._child.stdin is not None:
            with contextlib.suppress(OSError):
                os.close(self._child.stdin.fileno())


_servers: list[LocalServer] = []
_own: LocalServer | None = None
_lock = threading.Lock()


def local_server() -> Address:
    """Returns the server of this process: its parent's, or one that is started now.

    Raises:
        ServerNotStarted: there is none, and none could be started.

    """
    global _own
    with _lock:
        if _own is not None and _own.alive() and _own._owner == os.getpid():
            return _own.address()
        if (inherited := _inherited()) is not None:
            return inherited
        _own = LocalServer()
        os.environ[_INHERITED] = f"{_own.url} {_own.token}"
        return _own.address()


def _inherited() -> Address | None:
    url, _, token = os.environ.get(_INHERITED, "").partition(" ")
    parts = urlsplit(url)
    if not parts.hostname or not parts.port:
        return None
    try:
        with socket.create_connection((parts.hostname, parts.port), timeout=5):
            return Address(url, token)
    except OSError:  # it ended with its process, and the variable outlived it
        return None


def find_server(url: str | None, token: str | None) -> Address:
    """Returns the server at a URL, that of MLGYM_URL, or a local one."""
    url = url or os.environ.get("MLGYM_URL")
    if not url:
        return local_server()
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"url {url!r}: want one like http://127.0.0.1:8000")
    return Address(url, os.environ.get("MLGYM_TOKEN", "") if token is None else token)


def _end_all() -> None:
    for server in list(_servers):
        server.stop()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for server in _servers:
        server._leave_to_parent()
    _servers.clear()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_after_fork)
