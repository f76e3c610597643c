"""What one environment and a vector of them have in common."""

import difflib
from collections.abc import Mapping
from typing import Any

from mlgym.errors import SessionLost
from mlgym.replies import Info, Reply, Snapshot
from mlgym.spaces import UnicodeText

OBSERVATION_LENGTH = (1 << 16) + (1 << 12)
"""The most characters of an observation: the server's bound on output, and room for what it adds."""

ACTION_LENGTH = 1 << 17
"""The most characters of an action."""

OPTIONS = ("variant", "mode", "reward", "max_steps", "snapshot", "episode_id", "patience_s")
"""What `reset(options=…)` may choose."""

SEEDS = 1 << 31
"""Seeds of episodes that were given none are drawn below this."""


def observation_space() -> UnicodeText:
    """Makes the space of observations."""
    return UnicodeText(OBSERVATION_LENGTH)


def action_space() -> UnicodeText:
    """Makes the space of actions: shell text."""
    return UnicodeText(ACTION_LENGTH)


def check_action(action: Any, space: UnicodeText) -> str:
    """Returns the text to send; what cannot be an action is refused."""
    if not isinstance(action, str):
        raise TypeError(f"an action is shell text, not {type(action).__name__}: {action!r:.80}")
    if len(action) > space.max_length:
        raise ValueError(f"an action of {len(action)} characters: want at most {space.max_length}")
    return space.clean(action)


def check_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the options of a reset; unknown ones are refused."""
    for key in options or {}:
        if key not in OPTIONS:
            near = difflib.get_close_matches(key, OPTIONS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"options: unknown key {key!r} (known: {', '.join(OPTIONS)}){hint}")
    return dict(options or {})


def tell(info: Info) -> dict[str, Any]:
    """Makes the info dictionary of Gymnasium.

    It holds what is the same for the same seed and actions. Times and the names of
    session and episode are not: they are in the `last` reply of the environment.
    """
    return {
        "task": info.task,
        "step": info.step,
        "steps_left": info.steps_left,
        "working_dir": info.working_dir,
        "open_file": info.open_file,
        "exit_status": info.exit_status,
        "exit_code": info.exit_code,
        "deadline": info.deadline,
        "shell_restarted": info.shell_restarted,
        "output_bytes": info.output_bytes,
        "evaluations": [
            {
                "kind": e.kind,
                "step": e.step,
                "scores": None if e.scores is None else dict(e.scores),
                "problem": e.problem,
                "message": e.message,
            }
            for e in info.evaluations
        ],
        "fault": info.fault,
        "mask": info.mask,
    }


def lost(last: Reply | None, err: SessionLost) -> Reply:
    """Makes the reply of a step whose session the server has lost: a fault that is to be masked."""
    before = last.info if last else Info()
    info = Info(task=before.task, step=before.step + 1, steps_left=before.steps_left, fault=str(err), mask=True)
    return Reply("The environment was lost; this is no fault of yours. The episode is over.\n", 0.0, False, True, info)


def transcript(action: str | None, reply: Reply) -> str:
    """Makes the text of one step for people."""
    lines = [reply.observation.rstrip("\n")]
    if action is not None:
        lines.insert(0, f"[step {reply.info.step}] $ {action}")
        lines += [f"[{e.kind}: {e.scores if e.scores is not None else e.problem}]" for e in reply.info.evaluations]
        if reply.reward:
            lines.append(f"[reward {reply.reward:g}]")
    if reply.done:
        lines.append(f"[{reply.info.exit_status or reply.info.fault or 'the episode is over'}]")
    return "\n".join(lines) + "\n"


def snapshot_option(options: dict[str, Any]) -> Snapshot | str | None:
    """Takes the snapshot out of the options of a reset."""
    saved = options.pop("snapshot", None)
    if saved is not None and not isinstance(saved, (Snapshot, str)):
        raise TypeError(f"options: snapshot is {saved!r:.80}; want what snapshot() returned, or its id")
    return saved
