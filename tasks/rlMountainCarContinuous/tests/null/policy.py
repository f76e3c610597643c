"""No work done: actions at random."""

import numpy as np


def load(path):
    return int(open(path).read())


def act(policy, observations, seed):
    return np.random.default_rng([seed, policy]).standard_normal(len(observations))
