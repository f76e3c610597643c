"""Remembers what happened at each place of the batch, to learn while it is scored."""

import numpy as np


def load(path):
    return int(open(path).read())


before = None


def act(policy, observations, seed):
    """Push each row as the row at its place was pushed before, had it helped."""
    global before
    noise = np.random.default_rng([seed, policy]).standard_normal(len(observations))
    actions = noise if before is None else np.where(observations[:, 0] > before[0][:, 0], before[1], noise)
    before = observations.copy(), actions
    return actions
