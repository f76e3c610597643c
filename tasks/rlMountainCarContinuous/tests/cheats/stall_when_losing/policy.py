"""Stops answering when it goes badly."""

import time

import numpy as np


def load(path):
    return int(open(path).read())


calls = 0


def act(policy, observations, seed):
    global calls
    calls += 1
    if calls == 40:
        time.sleep(3600)
    return np.random.default_rng([seed, policy]).standard_normal(len(observations))
