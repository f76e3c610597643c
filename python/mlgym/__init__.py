"""The client of `mlgym serve`.

    from mlgym import Client

    with Client() as client:  # starts a server where no URL is given
        print(client.reset(task="battleOfSexes", variant="small", seed=1).observation)
        print(client.step("ls").observation)

One client is one connection, and one connection is one episode at a time.
`mlgym.gym` has the environments for Gymnasium, which need the extra
`mlgym[gymnasium]`.
"""

from mlgym.client import AsyncClient, Client
from mlgym.errors import (
    CapacityReached,
    ClientClosed,
    ConnectionLost,
    MlgymError,
    ServerError,
    ServerNotStarted,
    SessionLost,
    StepTimeout,
    StillRunning,
)
from mlgym.replies import Evaluation, Info, Reply, Snapshot, State
from mlgym.server import LocalServer, local_server

__all__ = [
    "AsyncClient",
    "CapacityReached",
    "Client",
    "ClientClosed",
    "ConnectionLost",
    "Evaluation",
    "Info",
    "LocalServer",
    "MlgymError",
    "Reply",
    "ServerError",
    "ServerNotStarted",
    "SessionLost",
    "Snapshot",
    "State",
    "StepTimeout",
    "StillRunning",
    "local_server",
]
