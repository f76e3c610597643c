"""Takes two actions at once."""

import numpy as np


def load(path):
    return int(open(path).read())


def act(policy, observations, seed):
    return np.ones((len(observations), 2), dtype=int)
