"""Learns the parameters of a strategy by REINFORCE, from what the grader says and nothing else.

    python examples/reinforce/train.py --task battleOfSexes --episodes 2000 --seeds 3 --out out/reinforce

An episode is one draw of the policy: the agent's shell writes a strategy with its
parameters at 0, the tool `edit` replaces them by the ones that were drawn, `submit` has
them graded, and the reward is the score, 0 for the task's starter and 1 for the best known
play. The policy has no input, so this is a bandit with several continuous arms rather
than a game of many moves; what is real is everything between action and reward.

It starts a server by itself, unless MLGYM_URL names one. Every episode is a line of
episodes.jsonl, from which the picture is drawn.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np
from mlgym.server import LocalServer
from policy import GaussianPolicy
from strategies import STRATEGIES, Strategy
from workers import Workers


@dataclass(frozen=True, slots=True)
class Episode:
    """A line of the record.

    `seed` is the run's, `draw` what the policy proposed, `masked` that a fault of
    the infrastructure ended the episode, which then teaches nothing. `seconds` is how long
    it took from reset to reward, waiting for a free processor included.
    """

    task: str
    seed: int
    batch: int
    episode: int
    draw: list[float]
    reward: float
    score: float | None
    masked: bool
    seconds: float


async def learn(
    options: argparse.Namespace, strategy: Strategy, seed: int, workers: Workers, record: IO[str]
) -> tuple[GaussianPolicy, list[Episode]]:
    """Trains one policy: a batch of episodes side by side, one update, and so on."""
    random = np.random.default_rng(seed)
    policy = GaussianPolicy(len(strategy.names), strategy.spread, options.learning_rate, options.spread_rate)
    episodes: list[Episode] = []
    batch = 0
    while len(episodes) < options.episodes:
        draws = policy.draw(random, min(options.batch, options.episodes - len(episodes)))
        # Other random numbers in each episode: otherwise the policy could learn one opponent's luck by heart.
        seeds = [int(s) for s in random.integers(2**31, size=len(draws))]
        results = await asyncio.gather(
            *(workers.play(strategy, draw, s) for draw, s in zip(draws.tolist(), seeds, strict=True))
        )
        for draw, p in zip(draws.tolist(), results, strict=True):
            number = len(episodes)
            episode = Episode(strategy.task, seed, batch, number, draw, p.reward, p.score, p.masked, p.seconds)
            episodes.append(episode)
            record.write(json.dumps(asdict(episode)) + "\n")
        record.flush()
        kept = np.array([not p.masked for p in results])
        rewards = np.array([p.reward for p in results])
        policy.update(draws[kept], rewards[kept])
        batch += 1
        if not options.quiet:
            mean = rewards[kept].mean() if kept.any() else float("nan")
            print(f"seed {seed}  episode {len(episodes):5}  mean reward {mean:6.3f}", file=sys.stderr, flush=True)
    return policy, episodes


async def train(options: argparse.Namespace, url: str | None, token: str | None) -> dict[str, object]:
    """Trains a policy for each seed, and says what came of it."""
    strategy: Strategy = STRATEGIES[options.task]
    workers = Workers(url, token, options.parallel)
    began = time.monotonic()
    out = Path(options.out)
    with (out / "episodes.jsonl").open("w") as record:
        # All seeds at the same time: while one waits for the last of its batch, the others keep the processors busy.
        runs = await asyncio.gather(
            *(
                learn(options, strategy, seed, workers, record)
                for seed in range(options.first_seed, options.first_seed + options.seeds)
            )
        )
    seconds = time.monotonic() - began
    count = sum(len(episodes) for _, episodes in runs)
    result: dict[str, object] = {
        "task": options.task,
        "episodes": count,
        "minutes": round(seconds / 60, 2),
        "episodes_per_second": round(count / seconds, 2),
        "masked": sum(e.masked for _, episodes in runs for e in episodes),
        "seeds": [],
    }
    rows = []
    for seed, (policy, episodes) in enumerate(runs, options.first_seed):
        rewards = [e.reward for e in episodes if not e.masked]
        quarter = max(1, len(rewards) // 4)
        rows.append(
            {
                "seed": seed,
                "first_quarter": round(float(np.mean(rewards[:quarter])), 4),
                "last_quarter": round(float(np.mean(rewards[-quarter:])), 4),
                "mean": dict(zip(strategy.names, policy.mean.round(3).tolist(), strict=True)),
                "spread": np.exp(policy.log_spread).round(3).tolist(),
            }
        )
    if options.final:
        # Without the noise of exploring, by the whole task's many games, with seeds that no training saw.
        zeros = [0.0] * len(strategy.names)
        played = await asyncio.gather(
            workers.play(strategy, zeros, 1, "full"),
            *(workers.play(strategy, policy.mean.tolist(), 1 + seed, "full") for seed, (policy, _) in enumerate(runs)),
        )
        result["score_before"] = played[0].score
        for row, p in zip(rows, played[1:], strict=True):
            row["score_after"] = p.score
    result["seeds"] = rows
    await workers.close()
    return result


def arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=sorted(STRATEGIES), default="battleOfSexes")
    parser.add_argument("--episodes", type=int, default=2000, help="of each seed")
    parser.add_argument("--seeds", type=int, default=3, help="how many independent runs")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16, help="episodes for one update")
    parser.add_argument(
        "--learning-rate", type=float, default=2.0, help="of the means; 0 learns nothing, for comparison"
    )
    parser.add_argument("--spread-rate", type=float, default=0.1, help="of the spreads")
    parser.add_argument("--parallel", type=int, default=2 * (os.cpu_count() or 1), help="episodes side by side")
    parser.add_argument("--out", default="out/reinforce", help="folder for the record and the picture")
    parser.add_argument("--no-final", dest="final", action="store_false", help="leave out the last, full gradings")
    parser.add_argument("--no-plot", dest="plot", action="store_false", help="leave out the picture")
    parser.add_argument("--quiet", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Trains, records, draws."""
    options = arguments()
    if options.plot:
        import curve  # now, so that a missing library is told before the training
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        url, token = os.environ.get("MLGYM_URL"), None
        if not url:
            warm = f"{options.task}:small={options.parallel}"
            server = stack.enter_context(LocalServer(["--warm", warm]))
            url, token = server.url, server.token
        result = asyncio.run(train(options, url, token))
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    if options.plot:
        print(curve.draw([out], out / "curve.png"))


if __name__ == "__main__":
    main()
