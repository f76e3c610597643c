"""An agent loop for veRL that scores a trajectory when it ends.

In the file of `actor_rollout_ref.rollout.agent.agent_loop_config_path`:

    - name: mlgym_agent
      _target_: mlgym.adapters.verl_loop.MlgymAgentLoop

and `agent_name: mlgym_agent` in the rows. It is veRL's own tool loop; what lies in
the workspace at the end of a trajectory is handed in, and the sum of the episode's
rewards is the trajectory's `reward_score`.
"""

import contextvars
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.tool_agent_loop import AgentData, AgentState, ToolAgentLoop

from mlgym.adapters.verl import MlgymBashTool

# The data of the trajectory that runs, which is held here until it was scored: with
# it, its episode goes.
_trajectory: contextvars.ContextVar[AgentData | None] = contextvars.ContextVar("mlgym_trajectory", default=None)


class MlgymAgentLoop(ToolAgentLoop):  # type: ignore[misc]
    """veRL's tool loop with the reward of mlgym.

    A trajectory that never called the tool began no episode, and scores 0.0. One
    that a fault of the server's spoiled scores 0.0 too, and `extra_fields["mlgym"]`
    has `mask` true; veRL has no mask of its own for it, so a trainer that wants to
    drop it filters by that field.
    """

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """Runs one trajectory."""
        token = _trajectory.set(None)
        try:
            output = await super().run(sampling_params, **kwargs)
            facts = await self._score(_trajectory.get())
        finally:
            _trajectory.reset(token)
        output.reward_score = 0.0 if facts is None or facts["mask"] else float(facts["reward"])
        output.extra_fields["mlgym"] = facts or {}
        return output

    async def _score(self, trajectory: AgentData | None) -> dict[str, Any] | None:
        if trajectory is None:
            return None
        for tool in self.tools.values():
            facts = await tool.finish(str(trajectory.request_id)) if isinstance(tool, MlgymBashTool) else None
            if facts is not None:
                return facts
        return None

    async def _handle_pending_state(self, agent_data: AgentData, sampling_params: dict[str, Any]) -> AgentState:
        _trajectory.set(agent_data)
        return await super()._handle_pending_state(agent_data, sampling_params)
