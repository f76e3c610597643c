"""Counts actions from the end, as an index can."""

import numpy as np


def load(path):
    return int(open(path).read())


def act(policy, observations, seed):
    return np.full(len(observations), -1)
