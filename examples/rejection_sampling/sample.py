"""Rejection sampling: collect episodes, keep the best, export them, learn from them, and collect again.

    python examples/rejection_sampling/sample.py --task battleOfSexes --episodes 96 --out out/rejection

1. `mlgym serve --runs` records every episode of a policy that draws a strategy's
   parameters at random. (Runs of a language model are filtered in the same way:
   `mlgym experiment run --agents llm ...` makes them.)
2. `mlgym export --format sft --best K --min-score X` keeps the best, as conversations in
   JSON Lines and in Parquet.
3. The policy is fitted to what was kept, by maximum likelihood: supervised fine-tuning
   for a model of ten numbers. It reads the conversations of the exported file, and nothing
   of the episodes that were rejected.
4. The fitted policy plays again, with other seeds. What it earns says whether the data
   were worth anything.
"""

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mlgym.server import LocalServer, find_binary
from numpy.typing import NDArray

# The strategies, and how one is played, are those of the example beside this one.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reinforce"))

from strategies import STRATEGIES, Strategy
from workers import Workers

Array = NDArray[np.float64]


async def collect(runs: Path, strategy: Strategy, draws: Array, seed: int, parallel: int) -> list[float]:
    """Plays an episode for each draw, recorded under `runs`; returns the scores of those that no fault spoiled."""
    with LocalServer(["--runs", str(runs), "--warm", f"{strategy.task}:small={parallel}"]) as server:
        workers = Workers(server.url, server.token, parallel)
        played = await asyncio.gather(
            *(workers.play(strategy, draw, seed + i) for i, draw in enumerate(draws.tolist()))
        )
        await workers.close()
    return [p.score for p in played if not p.masked and p.score is not None]


def export(runs: Path, out: Path, best: int, least: float) -> None:
    """Has mlgym choose and write conversations."""
    command = [str(find_binary()), "export", str(runs), "--format", "sft", "--exit-status", "submitted", "--dedupe"]
    command += ["--min-score", repr(least), "--best", str(best), "--out", str(out)]
    subprocess.run(command, check=True)


def parameters(conversation: Sequence[dict[str, str]]) -> list[float]:
    """Reads what the agent wrote into the line of the parameters: its last word on them."""
    said = "\n".join(m["content"] for m in conversation if m["role"] == "assistant")
    found = re.findall(r"^PARAMETERS = \[(.*)\]$", said, flags=re.MULTILINE)
    return [float(number) for number in found[-1].split(",")]


def describe(scores: Sequence[float]) -> dict[str, float | int]:
    """Says how scores are distributed."""
    low, quarter, half, three, high = np.quantile(scores, (0, 0.25, 0.5, 0.75, 1))
    numbers = {"mean": np.mean(scores), "least": low, "25%": quarter, "median": half, "75%": three, "most": high}
    return {"episodes": len(scores), **{name: round(float(x), 4) for name, x in numbers.items()}}


def bars(scores: Sequence[float], edges: Array) -> str:
    """Draws a distribution in a line of text."""
    counts, _ = np.histogram(np.clip(scores, edges[0], edges[-1]), edges)
    marks = " ▁▂▃▄▅▆▇█"
    return "".join(marks[0 if c == 0 else max(1, round(8 * c / counts.max()))] for c in counts)


def main() -> None:
    """Collects, filters, exports, learns, and collects again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=sorted(STRATEGIES), default="battleOfSexes")
    parser.add_argument("--episodes", type=int, default=96, help="of each collection")
    parser.add_argument("--best", type=int, default=8, help="how many are kept")
    parser.add_argument("--min-score", type=float, help="the least that is kept (default: the task's starter)")
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/rejection"))
    options = parser.parse_args()
    strategy: Strategy = STRATEGIES[options.task]
    least = strategy.starter if options.min_score is None else options.min_score
    options.out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(options.seed)
    shape = (options.episodes, len(strategy.names))

    before, after = options.out / "runs", options.out / "runs-after"
    for folder in (before, after):  # of an earlier call
        if folder.exists():
            shutil.rmtree(folder)
    # Wide: a policy that knows nothing tries everything.
    draws = 2 * strategy.spread * random.standard_normal(shape)
    collected = asyncio.run(collect(before, strategy, draws, 1000 * options.seed, options.parallel))

    data = options.out / "sft.jsonl"
    export(before, data, options.best, least)
    export(before, options.out / "sft.parquet", options.best, least)
    lines = [json.loads(line) for line in data.read_text().splitlines()]
    if len(lines) < 2:
        raise SystemExit(
            f"{len(lines)} episodes were kept, too few to learn from: lower --min-score, or raise --episodes"
        )
    kept = [line["mlgym"]["score"] for line in lines]

    learned = np.array([parameters(line["messages"]) for line in lines])
    fitted = learned.mean(axis=0) + learned.std(axis=0) * random.standard_normal(shape)
    again = asyncio.run(collect(after, strategy, fitted, 1000 * options.seed + options.episodes, options.parallel))

    edges = np.linspace(min(collected + again), max(collected + again), 41)
    for name, scores in (("collected", collected), ("kept", kept), ("collected after learning", again)):
        print(f"{name:>24} │{bars(scores, edges)}│ {json.dumps(describe(scores))}")
    print(f"{'':>24}  {edges[0]:<20.3f}{edges[-1]:>20.3f}")
    print(f"kept {len(kept)} of {len(collected)}, the best with a score of at least {least}: {data} and sft.parquet")
    result = {"collected": describe(collected), "kept": describe(kept), "after": describe(again)}
    (options.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
