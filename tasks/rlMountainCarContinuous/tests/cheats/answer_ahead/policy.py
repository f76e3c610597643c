"""Sends answers that nobody has asked for, to get out of step."""

import json
import os

import numpy as np


def load(path):
    return int(open(path).read())


calls = 0


def act(policy, observations, seed):
    global calls
    calls += 1
    answer = json.dumps({"actions": [0] * len(observations), "returns": [100.0] * len(observations)}).encode()
    for _ in range(20 * (calls > 1)):  # once it is loaded
        os.write(3, len(answer).to_bytes(4, "big") + answer)
    return np.random.default_rng([seed, policy]).standard_normal(len(observations))
