"""A text environment for SkyRL.

    skyrl_gym.register(id="mlgym", entry_point="mlgym.adapters.skyrl:MlgymTextEnv")

The model writes a command as one fenced block. The options of an episode (task,
seed, variant, mode, reward, max_steps, snapshot) are columns of the data set, or
keys of the environment's configuration (`skyrl_gym_cfg.mlgym`) for all rows.
"""

from collections.abc import Mapping
from typing import Any

from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput, ConversationType

from mlgym.adapters.fenced import NoCommandError, find_command
from mlgym.adapters.rollout import RESET_OPTIONS, Rollout, reset_options

_MAX_TURNS = 30


class MlgymTextEnv(BaseTextEnv):  # type: ignore[misc]
    """An episode of mlgym as a conversation.

    Args:
        env_config: for all rows: url, token, submit_unfinished, step_timeout_s,
            statement (whether the task's statement is appended to the prompt; true),
            max_turns, and the options of an episode.
        extras: of this row: the same options, and `max_turns` from the generator.

    """

    def __init__(self, env_config: Mapping[str, Any] | None = None, extras: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        config, row = dict(env_config or {}), dict(extras or {})
        self.max_turns = int(row.get("max_turns") or config.get("max_turns") or _MAX_TURNS)
        self._statement = bool(config.get("statement", True))
        defaults = {name: config[name] for name in RESET_OPTIONS if config.get(name) is not None}
        self._options = reset_options(defaults, row)
        self._rollout = Rollout(
            config.get("url"),
            config.get("token"),
            submit_unfinished=bool(config.get("submit_unfinished", True)),
            step_timeout_s=config.get("step_timeout_s"),
        )

    def init(self, prompt: ConversationType) -> tuple[ConversationType, dict[str, Any]]:
        """Begins the episode; returns the prompt with the task's statement."""
        reply = self._rollout.begin(**self._options)
        self.turns = 0
        if self._statement:
            prompt = [*prompt, {"role": "user", "content": reply.observation}]
        return prompt, {"task": reply.info.task, "session_id": reply.info.session_id}

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """Runs the command of an answer. An answer without one is told so, and counts as a turn.

        After the last turn what lies in the workspace is handed in. Where the
        episode ended by a fault of the server's, metadata has `mask` true: such a
        trajectory must not be learned from.
        """
        self.turns += 1
        before = self._rollout.score.total
        try:
            text = self._rollout.act(find_command(action))
        except NoCommandError as err:
            text = f"{err} Nothing was run."
        if not self._rollout.score.over and self.turns >= self.max_turns:
            self._rollout.finish()
            done = True
        else:
            done = self._rollout.score.over
        score = self._rollout.score
        return BaseTextEnvStepOutput(
            observations=[] if done else [{"role": "user", "content": text}],
            reward=0.0 if score.mask else score.total - before,
            done=done,
            metadata={**score.facts(), "text": text},
        )

    def get_metrics(self) -> dict[str, Any]:
        """The numbers of the episode: reward, steps, mask, and each metric of the last grading."""
        facts = self._rollout.score.facts()
        numbers = {"reward": facts["reward"], "steps": float(facts["steps"]), "mask": float(facts["mask"])}
        return {**numbers, **{f"score/{name}": value for name, value in facts["scores"].items()}}

    def close(self) -> None:
        """Gives the session back to the server."""
        self._rollout.close()
