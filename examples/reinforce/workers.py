"""Plays episodes side by side."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from mlgym import AsyncClient
from strategies import Strategy


@dataclass(frozen=True, slots=True)
class Played:
    """What came of an episode.

    `score` is None where a fault of the infrastructure ended it before the grading;
    `masked` says that one ended it, so that nothing must be learned from it. `seconds`
    is from reset to reward.
    """

    reward: float
    score: float | None
    masked: bool
    seconds: float


class Workers:
    """Connections to the server, each of which plays one episode at a time."""

    def __init__(self, url: str | None, token: str | None, n: int) -> None:
        self._free: asyncio.Queue[AsyncClient] = asyncio.Queue()
        self._all = [AsyncClient(url, token) for _ in range(n)]
        for client in self._all:
            self._free.put_nowait(client)

    async def play(self, strategy: Strategy, draw: Sequence[float], seed: int, variant: str = "small") -> Played:
        """Plays one episode with the parameters that were drawn."""
        client = await self._free.get()
        began = time.monotonic()
        try:
            await client.reset(strategy.task, seed, variant=variant, reward="terminal")
            total, masked, score = 0.0, False, None
            for command in (strategy.preparation(), strategy.edit(draw), "submit"):
                reply = await client.step(command)
                total += reply.reward
                masked = masked or reply.info.mask
                for evaluation in reply.info.evaluations:
                    if evaluation.scores is None:
                        raise RuntimeError(f"the strategy has no score: {evaluation.message}")
                    score = next(iter(evaluation.scores.values()))
                if reply.done:
                    break
            return Played(total, score, masked, round(time.monotonic() - began, 3))
        finally:
            self._free.put_nowait(client)

    async def close(self) -> None:
        """Ends all connections."""
        await asyncio.gather(*(client.close() for client in self._all))
