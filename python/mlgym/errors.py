"""What can go wrong between a trainer and a server.

A mistake of an agent is none of these: it is text in an observation. A fault of
the server's infrastructure is none either: it is a truncated episode whose
`mask` is true.
"""


class MlgymError(Exception):
    """Any error of this package."""


class ServerError(MlgymError):
    """The server refused a request; the episode, if any, goes on.

    `code` is the protocol's: INVALID_JSON, UNKNOWN_TYPE, VALIDATION_ERROR (a
    request that cannot be right), EXECUTION_ERROR, CAPACITY_REACHED,
    SESSION_ERROR, or UNAUTHORIZED where the token is missing or wrong.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class CapacityReached(ServerError):
    """The server has as many sessions as it may have.

    `active_sessions` and `max_sessions` are -1 where the server did not say.
    """

    def __init__(self, message: str, active_sessions: int, max_sessions: int) -> None:
        super().__init__("CAPACITY_REACHED", message)
        self.active_sessions = active_sessions
        self.max_sessions = max_sessions


class ConnectionLost(MlgymError):
    """The server cannot be reached, also after the client tried again."""


class SessionLost(ConnectionLost):
    """The server can be reached, and does not have this episode any more."""


class ClientClosed(MlgymError):
    """The client was closed, perhaps by another thread while a step was under way."""


class StepTimeout(MlgymError, TimeoutError):
    """A step did not end within its `timeout`; its command goes on.

    `wait()` waits further, `interrupt()` stops it.
    """


class StillRunning(MlgymError):
    """Something else was asked for while a command is still running."""


class ServerNotStarted(MlgymError):
    """A local server could not be started; the text says what to do."""
