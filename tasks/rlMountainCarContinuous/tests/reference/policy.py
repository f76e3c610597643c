"""A policy of four numbers, which make.py searches for."""

import numpy as np


def load(path):
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["parameters"]


def act(policy, observations, seed):
    gain, slope, offset, shift = policy
    x, v = observations.T
    return gain * np.tanh(100 * slope * v + offset * (x + 0.5) + shift)
