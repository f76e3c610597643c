"""Many episodes side by side, without a process for each.

    import gymnasium

    envs = gymnasium.make_vec("mlgym/battleOfSexes-v0", num_envs=64, variant="small")

The work is done by the server's sandboxes; here one thread waits for all of them.
"""

import asyncio
import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from mlgym import episodes
from mlgym.client import CLOSE_TIMEOUT_S, AsyncClient
from mlgym.errors import ClientClosed, ConnectionLost, ServerError, SessionLost
from mlgym.replies import Reply, Snapshot

T = TypeVar("T")
Observations = tuple[str, ...]


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mlgym-vector", daemon=True)
        self._thread.start()
        self._process = os.getpid()

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Runs a coroutine and returns its result."""
        if self._process != os.getpid():
            work.close()
            raise ClientClosed(f"this vector belongs to process {self._process}; make one in each process")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Ends the thread, within a second."""
        if self._process != os.getpid():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(1.0)
        if not self._thread.is_alive():
            self._loop.close()


class MlgymVectorEnv(VectorEnv[Observations, Sequence[str], NDArray[Any]]):
    """`num_envs` episodes of one task on one server.

    Args:
        num_envs: how many.
        task, variant, mode, reward, max_steps, url, token, render_mode: see MlgymEnv.
        autoreset_mode: "NextStep", "SameStep" or "Disabled", or Gymnasium's AutoresetMode.
        same_state: all episodes begin in one saved state of one episode, with its
            seed: groups for GRPO. Also those that an autoreset begins.

    Observations and actions are tuples of texts. Seeds are those of MlgymEnv: with
    `reset(seed=s)` the i-th episode has seed s+i, and a list gives one each.

    """

    def __init__(
        self,
        num_envs: int = 1,
        task: str = "",
        *,
        variant: str | None = None,
        mode: str | None = None,
        reward: str | None = None,
        max_steps: int | None = None,
        url: str | None = None,
        token: str | None = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        same_state: bool = False,
    ) -> None:
        self.closed = True  # until there is something to close
        if num_envs < 1:
            raise ValueError(f"num_envs {num_envs}: want at least 1")
        if not task:
            raise ValueError("task: want the id of one, such as 'battleOfSexes'")
        if render_mode not in (None, "ansi"):
            raise ValueError(f"render_mode {render_mode!r}: want 'ansi' or None")
        self.num_envs = num_envs
        self.task = task
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.same_state = same_state
        self.metadata = {"render_modes": ["ansi"], "render_fps": 1, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = self._texts = episodes.observation_space()
        self.single_action_space = self._commands = episodes.action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.last: list[Reply | None] = [None] * num_envs
        self._episode = {"variant": variant, "mode": mode, "reward": reward, "max_steps": max_steps}
        self._actions: list[str | None] = [None] * num_envs
        self._observations: list[str] = [""] * num_envs
        self._over = np.zeros(num_envs, dtype=np.bool_)
        self._draw = [seeding.np_random()[0] for _ in range(num_envs)]
        self._start: Snapshot | None = None
        self._clients = [AsyncClient(url, token) for _ in range(num_envs)]
        self._loop = _Loop()
        self.closed = False
        _vectors.add(self)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begins all episodes, or with options["reset_mask"] those that it selects.

        Further options are those of MlgymEnv.reset.
        """
        self._usable()
        given = dict(options or {})
        mask = self._mask(given.pop("reset_mask", None))
        given = episodes.check_options(given)
        if seed is None or isinstance(seed, int):
            seeds: list[int | None] = [None if seed is None else seed + i for i in range(self.num_envs)]
        else:
            seeds = list(seed)
            if len(seeds) != self.num_envs:
                raise ValueError(f"{len(seeds)} seeds for {self.num_envs} episodes: want one for each")
        chosen = [i for i in range(self.num_envs) if mask[i]]
        if self.same_state and len(chosen) < self.num_envs and (seed is not None or self._start is None):
            raise ValueError("same_state: a reset of some of the episodes begins in the state of the last whole reset")
        for i in chosen:
            if (own := seeds[i]) is not None:
                self._draw[i] = seeding.np_random(own)[0]
        whole = len(chosen) == self.num_envs
        replies = self._loop.run(self._begin(chosen, seeds, given, whole))
        infos: dict[str, Any] = {}
        for i, reply in zip(chosen, replies, strict=True):
            infos = self._note(infos, i, None, reply)
        self._over[chosen] = False
        if "reward_range" not in self.metadata:
            self.metadata["reward_range"] = self._loop.run(self._clients[chosen[0]].state()).reward_range
        return tuple(self._observations), infos

    def _mask(self, mask: Any) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            raise ValueError(f"options: reset_mask is {mask!r:.80}; want an array of {self.num_envs} bools")
        if not mask.any():
            raise ValueError("options: reset_mask selects no episode")
        return mask

    async def _begin(
        self, chosen: list[int], seeds: list[int | None], given: dict[str, Any], whole: bool
    ) -> list[Reply]:
        if not self.same_state:
            return await _all(*(self._begin_one(i, seeds[i], given) for i in chosen))
        if not whole:
            return await _all(*(self._begin_one(i, None, {"snapshot": self._start}) for i in chosen))
        before, self._start = self._start, None
        if before is not None:
            with contextlib.suppress(ServerError, ConnectionLost):
                await self._clients[0].delete_snapshot(before)
        first = await self._begin_one(0, seeds[0], given)
        self._start = await self._clients[0].snapshot()
        rest = await _all(*(self._begin_one(i, None, {"snapshot": self._start}) for i in chosen[1:]))
        return [first, *rest]

    async def _begin_one(self, i: int, seed: int | None, given: Mapping[str, Any]) -> Reply:
        options = dict(given)
        saved = episodes.snapshot_option(options)
        if saved is not None:
            return await self._clients[i].reset(snapshot=saved, **options)
        drawn = int(self._draw[i].integers(episodes.SEEDS)) if seed is None else seed
        return await self._clients[i].reset(self.task, drawn, **{**self._episode, **options})

    def step(
        self, actions: Sequence[str]
    ) -> tuple[Observations, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Does one action in each episode, all at the same time, and waits for the last of them."""
        self._usable()
        if isinstance(actions, str) or len(actions) != self.num_envs:
            raise ValueError(f"{actions!r:.80}: want a sequence of {self.num_envs} actions")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._over.any():
            over = np.flatnonzero(self._over).tolist()
            raise ValueError(f'episodes {over} are over: reset them with options={{"reset_mask": …}}')
        commands = [episodes.check_action(action, self._commands) for action in actions]
        fresh = self._over.copy() if self.autoreset_mode is AutoresetMode.NEXT_STEP else np.zeros_like(self._over)
        replies = self._loop.run(self._proceed(commands, fresh))
        rewards = np.array([reply.reward for reply in replies], dtype=np.float64)
        terminations = np.array([reply.terminated for reply in replies], dtype=np.bool_)
        truncations = np.array([reply.truncated for reply in replies], dtype=np.bool_)
        self._over = np.logical_or(terminations, truncations)
        infos: dict[str, Any] = {}
        begun = dict.fromkeys(range(self.num_envs), None)
        ended = np.flatnonzero(self._over).tolist() if self.autoreset_mode is AutoresetMode.SAME_STEP else []
        if ended:
            started: dict[int, Reply | None] = dict(
                zip(ended, self._loop.run(_all(*(self._restart(i) for i in ended))), strict=True)
            )
        else:
            started = dict(begun)
        for i, reply in enumerate(replies):
            if (beginning := started.get(i)) is None:
                infos = self._note(infos, i, None if fresh[i] else commands[i], reply)
                continue
            final = {"final_obs": self._texts.clean(reply.observation), "final_info": episodes.tell(reply.info)}
            infos = self._note(self._add_info(infos, final, i), i, None, beginning)
        return tuple(self._observations), rewards, terminations, truncations, infos

    async def _proceed(self, commands: list[str], fresh: NDArray[np.bool_]) -> list[Reply]:
        return await _all(
            *(self._restart(i) if fresh[i] else self._step_one(i, command) for i, command in enumerate(commands))
        )

    async def _step_one(self, i: int, command: str) -> Reply:
        try:
            return await self._clients[i].step(command)
        except SessionLost as err:
            return episodes.lost(self.last[i], err)

    async def _restart(self, i: int) -> Reply:
        return await self._begin_one(i, None, {"snapshot": self._start} if self.same_state else {})

    def _note(self, infos: dict[str, Any], i: int, action: str | None, reply: Reply) -> dict[str, Any]:
        self._actions[i], self.last[i] = action, reply
        self._observations[i] = self._texts.clean(reply.observation)
        return self._add_info(infos, episodes.tell(reply.info), i)

    def snapshot(self, index: int) -> Snapshot:
        """Saves the state of one episode; `reset(options={"snapshot": …})` goes on from it in all."""
        self._usable()
        return self._loop.run(self._clients[index].snapshot())

    def render(self) -> tuple[str, ...] | None:
        """Returns the last step of each episode as text."""
        if self.render_mode is None:
            return None
        return tuple(
            "" if reply is None else episodes.transcript(action, reply)
            for action, reply in zip(self._actions, self.last, strict=True)
        )

    def close_extras(self, **_: Any) -> None:
        """Ends all episodes, within seconds, whatever the server does."""
        with contextlib.suppress(Exception):
            self._loop.run(self._farewell(), 2 * CLOSE_TIMEOUT_S)
        self._loop.stop()

    async def _farewell(self) -> None:
        if self._start is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_TIMEOUT_S / 2):
                    await self._clients[0].delete_snapshot(self._start)
        await asyncio.gather(*(client.close() for client in self._clients))

    def _usable(self) -> None:
        if self.closed:
            raise ClientClosed("the vector is closed")


async def _all(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Runs coroutines side by side. All have ended when one's error is raised, so that none goes on unseen."""
    results = await asyncio.gather(*work, return_exceptions=True)
    done: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done


_vectors: "weakref.WeakSet[MlgymVectorEnv]" = weakref.WeakSet()


def _close_all() -> None:
    for vector in list(_vectors):
        with contextlib.suppress(Exception):
            vector.close()


def _forget_all() -> None:
    for vector in list(_vectors):
        vector.closed = True
    _vectors.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)
