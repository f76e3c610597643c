"""Tasks as environments of Gymnasium.

    import gymnasium

    env = gymnasium.make("mlgym/battleOfSexes-v0", variant="small")

An observation is the text that an agent reads, an action is shell text.
"""

import contextlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import gymnasium

from mlgym import episodes
from mlgym.client import Client, restore_all
from mlgym.errors import ConnectionLost, ServerError, SessionLost
from mlgym.registration import NONDETERMINISTIC, TASKS, env_id, register
from mlgym.replies import Reply, Snapshot
from mlgym.spaces import UnicodeText
from mlgym.vector import MlgymVectorEnv

__all__ = ["NONDETERMINISTIC", "TASKS", "MlgymEnv", "MlgymVectorEnv", "UnicodeText", "env_id", "register"]


class MlgymEnv(gymnasium.Env[str, str]):
    """One episode of a task at a time.

    Args:
        task: its id, such as "battleOfSexes".
        variant: "full" or "small"; None leaves this and what follows to the server.
        mode: "hardened" or "published".
        reward: "improvement" (of each evaluation over the best so far), "terminal"
            (once, at the end) or "none".
        max_steps: after so many actions the episode is truncated and what is there
            graded. Gymnasium's own `max_episode_steps` cuts it without a grading.
        url: of a server; None takes MLGYM_URL, or starts one for this process.
        token: of that server; None takes MLGYM_TOKEN.
        render_mode: "ansi", with which `render()` returns the last step as text.

    `info` has what is the same for the same seed and actions: exit_code, evaluations,
    exit_status, fault, and `mask`, which is true where a fault of ours ended the
    episode, so that it must not be learned from. `last` is the whole last reply, with
    times and names. `metadata["reward_range"]` bounds the reward of a step once there
    was a reset.

    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 (Gymnasium's own declaration)

    def __init__(
        self,
        task: str,
        *,
        variant: str | None = None,
        mode: str | None = None,
        reward: str | None = None,
        max_steps: int | None = None,
        url: str | None = None,
        token: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode {render_mode!r}: want one of {self.metadata['render_modes']}, or None")
        self.render_mode = render_mode
        self.metadata = dict(self.metadata)
        self._episode: dict[str, Any] = {"variant": variant, "mode": mode, "reward": reward, "max_steps": max_steps}
        self.task = task
        self.observation_space = self._texts = episodes.observation_space()
        self.action_space = self._commands = episodes.action_space()
        self.last: Reply | None = None
        self._action: str | None = None
        self._client = Client(url, token)

    @property
    def client(self) -> Client:
        """The connection, for what Gymnasium has no word for, such as typed tools."""
        return self._client

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begins an episode and returns the task's statement.

        The seed reaches everything in the episode that draws random numbers. Without
        one it is drawn from `np_random`, so that a seeded sequence of episodes can be
        repeated. `options` may have variant, mode, reward, max_steps, episode_id,
        patience_s, and `snapshot`, whose episode has the seed that it was begun with.
        """
        super().reset(seed=seed)
        given = episodes.check_options(options)
        saved = episodes.snapshot_option(given)
        drawn = int(self.np_random.integers(episodes.SEEDS)) if seed is None else seed
        if saved is not None:
            reply = self._client.reset(snapshot=saved, **given)
        else:
            reply = self._client.reset(self.task, drawn, **{**self._episode, **given})
        if "reward_range" not in self.metadata:
            self.metadata["reward_range"] = self._client.state().reward_range
        return self._note(None, reply)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Runs shell text until it is done, however long that takes."""
        command = episodes.check_action(action, self._commands)
        try:
            reply = self._client.step(command)
        except SessionLost as err:
            reply = episodes.lost(self.last, err)
        observation, info = self._note(command, reply)
        return observation, reply.reward, reply.terminated, reply.truncated, info

    def _note(self, action: str | None, reply: Reply) -> tuple[str, dict[str, Any]]:
        self._action, self.last = action, reply
        return self._texts.clean(reply.observation), episodes.tell(reply.info)

    def render(self) -> str | None:
        """Returns the last step as text: the action, what it printed, scores and reward."""
        if self.render_mode is None or self.last is None:
            return None
        return episodes.transcript(self._action, self.last)

    def snapshot(self) -> Snapshot:
        """Saves the state between two steps; the server keeps it for an hour after its last use."""
        return self._client.snapshot()

    def restore(self, snapshot: Snapshot | str) -> tuple[str, dict[str, Any]]:
        """Ends the episode and goes on from a saved state, also that of another environment."""
        return self.reset(options={"snapshot": snapshot})

    def fork(self, n: int) -> list["MlgymEnv"]:
        """Returns n environments whose episodes go on from the state of this one.

        They are to be closed by the caller.
        """
        saved = self.snapshot()
        children = [self._like_this() for _ in range(n)]
        try:
            restore_all([partial(child.restore, saved) for child in children])
        except BaseException:
            for child in children:
                child.close()
            raise
        finally:
            self._delete(saved)
        return children

    def _like_this(self) -> "MlgymEnv":
        made = MlgymEnv(
            self.task, **self._episode, url=self._client.url, token=self._client.token, render_mode=self.render_mode
        )
        made.spec = self.spec
        return made

    def _delete(self, saved: Snapshot) -> None:
        with contextlib.suppress(ServerError, ConnectionLost):  # it is freed by itself, later
            self._client.delete_snapshot(saved)

    def close(self) -> None:
        """Ends the episode, within seconds, whatever the server does."""
        client = getattr(self, "_client", None)
        if client is not None:
            client.close()


register()
