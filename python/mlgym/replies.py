"""What a server answers, as typed values, read strictly enough to be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlgym.errors import ServerError


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One grading of the agent's work.

    `kind` is "validate" or "submit". `scores` maps each metric to its value, and
    is None where the submission could not be scored; then `problem` says why
    ("not_found", "invalid"). `message` is what the agent was told. `seconds` is
    how long grading took.
    """

    kind: str
    step: int
    scores: dict[str, float] | None
    problem: str
    message: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Info:
    """What a trainer wants to know of a step and the agent need not see."""

    task: str = ""
    session_id: str = ""
    episode_id: str = ""
    step: int = 0
    """Actions taken so far; 0 after a reset."""
    steps_left: int = -1
    """Actions that remain; -1 where there is no limit."""
    working_dir: str = ""
    open_file: str = ""
    running: bool = False
    """The command is not done yet; the observation is what it wrote so far."""
    exit_status: str = ""
    """How the episode ended, as MLGym writes it ("submitted"); "" until then."""
    exit_code: int = 0
    """That of the shell text; 2 after a syntax error."""
    seconds: float = 0.0
    """How long the action took."""
    deadline: str = ""
    """The limit that cut the action short: "", "wall", "idle"."""
    shell_restarted: bool = False
    output_bytes: int = 0
    """The size of the output before it was bounded."""
    evaluations: tuple[Evaluation, ...] = ()
    fault: str = ""
    """What failed on the server's side; "" where nothing did."""
    mask: bool = False
    """The sample must not be learned from: a fault of ours ended the episode."""
    tools: list[dict[str, Any]] | None = None
    tool_name: str = ""
    result: Any = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of a reset or a step.

    `observation` is text. `terminated` says that the task itself ended (the agent
    submitted), `truncated` that something outside the task ended it; they are never
    true together. `reward` is 0.0 after a reset.
    """

    observation: str
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: Info = field(default_factory=Info)

    @property
    def done(self) -> bool:
        """Whether the episode is over."""
        return self.terminated or self.truncated


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A saved state on the server, which keeps it for an hour after its last use.

    `bytes` is its size, `step` the step after which it was taken.
    """

    id: str
    bytes: int
    step: int


@dataclass(frozen=True, slots=True)
class State:
    """Where an episode is."""

    session_id: str
    episode_id: str
    step_count: int
    task: str
    variant: str
    mode: str
    reward_mode: str
    seed: int
    reward_range: tuple[float, float]
    done: bool
    running: bool
    total_reward: float
    max_steps: int


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _evaluation(data: Mapping[str, Any]) -> Evaluation:
    scores = data.get("scores")
    return Evaluation(
        kind=str(data.get("kind", "")),
        step=int(data.get("step", 0)),
        scores=None if scores is None else {str(name): float(value) for name, value in scores.items()},
        problem=str(data.get("problem") or ""),
        message=str(data.get("message") or ""),
        seconds=float(data.get("seconds") or 0.0),
    )


def read_reply(data: Mapping[str, Any]) -> Reply:
    """Reads the data of an observation frame."""
    observation = _mapping(data.get("observation"))
    told = {**_mapping(observation.get("metadata")), **_mapping(data.get("metadata"))}
    done = bool(data.get("done", False))
    truncated = bool(told.get("truncated", False))
    terminated = bool(told.get("terminated", done and not truncated))
    tools = observation.get("tools")
    info = Info(
        task=str(observation.get("task") or ""),
        session_id=str(told.get("session_id") or ""),
        episode_id=str(told.get("episode_id") or ""),
        step=int(observation.get("step") or 0),
        steps_left=int(observation.get("steps_left", -1)),
        working_dir=str(observation.get("working_dir") or ""),
        open_file=str(observation.get("open_file") or ""),
        running=bool(observation.get("running", False)),
        exit_status=str(told.get("exit_status") or ""),
        exit_code=int(told.get("exit_code") or 0),
        seconds=float(told.get("seconds") or 0.0),
        deadline=str(told.get("deadline") or ""),
        shell_restarted=bool(told.get("shell_restarted", False)),
        output_bytes=int(told.get("output_bytes") or 0),
        evaluations=tuple(_evaluation(e) for e in told.get("evaluations") or ()),
        fault=str(told.get("fault") or ""),
        mask=bool(told.get("mask", False)),
        tools=list(tools) if tools is not None else None,
        tool_name=str(observation.get("tool_name") or ""),
        result=observation.get("result"),
        error=observation.get("error"),
    )
    return Reply(str(observation.get("text") or ""), float(data.get("reward") or 0.0), terminated, truncated, info)


def _bound(value: Any, otherwise: float) -> float:
    return otherwise if value is None else float(value)


def read_state(data: Mapping[str, Any]) -> State:
    """Reads the data of a state frame."""
    low, high = data.get("reward_range") or (None, None)
    return State(
        session_id=str(data.get("session_id") or ""),
        episode_id=str(data.get("episode_id") or ""),
        step_count=int(data.get("step_count") or 0),
        task=str(data.get("task") or ""),
        variant=str(data.get("variant") or ""),
        mode=str(data.get("mode") or ""),
        reward_mode=str(data.get("reward_mode") or ""),
        seed=int(data.get("seed") or 0),
        reward_range=(_bound(low, float("-inf")), _bound(high, float("inf"))),
        done=bool(data.get("done", False)),
        running=bool(data.get("running", False)),
        total_reward=float(data.get("total_reward") or 0.0),
        max_steps=int(data.get("max_steps") or 0),
    )


def read_snapshot(data: Mapping[str, Any]) -> Snapshot:
    """Reads the data of a snapshot frame."""
    if not data.get("snapshot_id"):
        raise ServerError("EXECUTION_ERROR", f"a snapshot without an id: {dict(data)}")
    return Snapshot(str(data["snapshot_id"]), int(data.get("bytes") or 0), int(data.get("step") or 0))
