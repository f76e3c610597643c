"""Searches for five policies by the cross-entropy method, in a simulator of its own.

A policy has four numbers; see policy.py. Each search has its own random numbers.
"""

from pathlib import Path

import numpy as np

POPULATION, ELITE, GENERATIONS, STARTS, STEPS = 64, 8, 20, 64, 200


def returns(parameters, random):
    """The mean return of each set of parameters, [population, 4]."""
    count = len(parameters)
    gain, slope, offset, shift = np.repeat(parameters, STARTS, axis=0).T
    x, v = np.tile(random.uniform(-0.6, -0.4, STARTS), count), np.zeros(count * STARTS)
    total, under_way = np.zeros(count * STARTS), np.ones(count * STARTS, dtype=bool)
    for _ in range(STEPS):
        a = gain * np.tanh(100 * slope * v + offset * (x + 0.5) + shift)
        v = np.clip(v + 0.0015 * np.clip(a, -1, 1) - 0.0025 * np.cos(3 * x), -0.07, 0.07)
        x = np.clip(x + v, -1.2, 0.6)
        goal = (x >= 0.45) & (v >= 0)
        total += under_way * (100.0 * goal - 0.1 * a * a)
        under_way &= ~goal
    return total.reshape(count, STARTS).mean(axis=1)


Path("checkpoints").mkdir(exist_ok=True)
for number in range(5):
    random = np.random.default_rng(number)
    mean, spread = np.zeros(4), np.ones(4)
    for _ in range(GENERATIONS):
        tried = mean + spread * random.standard_normal((POPULATION, 4))
        earned = returns(tried, random)
        best = tried[np.argsort(-earned)[:ELITE]]
        mean, spread = best.mean(axis=0), best.std(axis=0) + 0.02
    print(f"search {number}: {returns(mean[None], random)[0]:.2f} with {np.round(mean, 3)}", flush=True)
    np.savez(f"checkpoints/{number}.npz", parameters=mean)
