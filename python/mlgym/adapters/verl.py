"""A tool for veRL: the shell of an episode.

In the file of `actor_rollout_ref.rollout.multi_turn.tool_config_path`:

    tools:
      - class_name: mlgym.adapters.verl.MlgymBashTool
        config: {type: native, task: battleOfSexes, variant: small}

veRL makes and releases a tool instance for each call, while an episode lives as
long as its trajectory. So where veRL says which trajectory a call belongs to, the
episode is that trajectory's, and ends with it; where it does not, it is the
instance's. `mlgym.adapters.verl_loop` has the agent loop that scores a trajectory
when it ends.
"""

import asyncio
import uuid
import weakref
from typing import Any

from verl.tools.base_tool import BaseTool
from verl.tools.schemas import OpenAIFunctionToolSchema, ToolResponse

from mlgym.adapters.rollout import RESET_OPTIONS, AsyncRollout, reset_options

_SCHEMA: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "bash",
        "description": (
            "Runs shell text on the computer of the task and returns its output. The shell keeps its state. "
            "The command validate grades what lies in the workspace; submit hands it in and ends the work."
        ),
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string", "description": "The shell text to run."}},
            "required": ["command"],
        },
    },
}

_background: set[asyncio.Task[None]] = set()


def _end(rollouts: dict[str, AsyncRollout], name: str, rollout: AsyncRollout, loop: asyncio.AbstractEventLoop) -> None:
    """Closes a rollout whose trajectory was collected, in the loop that it belongs to."""
    if rollouts.pop(name, None) is None:
        return  # it was finished

    def begin() -> None:
        task = loop.create_task(rollout.close())
        _background.add(task)
        task.add_done_callback(_background.discard)

    if not loop.is_closed():
        loop.call_soon_threadsafe(begin)


class MlgymBashTool(BaseTool):  # type: ignore[misc]
    """The shell of an episode as a tool.

    Args:
        config: url, token, submit_unfinished, step_timeout_s, and the options of an
            episode for all rows: task, seed, variant, mode, reward, max_steps,
            snapshot. `tools_kwargs.bash.create_kwargs` of a row go before them.
        tool_schema: another name or description of the tool; None takes ours.

    """

    def __init__(self, config: dict[str, Any], tool_schema: OpenAIFunctionToolSchema | None = None) -> None:
        super().__init__(config, tool_schema)
        self._rows: dict[str, dict[str, Any]] = {}
        self._own: dict[str, AsyncRollout] = {}
        self._trajectories: dict[str, AsyncRollout] = {}

    def get_openai_tool_schema(self) -> OpenAIFunctionToolSchema:
        """What the model is told of the tool."""
        return getattr(self, "tool_schema", None) or OpenAIFunctionToolSchema.model_validate(_SCHEMA)

    async def create(self, instance_id: str | None = None, **kwargs: Any) -> tuple[str, ToolResponse]:
        """Prepares an instance; its episode begins with the first command.

        The options of a row come as `create_kwargs`, or as arguments.
        """
        instance_id = instance_id or str(uuid.uuid4())
        self._rows[instance_id] = {**kwargs, **(kwargs.get("create_kwargs") or {})}
        return instance_id, ToolResponse()

    async def execute(
        self, instance_id: str, parameters: dict[str, Any], **kwargs: Any
    ) -> tuple[ToolResponse, float, dict[str, Any]]:
        """Runs a command; returns its output, the reward of the step, and the facts of the episode."""
        command = parameters.get("command")
        if not isinstance(command, str) or not command.strip():
            return ToolResponse(text="bash needs the argument command, a text. Nothing was run."), 0.0, {}
        rollout = self._rollout(instance_id, kwargs.get("agent_data"))
        defaults = {name: self.config[name] for name in RESET_OPTIONS if self.config.get(name) is not None}
        await rollout.begin(**reset_options(defaults, self._rows[instance_id]))
        text, reward = await rollout.act(command)
        return ToolResponse(text=text), reward, rollout.score.facts()

    async def calc_reward(self, instance_id: str, **kwargs: Any) -> float:
        """The reward of an episode, after handing in what was not submitted.

        It is 0.0 where a fault of the server's spoiled the episode; the facts that
        execute returns have the mask.
        """
        return await self._rollout(instance_id, kwargs.get("agent_data")).finish() or 0.0

    async def release(self, instance_id: str, **kwargs: Any) -> None:
        """Ends an instance, with its episode unless that is a trajectory's."""
        self._rows.pop(instance_id, None)
        rollout = self._own.pop(instance_id, None)
        if rollout is not None:
            await rollout.close()

    async def finish(self, trajectory: str) -> dict[str, Any] | None:
        """Scores and ends the episode of a trajectory; None where it had none.

        `reward` of the facts is the sum over the episode, what was not submitted
        handed in before.
        """
        rollout = self._trajectories.pop(trajectory, None)
        if rollout is None:
            return None
        await rollout.finish()
        facts = rollout.score.facts()
        await rollout.close()
        return facts

    def _rollout(self, instance_id: str, agent_data: Any) -> AsyncRollout:
        """The rollout of a trajectory, as long as veRL's data of it lives, or else of an instance."""
        rollouts, name = self._own, instance_id
        if agent_data is not None:
            rollouts, name = self._trajectories, str(agent_data.request_id)
        if name not in rollouts:
            rollouts[name] = rollout = AsyncRollout(
                self.config.get("url"),
                self.config.get("token"),
                submit_unfinished=self.config.get("submit_unfinished", True),
                step_timeout_s=self.config.get("step_timeout_s"),
            )
            if agent_data is not None:
                weakref.finalize(agent_data, _end, rollouts, name, rollout, asyncio.get_running_loop())
        return rollouts[name]
