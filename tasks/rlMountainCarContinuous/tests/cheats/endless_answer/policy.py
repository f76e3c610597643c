"""Announces an answer of four gigabytes."""

import os

import numpy as np


def load(path):
    return int(open(path).read())


calls = 0


def act(policy, observations, seed):
    global calls
    calls += 1
    while calls > 1:
        os.write(3, (b"\xff\xff\xff\xff" if calls == 2 else b"[") * 16384)
        calls += 1
    return np.random.default_rng([seed, policy]).standard_normal(len(observations))
