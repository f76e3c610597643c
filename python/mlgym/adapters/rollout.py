"""One rollout of a trainer: an episode that is begun, acted in, and scored once.

A trainer wants no exceptions in the middle of a batch of a thousand rollouts. So
what goes wrong between it and the server ends this rollout, with the mask that
says that it must not be learned from, and the others go on.
"""

import asyncio
from typing import Any

from mlgym.client import AsyncClient, Client
from mlgym.errors import ConnectionLost, ServerError, StepTimeout
from mlgym.replies import Evaluation, Reply

RESET_OPTIONS = ("task", "seed", "variant", "mode", "reward", "max_steps", "snapshot", "split", "index", "patience_s")
"""What begins an episode, of the columns that a row of a data set may have."""


def reset_options(defaults: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The options of an episode: those of the row, before those for all.

    A column that is None, as data sets fill what a row lacks, says nothing, and one
    that is no option of an episode is the trainer's business.
    """
    named = {name: row[name] for name in RESET_OPTIONS if row.get(name) is not None}
    return {**defaults, **named}


class Score:
    """What became of a rollout so far."""

    def __init__(self, submit_unfinished: bool) -> None:
        self.submit_unfinished = submit_unfinished
        self.begun = False
        self.over = False
        self.total = 0.0
        self.steps = 0
        self.mask = False
        self.fault = ""
        self.exit_status = ""
        self.evaluations: list[Evaluation] = []

    def started(self) -> "Score":
        """The score of a rollout that begins now."""
        score = Score(self.submit_unfinished)
        score.begun = True
        return score

    def note(self, reply: Reply) -> Reply:
        """Counts what a step brought."""
        self.total += reply.reward
        self.steps += 1
        self.evaluations.extend(reply.info.evaluations)
        self.over = reply.done
        self.mask = self.mask or reply.info.mask
        self.fault = self.fault or reply.info.fault
        self.exit_status = reply.info.exit_status
        return reply

    def lose(self, err: Exception) -> str:
        """Ends a rollout whose server is gone."""
        self.over, self.mask, self.fault = True, True, str(err)
        return f"The computer of this episode was lost: {err}"

    def ended(self) -> str:
        """What an action after the end is answered."""
        return f"The episode is over ({self.exit_status or 'lost'}); nothing was done."

    def value(self) -> float | None:
        """The sum of the rewards, or None where a fault of ours spoils it."""
        return None if self.mask else self.total

    def facts(self) -> dict[str, Any]:
        """The same as plain values, for a trainer's log."""
        scores = next((dict(e.scores) for e in reversed(self.evaluations) if e.scores is not None), {})
        return {
            "reward": self.total,
            "steps": self.steps,
            "mask": self.mask,
            "fault": self.fault,
            "exit_status": self.exit_status,
            "scores": scores,
        }


class Rollout:
    """A rollout for trainers that block; see AsyncRollout for the others.

    Args:
        url: of the server; None takes MLGYM_URL, or starts a local server.
        token: of the server; None takes MLGYM_TOKEN.
        submit_unfinished: whether finish() hands in what lies in the workspace where
            the model did not submit.
        step_timeout_s: after how many seconds a command is interrupted; None leaves
            that to the server's limit.

    It connects at the first begin() and keeps its connection for the next one.

    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        submit_unfinished: bool = True,
        step_timeout_s: float | None = None,
    ) -> None:
        self._server = (url, token)
        self._client: Client | None = None
        self._timeout = step_timeout_s
        self.score = Score(submit_unfinished)

    def begin(self, **options: Any) -> Reply:
        """Begins an episode; the options are those of Client.reset.

        Raises:
            ServerError: the server refused, such as an unknown task or no room.
            ConnectionLost: it cannot be reached.

        """
        if self._client is None:
            self._client = Client(*self._server)
        try:
            reply = self._client.reset(**options)
        except ConnectionLost:  # the connection of an earlier rollout; this one may have a new one
            self._client.close()
            self._client = Client(*self._server)
            reply = self._client.reset(**options)
        self.score = self.score.started()
        return reply

    def act(self, command: str) -> str:
        """Runs shell text and returns what the model is shown of it; never raises."""
        score, client = self.score, self._client
        if client is None or not score.begun:
            return "No episode was begun."
        if score.over:
            return score.ended()
        try:
            try:
                return score.note(client.step(command, self._timeout)).observation
            except StepTimeout:
                return score.note(client.interrupt()).observation
        except (ServerError, ConnectionLost) as err:
            return score.lose(err)

    def finish(self) -> float | None:
        """The reward of the rollout; None where it must not be learned from.

        What was not submitted is handed in now, so that unfinished work counts as
        what it is worth.
        """
        if self.score.begun and not self.score.over and self.score.submit_unfinished:
            self.act("submit")
        return self.score.value()

    def close(self) -> None:
        """Gives the session back. It may be called again."""
        if self._client is not None:
            self._client.close()
            self._client = None


class AsyncRollout:
    """A rollout for asyncio, with the arguments and meaning of Rollout.

    Actions of one turn that a trainer runs side by side take turns.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        submit_unfinished: bool = True,
        step_timeout_s: float | None = None,
    ) -> None:
        self._server = (url, token)
        self._client: AsyncClient | None = None
        self._timeout = step_timeout_s
        self._turn = asyncio.Lock()
        self.score = Score(submit_unfinished)

    async def begin(self, **options: Any) -> Reply | None:
        """Begins an episode, unless one was begun: then it returns None.

        Raises:
            ServerError: the server refused, such as an unknown task or no room.
            ConnectionLost: it cannot be reached.

        """
        async with self._turn:
            if self.score.begun:
                return None
            try:
                if self._client is None:
                    self._client = AsyncClient(*self._server)
                reply = await self._client.reset(**options)
            except (ServerError, ConnectionLost) as err:
                self.score.lose(err)
                raise
            self.score = self.score.started()
            return reply

    async def act(self, command: str) -> tuple[str, float]:
        """Runs shell text; returns what the model is shown, and the reward of the step."""
        async with self._turn:
            return await self._act(command)

    async def _act(self, command: str) -> tuple[str, float]:
        score, client = self.score, self._client
        if client is None or not score.begun:
            return "No episode was begun.", 0.0
        if score.over:
            return score.ended(), 0.0
        try:
            try:
                reply = score.note(await client.step(command, self._timeout))
            except StepTimeout:
                reply = score.note(await client.interrupt())
        except (ServerError, ConnectionLost) as err:
            return score.lose(err), 0.0
        return reply.observation, reply.reward

    async def finish(self) -> float | None:
        """The reward of the rollout, see Rollout.finish."""
        async with self._turn:
            if self.score.begun and not self.score.over and self.score.submit_unfinished:
                await self._act("submit")
            return self.score.value()

    async def close(self) -> None:
        """Gives the session back. It may be called again."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()
