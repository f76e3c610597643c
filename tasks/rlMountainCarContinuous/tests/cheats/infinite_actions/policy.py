"""Answers with infinity, so that a mean becomes what it likes."""

import numpy as np


def load(path):
    return int(open(path).read())


def act(policy, observations, seed):
    return np.full(len(observations), -np.inf)
