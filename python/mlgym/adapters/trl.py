"""Environments for TRL's GRPOTrainer.

    trainer = GRPOTrainer(
        model=model,
        environment_factory=environment_factory("battleOfSexes", variant="small"),
        args=GRPOConfig(max_steps=10, ...),
    )

The model gets the tools bash, validate and submit. Columns of the data set that
are options of an episode (task, seed, variant, mode, reward, max_steps, snapshot)
go before those of the factory; for GRPO the rows of one group are equal, so their
rollouts begin in the same state with the same seed where the row names one.

TRL resets the environments of a batch one after the other and never closes them.
So `reset` only claims a sandbox, which the server keeps ready, an environment keeps
its connection from one batch to the next, and the session goes back to the server
when the environment is collected or the process ends.
"""

import functools
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlgym.adapters.rollout import Rollout, reset_options


class _Group:
    """The environments of one factory, which a batch draws from."""

    def __init__(self) -> None:
        self.members: weakref.WeakSet[MlgymEnvironment] = weakref.WeakSet()


class MlgymEnvironment:
    """An episode as TRL wants it: reset, tools and get_reward.

    It is made by `environment_factory`, whose arguments it takes. Every public
    method but reset and get_reward is a tool of the model.
    """

    def __init__(
        self,
        group: _Group,
        defaults: dict[str, Any],
        statement: bool,
        finish_together: bool,
        rollout: dict[str, Any],
    ) -> None:
        self._defaults = defaults
        self._statement = statement
        self._together = finish_together
        self._group = group
        self._rollout = Rollout(**rollout)
        # Runs when this is collected, and at the end of the process.
        weakref.finalize(self, self._rollout.close)
        group.members.add(self)

    def reset(self, **row: Any) -> str | None:
        """Begins an episode.

        Args:
            row: the columns of the row.

        Returns:
            The task's statement, which TRL appends to the last message; None where
            the factory was told statement=False.

        """
        reply = self._rollout.begin(**reset_options(self._defaults, row))
        return reply.observation if self._statement else None

    def bash(self, command: str) -> str:
        """Runs shell text on the computer of the task and returns its output. The shell keeps its state.

        Args:
            command: The shell text to run.

        Returns:
            What it wrote to standard output and standard error.

        """
        return self._rollout.act(command)

    def validate(self) -> str:
        """Grades what lies in the workspace now. The work goes on.

        Returns:
            The score, or what is wrong with the submission.

        """
        return self._rollout.act("validate")

    def submit(self) -> str:
        """Hands in what lies in the workspace, has it graded, and ends the work.

        Returns:
            The score, or what is wrong with the submission.

        """
        return self._rollout.act("submit")

    def get_reward(self) -> float | None:
        """The reward of the episode, for TRL.

        Returns:
            The sum of its rewards; None, which TRL keeps out of the group, where a
            fault of the server's spoiled the episode.

        """
        if self._together and not self._rollout.score.over:
            self._finish_all()
        return self._rollout.finish()

    def _finish_all(self) -> None:
        """Has the unfinished work of the whole batch graded side by side.

        TRL asks for the rewards of a batch one after the other, each of which may
        take a grading.
        """
        open_ones = [e._rollout for e in self._group.members if e._rollout.score.begun and not e._rollout.score.over]
        if len(open_ones) < 2:
            return
        with ThreadPoolExecutor(len(open_ones), thread_name_prefix="mlgym-submit") as pool:
            list(pool.map(Rollout.finish, open_ones))


def environment_factory(
    task: str | None = None,
    *,
    url: str | None = None,
    token: str | None = None,
    statement: bool = True,
    submit_unfinished: bool = True,
    finish_together: bool = False,
    step_timeout_s: float | None = None,
    **options: Any,
) -> Callable[[], MlgymEnvironment]:
    """Returns what GRPOTrainer takes as `environment_factory`.

    Args:
        task: of the episodes whose row names none; None takes the server's.
        url: of the server; None takes MLGYM_URL, or starts a local server.
        token: of the server; None takes MLGYM_TOKEN.
        statement: whether the task's statement is appended to the prompt.
        submit_unfinished: whether what lies in the workspace is handed in for the
            model where it did not submit; without it such an episode has the rewards
            of its validations only.
        finish_together: whether the unfinished work of all environments of this
            factory is graded at once when the first reward is asked for. That is
            right for GRPOTrainer, which asks when the whole batch is generated, and
            wrong for trainers whose rollouts end one by one.
        step_timeout_s: after how many seconds a command is interrupted.
        options: further ones of an episode: seed, variant, mode, reward, max_steps,
            snapshot.

    """
    rollout = {"url": url, "token": token, "submit_unfinished": submit_unfinished, "step_timeout_s": step_timeout_s}
    defaults = {k: v for k, v in {"task": task, **options}.items() if v is not None}
    return functools.partial(MlgymEnvironment, _Group(), defaults, statement, finish_together, rollout)
