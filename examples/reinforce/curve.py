"""Draws learning curves from recorded episodes.

python examples/reinforce/curve.py --out curve.png out/reinforce [out/control]
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def batches(folder: Path) -> tuple[str, dict[int, list[tuple[int, float]]]]:
    """Reads a record: for each seed, the episodes done and the mean reward of each batch."""
    task = ""
    rewards: dict[tuple[int, int], list[float]] = defaultdict(list)
    last: dict[tuple[int, int], int] = {}
    with (folder / "episodes.jsonl").open() as lines:
        for line in lines:
            episode = json.loads(line)
            task = episode["task"]
            key = (episode["seed"], episode["batch"])
            last[key] = episode["episode"] + 1
            if not episode["masked"]:
                rewards[key].append(episode["reward"])
    curves: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for key in sorted(rewards):
        curves[key[0]].append((last[key], float(np.mean(rewards[key]))))
    return task, curves


def draw(folders: Sequence[Path], out: Path) -> Path:
    """Draws the folders' curves into one picture: each seed thin, their mean thick, their range shaded."""
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    tasks = set()
    for folder, colour in zip(folders, COLOURS, strict=False):
        task, curves = batches(folder)
        tasks.add(task)
        length = min(len(curve) for curve in curves.values())
        x = np.array([n for n, _ in next(iter(curves.values()))[:length]])
        y = np.array([[reward for _, reward in curve[:length]] for curve in curves.values()])
        for row in y:
            axes.plot(x, row, color=colour, linewidth=0.5, alpha=0.6)
        axes.fill_between(x, y.min(axis=0), y.max(axis=0), color=colour, alpha=0.15, linewidth=0)
        name = folder.name if len(folders) > 1 else "REINFORCE"
        axes.plot(x, y.mean(axis=0), color=colour, linewidth=2, label=f"{name}, mean of {len(y)} seeds and their range")
    axes.axhline(0, color="#555555", linestyle="--", linewidth=1, label="the task's starter")
    axes.axhline(1, color="#555555", linestyle=":", linewidth=1, label="the best known play")
    axes.set_xlabel("episodes")
    axes.set_ylabel("mean reward of a batch")
    axes.set_title(", ".join(sorted(tasks)))
    axes.grid(alpha=0.2)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(out, dpi=120)
    pyplot.close(figure)
    return out


def main() -> None:
    """Reads the command line, and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("curve.png"))
    options = parser.parse_args()
    print(draw(options.folders, options.out))


if __name__ == "__main__":
    main()
