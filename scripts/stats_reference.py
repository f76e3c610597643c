"""Compute reference values for package stats with the field's own libraries.

Writes stats/testdata/reference.json, which the Go tests read. Needs numpy, scipy,
rliable, statsmodels and choix; the versions used stand in the file.

    python -m venv /tmp/reference
    /tmp/reference/bin/pip install numpy scipy rliable "pandas<3" statsmodels choix
    /tmp/reference/bin/python scripts/stats_reference.py
"""

from __future__ import annotations

import itertools
import json
import math
from importlib import metadata
from pathlib import Path
from typing import Any

import choix
import numpy as np
from rliable import library, metrics
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import proportion_confint

OUT = Path(__file__).parent.parent / "stats" / "testdata" / "reference.json"


def scores(rng: np.random.Generator, runs: int, tasks: int) -> np.ndarray:
    """Runs x tasks of made-up normalised scores, rounded so that ties occur."""
    return np.round(rng.normal(0.6, 0.4, (runs, tasks)), 2)


def aggregates(rng: np.random.Generator) -> list[dict[str, Any]]:
    """IQM, optimality gap and other summaries of several shapes of data."""
    cases = []
    for runs, tasks in [(1, 1), (3, 1), (4, 13), (5, 6), (10, 3), (7, 7)]:
        x = scores(rng, runs, tasks)
        taus = np.linspace(-0.5, 1.5, 21)
        profile, _ = library.create_performance_profile({"a": x}, taus, reps=2)
        cases.append(
            {
                "values": x.T.tolist(),
                "iqm": float(metrics.aggregate_iqm(x)),
                "mean": float(metrics.aggregate_mean(x)),
                "optimality_gap": float(metrics.aggregate_optimality_gap(x, 1.0)),
                "median": float(np.median(x)),
                "quantiles": np.quantile(x.ravel(), [0.025, 0.1, 0.5, 0.77, 0.975]).tolist(),
                "population_std": float(np.std(x)),
                "taus": taus.tolist(),
                "profile": profile["a"].tolist(),
            }
        )
    return cases


def improvement(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Probability of improvement of two agents."""
    cases = []
    for runs_x, runs_y, tasks in [(4, 4, 13), (3, 7, 5), (1, 1, 2)]:
        x, y = scores(rng, runs_x, tasks), scores(rng, runs_y, tasks)
        cases.append({"x": x.T.tolist(), "y": y.T.tolist(), "p": float(metrics.probability_of_improvement(x, y))})
    return cases


def bootstrap(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Percentile and BCa intervals of a given bootstrap distribution."""
    cases = []
    one = np.round(rng.exponential(1.0, 17), 3)
    two = np.round(rng.exponential(2.0, 9), 3)

    def difference(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.mean(a, axis=axis) - np.mean(b, axis=axis)

    for data, statistic in [((one,), np.mean), ((one,), np.var), ((one, two), difference)]:
        result = stats.bootstrap(data, statistic, n_resamples=999, method="percentile", rng=np.random.default_rng(7))
        left_out = []
        for i, sample in enumerate(data):
            values = []
            for j in range(len(sample)):
                part = list(data)
                part[i] = np.delete(sample, j)
                values.append(float(statistic(*part)))
            left_out.append(values)
        case: dict[str, Any] = {
            "distribution": result.bootstrap_distribution.tolist(),
            "estimate": float(statistic(*data)),
            "left_out": left_out,
        }
        for method in ("percentile", "BCa"):
            again = stats.bootstrap(data, statistic, n_resamples=0, bootstrap_result=result, method=method)
            case[method] = [float(again.confidence_interval.low), float(again.confidence_interval.high)]
        cases.append(case)
    return cases


def best_at_k(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Best of k by going through all subsets, and pass@k likewise."""
    cases = []
    for n in (1, 2, 4, 7):
        values = np.round(rng.normal(0, 1, n), 1)
        for k in range(1, n + 1):
            subsets = list(itertools.combinations(values, k))
            passed = int(np.sum(values > 0))
            cases.append(
                {
                    "values": values.tolist(),
                    "k": k,
                    "largest": float(np.mean([max(s) for s in subsets])),
                    "smallest": float(np.mean([min(s) for s in subsets])),
                    "passed": passed,
                    "pass": float(np.mean([max(s) > 0 for s in subsets])),
                }
            )
    return cases


def strengths(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Plackett-Luce and Bradley-Terry by choix, maximum likelihood."""
    cases = []
    for n, orders in [(3, 6), (5, 13), (8, 40)]:
        rankings = [tuple(int(i) for i in rng.permutation(n)) for _ in range(orders)]
        wins = rng.integers(1, 9, (n, n))
        np.fill_diagonal(wins, 0)
        pairs = [(i, j) for i in range(n) for j in range(n) for _ in range(int(wins[i, j]))]
        cases.append(
            {
                "n": n,
                "rankings": rankings,
                "plackett_luce": choix.mm_rankings(n, rankings, max_iter=100000, tol=1e-12).tolist(),
                "wins": wins.tolist(),
                "bradley_terry": choix.mm_pairwise(n, pairs, max_iter=100000, tol=1e-12).tolist(),
            }
        )
    top = [(0, 1), (2, 0), (1, 3), (3, 2), (2, 1)]
    data = [(top[i][0], tuple(j for j in range(4) if j != top[i][0])) for i in range(len(top))]
    data += [(t[1], tuple(j for j in range(4) if j not in t)) for t in top]
    cases.append({"n": 4, "top": top, "plackett_luce": choix.mm_top1(4, data, max_iter=100000, tol=1e-12).tolist()})
    return cases


def tests(rng: np.random.Generator) -> dict[str, Any]:
    """Tests and what goes with them."""
    permutation = []
    for n in (1, 3, 8, 12):
        d = np.round(rng.normal(0.2, 1, n), 1)
        result = (
            stats.permutation_test(
                (d,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
            )
            if n > 1
            else None
        )
        permutation.append({"differences": d.tolist(), "p": 1.0 if result is None else float(result.pvalue)})
    holm = []
    for n in (1, 4, 10):
        p = np.round(rng.uniform(0, 0.2, n), 3)
        holm.append({"p": p.tolist(), "adjusted": multipletests(p, method="holm")[1].tolist()})
    friedman = []
    for tasks, k in [(13, 6), (8, 3)]:
        x = np.round(rng.normal(0, 1, (tasks, k)) + np.arange(k) * 0.3, 1)
        result = stats.friedmanchisquare(*x.T)
        friedman.append({"values": x.tolist(), "statistic": float(result.statistic), "p": float(result.pvalue)})
    ranges = [
        {"k": k, "p": p, "q": float(stats.studentized_range.ppf(p, k, np.inf))}
        for k in (2, 3, 6, 13)
        for p in (0.9, 0.95, 0.99)
    ]
    wilson = [
        {"k": k, "n": n, "level": level, "interval": list(map(float, proportion_confint(k, n, 1 - level, "wilson")))}
        for k, n in [(0, 4), (1, 4), (4, 4), (17, 52), (50, 51)]
        for level in (0.9, 0.95)
    ]
    power = [
        {
            "effect": e,
            "alpha": 0.05,
            "power": p,
            "n": math.ceil(TTestIndPower().solve_power(effect_size=e, alpha=0.05, power=p)),
        }
        for e in (0.2, 0.5, 0.8, 1.2, 2.0)
        for p in (0.8, 0.9)
    ]
    ranks = []
    for n in (1, 5, 9):
        x = np.round(rng.normal(0, 1, n), 0)
        ranks.append({"values": x.tolist(), "ranks": stats.rankdata(-x).tolist()})
    return {
        "permutation": permutation,
        "holm": holm,
        "friedman": friedman,
        "studentized_range": ranges,
        "wilson": wilson,
        "power": power,
        "ranks": ranks,
    }


def main() -> None:
    """Write the file."""
    rng = np.random.default_rng(20250213)
    libraries = ("numpy", "scipy", "rliable", "statsmodels", "choix")
    reference = {
        "versions": {name: metadata.version(name) for name in libraries},
        "aggregates": aggregates(rng),
        "improvement": improvement(rng),
        "bootstrap": bootstrap(rng),
        "best_at_k": best_at_k(rng),
        "strengths": strengths(rng),
        "tests": tests(rng),
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(reference, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
