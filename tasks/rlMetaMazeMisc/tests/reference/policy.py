"""Straight on as long as there is a way, else to a side; written by hand, with one number for each checkpoint."""

import numpy as np


def load(path):
    with np.load(path, allow_pickle=False) as arrays:
        return float(arrays["right"])


def act(policy, observations, seed):
    last, walls = observations[:, 9:13].argmax(axis=1), observations[:, [1, 5, 7, 3]]
    rows = np.arange(len(observations))
    side = np.where(np.random.default_rng(seed).random(len(observations)) < policy, 1, 3)
    wish = np.zeros((len(observations), 4))
    wish[rows, last], wish[rows, (last + side) % 4], wish[rows, (last - side) % 4] = 3, 2, 1
    return (wish - 10 * walls).argmax(axis=1)
