"""Answers with whole numbers of the wrong kind."""

import numpy as np


def load(path):
    return int(open(path).read())


def act(policy, observations, seed):
    return np.ones(len(observations))
