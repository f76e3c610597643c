"""The policy that is handed in: this file and the five checkpoints.

load is called once with the path of a checkpoint, act for each batch of
observations. Plain numpy is enough for that, and starts in no time.
"""

from __future__ import annotations

import numpy as np

MIN_SCALE = 0.001


def load(path: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the layers of the actor, as train.py wrote them."""
    with np.load(path, allow_pickle=False) as arrays:
        count = sum(name.startswith("actor_w") for name in arrays)
        return [(arrays[f"actor_w{i}"], arrays[f"actor_b{i}"]) for i in range(count)]


def act(policy: list[tuple[np.ndarray, np.ndarray]], observations: np.ndarray, seed: int) -> np.ndarray:
    """Return an action for each row of observations, sampled with the seed.

    It is not clipped: the force is, and the cost is that of the action as it is.
    """
    x = observations
    for w, b in policy[:-1]:
        x = np.maximum(x @ w + b, 0)
    w, b = policy[-1]
    mean, raw = (x @ w + b).T
    scale = np.logaddexp(0, raw) + MIN_SCALE  # softplus
    return mean + scale * np.random.default_rng(seed).standard_normal(len(mean))
