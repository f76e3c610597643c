"""Policies: five checkpoints of one program, scored in environments of the grader's own.

The environments, their random numbers and the rewards are here. A program answers
batches of observations with actions, and sees nothing else. Each checkpoint plays in
a player of its own:

- There are ``seeds`` x ``environments`` rows. The rows of a seed begin alike for all
  checkpoints, as in the original protocol, where a seed is a key of the generator.
- The rows of every message are permuted, and the actions permuted back, so that what
  a program remembers does not belong to a row.
- A row's scored episode begins after a secret number of messages, up to ``lag``. What
  it plays before, and after its end, is not counted. So the number of messages seen
  does not tell the time of an episode, and a list of actions without eyes is worth
  little. Where the observation has the time in it, the lag would only tell which rows
  belong together; there it is 0.
- A return is the sum of the rewards of an episode to its end, at most ``steps`` steps.

Checkpoints have to come from trainings of their own. That cannot be proved from
outside, but copies can be seen: see [Probes].
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mlgym_grader.session import Invalid, Player, Result, Session, integers
from mlgym_grader.stream import Stream

FILE = "policy.py"
CHECKPOINTS = 5
COPY = 0.01
"""Checkpoints are copies where they differ less than this share of what another sampling seed changes."""


class Environments(Protocol):
    """Many environments of one kind, one in each row; they end and begin one by one.

    draws are numbers from [0, 1), of the shape [DRAWS, rows]; an environment takes
    what randomness it needs from them, row by row.
    """

    def restart(self, rows: np.ndarray, draws: np.ndarray) -> None:
        """Begin a new episode in the rows where rows, booleans, are true."""

    def observe(self) -> np.ndarray:
        """Return the observations, [rows, ...]: float32, or uint8 where they are bits."""

    def step(self, actions: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take one step in all rows; return rewards and which episodes have ended."""


DRAWS = 2


class Numbers:
    """Random numbers in bulk, from SHAKE-256 over a secret: seeing some does not tell the next."""

    def __init__(self, stream: Stream) -> None:
        self._key = b"".join(stream.below(1 << 64).to_bytes(8, "big") for _ in range(4))
        self._block = 0

    def words(self, count: int) -> np.ndarray:
        """Return integers of 64 random bits."""
        digest = hashlib.shake_256(self._key + self._block.to_bytes(8, "big")).digest(8 * count)
        self._block += 1
        return np.frombuffer(digest, dtype="<u8")

    def uniform(self, *shape: int) -> np.ndarray:
        """Return floats from [0, 1) with 53 random bits."""
        return (self.words(math.prod(shape)) >> np.uint64(11)).reshape(shape) * 2.0**-53

    def permutation(self, count: int) -> np.ndarray:
        """Return the integers below count in random order."""
        return np.argsort(self.words(count), kind="stable")

    def seed(self) -> int:
        """Return a seed that every library takes: below 2^31."""
        return int(self.words(1)[0] >> np.uint64(33))


@dataclass(frozen=True)
class Discrete:
    """Actions 0 to count-1."""

    count: int

    def read(self, answer: object, rows: int) -> np.ndarray | str:
        """Return the actions of an answer, or what is wrong with it."""
        if type(answer) is not list or len(answer) != rows:
            return _wrong_length(answer, rows)
        if integers(answer, rows, 0, self.count - 1) is None:
            return f"gave something else as an action than an integer from 0 to {self.count - 1}"
        return np.array(answer, dtype=np.int64)


@dataclass(frozen=True)
class Continuous:
    """Actions of one finite number within -limit..limit."""

    limit: float

    def read(self, answer: object, rows: int) -> np.ndarray | str:
        """Return the actions of an answer, or what is wrong with it."""
        if type(answer) is not list or len(answer) != rows:
            return _wrong_length(answer, rows)
        for item in answer:
            if type(item) not in (int, float) or not -self.limit <= item <= self.limit:  # false for NaN
                return f"gave something else as an action than a finite number from {-self.limit:g} to {self.limit:g}"
        return np.array(answer, dtype=np.float32)


Space = Discrete | Continuous


def _wrong_length(answer: object, rows: int) -> str:
    if type(answer) is not list:
        return "gave no list of actions"
    return f"gave {len(answer)} actions for {rows} observations"


def encode(observations: np.ndarray) -> dict[str, Any]:
    """Return what a question says about a batch of observations."""
    if observations.dtype == np.uint8:
        data, dtype = np.packbits(observations).tobytes(), "bits"
    else:
        data, dtype = observations.astype("<f4").tobytes(), "float32"
    return {"observations": base64.b64encode(data).decode(), "shape": list(observations.shape), "dtype": dtype}


class Policy:
    """A checkpoint in a player of its own."""

    def __init__(self, session: Session, number: int, space: Space, first: np.ndarray) -> None:
        self._space = space
        self._player: Player = session.start(f"checkpoint-{number}", harness="policies")
        seed = Numbers(session.stream("trial")).seed()
        question = {"op": "load", "file": FILE, "checkpoint": path(number), "seed": seed}
        if self._player.prepare({**question, **encode(first)}).get("loaded") is not True:
            self._player.fail("did not say that it was loaded")

    def act(self, observations: np.ndarray, seed: int) -> np.ndarray:
        """Return an action for each row."""
        answer = self._player.ask({"op": "act", "seed": seed, **encode(observations)}).get("actions")
        actions = self._space.read(answer, len(observations))
        if isinstance(actions, str):
            self._player.fail(actions)
        return actions

    def stop(self) -> None:
        """End the player."""
        self._player.stop()


def path(number: int) -> str:
    """Return where a checkpoint lies."""
    return f"checkpoints/{number}.npz"


class Probes:
    """Batches that every checkpoint answers, by which copies are seen.

    They are taken from what checkpoint 0 meets, at secret times, and are asked at those
    times of the others, between the batches that count and looking like them. Each is
    asked twice, with two seeds of sampling. Between actions the distance is the mean of
    |a - b| (continuous) or the share of rows that differ (discrete). Two checkpoints
    are copies if, with equal seeds, their distance is 0, or less than 1 % (COPY) of the
    smaller of their own distances from one seed to the other. So trained policies that
    are nearly deterministic and nearly alike are not suspected: what counts is that they
    differ at all, or, where they sample, more than by a rounding of the weights.
    """

    def __init__(self, count: int, messages: int, numbers: Numbers) -> None:
        times = numbers.permutation(messages)[:count].tolist()
        self._seeds = {time: (numbers.seed(), numbers.seed()) for time in times}
        self._batches: dict[int, np.ndarray] = {}
        self._answers: list[dict[tuple[int, int], np.ndarray]] = []

    def begin(self) -> None:
        """Go to the next checkpoint."""
        self._answers.append({})

    def offer(self, time: int, batch: np.ndarray, policy: Policy) -> None:
        """Ask what is to be asked at this time; batch is what the checkpoint meets now."""
        if time not in self._seeds:
            return
        if len(self._answers) == 1:
            self._batches[time] = batch
        for which, seed in enumerate(self._seeds[time]):
            self._answers[-1][time, which] = policy.act(self._batches[time], seed)

    def taken(self) -> bool:
        """Say whether all batches are there, so that checkpoint 0 need not go on for their sake."""
        return len(self._batches) == len(self._seeds)

    def finish(self, time: int, policy: Policy) -> None:
        """Ask what is left, where a checkpoint is done early."""
        for later in sorted(t for t in self._seeds if t > time):
            self.offer(later, self._batches[later], policy)

    def distance(self, i: int, j: int) -> float:
        """Return the distance of two checkpoints with equal seeds."""
        one, other = self._answers[i], self._answers[j]
        return _distance([(one[key], other[key]) for key in one])

    def spread(self, i: int) -> float:
        """Return how far another seed moves a checkpoint's own actions."""
        answers = self._answers[i]
        return _distance([(answers[time, 0], answers[time, 1]) for time in self._batches])

    def closest(self) -> tuple[float, tuple[int, int]]:
        """Return the least distance of two checkpoints, in units of their spread, and which they are.

        Where a checkpoint does not sample, any distance is large: infinite.
        """
        spreads = [self.spread(i) for i in range(len(self._answers))]
        found = []
        for j in range(len(spreads)):
            for i in range(j):
                distance, spread = self.distance(i, j), min(spreads[i], spreads[j])
                found.append((distance / spread if spread > 0 else math.inf if distance > 0 else 0.0, (i, j)))
        return min(found)


def _distance(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the mean distance of actions."""
    return float(np.mean([np.abs(a - b).mean() if a.dtype.kind == "f" else (a != b).mean() for a, b in pairs]))


class Seeds:
    """The random numbers of all rows: each seed has its own, from the beginning for each checkpoint."""

    def __init__(self, session: Session, seeds: int, environments: int) -> None:
        self._numbers = [Numbers(session.stream(f"seed {i}")) for i in range(seeds)]
        self._environments = environments

    def draw(self) -> np.ndarray:
        """Return the next numbers from [0, 1), [DRAWS, rows]."""
        return np.concatenate([numbers.uniform(DRAWS, self._environments) for numbers in self._numbers], axis=1)


def returns(
    environments: Environments,
    policy: Policy,
    seeds: Seeds,
    numbers: Numbers,
    probes: Probes,
    *,
    steps: int,
    lag: int,
) -> np.ndarray:
    """Play one episode in each row and return the sums of rewards."""
    draws = seeds.draw()
    rows = draws.shape[1]
    start = np.floor(draws[1] * (lag + 1)).astype(np.int64)
    environments.restart(np.ones(rows, dtype=bool), draws)
    earned = np.zeros(rows)
    open_ = np.ones(rows, dtype=bool)  # the scored episode is still to come, or under way
    probes.begin()
    for time in range(lag + steps):
        if time > 0:
            environments.restart(start == time, seeds.draw())
        order = numbers.permutation(rows)
        batch = environments.observe()[order]
        probes.offer(time, batch, policy)
        answer = policy.act(batch, numbers.seed())
        actions = np.empty_like(answer)
        actions[order] = answer
        draws = seeds.draw()
        rewards, ended = environments.step(actions, draws)
        counts = open_ & (start <= time)
        earned[counts] += rewards[counts]
        open_ &= ~(counts & (ended | (time + 1 - start >= steps)))
        environments.restart(ended, draws)
        if not open_.any() and probes.taken():
            probes.finish(time, policy)
            break
    return earned


def grade(session: Session, make: Callable[[int], Environments], space: Space) -> Result:
    """Score the five checkpoints of a policy.

    make returns environments of so many rows. The parameters of the variant are seeds,
    environments, steps, lag and probes.
    """
    parameters = session.parameters
    count, width, steps, lag = (parameters[name] for name in ("seeds", "environments", "steps", "lag"))
    probes = Probes(parameters["probes"], steps, Numbers(session.stream("probes")))
    trial = make(count * width)
    first = Numbers(session.stream("first batch")).uniform(DRAWS, count * width)
    trial.restart(np.ones(count * width, dtype=bool), first)
    episodes = []
    for number in range(CHECKPOINTS):
        policy = Policy(session, number, space, trial.observe())
        seeds, numbers = Seeds(session, count, width), Numbers(session.stream(f"checkpoint {number}"))
        environments = make(count * width)
        episodes.append(returns(environments, policy, seeds, numbers, probes, steps=steps, lag=lag))
        policy.stop()
    share, pair = probes.closest()
    if share < COPY:
        raise Invalid(
            f"{path(pair[0])} and {path(pair[1])} act alike: for the same observations and seeds they give the same "
            "actions, or nearly. The five checkpoints have to come from five trainings."
        )
    return summary(np.stack(episodes), {} if math.isinf(share) else {"closest_pair": share})


def summary(episodes: np.ndarray, details: dict[str, float]) -> Result:
    """Return the scores of the returns, [checkpoints, rows]."""
    means = episodes.mean(axis=1)
    details = {
        **details,
        "standard_error": float(means.std(ddof=1) / math.sqrt(len(means))),
        "episodes": episodes.size,
        **{f"checkpoint_{i}": float(mean) for i, mean in enumerate(means)},
    }
    return Result({"Reward Mean": float(episodes.mean()), "Reward Std": float(episodes.std())}, details)
