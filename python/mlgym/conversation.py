"""What client and server say to each other, without any input or output.

Each method of a conversation is a generator of effects (connect, send, receive,
pause) that a client performs, one with threads and one with asyncio, so that the
rules below are written once:

- Each request has one reply, in order.
- A command that outlasts the server's patience is answered with `running`, and
  waited for with `wait`.
- After a dropped connection the session is taken over again, and what was asked
  is waited for, fetched, or asked once more, whatever the server's state says.
"""

import contextlib
import json
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from mlgym.errors import CapacityReached, ConnectionLost, ServerError, SessionLost, StepTimeout, StillRunning
from mlgym.replies import Reply, Snapshot, State, read_reply, read_snapshot, read_state


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a connection to this path of the server; an open one is dropped first."""

    path: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send one text frame."""

    text: str


@dataclass(frozen=True, slots=True)
class Receive:
    """Receive one text frame, for at most `timeout` seconds; None waits for ever."""

    timeout: float | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for a while."""

    seconds: float


Effect = Connect | Send | Receive | Pause
T = TypeVar("T")
Talk = Generator[Effect, Any, T]
"""Effects to be performed, whose results are sent in, and a result at the end."""


class Dropped(Exception):
    """Thrown in by a client: the connection is gone, or could not be made."""


WAIT: dict[str, Any] = {"type": "step", "data": {"command": "wait"}}
INTERRUPT: dict[str, Any] = {"type": "step", "data": {"command": "interrupt"}}
STATE: dict[str, Any] = {"type": "state"}
LAST: dict[str, Any] = {"type": "last"}
HELD = "held by another connection"
CLOSE = json.dumps({"type": "close"})


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def read_frame(text: str) -> dict[str, Any]:
    """Reads a frame and returns its data; an error frame is raised."""
    try:
        frame = json.loads(text)
    except ValueError as err:
        raise ServerError("INVALID_JSON", f"the server sent a frame that is no JSON: {text[:80]!r}") from err
    data = frame.get("data") if isinstance(frame, dict) else None
    if not isinstance(data, dict):
        raise ServerError("UNKNOWN_TYPE", f"the server sent a frame without data: {text[:80]!r}")
    if frame.get("type") != "error":
        return data
    code, message = str(data.get("code", "EXECUTION_ERROR")), str(data.get("message", "the server gave no reason"))
    if code == "CAPACITY_REACHED":
        raise CapacityReached(message, int(data.get("active_sessions", -1)), int(data.get("max_sessions", -1)))
    raise ServerError(code, message)


class Conversation:
    """One connection's worth of talk; not for several threads at once."""

    def __init__(self, reconnect_s: float, patience_s: float) -> None:
        self.reconnect_s = reconnect_s
        self.patience_s = patience_s
        self.session_id = ""
        self.running = False
        self.attached = False
        """The session was taken over, and does not end with a close frame."""
        self._answered = 0  # steps of this episode, those that only waited among them, as the server counts
        self._connected = False
        self._asked: Mapping[str, Any] | None = None

    @property
    def busy(self) -> bool:
        """Whether a command is still running, or an answer is still owed."""
        return self.running or self._asked is not None

    def reset(self, options: Mapping[str, Any]) -> Talk[Reply]:
        """Begins an episode. A running command of the one before is given up."""
        if self._asked is not None:
            # Its answer would be taken for that of the reset.
            yield from self._take(None)
        data = yield from self._ask({"type": "reset", "data": {"patience_s": self.patience_s, **options}}, None)
        reply = self._note(data)
        if "attach" in options:
            self._answered = read_state((yield from self._ask(STATE, None))).step_count
        return reply

    def step(self, action: Mapping[str, Any], timeout: float | None) -> Talk[Reply]:
        """Does one action and waits for its end."""
        self._refuse_busy()
        deadline = None if timeout is None else time.monotonic() + timeout
        data = yield from self._ask({"type": "step", "data": dict(action)}, deadline)
        return (yield from self._until_done(self._note(data), deadline))

    def wait(self, timeout: float | None) -> Talk[Reply]:
        """Waits for a command that is still running."""
        deadline = None if timeout is None else time.monotonic() + timeout
        return (yield from self._until_done((yield from self._owed(deadline, "wait()")), deadline))

    def interrupt(self, timeout: float | None) -> Talk[Reply]:
        """Stops a command that is still running."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if self._asked is not None:
            reply = self._note((yield from self._take(deadline)))
            if not reply.info.running:
                return reply
        if not self.running:
            raise StillRunning("nothing is running that interrupt() could stop")
        data = yield from self._ask(INTERRUPT, deadline)
        return (yield from self._until_done(self._note(data), deadline))

    def state(self) -> Talk[State]:
        """Asks where the episode is."""
        self._refuse_owed()
        return read_state((yield from self._ask(STATE, None)))

    def snapshot(self) -> Talk[Snapshot]:
        """Has the state saved."""
        self._refuse_busy()
        return read_snapshot((yield from self._ask({"type": "snapshot"}, None)))

    def _refuse_owed(self) -> None:
        if self._asked is not None:
            raise StillRunning("the last step has not been answered yet: call wait() or interrupt() first")

    def _refuse_busy(self) -> None:
        self._refuse_owed()
        if self.running:
            raise StillRunning("a command is still running: call wait() or interrupt() first")

    def _owed(self, deadline: float | None, what: str) -> Talk[Reply]:
        if self._asked is not None:
            return self._note((yield from self._take(deadline)))
        if not self.running:
            raise StillRunning(f"nothing is running that {what} could wait for")
        return self._note((yield from self._ask(WAIT, deadline)))

    def _until_done(self, reply: Reply, deadline: float | None) -> Talk[Reply]:
        while reply.info.running:
            if deadline is not None and deadline <= time.monotonic():
                raise StepTimeout("the command is still running: call wait() to wait further, interrupt() to stop it")
            reply = self._note((yield from self._ask(WAIT, deadline)))
        return reply

    def _note(self, data: Mapping[str, Any]) -> Reply:
        reply = read_reply(data)
        self.session_id = reply.info.session_id or self.session_id
        self.running = reply.info.running
        return reply

    def _ask(self, frame: Mapping[str, Any], deadline: float | None) -> Talk[dict[str, Any]]:
        """Sends a request and returns the data of its reply."""
        self._asked = frame
        if not self._connected:
            yield from self._recover()
            return (yield from self._take(deadline))
        with contextlib.suppress(Dropped):  # if the server said why before it hung up, that is received next
            yield Send(json.dumps(frame))
        return (yield from self._take(deadline))

    def _take(self, deadline: float | None) -> Talk[dict[str, Any]]:
        """Receives the reply to what was asked."""
        while True:
            try:
                text = yield Receive(_left(deadline))
            except TimeoutError:
                raise StepTimeout(
                    "the command is still running: call wait() to wait further, interrupt() to stop it"
                ) from None
            except Dropped:
                yield from self._recover()
                continue
            asked, self._asked, session = self._asked, None, self.session_id
            try:
                data = self._read(text)
            except ServerError as err:
                if err.code != "SESSION_ERROR" or not session or asked is None:
                    raise
                if asked["type"] != "reset" or "attach" in asked["data"]:
                    raise SessionLost(f"the server ended session {session}: {err.message}") from err
                self._asked = asked  # which may as well begin in another session
                yield from self._recover()
                continue
            if asked is not None and asked["type"] == "step":
                self._answered += 1
            elif asked is not None and asked["type"] == "reset":
                self._answered = 0
            return data

    def _read(self, text: str) -> dict[str, Any]:
        try:
            return read_frame(text)
        except ServerError as err:
            if err.code in ("CAPACITY_REACHED", "SESSION_ERROR"):  # after which the server hangs up
                self._ended()
                self.session_id = ""
            raise

    def _ended(self) -> None:
        """The connection is of no further use, and neither is what was said on it."""
        self._connected = False
        self._asked = None
        self.running = False

    def _connect(self, deadline: float) -> Talk[None]:
        """Connects, again and again until the deadline."""
        self.attached = bool(self.session_id)
        path = f"/ws?session_id={quote(self.session_id, safe='')}" if self.session_id else "/ws"
        delay = 0.05
        while True:
            try:
                yield Connect(path)
            except Dropped as err:
                if time.monotonic() + delay > deadline:
                    self._ended()
                    raise ConnectionLost(str(err)) from err
                yield Pause(delay)
                delay = min(2 * delay, 1.0)
            else:
                self._connected = True
                return

    def _recover(self) -> Talk[None]:
        """Makes the connection, again if need be, such that the reply to what was asked comes next."""
        asked = self._asked
        assert asked is not None
        deadline = time.monotonic() + self.reconnect_s
        while True:
            self._connected = False
            yield from self._connect(deadline)
            try:
                if self.session_id:
                    yield from self._say(STATE)
                    asked = self._after(asked, read_state(read_frame((yield Receive(10.0)))))
                self._asked = asked
                yield from self._say(asked)
                return
            except ServerError as err:
                if err.code != "SESSION_ERROR":
                    self._ended()
                    raise
                if HELD in err.message:  # by our own connection, whose end the server has not noticed yet
                    why: Exception = err
                else:
                    lost, self.session_id = self.session_id, ""
                    if asked["type"] == "reset":  # which may as well begin in another session
                        continue
                    self._ended()
                    raise SessionLost(f"the server does not have session {lost} any more: {err.message}") from err
            except (Dropped, TimeoutError) as err:
                why = err
            if time.monotonic() > deadline:
                self._ended()
                raise ConnectionLost(f"the connection was lost, and cannot be made again: {why}") from why
            yield Pause(0.1)

    def _say(self, frame: Mapping[str, Any]) -> Talk[None]:
        """Sends a request on a new connection. Where the server hung up before, what it said why is raised."""
        try:
            yield Send(json.dumps(frame))
        except Dropped:
            read_frame((yield Receive(10.0)))
            raise

    def _after(self, asked: Mapping[str, Any], state: State) -> Mapping[str, Any]:
        """Says what to ask once a session was taken over again, when `asked` had been."""
        if asked["type"] != "step":
            return asked
        lost_reply = state.step_count > self._answered
        self._answered = state.step_count
        if state.running:
            return WAIT
        return LAST if lost_reply else asked
